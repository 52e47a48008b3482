/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a lock: a thread that renews it at a third of its lease, until the
 * main thread says that the command has ended.
 *
 * While the thread runs the lock is its own; afterwards, the main thread's.
 * What both see is one flag behind the mutex, which is not held during a call
 * to the locker.
 *
 * A lock that is lost (the server was restarted, this machine was asleep) is
 * taken back where it is free, since half an import under the lock is better
 * than none; but that it wasn't held all of the time is remembered.
 */
#include <apr_strings.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "lock/lock.h"
#include "tools/lock_tool.h"

struct dp_keep_t {
    dp_tool_t *tool;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int is_over; /* behind the mutex */

    /* the thread's, then the main thread's */
    dogpile_id_t token;    /* none while it isn't held */
    apr_time_t renewed_at; /* monotonic */
    int was_lost;
    int is_failing; /* and that was said */
    apr_pool_t *scratch_pool;
};

static void lose(dp_keep_t *keep, const char *why)
{
    if (!keep->was_lost) {
        dp_tool_say("the lock %s; the command goes on", why);
    }
    keep->was_lost = 1;
}

static void renew(dp_keep_t *keep)
{
    dogpile_locker_t *locker = keep->tool->def->locker;
    apr_time_t at = dp_clock_now(&dp_clock_monotonic);
    apr_status_t status = dp_lock_renew(locker, &keep->tool->key, &keep->token,
                                        keep->scratch_pool);

    if (status == APR_SUCCESS) {
        keep->renewed_at = at;
        keep->is_failing = 0;
        return;
    }
    if (status == APR_NOTFOUND) {
        memset(&keep->token, 0, sizeof(keep->token));
        lose(keep, "was lost");
        return;
    }
    if (!keep->is_failing) {
        dp_tool_say("the lock can't be renewed: %s",
                    dp_tool_why(status, keep->scratch_pool));
        keep->is_failing = 1;
    }
    if (at - keep->renewed_at > locker->conf->lease_usec) {
        lose(keep, "may be lost");
    }
}

static void take_back(dp_keep_t *keep)
{
    dp_tool_t *tool = keep->tool;
    apr_time_t at = dp_clock_now(&dp_clock_monotonic);

    if (dp_lock_acquire(tool->def->locker, &tool->key, tool->mode, &keep->token,
                        NULL, keep->scratch_pool)
        == APR_SUCCESS) {
        dp_tool_say("the lock is held again");
        keep->renewed_at = at;
    }
}

/* Until the end or the next renewal, which comes sooner after a failure. */
static int is_over_after_pause(dp_keep_t *keep)
{
    apr_interval_time_t third = keep->tool->def->locker->conf->lease_usec / 3;
    apr_interval_time_t pause = keep->is_failing ? third / 3 : third;
    struct timespec until;
    int error = 0;
    int is_over;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += pause / APR_USEC_PER_SEC;
    until.tv_nsec += (long)(pause % APR_USEC_PER_SEC) * 1000;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&keep->mutex);
    while (!keep->is_over && error != ETIMEDOUT) {
        error = pthread_cond_timedwait(&keep->cond, &keep->mutex, &until);
    }
    is_over = keep->is_over;
    pthread_mutex_unlock(&keep->mutex);
    return is_over;
}

static void *keep_main(void *baton)
{
    dp_keep_t *keep = baton;

    while (!is_over_after_pause(keep)) {
        if (dp_id_is_none(&keep->token)) {
            take_back(keep);
        }
        else {
            renew(keep);
        }
        apr_pool_clear(keep->scratch_pool);
    }
    return NULL;
}

int dp_keep_begin(dp_keep_t **result, dp_tool_t *tool,
                  const dogpile_id_t *token)
{
    dp_keep_t *keep = apr_pcalloc(tool->pool, sizeof(*keep));
    pthread_condattr_t attributes;
    int error;

    keep->tool = tool;
    keep->token = *token;
    keep->renewed_at = dp_clock_now(&dp_clock_monotonic);
    apr_pool_create(&keep->scratch_pool, tool->pool);
    pthread_mutex_init(&keep->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keep->cond, &attributes);
    pthread_condattr_destroy(&attributes);
    error = pthread_create(&keep->thread, NULL, keep_main, keep);
    if (error) {
        dp_tool_say("can't start a thread: %s", dp_tool_why(error, tool->pool));
        dp_lock_release(tool->def->locker, &tool->key, token, tool->pool);
        return EX_OSERR;
    }
    *result = keep;
    return 0;
}

int dp_keep_end(dp_keep_t *keep)
{
    dp_tool_t *tool = keep->tool;
    apr_status_t status;

    pthread_mutex_lock(&keep->mutex);
    keep->is_over = 1;
    pthread_cond_signal(&keep->cond);
    pthread_mutex_unlock(&keep->mutex);
    pthread_join(keep->thread, NULL);
    status = dp_lock_release(tool->def->locker, &tool->key, &keep->token,
                             tool->pool);
    if (status == APR_NOTFOUND) {
        if (!keep->was_lost) {
            dp_tool_say("the lock was lost");
        }
        keep->was_lost = 1;
    }
    else if (status != APR_SUCCESS) {
        dp_tool_say("the lock can't be given back (%s) and ends by itself",
                    dp_tool_why(status, tool->pool));
    }
    return !keep->was_lost;
}
