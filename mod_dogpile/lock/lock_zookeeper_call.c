/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through a ZooKeeper session, with a deadline for whoever waits.
 *
 * Begun and finished by any thread of a child; replies come in the client's
 * completion thread. A call is known to both, and the last of them frees it:
 * the waiter may leave at its deadline, and the reply finds nobody then. What
 * it did nevertheless, a lock taken or kept, is undone: see is_orphan().
 *
 * The invariant: a call without reply is in session->calls, and leaves it
 * exactly once, in dp_zk_settle(). A handle that is closed replies to nothing any
 * more, so the keeper settles what is left.
 */
#include "lock/lock_zookeeper_priv.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void dp_zk_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

int dp_zk_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                    apr_time_t deadline)
{
    struct timespec until = {.tv_sec = apr_time_sec(deadline),
                             .tv_nsec = apr_time_usec(deadline) * 1000};

    return pthread_cond_timedwait(cond, mutex, &until) == 0;
}

void *dp_zk_memory(void *memory, apr_size_t size)
{
    void *bytes = realloc(memory, size ? size : 1);

    if (bytes == NULL) {
        abort();
    }
    return bytes;
}

char *dp_zk_copy(const char *bytes, apr_size_t size)
{
    char *text = dp_zk_memory(NULL, size + 1);

    memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

dp_zk_call_t *dp_zk_call_make(dp_zk_session_t *session, dp_zk_what_e what,
                              const char *path)
{
    dp_zk_call_t *call = dp_zk_memory(NULL, sizeof(*call));

    memset(call, 0, sizeof(*call));
    call->session = session;
    call->what = what;
    call->path = dp_zk_copy(path, strlen(path));
    call->is_awaited = 1;
    call->rc = ZCONNECTIONLOSS;
    dp_zk_cond_init(&call->replied);
    return call;
}

static void free_call(dp_zk_call_t *call)
{
    pthread_cond_destroy(&call->replied);
    free(call->path);
    free(call->prefix);
    free(call->bytes);
    free(call);
}

/* Connected: to be followed by the client's call and dp_zk_begun(), in the mutex. */
int dp_zk_begin(dp_zk_call_t *call)
{
    dp_zk_session_t *session = call->session;

    pthread_mutex_lock(&session->mutex);
    if (session->handle == NULL || !session->connected || session->stop) {
        pthread_mutex_unlock(&session->mutex);
        return 0;
    }
    call->is_begun = 1;
    call->next = session->calls;
    if (call->next) {
        call->next->previous = call;
    }
    session->calls = call;
    return 1;
}

static void unlink_locked(dp_zk_call_t *call)
{
    if (call->next) {
        call->next->previous = call->previous;
    }
    if (call->previous) {
        call->previous->next = call->next;
    }
    else {
        call->session->calls = call->next;
    }
    call->is_begun = 0;
}

void dp_zk_begun(dp_zk_call_t *call, int rc)
{
    if (rc != ZOK) {
        unlink_locked(call);
        call->rc = rc;
    }
    pthread_mutex_unlock(&call->session->mutex);
}

/* The server may or may not have done it. */
static int is_unknown(int rc)
{
    return rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT;
}

/* Nobody but the server can have said that. */
static int is_sign_of_life(int rc)
{
    return rc == ZOK || (rc <= ZAPIERROR && rc != ZCLOSING);
}

/* Is there, perhaps, a lock that nobody knows of? Those of a session that is
 * over are gone with it. */
static int is_orphan(const dp_zk_call_t *call)
{
    if (call->what == DP_ZK_TAKES) {
        return is_unknown(call->rc) || (call->rc == ZOK && !call->is_awaited);
    }
    return call->what == DP_ZK_ENDS && is_unknown(call->rc)
           && !call->is_awaited;
}

static void settle_locked(dp_zk_call_t *call, int rc)
{
    dp_zk_session_t *session = call->session;

    unlink_locked(call);
    call->rc = rc;
    if (is_sign_of_life(rc)) {
        session->is_silent = 0;
    }
    if (rc == ZOK && call->what != DP_ZK_READS && call->stat.mtime > 0) {
        session->server_usec = apr_time_from_msec(call->stat.mtime);
        session->server_as_of = dp_clock_now(&dp_clock_monotonic);
    }
    if (is_orphan(call)) {
        dp_zk_orphan_locked(session,
                            dp_zk_copy(call->path, strlen(call->path)));
    }
    if (session->stop && session->calls == NULL) {
        pthread_cond_broadcast(&session->changed);
    }
    if (call->is_awaited) {
        pthread_cond_signal(&call->replied);
    }
    else {
        free_call(call);
    }
}

void dp_zk_settle(dp_zk_call_t *call, int rc)
{
    dp_zk_session_t *session = call->session;

    pthread_mutex_lock(&session->mutex);
    settle_locked(call, rc);
    pthread_mutex_unlock(&session->mutex);
}

void dp_zk_abandon_calls(dp_zk_session_t *session)
{
    pthread_mutex_lock(&session->mutex);
    while (session->calls) {
        settle_locked(session->calls, ZCLOSING);
    }
    pthread_mutex_unlock(&session->mutex);
}

static apr_status_t status_of(int rc)
{
    switch (rc) {
    case ZOK:
        return APR_SUCCESS;
    case ZNONODE:
        return APR_NOTFOUND;
    case ZNODEEXISTS:
        return APR_EEXIST;
    case ZBADVERSION:
        return APR_EBUSY;
    case ZNOAUTH:
    case ZAUTHFAILED:
    case ZINVALIDACL:
        return APR_EACCES;
    case ZMARSHALLINGERROR:
        return APR_ENOSPC;
    case ZOPERATIONTIMEOUT:
        return APR_TIMEUP;
    case ZUNIMPLEMENTED:
        return APR_ENOTIMPL;
    default:
        return APR_ECONNRESET;
    }
}

static void take_reply(dp_zk_reply_t *reply, const dp_zk_call_t *call,
                       apr_pool_t *pool)
{
    const char *name = call->bytes;
    int i;

    reply->stat = call->stat;
    if (call->prefix) {
        reply->names = apr_array_make(pool, call->nnames, sizeof(char *));
        for (i = 0; i < call->nnames; i++) {
            APR_ARRAY_PUSH(reply->names, const char *) =
                apr_pstrdup(pool, name);
            name += strlen(name) + 1;
        }
    }
    else if (call->bytes) {
        reply->bytes = apr_pmemdup(pool, call->bytes, call->size + 1);
        reply->path = reply->bytes;
        reply->size = call->size;
    }
}

apr_status_t dp_zk_finish(dp_zk_call_t *call, dp_zk_reply_t *reply,
                          apr_time_t deadline, apr_pool_t *pool)
{
    dp_zk_session_t *session = call->session;
    apr_status_t status;
    int in_time = 1;

    memset(reply, 0, sizeof(*reply));
    pthread_mutex_lock(&session->mutex);
    while (call->is_begun && in_time) {
        in_time = dp_zk_cond_wait(&call->replied, &session->mutex, deadline);
    }
    if (call->is_begun) {
        call->is_awaited = 0;
        session->is_silent = 1;
        session->next_try = dp_clock_now(&dp_clock_monotonic) + DP_ZK_TRY_USEC;
        pthread_mutex_unlock(&session->mutex);
        return APR_TIMEUP;
    }
    pthread_mutex_unlock(&session->mutex);
    status = status_of(call->rc);
    if (status == APR_SUCCESS) {
        take_reply(reply, call, pool);
    }
    free_call(call);
    return status;
}

void dp_zk_drop(dp_zk_call_t *call)
{
    dp_zk_session_t *session = call->session;

    pthread_mutex_lock(&session->mutex);
    call->is_awaited = 0;
    if (!call->is_begun) {
        if (call->rc == ZCONNECTIONLOSS && call->what == DP_ZK_ENDS) {
            dp_zk_orphan_locked(session,
                                dp_zk_copy(call->path, strlen(call->path)));
        }
        free_call(call);
    }
    pthread_mutex_unlock(&session->mutex);
}
