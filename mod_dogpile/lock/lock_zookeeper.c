/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper locker: leases as ephemeral sequential nodes. Here is the
 * provider: configuration, the session of a child, status page. The steps that
 * take, renew and release are in lock_zookeeper_step.c.
 *
 * Made by the parent, which contacts nothing; used by any thread of any child.
 * Nothing here changes after child_init but the counters.
 */
#include "lock/lock_zookeeper.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lock_net.h"

/*
 * How long a session lasts beyond the last sign of life: as long as a lease,
 * within what servers usually grant. Shorter would end leases when a server
 * is slow, longer would keep the nodes of dead hosts.
 */
#define SESSION_MIN_USEC apr_time_from_sec(4)
#define SESSION_MAX_USEC apr_time_from_sec(40)

static apr_interval_time_t session_usec(apr_interval_time_t lease_usec)
{
    if (lease_usec < SESSION_MIN_USEC) {
        return SESSION_MIN_USEC;
    }
    return lease_usec < SESSION_MAX_USEC ? lease_usec : SESSION_MAX_USEC;
}

static const char *zookeeper_create(dogpile_locker_t **locker,
                                    const dogpile_locker_conf_t *conf,
                                    apr_pool_t *result_pool)
{
    dp_zk_t *zk = apr_pcalloc(result_pool, sizeof(*zk));
    const char *host = dp_lock_host(conf, result_pool);
    const char *wrong = dp_zk_configure(&zk->where, conf, result_pool);

    if (wrong) {
        return wrong;
    }
    if (conf->directory) {
        return "a zookeeper locker has no directory: DogpileLockDirectory is "
               "not allowed";
    }
    wrong = dp_lock_check(conf, host, result_pool);
    if (wrong) {
        return wrong;
    }
    if (conf->socket_usec <= 0) {
        return "DogpileLockSocketTimeout: more than zero";
    }
    zk->locker.provider = &dp_lock_zookeeper;
    zk->locker.conf = conf;
    zk->where.name = conf->name ? conf->name : "zookeeper";
    zk->where.session_usec = session_usec(conf->lease_usec);
    zk->where.patience_usec = conf->socket_usec;
    zk->where.log = conf->log;
    zk->self.host = apr_pstrdup(result_pool, host);
    zk->self.boot = "-";
    *locker = &zk->locker;
    return NULL;
}

static apr_status_t zookeeper_child_init(dogpile_locker_t *locker,
                                         apr_pool_t *child_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);

    dp_owner_self(&zk->self, zk->self.host, child_pool);
    return dp_zk_session_start(&zk->session, &zk->where, child_pool);
}

apr_status_t dp_zk_unavailable(dp_zk_t *zk, apr_status_t status)
{
    if (dp_failures_add(&zk->failures, status)) {
        apr_atomic_set32(&zk->is_reported, 1);
        dp_log(zk->where.log, DOGPILE_LOG_WARNING, 780, status,
               "locker %s: ZooKeeper can't be used%s", zk->where.name,
               status == APR_EACCES
                   ? ": other users' rights on its folder don't allow it"
                   : "");
    }
    return status;
}

void dp_zk_available(dp_zk_t *zk)
{
    if (apr_atomic_read32(&zk->is_reported)
        && apr_atomic_xchg32(&zk->is_reported, 0)) {
        dp_log(zk->where.log, DOGPILE_LOG_NOTICE, 782, APR_SUCCESS,
               "locker %s: ZooKeeper can be used again", zk->where.name);
    }
}

static apr_status_t zookeeper_listen(dogpile_locker_t *locker,
                                     dogpile_released_fn *released, void *baton,
                                     apr_pool_t *child_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);

    if (zk->session == NULL) {
        return APR_EINIT;
    }
    dp_zk_session_listen(zk->session, released, baton, child_pool);
    return APR_SUCCESS;
}

static void zookeeper_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                               void *baton, apr_pool_t *scratch_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    const char *servers = "";
    int i;

    for (i = 0; i < zk->where.servers->nelts; i++) {
        servers = apr_pstrcat(
            scratch_pool, servers, i ? " " : "",
            APR_ARRAY_IDX(zk->where.servers, i, dp_net_server_t).name, NULL);
    }
    row(baton, "servers", servers);
    row(baton, "folder", zk->where.root);
    row(baton, "access", zk->where.secret ? "user and password" : "open");
    row(baton, "host", zk->self.host);
    row(baton, "session",
        zk->session ? dp_zk_session_describe(zk->session, scratch_pool)
                    : "none in this process");
    dp_failures_describe(&zk->failures, row, baton, scratch_pool);
}

const dogpile_locker_provider_t dp_lock_zookeeper = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "zookeeper",
    .create = zookeeper_create,
    .child_init = zookeeper_child_init,
    .acquire = dp_zk_acquire,
    .renew = dp_zk_renew,
    .release = dp_zk_release,
    .probe = dp_zk_probe,
    .break_lock = dp_zk_break,
    .list = dp_zk_show,
    .listen = zookeeper_listen,
    .describe = zookeeper_describe,
};
