/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both forms of a bucket have in common: its name, its content, what is
 * said when it is damaged, and a look with the file server's time.
 *
 * Called by the steps and by both forms, from any thread; no state.
 *
 * The invariant: "now" is what the file server says of a file that was touched
 * a moment ago, never this host's clock.
 */
#include <apr_strings.h>
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "lock/lock_disk.h"
#include "lock/lock_disk_io.h"
#include "lock/lockfile.h"

void dp_bucket_init(dp_bucket_t *bucket, const dp_lockdir_t *dir, int index,
                    apr_pool_t *pool)
{
    unsigned int number = (unsigned int)(index % dir->form->nbuckets);

    bucket->dir = dir;
    bucket->path = apr_psprintf(pool,
                                dir->form == &dp_form_rename
                                    ? "%s/" DP_FORM_DIRECTORY "/%02x"
                                    : "%s/%02x",
                                dir->path, number);
    bucket->fd = -1;
    bucket->now = 0;
    bucket->leases = NULL;
    bucket->before = "";
    bucket->before_size = 0;
    bucket->version = "";
    bucket->passed = NULL;
    bucket->written = 0;
    bucket->old = NULL;
    bucket->pool = pool;
}

apr_status_t dp_bucket_parse(dp_bucket_t *bucket)
{
    return bucket->before_size > DP_LOCKFILE_BYTES_MAX
               ? APR_EINVAL
               : dp_lockfile_read(&bucket->leases, bucket->before,
                                  bucket->before_size, bucket->pool);
}

void dp_bucket_report(const dp_bucket_t *bucket, const char *copy)
{
    dp_log(bucket->dir->log, DOGPILE_LOG_WARNING, 701, APR_SUCCESS,
           "locker %s: lock file %s was damaged (%" APR_SIZE_T_FMT
           " bytes); its leases are lost, its content is %s%s",
           bucket->dir->name, bucket->path, bucket->before_size,
           copy ? "kept in " : "lost", copy ? copy : "");
}

apr_status_t dp_lockdir_now(apr_time_t *now, const dp_lockdir_t *dir,
                            apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir->path, "/" DP_CLOCK_FILE, NULL);
    apr_status_t status;
    int fd;

    status = dp_io_open(&fd, path, dir->path);
    if (status == APR_SUCCESS) {
        status = dp_io_touch(now, fd);
        close(fd);
    }
    return status;
}

apr_status_t dp_bucket_look(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                            int index, apr_pool_t *pool)
{
    dp_patience_t patience = dp_patience_make(DP_BUCKET_WAIT_USEC);
    apr_status_t status;

    dp_bucket_init(bucket, dir, index, pool);
    do {
        status = dir->form->look(bucket);
        if (APR_STATUS_IS_ENOENT(status)) {
            /* Never used yet. Whether the directory can be used at all, the
             * clock tells. */
            bucket->leases = apr_array_make(pool, 1, sizeof(dp_lease_t));
            status = APR_SUCCESS;
        }
        if (status == APR_SUCCESS) {
            status = dp_lockdir_now(&bucket->now, dir, pool);
        }
    } while (dp_patience_again(&patience, status));
    return status == EAGAIN ? APR_TIMEUP : status;
}
