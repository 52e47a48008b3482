/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker: leases in files that several hosts may share. Here is the
 * provider: configuration, start and the status page.
 *
 * Made and prepared by the parent, used by any thread of any child. What the
 * configuration says is checked once, in disk_create(); nothing is created
 * there. The calls are in lock_disk_call.c.
 */
#include "lock/lock.h"

#include <apr_strings.h>
#include <string.h>

#include "lock/lock_disk.h"

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
    const char *host = dp_lock_host(conf, result_pool);
    const char *wrong;

    if (conf->directory == NULL || conf->directory[0] != '/') {
        return "a disk locker needs DogpileLockDirectory with an absolute "
               "path";
    }
    if ((conf->servers && conf->servers->nelts) || conf->secret_file) {
        return "a disk locker has no server: DogpileLockServer and "
               "DogpileLockSecretFile are not allowed";
    }
    wrong = dp_lock_check(conf, host, result_pool);
    if (wrong) {
        return wrong;
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
    disk->dir.lease_usec = conf->lease_usec;
    disk->dir.is_remote = 1; /* until it is known */
    disk->self.host = apr_pstrdup(result_pool, host);
    disk->self.boot = "-";
    *locker = &disk->locker;
    return NULL;
}

static const char *disk_prepare(dogpile_locker_t *locker,
                                apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);

    return dp_lockdir_prepare(&disk->dir, locker->conf->uid, disk->gid,
                              locker->conf->group != NULL, scratch_pool);
}

static apr_status_t disk_child_init(dogpile_locker_t *locker,
                                    apr_pool_t *child_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);

    dp_owner_self(&disk->self, disk->self.host, child_pool);
    return dp_disk_start(disk, child_pool);
}

static void disk_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    const dp_form_t *form = __atomic_load_n(&disk->dir.form, __ATOMIC_ACQUIRE);

    row(baton, "directory", disk->dir.path);
    row(baton, "host", disk->self.host);
    row(baton, "exclusion", form ? form->name : "not known yet");
    if (disk->work && dp_work_hanging(disk->work) > 0) {
        row(baton, "hanging",
            apr_psprintf(scratch_pool, "%d of %d threads",
                         dp_work_hanging(disk->work), DP_WORK_THREADS_MAX));
    }
    dp_failures_describe(&disk->failures, row, baton, scratch_pool);
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
    .list = dp_disk_list,
    .describe = disk_describe,
};
