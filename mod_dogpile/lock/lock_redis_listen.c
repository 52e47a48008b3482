/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hears of releases: each script that ends a lease publishes its lock's digest
 * on a channel, and a child that waits for locks listens to it.
 *
 * One thread and one connection a child, born in listen() and ended by a
 * cleanup of its pool, which wakes the thread by an eventfd and waits for it.
 * The connection is the thread's alone; the mutex guards what the status page
 * shows. A connection on which nothing was heard for a while is asked whether
 * it still is one, by subscribing again, which needs no further rights.
 *
 * The invariant: hearing nothing is never an error of the locker. Whoever waits
 * looks at the lock all the same, so what was said while we didn't listen is
 * only a pause that wasn't spared.
 */
#include <apr_strings.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "lock/lock_redis.h"
#include "lock/redis_push.h"
#include "base/thread.h"
#include "policy/backoff.h"

/* So many times what an answer may take nothing may be heard, before redis is
 * asked whether it is there. */
#define SILENCE_ANSWERS 15

/* Between two tries to connect. */
static const dp_backoff_t pauses = {.first_usec = apr_time_from_msec(100),
                                    .longest_usec = apr_time_from_sec(10)};

struct dp_redis_listener_t {
    dp_lock_redis_t *redis;
    dogpile_released_fn *released;
    void *baton;
    pthread_t thread;
    int end_fd; /* written to when the thread is to end */

    /* The thread's own. */
    dp_redis_resolver_t resolver;
    dp_redis_link_t link;
    unsigned int failures; /* in a row */
    int is_asked;          /* SUBSCRIBE was sent; its answer is due */
    int has_told;          /* that it is refused */
    apr_size_t nbytes;
    char bytes[DP_REDIS_PUSH_MAX]; /* what has come of the next push */

    apr_thread_mutex_t *mutex; /* guards the rest */
    int is_listening;
    apr_uint64_t nheard;
    char why[DP_REDIS_WHY_BYTES]; /* of not listening, or "" */
};

/* ---- what people see ---- */

static void set_state(dp_redis_listener_t *listener, int is_listening,
                      const char *why)
{
    apr_thread_mutex_lock(listener->mutex);
    listener->is_listening = is_listening;
    apr_cpystrn(listener->why, why, sizeof(listener->why));
    apr_thread_mutex_unlock(listener->mutex);
}

void dp_lock_redis_listen_describe(dp_lock_redis_t *redis, dogpile_row_fn *row,
                                   void *baton, apr_pool_t *scratch_pool)
{
    dp_redis_listener_t *listener =
        __atomic_load_n(&redis->listener, __ATOMIC_ACQUIRE);
    const char *text;

    if (listener == NULL) {
        return;
    }
    apr_thread_mutex_lock(listener->mutex);
    text = listener->is_listening
               ? apr_psprintf(scratch_pool,
                              "heard at once, %" APR_UINT64_T_FMT
                              " so far by this process",
                              listener->nheard)
               : apr_psprintf(scratch_pool, "not heard: %s",
                              listener->why[0] ? listener->why
                                               : "not connected yet");
    apr_thread_mutex_unlock(listener->mutex);
    row(baton, "releases", text);
}

/* That redis can't be reached is said by those who want a lock of it. */
static void tell_refusal(dp_redis_listener_t *listener, const char *why)
{
    const dogpile_locker_conf_t *conf = listener->redis->locker.conf;

    if (!listener->has_told) {
        listener->has_told = 1;
        dp_log(conf->log, DOGPILE_LOG_NOTICE, 743, APR_SUCCESS,
               "locker %s: %s doesn't tell of releases, so whoever waits "
               "looks every DogpileLockRetry: %s",
               conf->name, listener->redis->server->shown, why);
    }
}

/* ---- one connection ---- */

static void heard_release(dp_redis_listener_t *listener, const char *text,
                          apr_size_t size)
{
    char hex[DP_DIGEST_HEX_BYTES];
    dogpile_digest_t digest;

    if (size != sizeof(hex) - 1) {
        return;
    }
    memcpy(hex, text, size);
    hex[size] = '\0';
    if (!dp_unhex(digest.bytes, DOGPILE_DIGEST_BYTES, hex)) {
        return;
    }
    apr_thread_mutex_lock(listener->mutex);
    listener->nheard++;
    apr_thread_mutex_unlock(listener->mutex);
    listener->released(listener->baton, &digest);
}

static apr_status_t heard(dp_redis_listener_t *listener,
                          const dp_redis_push_t *push, dp_redis_call_t *call)
{
    switch (push->kind) {
    case DP_PUSH_MESSAGE:
        heard_release(listener, push->text, push->size);
        break;
    case DP_PUSH_SUBSCRIBED:
        listener->is_asked = 0;
        listener->failures = 0;
        listener->has_told = 0;
        set_state(listener, 1, "");
        break;
    case DP_PUSH_REFUSED:
        dp_redis_fail(call, APR_EACCES, "%.*s", (int)push->size, push->text);
        tell_refusal(listener, call->why);
        return APR_EACCES;
    case DP_PUSH_OTHER:
        break;
    }
    return APR_SUCCESS;
}

