/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_dogpile_lock_redis: the locker type "redis", for mod_dogpile.
 *
 * A shell: it tells httpd that there is such a type, when httpd loads it, and
 * does nothing else; the locker is in lock/lock_redis.c. A module of its own
 * so that whoever has no redis needs no hiredis. It may be loaded before or
 * after mod_dogpile, and has no directives: <DogpileLocker redis> is
 * mod_dogpile's. Its only export is the module record.
 */
#include <httpd.h>

#include <ap_provider.h>
#include <http_config.h>

#include "lock/lock_redis.h"

extern module AP_MODULE_DECLARE_DATA dogpile_lock_redis_module
    __attribute__((visibility("default")));

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, DOGPILE_LOCKER_GROUP, dp_lock_redis.type,
                         DOGPILE_LOCKER_VERSION_TEXT, &dp_lock_redis);
}

module AP_MODULE_DECLARE_DATA dogpile_lock_redis_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE,
};
