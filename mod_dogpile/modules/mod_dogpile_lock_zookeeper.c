/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_dogpile_lock_zookeeper: the locker type "zookeeper", for mod_dogpile.
 *
 * A shell: it tells httpd that there is such a type, when httpd loads it, and
 * does nothing else; the locker is in lock/lock_zookeeper.c. A module of its
 * own so that whoever has no ZooKeeper needs no client of it. It may be loaded
 * before or after mod_dogpile, and has no directives: <DogpileLocker
 * zookeeper> is mod_dogpile's. Its only export is the module record.
 */
#include <httpd.h>

#include <ap_provider.h>
#include <http_config.h>

#include "lock/lock_zookeeper.h"

extern module AP_MODULE_DECLARE_DATA dogpile_lock_zookeeper_module
    __attribute__((visibility("default")));

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, DOGPILE_LOCKER_GROUP, dp_lock_zookeeper.type,
                         DOGPILE_LOCKER_VERSION_TEXT, &dp_lock_zookeeper);
}

module AP_MODULE_DECLARE_DATA dogpile_lock_zookeeper_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE,
};