/* All that has come in full. */
static apr_status_t understand(dp_redis_listener_t *listener,
                               dp_redis_call_t *call)
{
    apr_status_t status = APR_SUCCESS;
    apr_size_t done = 0;
    dp_redis_push_t push;
    apr_ssize_t used = 1;

    while (status == APR_SUCCESS && used > 0) {
        used = dp_redis_push_read(&push, listener->bytes + done,
                                  listener->nbytes - done);
        if (used > 0) {
            done += (apr_size_t)used;
            status = heard(listener, &push, call);
        }
    }
    listener->nbytes -= done;
    memmove(listener->bytes, listener->bytes + done, listener->nbytes);
    if (used < 0 || listener->nbytes == sizeof(listener->bytes)) {
        return dp_redis_fail(call, APR_EINVAL,
                             "what comes over the channel isn't ours");
    }
    return status;
}

static apr_status_t subscribe(dp_redis_listener_t *listener,
                              dp_redis_call_t *call)
{
    const char *channel = listener->redis->channel;
    char command[128];
    int size =
        apr_snprintf(command, sizeof(command),
                     "*2\r\n$9\r\nSUBSCRIBE\r\n$%" APR_SIZE_T_FMT "\r\n%s\r\n",
                     strlen(channel), channel);

    listener->is_asked = 1;
    return dp_redis_send(&listener->link, command, (apr_size_t)size, call);
}

/* Wait for the next word. No answer to a question is a failure; silence is
 * only a reason to ask. */
static apr_status_t hear_some(dp_redis_listener_t *listener,
                              dp_redis_call_t *call)
{
    apr_interval_time_t patience = listener->redis->locker.conf->socket_usec;
    apr_size_t size = sizeof(listener->bytes) - listener->nbytes;
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    apr_status_t status;

    call->deadline =
        now + (listener->is_asked ? patience : SILENCE_ANSWERS * patience);
    status = dp_redis_receive(&listener->link,
                              listener->bytes + listener->nbytes, &size, call);
    if (status == APR_TIMEUP && !listener->is_asked) {
        call->deadline = dp_clock_now(&dp_clock_monotonic) + patience;
        return subscribe(listener, call);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    listener->nbytes += size;
    return understand(listener, call);
}

/* Is the thread to end within that time? */
static int ends_within(const dp_redis_listener_t *listener,
                       apr_interval_time_t usec)
{
    struct pollfd entry = {.fd = listener->end_fd, .events = POLLIN};

    return poll(&entry, 1, (int)(usec / 1000)) > 0;
}

/* Connect, and listen as long as that lasts. */
static void hear(dp_redis_listener_t *listener)
{
    dp_lock_redis_t *redis = listener->redis;
    dp_redis_call_t call;
    apr_status_t status;

    dp_redis_begin(&call, redis->locker.conf->socket_usec, DP_REDIS_PUSH_MAX);
    call.end_fd = listener->end_fd;
    listener->nbytes = 0;
    status = dp_redis_link_open(&listener->link, redis->server,
                                &listener->resolver, &call);
    if (status == APR_SUCCESS) {
        status = subscribe(listener, &call);
    }
    while (status == APR_SUCCESS && !ends_within(listener, 0)) {
        status = hear_some(listener, &call);
    }
    dp_redis_link_close(&listener->link);
    listener->failures++;
    set_state(listener, 0, call.why);
}

/* ---- the thread ---- */

static apr_interval_time_t next_pause(const dp_redis_listener_t *listener)
{
    dogpile_id_t id;
    unsigned int dice;

    dp_id_make(&id);
    memcpy(&dice, id.bytes, sizeof(dice));
    return dp_backoff_pause(&pauses, listener->failures, dice);
}

static void *listen_all_the_time(void *baton)
{
    dp_redis_listener_t *listener = baton;

    do {
        hear(listener);
    } while (!ends_within(listener, next_pause(listener)));
    return NULL;
}

static apr_status_t listener_end(void *baton)
{
    dp_redis_listener_t *listener = baton;
    apr_uint64_t one = 1;
    ssize_t n;

    do {
        n = write(listener->end_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    pthread_join(listener->thread, NULL);
    close(listener->end_fd);
    listener->redis->listener = NULL;
    return APR_SUCCESS;
}

apr_status_t dp_lock_redis_listen(dogpile_locker_t *locker,
                                  dogpile_released_fn *released, void *baton,
                                  apr_pool_t *child_pool)
{
    dp_lock_redis_t *redis = dp_lock_redis_of(locker);
    dp_redis_listener_t *listener = apr_pcalloc(child_pool, sizeof(*listener));
    apr_status_t status;

    listener->redis = redis;
    listener->released = released;
    listener->baton = baton;
    listener->link.fd = -1;
    status = dp_redis_resolver_make(&listener->resolver, child_pool);
    if (status == APR_SUCCESS) {
        status = apr_thread_mutex_create(&listener->mutex,
                                         APR_THREAD_MUTEX_DEFAULT, child_pool);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    listener->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->end_fd < 0) {
        return errno;
    }
    status = dp_thread_start(&listener->thread, listen_all_the_time, listener);
    if (status != APR_SUCCESS) {
        close(listener->end_fd);
        return status;
    }
    __atomic_store_n(&redis->listener, listener, __ATOMIC_RELEASE);
    apr_pool_cleanup_register(child_pool, listener, listener_end,
                              apr_pool_cleanup_null);
    return APR_SUCCESS;
}
