/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of a child, used by all its threads.
 *
 * The mutex guards the lists, the counters and what was said; it is never
 * held while anything is sent or waited for. A connection is in the list of
 * idle ones, in that of unused places, or in the hands of one thread. Idle
 * ones are used again last in, first out, so those that a peak left over grow
 * old; an old one is replaced, since a firewall may have forgotten it.
 *
 * The invariant: a connection whose last command wasn't answered in full is
 * closed.
 */
#include "lock/redis_pool.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define IDLE_MAX_USEC apr_time_from_sec(60)

struct dp_redis_pool_t {
    const dp_redis_server_t *server;
    dp_redis_resolver_t resolver;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *returned; /* a link has come back */
    int links_max;
    int nidle;
    int nunused;
    dp_redis_link_t *idle[DP_REDIS_LINKS_MAX]; /* connected; last is newest */
    dp_redis_link_t *unused[DP_REDIS_LINKS_MAX];
    dp_redis_health_t health;
    dp_redis_link_t links[DP_REDIS_LINKS_MAX];
};

static apr_status_t pool_close(void *baton)
{
    dp_redis_pool_t *pool = baton;

    while (pool->nidle > 0) {
        dp_redis_link_close(pool->idle[--pool->nidle]);
    }
    return APR_SUCCESS;
}

apr_status_t dp_redis_pool_make(dp_redis_pool_t **result,
                                const dp_redis_server_t *server, int links_max,
                                apr_pool_t *child_pool)
{
    dp_redis_pool_t *pool = apr_pcalloc(child_pool, sizeof(*pool));
    apr_status_t status;
    int i;

    pool->server = server;
    pool->links_max =
        links_max < DP_REDIS_LINKS_MAX ? links_max : DP_REDIS_LINKS_MAX;
    for (i = 0; i < pool->links_max; i++) {
        pool->links[i].fd = -1;
        pool->unused[pool->nunused++] = &pool->links[i];
    }
    status = dp_redis_resolver_make(&pool->resolver, child_pool);
    if (status == APR_SUCCESS) {
        status = apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT,
                                         child_pool);
    }
    if (status == APR_SUCCESS) {
        status = apr_thread_cond_create(&pool->returned, child_pool);
    }
    apr_pool_cleanup_register(child_pool, pool, pool_close,
                              apr_pool_cleanup_null);
    *result = pool;
    return status;
}

void dp_redis_begin(dp_redis_call_t *call, apr_interval_time_t usec,
                    apr_size_t bytes_max)
{
    memset(call, 0, sizeof(*call));
    call->deadline = dp_clock_now(&dp_clock_monotonic) + usec;
    call->bytes_max = bytes_max;
    call->end_fd = -1;
}

/* ---- links ---- */

static apr_status_t take_locked(dp_redis_link_t **link, dp_redis_pool_t *pool,
                                dp_redis_call_t *call)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);

    if (dp_redis_health_is_given_up(&pool->health, now)) {
        memcpy(call->why, pool->health.why, sizeof(call->why));
        return pool->health.last_kind;
    }
    while (pool->nidle + pool->nunused == 0 && now < call->deadline) {
        (void)apr_thread_cond_timedwait(pool->returned, pool->mutex,
                                        call->deadline - now);
        now = dp_clock_now(&dp_clock_monotonic);
    }
    if (pool->nidle + pool->nunused == 0) {
        return dp_redis_fail(call, APR_TIMEUP,
                             "all connections are busy for too long");
    }
    *link =
        pool->nidle ? pool->idle[--pool->nidle] : pool->unused[--pool->nunused];
    return APR_SUCCESS;
}

static apr_status_t take(dp_redis_link_t **link, dp_redis_pool_t *pool,
                         dp_redis_call_t *call)
{
    apr_status_t status;

    apr_thread_mutex_lock(pool->mutex);
    status = take_locked(link, pool, call);
    apr_thread_mutex_unlock(pool->mutex);
    return status;
}

/* Give a link back, closed or as good as it was. */
static void give_back(dp_redis_pool_t *pool, dp_redis_link_t *link,
                      apr_status_t status, const dp_redis_call_t *call)
{
    if (status != APR_SUCCESS) {
        dp_redis_link_close(link);
    }
    apr_thread_mutex_lock(pool->mutex);
    if (status != APR_ENOSPC) {
        /* One answer that was too long is no word against the server. */
        dp_redis_health_count(&pool->health, status, call->why,
                              dp_clock_now(&dp_clock_monotonic));
    }
    if (link->fd >= 0) {
        pool->idle[pool->nidle++] = link;
    }
    else {
        pool->unused[pool->nunused++] = link;
    }
    apr_thread_cond_signal(pool->returned);
    apr_thread_mutex_unlock(pool->mutex);
}

