/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper session of a child process, for those who use it.
 *
 * Started once in the child, where the keeper's thread and through it the
 * client's are born with all signals blocked; asked by any thread; finished
 * with the child. lock_zookeeper_keeper.c opens and closes it,
 * lock_zookeeper_call.c talks through it.
 *
 * The invariant: whoever uses the handle holds the mutex, and nobody waits for
 * the network in it.
 */
#include "lock/lock_zookeeper_priv.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

/* How long a child's end may be held up: the client tells the server and waits
 * for at most 4.5 s. */
#define FAREWELL_USEC apr_time_from_sec(6)

/* The server's time is as good as the last write is young: clocks drift. */
#define CLOCK_MAX_USEC apr_time_from_sec(60)

static apr_time_t now_usec(void)
{
    return dp_clock_now(&dp_clock_monotonic);
}

const struct ACL_vector *dp_zk_acl(const dp_zk_session_t *session)
{
    return session->where.secret ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
}

void dp_zk_orphan_locked(dp_zk_session_t *session, char *path)
{
    int i;

    if (session->norphans == DP_ZK_ORPHANS_MAX) {
        free(session->orphans[0]);
        session->norphans--;
        for (i = 0; i < session->norphans; i++) {
            session->orphans[i] = session->orphans[i + 1];
        }
    }
    session->orphans[session->norphans++] = path;
    pthread_cond_broadcast(&session->changed);
}

void dp_zk_session_sweep_later(dp_zk_session_t *session, const char *path)
{
    char *own = strdup(path);

    if (own) {
        pthread_mutex_lock(&session->mutex);
        dp_zk_orphan_locked(session, own);
        pthread_mutex_unlock(&session->mutex);
    }
}

/* There is a connection, but is anybody there? */
static apr_status_t may_try_locked(dp_zk_session_t *session)
{
    apr_time_t now = now_usec();

    if (session->is_silent && now < session->next_try) {
        return APR_TIMEUP;
    }
    session->next_try = now + DP_ZK_TRY_USEC;
    return APR_SUCCESS;
}

apr_status_t dp_zk_session_await(dp_zk_session_t *session, apr_time_t deadline)
{
    apr_status_t status = APR_SUCCESS;

    pthread_mutex_lock(&session->mutex);
    while (status == APR_SUCCESS
           && (session->handle == NULL || !session->connected)) {
        apr_time_t enough = session->down_since + session->where.patience_usec;

        if (!dp_zk_cond_wait(&session->changed, &session->mutex,
                             enough < deadline ? enough : deadline)) {
            status = APR_ECONNREFUSED;
        }
    }
    if (status == APR_SUCCESS) {
        status = may_try_locked(session);
    }
    pthread_mutex_unlock(&session->mutex);
    return status;
}

int dp_zk_session_owns(dp_zk_session_t *session, const struct Stat *stat)
{
    int owns;

    pthread_mutex_lock(&session->mutex);
    owns = stat->ephemeralOwner == session->id;
    pthread_mutex_unlock(&session->mutex);
    return owns;
}

apr_time_t dp_zk_session_now(dp_zk_session_t *session)
{
    apr_time_t now = 0;
    apr_interval_time_t since;

    pthread_mutex_lock(&session->mutex);
    since = now_usec() - session->server_as_of;
    if (session->server_usec && since < CLOCK_MAX_USEC) {
        now = session->server_usec + since;
    }
    pthread_mutex_unlock(&session->mutex);
    return now;
}

/* Which server; zoo_get_current_server() writes to memory that others use. */
static const char *server_locked(const dp_zk_session_t *session,
                                 apr_pool_t *result_pool)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[INET6_ADDRSTRLEN];
    char port[8];

    if (!zookeeper_get_connected_host(session->handle,
                                      (struct sockaddr *)&address, &size)
        || getnameinfo((struct sockaddr *)&address, size, host, sizeof(host),
                       port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV)
               != 0) {
        return "a server";
    }
    return apr_pstrcat(result_pool, host, " port ", port, NULL);
}

const char *dp_zk_session_describe(dp_zk_session_t *session,
                                   apr_pool_t *result_pool)
{
    const char *text;

    pthread_mutex_lock(&session->mutex);
    if (session->handle && session->connected) {
        text = apr_psprintf(
            result_pool, "connected to %s, session %u since the start, %g s",
            server_locked(session, result_pool), session->sessions,
            (double)session->session_usec / APR_USEC_PER_SEC);
    }
    else {
        text =
            apr_psprintf(result_pool, "not connected for %" APR_TIME_T_FMT " s",
                         apr_time_sec(now_usec() - session->down_since));
    }
    pthread_mutex_unlock(&session->mutex);
    return text;
}

static void free_session(dp_zk_session_t *session)
{
    while (session->norphans) {
        free(session->orphans[--session->norphans]);
    }
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->listening);
    pthread_mutex_destroy(&session->mutex);
    free(session);
}

/* If the keeper is stuck in a name server, leave it everything: the process
 * is about to end. */
static apr_status_t finish_session(void *baton)
{
    dp_zk_session_t *session = baton;
    apr_time_t until = apr_time_now() + FAREWELL_USEC;
    struct timespec latest = {.tv_sec = apr_time_sec(until),
                              .tv_nsec = apr_time_usec(until) * 1000};

    pthread_mutex_lock(&session->mutex);
    session->stop = 1;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->mutex);
    if (pthread_timedjoin_np(session->keeper, NULL, &latest) != 0) {
        pthread_detach(session->keeper);
        return APR_TIMEUP;
    }
    free_session(session);
    return APR_SUCCESS;
}

apr_status_t dp_zk_session_start(dp_zk_session_t **session,
                                 const dp_zk_where_t *where, apr_pool_t *pool)
{
    dp_zk_session_t *made = calloc(1, sizeof(*made));
    int error;

    if (made == NULL) {
        return APR_ENOMEM;
    }
    made->where = *where;
    made->down_since = now_usec();
    made->session_usec = where->session_usec;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_mutex_init(&made->listening, NULL);
    dp_zk_cond_init(&made->changed);
    error = dp_thread_start(&made->keeper, dp_zk_keep, made);
    if (error) {
        free_session(made);
        return error;
    }
    apr_pool_cleanup_register(pool, made, finish_session,
                              apr_pool_cleanup_null);
    *session = made;
    return APR_SUCCESS;
}
