/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_dogpile_store_redis: the store type "redis", for mod_dogpile.
 *
 * A shell: it tells httpd that there is such a type, when httpd loads it, and
 * does nothing else; the store is in store/store_redis.c. A module of its own
 * so that whoever has no redis needs no hiredis. It may be loaded before or
 * after mod_dogpile, and has no directives: DogpileStore redis:... is
 * mod_dogpile's. Its only export is the module record.
 */
#include <httpd.h>

#include <ap_provider.h>
#include <http_config.h>

#include "store/store_redis.h"

extern module AP_MODULE_DECLARE_DATA dogpile_store_redis_module
    __attribute__((visibility("default")));

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, DOGPILE_STORE_GROUP, dp_store_redis.type,
                         DOGPILE_STORE_VERSION_TEXT, &dp_store_redis);
}

module AP_MODULE_DECLARE_DATA dogpile_store_redis_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE,
};
