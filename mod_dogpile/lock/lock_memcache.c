/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcache locker: leases as items that expire. Here is the provider:
 * configuration, start and the status page.
 *
 * Made by the parent, which contacts nothing; used by any thread of any
 * child. What the configuration says is checked once, in memcache_create().
 * The steps are in lock_memcache_step.c, the servers in
 * lock_memcache_servers.c.
 *
 * There is no list of leases: memcached can't be asked what it holds.
 */
#include "lock/lock_memcache.h"

#include <apr_strings.h>
#include <string.h>

#include "lock/lock.h"

static const char *check(const dogpile_locker_conf_t *conf, const char *host,
                         apr_pool_t *pool)
{
    if (conf->directory || conf->group) {
        return "a memcache locker has no DogpileLockDirectory";
    }
    if (conf->secret_file) {
        return "a memcache locker has no DogpileLockSecretFile: keep others "
               "out by a firewall or a unix socket";
    }
    return dp_lock_check(conf, host, pool);
}

static const char *memcache_create(dogpile_locker_t **locker,
                                   const dogpile_locker_conf_t *conf,
                                   apr_pool_t *result_pool)
{
    dp_memcache_t *memcache = apr_pcalloc(result_pool, sizeof(*memcache));
    const char *host = dp_lock_host(conf, result_pool);
    const char *error = check(conf, host, result_pool);

    memcache->name = conf->name ? conf->name : "memcache";
    if (error == NULL) {
        error = dp_mc_create(
            &memcache->mc,
            apr_pstrcat(result_pool, "locker ", memcache->name, NULL),
            conf->servers, conf->socket_usec, conf->log, result_pool);
    }
    if (error) {
        return error;
    }
    memcache->locker.provider = &dp_lock_memcache;
    memcache->locker.conf = conf;
    memcache->self.host = apr_pstrdup(result_pool, host);
    memcache->self.boot = "-";
    *locker = &memcache->locker;
    return NULL;
}

static apr_status_t memcache_child_init(dogpile_locker_t *locker,
                                        apr_pool_t *child_pool)
{
    dp_memcache_t *memcache = dp_memcache_of(locker);
    apr_status_t status = dp_debts_init(&memcache->debts, child_pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_owner_self(&memcache->self, memcache->self.host, child_pool);
    return dp_mc_child_init(memcache->mc, child_pool);
}

static void memcache_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                              void *baton, apr_pool_t *scratch_pool)
{
    dp_memcache_t *memcache = dp_memcache_of(locker);

    dp_mc_describe(memcache->mc, row, baton, scratch_pool);
    row(baton, "host", memcache->self.host);
    if (memcache->debts.mutex) {
        row(baton, "leases to give back",
            apr_itoa(scratch_pool, dp_debts_count(&memcache->debts)));
    }
}

const dogpile_locker_provider_t dp_lock_memcache = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "memcache",
    .create = memcache_create,
    .child_init = memcache_child_init,
    .acquire = dp_memcache_acquire,
    .renew = dp_memcache_renew,
    .release = dp_memcache_release,
    .probe = dp_memcache_probe,
    .break_lock = dp_memcache_break,
    .describe = memcache_describe,
};
