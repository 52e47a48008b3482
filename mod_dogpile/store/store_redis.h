/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the redis store share: store_redis.c is the provider,
 * store_redis_put.c writes and puts bad records away.
 *
 * The extension point for other modules is dp_store_redis alone.
 */
#ifndef DP_STORE_STORE_REDIS_H
#define DP_STORE_STORE_REDIS_H

#include <apr_thread_mutex.h>

#include "dogpile_store.h"
#include "lock/redis_pool.h"

extern const dogpile_store_provider_t dp_store_redis;

/* How long any call may take. */
#define DP_REDIS_STORE_USEC apr_time_from_sec(1)

typedef enum dp_store_script_e {
    DP_SCRIPT_PUT,
    DP_SCRIPT_REMOVE_BAD,
    DP_SCRIPT_IDENTIFY,
    DP_STORE_SCRIPTS
} dp_store_script_e;

/* Constant after child_init but for what the mutex guards. */
typedef struct dp_store_redis_t {
    dogpile_store_t store; /* first, so that one is the other */
    const dp_redis_server_t *server;
    dp_redis_script_t scripts[DP_STORE_SCRIPTS];
    dp_redis_pool_t *pool;     /* NULL before child_init */
    apr_thread_mutex_t *mutex; /* guards store.id and the next */
    apr_time_t identified;     /* when store.id was last asked for; monotonic */
} dp_store_redis_t;

static inline dp_store_redis_t *dp_store_redis_of(dogpile_store_t *store)
{
    return (dp_store_redis_t *)store;
}

/* Where the record of `key` is, in redis. */
const char *dp_store_redis_name(const dogpile_key_t *key, apr_pool_t *pool);

/* Get the record. APR_NOTFOUND: there is none. APR_EINVAL: there is something
 * else, or something too long. `reply` has it after APR_SUCCESS. */
apr_status_t dp_store_redis_get(const redisReply **reply,
                                dp_store_redis_t *redis, dp_redis_call_t *call,
                                const dogpile_key_t *key,
                                apr_pool_t *result_pool);

/* How a call ended, for log and status. Returns `status`. */
apr_status_t dp_store_redis_note(dp_store_redis_t *redis,
                                 const dp_redis_call_t *call,
                                 apr_status_t status);

/* Ask now and then which store this is; see store_redis.c. */
void dp_store_redis_identify(dp_store_redis_t *redis, dp_redis_call_t *call,
                             apr_pool_t *pool);

/* ---- store_redis_put.c ---- */

void dp_store_scripts_make(dp_redis_script_t scripts[DP_STORE_SCRIPTS]);

apr_status_t dp_store_redis_put(dogpile_store_t *store,
                                const dogpile_key_t *key,
                                const dogpile_id_t *base,
                                const struct iovec *parts, int nparts,
                                apr_pool_t *scratch_pool);
void dp_store_redis_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                              apr_pool_t *scratch_pool);

#endif
