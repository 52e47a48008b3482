/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis locker: leases in one redis that all hosts reach. Here is the
 * provider: configuration, child processes, the list and the status page.
 *
 * Made by the parent while the configuration is read, as root, which reads
 * the secret and the TLS files and contacts nothing; used by any thread of
 * any child, whose connections are born in its child_init. A redis that is
 * down never keeps httpd from starting. docs/design/redis.md says why things
 * are as they are.
 *
 * The invariant: no secret is in a message, in the status or in a process
 * list.
 */
#include "lock/lock_redis.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"

/* Connections of a child: calls take a fraction of a millisecond. */
#define LINKS 8

/* Keys looked at in one step of a list: some 0.2 ms for others to wait. */
#define LIST_STEP "1000"
#define LIST_BYTES_MAX 0x400000

static const char *check(const dogpile_locker_conf_t *conf, const char *host,
                         apr_pool_t *pool)
{
    if (conf->servers == NULL || conf->servers->nelts != 1) {
        return "a redis locker needs one DogpileLockServer: for several, put "
               "lockers into a <DogpileLocker fallback>";
    }
    if (conf->directory || conf->group) {
        return "a redis locker has no directory: DogpileLockDirectory is not "
               "allowed";
    }
    if (conf->socket_usec <= 0) {
        return "DogpileLockSocketTimeout: more than zero";
    }
    return dp_lock_check(conf, host, pool);
}

static const char *redis_create(dogpile_locker_t **locker,
                                const dogpile_locker_conf_t *conf,
                                apr_pool_t *result_pool)
{
    const char *host = dp_lock_host(conf, result_pool);
    const char *wrong = check(conf, host, result_pool);
    dp_redis_server_t *server = NULL;
    dp_lock_redis_t *redis;

    if (wrong == NULL) {
        wrong = dp_redis_server_read(
            &server, APR_ARRAY_IDX(conf->servers, 0, const char *),
            conf->secret_file, result_pool);
    }
    if (wrong) {
        return wrong;
    }
    redis = apr_pcalloc(result_pool, sizeof(*redis));
    redis->locker.provider = &dp_lock_redis;
    redis->locker.conf = conf;
    redis->server = server;
    redis->self.host = apr_pstrdup(result_pool, host);
    redis->self.boot = "-";
    redis->channel =
        apr_pstrcat(result_pool, DP_REDIS_CHANNEL, server->database, NULL);
    dp_lock_scripts_make(redis->scripts);
    *locker = &redis->locker;
    return NULL;
}

static apr_status_t redis_child_init(dogpile_locker_t *locker,
                                     apr_pool_t *child_pool)
{
    dp_lock_redis_t *redis = dp_lock_redis_of(locker);
    apr_status_t status;

    dp_owner_self(&redis->self, redis->self.host, child_pool);
    redis->ndebts = 0;
    status = apr_thread_mutex_create(&redis->mutex, APR_THREAD_MUTEX_DEFAULT,
                                     child_pool);
    return status == APR_SUCCESS ? dp_redis_pool_make(
               &redis->pool, redis->server, LINKS, child_pool)
                                 : status;
}

apr_status_t dp_lock_redis_note(dp_lock_redis_t *redis,
                                const dp_redis_call_t *call,
                                apr_status_t status)
{
    const dogpile_locker_conf_t *conf = redis->locker.conf;
    apr_status_t kind = status == APR_EEXIST ? APR_SUCCESS : status;

    switch (dp_redis_note(redis->pool, call, kind)) {
    case DP_REDIS_FAILED:
        dp_log(conf->log, DOGPILE_LOG_WARNING, 740, APR_SUCCESS,
               "locker %s: %s can't be used: %s%s", conf->name,
               redis->server->shown, call->why,
               status == APR_EACCES ? " (see DogpileLockSecretFile and the "
                                      "user's rights in redis)"
                                    : "");
        break;
    case DP_REDIS_RECOVERED:
        dp_log(conf->log, DOGPILE_LOG_NOTICE, 741, APR_SUCCESS,
               "locker %s: %s can be used again", conf->name,
               redis->server->shown);
        break;
    case DP_REDIS_NO_NEWS:
        break;
    }
    return status;
}

/* ---- the list ---- */

typedef struct listing_t {
    dp_lock_redis_t *redis;
    dp_redis_call_t call;
    apr_hash_t *seen; /* tokens: a scan may show a key twice */
    const char *cursor;
    void (*visit)(void *baton, const dogpile_holder_t *holder);
    void *baton;
    apr_pool_t *pool; /* as long as the list */
} listing_t;

