/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis store: a metatile a key, for hosts that share no disk.
 *
 * create runs in the parent, as root, reads the secret and the TLS files and
 * contacts nothing; child_init asks once which store this is; look and put
 * come from any thread of a child. A redis that is down makes misses.
 *
 * Which store: a random id under a key of its own, made by whoever comes
 * first (SET NX) and then everybody's. redis may forget it (a flush, eviction),
 * so it is asked for again now and then, and whoever remembers it puts it back.
 *
 * The invariant: what is in redis is trusted as little as a request.
 */
#include "store/store_redis.h"

#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "store/record.h"

/* Connections of a child: a look of each request thread takes one for a
 * fraction of a millisecond. */
#define LINKS DP_REDIS_LINKS_MAX

#define IDENTIFY_USEC apr_time_from_sec(60)
#define IDENTIFY_AGAIN_USEC apr_time_from_sec(1) /* while it is unknown */
#define ID_NAME "dogpile:store"

static const char *redis_create(dogpile_store_t **store,
                                const dogpile_store_conf_t *conf,
                                apr_pool_t *result_pool)
{
    dp_redis_server_t *server = NULL;
    dp_store_redis_t *redis;
    const char *wrong =
        dp_redis_server_read(&server, conf->where, NULL, result_pool);

    if (wrong == NULL && conf->limit_bytes != 0) {
        wrong = "limit= is not known to the redis store: redis has maxmemory";
    }
    if (wrong) {
        return wrong;
    }
    redis = apr_pcalloc(result_pool, sizeof(*redis));
    redis->store.provider = &dp_store_redis;
    redis->store.conf = conf;
    redis->server = server;
    dp_store_scripts_make(redis->scripts);
    *store = &redis->store;
    return NULL;
}

const char *dp_store_redis_name(const dogpile_key_t *key, apr_pool_t *pool)
{
    char hex[DP_DIGEST_HEX_BYTES];

    dp_hex(hex, key->digest.bytes, DOGPILE_DIGEST_BYTES);
    return apr_pstrcat(pool, "dogpile:{", hex, "}:metatile", NULL);
}

apr_status_t dp_store_redis_note(dp_store_redis_t *redis,
                                 const dp_redis_call_t *call,
                                 apr_status_t status)
{
    const dogpile_log_t *log = redis->store.conf->log;
    int is_answer = status == APR_NOTFOUND || status == APR_EEXIST;

    switch (
        dp_redis_note(redis->pool, call, is_answer ? APR_SUCCESS : status)) {
    case DP_REDIS_FAILED:
        dp_log(log, DOGPILE_LOG_WARNING, 420, APR_SUCCESS,
               "store %s can't be used: %s%s", redis->server->shown, call->why,
               status == APR_EACCES ? " (see secret= and the user's rights in "
                                      "redis)"
                                    : "");
        break;
    case DP_REDIS_RECOVERED:
        dp_log(log, DOGPILE_LOG_NOTICE, 421, APR_SUCCESS,
               "store %s can be used again", redis->server->shown);
        break;
    case DP_REDIS_NO_NEWS:
        break;
    }
    return status;
}

/* ---- which store this is ---- */

/* The id to propose, if it is time to ask. */
static int is_due(dp_store_redis_t *redis, dogpile_id_t *id)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    int is_known;
    int due;

    apr_thread_mutex_lock(redis->mutex);
    *id = redis->store.id;
    is_known = !dp_id_is_none(id);
    due = redis->identified == 0
          || now - redis->identified
                 >= (is_known ? IDENTIFY_USEC : IDENTIFY_AGAIN_USEC);
    if (due) {
        redis->identified = now;
    }
    apr_thread_mutex_unlock(redis->mutex);
    if (!is_known) {
        dp_id_make(id);
    }
    return due;
}

/* Failures are told by the calls that matter; then the id stays as it is. */
void dp_store_redis_identify(dp_store_redis_t *redis, dp_redis_call_t *call,
                             apr_pool_t *pool)
{
    const dp_redis_script_t *script = &redis->scripts[DP_SCRIPT_IDENTIFY];
    dp_redis_command_t command;
    const redisReply *reply;
    char hex[DP_ID_HEX_BYTES];
    dogpile_id_t id;

    if (!is_due(redis, &id)) {
        return;
    }
    dp_redis_run(&command, script);
    dp_redis_add_text(&command, ID_NAME);
    dp_redis_add_text(&command, dp_hex(hex, id.bytes, sizeof(id.bytes)));
    if (dp_redis_eval(&reply, redis->pool, call, &command, script, pool)
            != APR_SUCCESS
        || reply->type != REDIS_REPLY_STRING
        || !dp_unhex(id.bytes, sizeof(id.bytes), reply->str)) {
        return;
    }
    /* Changes once in a store's life, or when redis has forgotten it. Who
     * reads it doesn't lock: what it may see half-written costs one lock of
     * somebody else being overlooked. */
    apr_thread_mutex_lock(redis->mutex);
    if (!dp_id_equal(&redis->store.id, &id)) {
        redis->store.id = id;
    }
    apr_thread_mutex_unlock(redis->mutex);
}

