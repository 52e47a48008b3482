/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker: leases in files that several hosts may share. Here is the
 * provider: configuration, start, the list and the status page.
 *
 * Made and prepared by the parent, used by any thread of any child. What the
 * configuration says is checked once, in disk_create(); nothing is created
 * there. The steps that need a lock are in lock_disk_step.c.
 */
#include "lock/lock.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <string.h>

#include "lock/lock_disk.h"

/* Longer leases are a slip of the pen. */
#define LEASE_MAX_USEC apr_time_from_sec(7 * 24 * 3600)

/* "/locks/" would be followed if it were a symbolic link, "/locks" isn't. */
static const char *without_last_slash(const char *path, apr_pool_t *pool)
{
    apr_size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    return apr_pstrmemdup(pool, path, size);
}

static const char *disk_create(dogpile_locker_t **locker,
                               const dogpile_locker_conf_t *conf,
                               apr_pool_t *result_pool)
{
    dp_disk_t *disk = apr_pcalloc(result_pool, sizeof(*disk));
    const char *host = conf->host ? conf->host : dp_lock_this_host(result_pool);

    if (conf->directory == NULL || conf->directory[0] != '/') {
        return "a disk locker needs DogpileLockDirectory with an absolute "
               "path";
    }
    if ((conf->servers && conf->servers->nelts) || conf->secret_file) {
        return "a disk locker has no server: DogpileLockServer and "
               "DogpileLockSecretFile are not allowed";
    }
    if (host[0] == '\0' || strlen(host) > DP_HOST_MAX) {
        return apr_psprintf(result_pool,
                            "DogpileLockHost: a name of 1 to %d bytes is "
                            "allowed",
                            DP_HOST_MAX);
    }
    if (conf->lease_usec <= 0 || conf->lease_usec > LEASE_MAX_USEC) {
        return "DogpileLockTimeout: more than zero, at most 7 days";
    }
    disk->gid = conf->gid;
    if (conf->group
        && apr_gid_get(&disk->gid, conf->group, result_pool) != APR_SUCCESS) {
        return apr_psprintf(result_pool,
                            "DogpileLockDirectory group=%s: no such group",
                            conf->group);
    }
    disk->locker.provider = &dp_lock_disk;
    disk->locker.conf = conf;
    disk->dir.path = without_last_slash(conf->directory, result_pool);
    disk->dir.name = conf->name ? conf->name : "disk";
    disk->dir.log = conf->log;
    disk->self.host = apr_pstrdup(result_pool, host);
    disk->self.boot = "-";
    *locker = &disk->locker;
    return NULL;
}

static const char *disk_prepare(dogpile_locker_t *locker,
                                apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);

    return dp_lockdir_prepare(disk->dir.path, locker->conf->uid, disk->gid,
                              locker->conf->group != NULL, scratch_pool);
}

static apr_status_t disk_child_init(dogpile_locker_t *locker,
                                    apr_pool_t *child_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);

    dp_owner_self(&disk->self, disk->self.host, child_pool);
    disk->dir.is_remote = dp_lockdir_is_remote(disk->dir.path);
    return APR_SUCCESS;
}

/* Show what one bucket holds. */
static apr_status_t list_bucket(dp_disk_t *disk, int index,
                                void (*visit)(void *baton,
                                              const dogpile_holder_t *holder),
                                void *baton, apr_pool_t *pool)
{
    dp_bucket_t bucket;
    dogpile_holder_t holder;
    apr_status_t status;
    int i;

    status = dp_bucket_look(&bucket, &disk->dir, index, pool);
    if (status != APR_SUCCESS) {
        return dp_disk_unavailable(disk, status, bucket.path);
    }
    for (i = 0; i < bucket.leases->nelts; i++) {
        const dp_lease_t *lease = &APR_ARRAY_IDX(bucket.leases, i, dp_lease_t);

        if (lease->kind != DP_LEASE_WISH && !dp_lease_is_over(lease, bucket.now)
            && !dp_owner_is_dead(&disk->self, &lease->owner)) {
            dp_lease_describe(&holder, lease, bucket.now, pool);
            visit(baton, &holder);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t disk_list(dogpile_locker_t *locker,
                              void (*visit)(void *baton,
                                            const dogpile_holder_t *holder),
                              void *baton, apr_pool_t *scratch_pool)
{
    apr_status_t worst = APR_SUCCESS;
    apr_status_t status;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, scratch_pool);
    for (i = 0; i < DP_BUCKETS; i++) {
        status = list_bucket(dp_disk_of(locker), i, visit, baton, pool);
        worst = worst == APR_SUCCESS ? status : worst;
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return worst;
}

static void disk_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    apr_uint32_t failures = apr_atomic_read32(&disk->failures);
    apr_status_t last = (apr_status_t)apr_atomic_read32(&disk->last_failure);
    char text[128];

    row(baton, "directory", disk->dir.path);
    row(baton, "host", disk->self.host);
    row(baton, "exclusion", dp_bucket_form());
    row(baton, "unavailable",
        failures == 0
            ? "never"
            : apr_psprintf(scratch_pool, "%u times, last: %s", failures,
                           apr_strerror(last, text, sizeof(text))));
}

const dogpile_locker_provider_t dp_lock_disk = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "disk",
    .create = disk_create,
    .prepare = disk_prepare,
    .child_init = disk_child_init,
    .acquire = dp_disk_acquire,
    .renew = dp_disk_renew,
    .release = dp_disk_release,
    .probe = dp_disk_probe,
    .break_lock = dp_disk_break,
    .list = disk_list,
    .describe = disk_describe,
};
