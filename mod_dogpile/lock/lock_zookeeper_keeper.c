/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that keeps the ZooKeeper session of a child process.
 *
 * It opens the session, closes it when it is over, opens the next, and deletes
 * nodes that callers had to leave behind. So no caller ever waits for a name
 * server, or for ZooKeeper to say goodbye. Only on_event() runs in a thread
 * of the client.
 *
 * The invariant: there is at most one handle at a time, and none is closed
 * while it can be found in the session.
 */
#include "lock/lock_zookeeper_priv.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* Between two tries to open a session, or to sweep. */
#define AGAIN_USEC apr_time_from_sec(1)

/* Longest sleep of the keeper: it is woken when there is something to do. */
#define SLEEP_USEC apr_time_from_sec(60)

/* How long the end of a child waits for replies to calls. */
#define LAST_CALLS_USEC apr_time_from_msec(200)

/* One sweep asks for three things. */
#define SWEEP_USEC apr_time_from_sec(2)

static apr_time_t now_usec(void)
{
    return dp_clock_now(&dp_clock_monotonic);
}

/* ---- the client's threads ---- */

/* The client would write to stderr. What matters is said by us. */
static void say_nothing(const char *message)
{
    (void)message;
}

static void got_connected_locked(dp_zk_session_t *session, zhandle_t *handle)
{
    apr_int64_t id = zoo_client_id(handle)->client_id;

    session->connected = 1;
    session->is_silent = 0;
    session->server_usec = 0; /* perhaps of another leader */
    session->session_usec = apr_time_from_msec(zoo_recv_timeout(handle));
    if (id != session->id) {
        session->id = id;
        session->sessions++;
    }
    session->was_connected = 1;
}

static void on_event(zhandle_t *handle, int type, int state, const char *path,
                     void *baton)
{
    dp_zk_session_t *session = baton;

    (void)path;
    if (type != ZOO_SESSION_EVENT) {
        return;
    }
    pthread_mutex_lock(&session->mutex);
    if (state == ZOO_CONNECTED_STATE) {
        got_connected_locked(session, handle);
    }
    else {
        if (session->connected) {
            session->connected = 0;
            session->down_since = now_usec();
        }
        session->refused = state == ZOO_AUTH_FAILED_STATE;
        session->over = session->refused || state == ZOO_EXPIRED_SESSION_STATE;
    }
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->mutex);
}

/* ---- the keeper ---- */

/* Without the mutex. */
static zhandle_t *open_handle(dp_zk_session_t *session)
{
    const dp_zk_where_t *where = &session->where;
    char *list = dp_zk_addresses(where->servers);
    zhandle_t *handle;

    if (list == NULL) {
        if (!session->said_unresolved) {
            dp_log(where->log, DOGPILE_LOG_WARNING, 784, APR_SUCCESS,
                   "locker %s: no address is known for any of its ZooKeeper "
                   "servers",
                   where->name);
        }
        session->said_unresolved = 1;
        return NULL;
    }
    session->said_unresolved = 0;
    handle = zookeeper_init2(list, on_event,
                             (int)apr_time_as_msec(where->session_usec), NULL,
                             session, ZOO_NO_LOG_CLIENTENV, say_nothing);
    free(list);
    if (handle) {
        zoo_set_servers_resolution_delay(handle, -1);
    }
    if (handle && where->secret) {
        zoo_add_auth(handle, "digest", where->secret,
                     (int)strlen(where->secret), NULL, NULL);
    }
    return handle;
}

/* In the mutex, which is given up meanwhile; so is everything below. */
static void open_locked(dp_zk_session_t *session)
{
    zhandle_t *handle;

    session->opened = now_usec();
    session->connected = 0;
    session->over = 0;
    session->refused = 0;
    session->was_connected = 0;
    session->session_usec = session->where.session_usec;
    pthread_mutex_unlock(&session->mutex);
    handle = open_handle(session);
    pthread_mutex_lock(&session->mutex);
    session->handle = handle;
    pthread_cond_broadcast(&session->changed);
}

static void say_why_closed(const dp_zk_where_t *where, int refused)
{
    if (refused) {
        dp_log(where->log, DOGPILE_LOG_ERROR, 783, APR_SUCCESS,
               "locker %s: ZooKeeper refuses the user and password of "
               "DogpileLockSecretFile",
               where->name);
    }
    else {
        dp_log(where->log, DOGPILE_LOG_WARNING, 781, APR_SUCCESS,
               "locker %s: the ZooKeeper session is over; what was locked "
               "through it isn't any more",
               where->name);
    }
}