/* Never fails: a redis that can't be reached now may be later. */
static apr_status_t redis_child_init(dogpile_store_t *store,
                                     apr_pool_t *child_pool)
{
    dp_store_redis_t *redis = dp_store_redis_of(store);
    apr_status_t status = apr_thread_mutex_create(
        &redis->mutex, APR_THREAD_MUTEX_DEFAULT, child_pool);
    dp_redis_call_t call;

    memset(&store->id, 0, sizeof(store->id));
    redis->identified = 0;
    if (status == APR_SUCCESS) {
        status =
            dp_redis_pool_make(&redis->pool, redis->server, LINKS, child_pool);
    }
    if (status == APR_SUCCESS) {
        dp_redis_begin(&call, DP_REDIS_STORE_USEC, DP_REDIS_ANSWER_MAX);
        dp_store_redis_identify(redis, &call, child_pool);
    }
    return status;
}

/* ---- look ---- */

apr_status_t dp_store_redis_get(const redisReply **reply,
                                dp_store_redis_t *redis, dp_redis_call_t *call,
                                const dogpile_key_t *key,
                                apr_pool_t *result_pool)
{
    dp_redis_command_t command = {.argc = 0};
    apr_status_t status;

    dp_redis_add_text(&command, "GET");
    dp_redis_add_text(&command, dp_store_redis_name(key, result_pool));
    status = dp_redis_ask(reply, redis->pool, call, &command, result_pool);
    if (status == APR_ENOSPC) {
        return APR_EINVAL; /* longer than any record */
    }
    if (status != APR_SUCCESS) {
        return status == APR_EINVAL ? APR_EGENERAL : status;
    }
    switch ((*reply)->type) {
    case REDIS_REPLY_STRING:
        return APR_SUCCESS;
    case REDIS_REPLY_NIL:
        return APR_NOTFOUND;
    default:
        status = dp_redis_refusal(call, *reply);
        return status == APR_SUCCESS || strncmp(call->why, "WRONGTYPE", 9) == 0
                   ? APR_EINVAL
                   : status;
    }
}

/* What is no record is handed out as an empty one: the caller judges. */
static apr_status_t redis_look(dogpile_store_t *store, const dogpile_key_t *key,
                               dogpile_blob_t *blob, apr_pool_t *result_pool)
{
    dp_store_redis_t *redis = dp_store_redis_of(store);
    const redisReply *reply;
    dp_redis_call_t call;
    apr_status_t status;

    dp_redis_begin(&call, DP_REDIS_STORE_USEC, DP_RECORD_BYTES_MAX);
    status = dp_store_redis_get(&reply, redis, &call, key, result_pool);
    memset(blob, 0, sizeof(*blob));
    if (status == APR_SUCCESS) {
        blob->bytes = (const unsigned char *)reply->str;
        blob->have = (apr_size_t)reply->len;
        blob->length = blob->have;
    }
    status = status == APR_EINVAL ? APR_SUCCESS : status;
    dp_store_redis_note(redis, &call, status);
    if (status == APR_SUCCESS || status == APR_NOTFOUND) {
        dp_store_redis_identify(redis, &call, result_pool);
    }
    return status;
}

/* The same server, with the same secret. */
static const apr_array_header_t *locker_servers(dogpile_store_t *store,
                                                apr_pool_t *pool)
{
    apr_array_header_t *servers = apr_array_make(pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(servers, const char *) = store->conf->where;
    return servers;
}

static void redis_describe(dogpile_store_t *store, dogpile_row_fn *row,
                           void *baton, apr_pool_t *scratch_pool)
{
    dp_store_redis_t *redis = dp_store_redis_of(store);
    char hex[DP_ID_HEX_BYTES];

    row(baton, "type", store->provider->type);
    if (redis->pool == NULL) {
        row(baton, "server", redis->server->shown);
        return;
    }
    row(baton, "id",
        dp_id_is_none(&store->id)
            ? "unknown"
            : dp_hex(hex, store->id.bytes, sizeof(store->id.bytes)));
    dp_redis_describe(redis->pool, row, baton, scratch_pool);
}

const dogpile_store_provider_t dp_store_redis = {
    .version = DOGPILE_STORE_VERSION,
    .type = "redis",
    .create = redis_create,
    .child_init = redis_child_init,
    .look = redis_look,
    .put = dp_store_redis_put,
    .set_aside = dp_store_redis_set_aside,
    .locker_type = "redis",
    .locker_servers = locker_servers,
    .describe = redis_describe,
};