static void show(listing_t *listing, const apr_array_header_t *leases,
                 apr_time_t now, apr_pool_t *pool)
{
    dogpile_holder_t holder;
    int i;

    for (i = 0; i < leases->nelts; i++) {
        const dp_lease_t *lease = &APR_ARRAY_IDX(leases, i, dp_lease_t);
        const void *token =
            apr_pmemdup(listing->pool, lease->token.bytes, DOGPILE_ID_BYTES);

        if (apr_hash_get(listing->seen, token, DOGPILE_ID_BYTES)
            || dp_lease_is_over(lease, now)
            || dp_owner_is_dead(&listing->redis->self, &lease->owner)) {
            continue;
        }
        apr_hash_set(listing->seen, token, DOGPILE_ID_BYTES, "");
        dp_lease_describe(&holder, lease, now, pool);
        listing->visit(listing->baton, &holder);
    }
}

/* What one step of a scan finds: the next cursor, then as of a lock. */
static apr_status_t list_step(listing_t *listing, apr_pool_t *pool)
{
    static const dogpile_digest_t unknown;
    const dp_redis_script_t *script = &listing->redis->scripts[DP_SCRIPT_LIST];
    apr_array_header_t *leases;
    dp_redis_command_t command;
    const redisReply *reply;
    const char *rest;
    apr_status_t status;
    apr_time_t now;

    dp_redis_run(&command, script);
    dp_redis_add_text(&command, listing->cursor);
    dp_redis_add_text(&command, LIST_STEP);
    status = dp_redis_eval(&reply, listing->redis->pool, &listing->call,
                           &command, script, pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    rest = reply->type == REDIS_REPLY_STRING ? strchr(reply->str, '\n') : NULL;
    if (rest == NULL
        || !dp_redis_leases_read(&leases, &now, rest + 1, &unknown, pool)) {
        return dp_redis_fail(&listing->call, APR_EINVAL,
                             "some lock isn't one of this version");
    }
    listing->cursor = apr_pstrmemdup(listing->pool, reply->str,
                                     (apr_size_t)(rest - reply->str));
    show(listing, leases, now, pool);
    return APR_SUCCESS;
}

static apr_status_t redis_list(dogpile_locker_t *locker,
                               void (*visit)(void *baton,
                                             const dogpile_holder_t *holder),
                               void *baton, apr_pool_t *scratch_pool)
{
    listing_t listing = {.redis = dp_lock_redis_of(locker),
                         .cursor = "0",
                         .visit = visit,
                         .baton = baton,
                         .pool = scratch_pool};
    apr_status_t status;
    apr_pool_t *pool;

    listing.seen = apr_hash_make(scratch_pool);
    dp_redis_begin(&listing.call, locker->conf->socket_usec, LIST_BYTES_MAX);
    apr_pool_create(&pool, scratch_pool);
    do {
        apr_pool_clear(pool);
        status = list_step(&listing, pool);
    } while (status == APR_SUCCESS && strcmp(listing.cursor, "0") != 0
             && dp_clock_now(&dp_clock_monotonic) < listing.call.deadline);
    apr_pool_destroy(pool);
    status = dp_lock_redis_note(listing.redis, &listing.call, status);
    /* Too many keys for the time there is are no fault of the redis. */
    return status == APR_SUCCESS && strcmp(listing.cursor, "0") != 0
               ? APR_INCOMPLETE
               : status;
}

static void redis_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                           void *baton, apr_pool_t *scratch_pool)
{
    dp_lock_redis_t *redis = dp_lock_redis_of(locker);

    row(baton, "host", redis->self.host);
    if (redis->pool == NULL) {
        row(baton, "server", redis->server->shown);
        return;
    }
    dp_redis_describe(redis->pool, row, baton, scratch_pool);
    dp_lock_redis_listen_describe(redis, row, baton, scratch_pool);
}

const dogpile_locker_provider_t dp_lock_redis = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "redis",
    .create = redis_create,
    .child_init = redis_child_init,
    .acquire = dp_lock_redis_acquire,
    .renew = dp_lock_redis_renew,
    .release = dp_lock_redis_release,
    .probe = dp_lock_redis_probe,
    .break_lock = dp_lock_redis_break,
    .list = redis_list,
    .listen = dp_lock_redis_listen,
    .describe = redis_describe,
};