/* A connection that was left alone for a while may be no more. */
static void drop_if_stale(dp_redis_link_t *link)
{
    if (link->fd >= 0
        && (dp_clock_now(&dp_clock_monotonic) - link->used > IDLE_MAX_USEC
            || !dp_redis_link_is_quiet(link))) {
        dp_redis_link_close(link);
    }
}

/* A redis that has just become a replica, or is no primary yet: by the next
 * call the name may lead to another one. */
static int is_misplaced(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && strncmp(reply->str, "READONLY", 8) == 0;
}

static apr_status_t ask_once(redisReply **reply, dp_redis_pool_t *pool,
                             dp_redis_link_t *link, dp_redis_call_t *call,
                             const char *text, apr_size_t size)
{
    apr_status_t status = APR_SUCCESS;

    if (link->fd < 0) {
        status = dp_redis_link_open(link, pool->server, &pool->resolver, call);
    }
    return status == APR_SUCCESS
               ? dp_redis_link_ask(reply, link, text, size, call)
               : status;
}

static apr_status_t ask(redisReply **reply, dp_redis_pool_t *pool,
                        dp_redis_call_t *call, const char *text,
                        apr_size_t size)
{
    dp_redis_link_t *link = NULL;
    apr_status_t status = take(&link, pool, call);
    int was_open;

    if (link == NULL) {
        return status;
    }
    drop_if_stale(link);
    was_open = link->fd >= 0;
    status = ask_once(reply, pool, link, call, text, size);
    if (was_open
        && (status == APR_EOF || status == EPIPE || status == ECONNRESET)) {
        int was_sent = call->was_sent;

        dp_redis_link_close(link);
        status = ask_once(reply, pool, link, call, text, size);
        call->was_sent |= status != APR_SUCCESS && was_sent;
    }
    if (status == APR_SUCCESS && is_misplaced(*reply)) {
        dp_redis_link_close(link);
    }
    give_back(pool, link, status, call);
    return status;
}

static apr_status_t reply_free(void *reply)
{
    freeReplyObject(reply);
    return APR_SUCCESS;
}

apr_status_t dp_redis_ask(const redisReply **result, dp_redis_pool_t *pool,
                          dp_redis_call_t *call,
                          const dp_redis_command_t *command,
                          apr_pool_t *result_pool)
{
    redisReply *reply = NULL;
    char *text = NULL;
    apr_status_t status;
    int size;

    *result = NULL;
    /* hiredis reads only, but says so of the pointers alone. */
    size = (int)redisFormatCommandArgv(
        &text, command->argc, (const char **)command->argv, command->lengths);
    if (size < 0) {
        return dp_redis_fail(call, APR_ENOMEM, "no memory");
    }
    status = ask(&reply, pool, call, text, (apr_size_t)size);
    free(text);
    if (status == APR_SUCCESS) {
        apr_pool_cleanup_register(result_pool, reply, reply_free,
                                  apr_pool_cleanup_null);
        *result = reply;
    }
    return status;
}

/* ---- what people are told ---- */

dp_redis_news_e dp_redis_note(dp_redis_pool_t *pool,
                              const dp_redis_call_t *call, apr_status_t status)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    dp_redis_news_e news;

    apr_thread_mutex_lock(pool->mutex);
    news = dp_redis_health_note(&pool->health, status, call->why, now);
    apr_thread_mutex_unlock(pool->mutex);
    return news;
}

/* How it is doing, as this process sees it. */
static const char *connections_text(const dp_redis_health_t *health, int nbusy,
                                    int nidle, apr_pool_t *pool)
{
    apr_interval_time_t left =
        health->retry_at - dp_clock_now(&dp_clock_monotonic);

    if (health->failures < DP_REDIS_FAILURES_BORNE || left <= 0) {
        return apr_psprintf(pool, "%d busy, %d idle", nbusy, nidle);
    }
    return apr_psprintf(pool,
                        "none for another %" APR_TIME_T_FMT
                        " ms, after %d failures in a row",
                        apr_time_as_msec(left), health->failures);
}

void dp_redis_describe(dp_redis_pool_t *pool, dogpile_row_fn *row, void *baton,
                       apr_pool_t *scratch_pool)
{
    dp_redis_health_t health;
    int nidle;
    int nbusy;

    apr_thread_mutex_lock(pool->mutex);
    health = pool->health;
    nidle = pool->nidle;
    nbusy = pool->links_max - pool->nidle - pool->nunused;
    apr_thread_mutex_unlock(pool->mutex);
    row(baton, "server", pool->server->shown);
    row(baton, "connections",
        connections_text(&health, nbusy, nidle, scratch_pool));
    row(baton, "unavailable",
        health.nfailed == 0
            ? "never"
            : apr_psprintf(scratch_pool,
                           "%" APR_UINT64_T_FMT " times, last: %s",
                           health.nfailed, health.why));
}
