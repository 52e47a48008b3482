/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module record and its hooks, nothing else. See README.md beside the
 * rooms for where things are.
 */
#include "httpd/httpd_priv.h"

#include <ap_provider.h>
#include <http_protocol.h>

#include "httpd/capacity.h"
#include "httpd/handler.h"
#include "httpd/internal.h"
#include "httpd/known.h"
#include "httpd/park.h"
#include "httpd/start.h"
#include "httpd/status.h"
#include "lock/lock_fallback.h"
#include "lock/lock_memcache.h"
#include "store/store_memcache.h"

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    dp_config_begin(pconf);
    return OK;
}

/* What is built in is found as what other modules bring is. */
static void register_back_ends(apr_pool_t *pool)
{
    static const dogpile_store_provider_t *const stores[] = {
        &dp_store_disk, &dp_store_memcache};
    static const dogpile_locker_provider_t *const lockers[] = {
        &dp_lock_disk, &dp_lock_memcache, &dp_lock_fallback};
    apr_size_t i;

    for (i = 0; i < sizeof(lockers) / sizeof(*lockers); i++) {
        ap_register_provider(pool, DOGPILE_LOCKER_GROUP, lockers[i]->type,
                             DOGPILE_LOCKER_VERSION_TEXT, lockers[i]);
    }
    for (i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
        ap_register_provider(pool, DOGPILE_STORE_GROUP, stores[i]->type,
                             DOGPILE_STORE_VERSION_TEXT, stores[i]);
    }
}

static void register_hooks(apr_pool_t *pool)
{
    /* Whoever else would render the tile. */
    static const char *const renderers[] = {"mod_proxy.c", "mod_cgi.c",
                                            "mod_cgid.c", "mod_fcgid.c", NULL};

    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(dp_config_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(dp_capacity_check, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(dp_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(dp_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(dp_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(dp_child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(dp_handler, NULL, renderers, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(dp_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    register_back_ends(pool);
    dp_internal_register(pool);
    dp_known_register();
    dp_park_register();
}

module AP_MODULE_DECLARE_DATA dogpile_module = {
    STANDARD20_MODULE_STUFF,
    dp_dir_create,
    dp_dir_merge,
    NULL,
    NULL,
    dp_commands,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};