static void close_locked(dp_zk_session_t *session)
{
    zhandle_t *handle = session->handle;
    int refused = session->refused;
    int is_loss = session->was_connected && !session->stop;

    session->handle = NULL;
    if (session->connected) {
        session->connected = 0;
        session->down_since = now_usec();
    }
    pthread_mutex_unlock(&session->mutex);
    if (refused || is_loss) {
        say_why_closed(&session->where, refused);
    }
    zookeeper_close(handle);
    dp_zk_abandon_calls(session);
    pthread_mutex_lock(&session->mutex);
}

/* A session that we haven't heard of for its whole length has ended there. */
static apr_time_t ends_at(const dp_zk_session_t *session)
{
    apr_time_t heard =
        session->was_connected ? session->down_since : session->opened;

    return heard + session->session_usec;
}

static int is_over(const dp_zk_session_t *session, apr_time_t now)
{
    return session->over || (!session->connected && now >= ends_at(session));
}

/* All nodes that begin with `path`. Without the mutex. */
static apr_status_t sweep(dp_zk_session_t *session, const char *path,
                          apr_pool_t *pool)
{
    apr_time_t deadline = now_usec() + SWEEP_USEC;
    const char *name = strrchr(path, '/') + 1;
    const char *folder =
        apr_pstrmemdup(pool, path, (apr_size_t)(name - path - 1));
    dp_zk_call_t *sync = dp_zk_sync(session, folder);
    dp_zk_call_t *list = dp_zk_list(session, folder, name);
    dp_zk_reply_t reply;
    apr_status_t synced = dp_zk_finish(sync, &reply, deadline, pool);
    apr_status_t status = dp_zk_finish(list, &reply, deadline, pool);
    int i;

    if (status == APR_NOTFOUND) {
        return APR_SUCCESS;
    }
    if (status != APR_SUCCESS || synced != APR_SUCCESS) {
        return status ? status : synced;
    }
    for (i = 0; i < reply.names->nelts && status == APR_SUCCESS; i++) {
        const char *node =
            apr_pstrcat(pool, folder, "/",
                        APR_ARRAY_IDX(reply.names, i, const char *), NULL);
        dp_zk_reply_t ignored;

        status = dp_zk_finish(dp_zk_delete(session, node, -1), &ignored,
                              deadline, pool);
        status = status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    if (status == APR_SUCCESS && reply.names->nelts > 0) {
        dp_log(session->where.log, DOGPILE_LOG_INFO, 787, APR_SUCCESS,
               "locker %s: removed a lock that was taken or kept by a call "
               "without a reply",
               session->where.name);
    }
    return status;
}

static void sweep_locked(dp_zk_session_t *session)
{
    char *path = session->orphans[--session->norphans];
    apr_status_t status;
    apr_pool_t *pool;

    pthread_mutex_unlock(&session->mutex);
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    status = sweep(session, path, pool);
    apr_pool_destroy(pool);
    pthread_mutex_lock(&session->mutex);
    if (status == APR_SUCCESS || status == APR_EACCES) {
        free(path);
        return;
    }
    dp_zk_orphan_locked(session, path);
    session->next_sweep = now_usec() + AGAIN_USEC;
}

/* One step, or sleep until there is one. Returns when to try opening again. */
static apr_time_t keep_locked(dp_zk_session_t *session, apr_time_t next_open)
{
    apr_time_t now = now_usec();
    apr_time_t until = now + SLEEP_USEC;

    if (session->handle && is_over(session, now)) {
        apr_time_t pause = session->refused ? SLEEP_USEC : 0;

        close_locked(session);
        return now + pause;
    }
    if (session->handle == NULL && now >= next_open) {
        open_locked(session);
        return now_usec() + AGAIN_USEC;
    }
    if (session->connected && session->norphans && now >= session->next_sweep) {
        sweep_locked(session);
        return next_open;
    }
    if (session->handle == NULL) {
        until = next_open;
    }
    else if (!session->connected) {
        until = ends_at(session);
    }
    else if (session->norphans) {
        until = session->next_sweep;
    }
    dp_zk_cond_wait(&session->changed, &session->mutex, until);
    return next_open;
}

/* Let what was begun end. A client that is closed sooner loses the memory of
 * calls whose reply comes at that moment. */
static void await_calls_locked(dp_zk_session_t *session)
{
    apr_time_t deadline = now_usec() + LAST_CALLS_USEC;
    int in_time = 1;

    while (session->calls && session->connected && in_time) {
        in_time = dp_zk_cond_wait(&session->changed, &session->mutex, deadline);
    }
}

void *dp_zk_keep(void *baton)
{
    dp_zk_session_t *session = baton;
    apr_time_t next_open = 0;

    pthread_mutex_lock(&session->mutex);
    while (!session->stop) {
        next_open = keep_locked(session, next_open);
    }
    if (session->handle) {
        await_calls_locked(session);
        close_locked(session);
    }
    pthread_mutex_unlock(&session->mutex);
    return NULL;
}
