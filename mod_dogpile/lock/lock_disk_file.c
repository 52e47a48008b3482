/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short exclusive section on one bucket file, by flock(2).
 *
 * Called by lock_disk_step.c from any thread. Each call opens its own
 * descriptor, since flock belongs to the open file: threads of one process
 * exclude each other like processes, and the kernel frees it when a process
 * dies. The lock is only ever tried, with pauses, never waited for: a file
 * server that doesn't answer a lock request would hold the thread for ever.
 *
 * The invariant: a bucket file is never unlinked or renamed by us, and only
 * whoever holds its exclusive flock, on the file that is still at its path,
 * writes it. "Now" is the time that the file server gives the file when it is
 * touched, so hosts whose clocks differ agree on whose lease is over.
 */
#include "lock/lock_disk.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "lock/lock_disk_io.h"
#include "lock/lockfile.h"

const char *dp_bucket_form(void)
{
    return "flock";
}

/* Is it a file of its own, and still the one at its path? */
static apr_status_t check_identity(int fd, const char *path)
{
    struct stat open_one;
    struct stat there;

    if (fstat(fd, &open_one) != 0) {
        return dp_io_failure();
    }
    if (!S_ISREG(open_one.st_mode) || open_one.st_nlink > 1) {
        return APR_EINVAL;
    }
    if (open_one.st_nlink == 0 || lstat(path, &there) != 0
        || there.st_ino != open_one.st_ino || there.st_dev != open_one.st_dev) {
        return EAGAIN;
    }
    return APR_SUCCESS;
}

/* Have an open file locked. EAGAIN: try again. */
static apr_status_t lock_once(int fd, int operation, const char *path)
{
    if (flock(fd, operation | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK || errno == EINTR ? EAGAIN
                                                      : dp_io_failure();
    }
    return check_identity(fd, path);
}

static apr_status_t read_leases(dp_bucket_t *bucket, int fd)
{
    apr_status_t status = dp_io_read(&bucket->before, &bucket->before_size, fd,
                                     DP_LOCKFILE_BYTES_MAX, bucket->pool);

    if (status == APR_SUCCESS) {
        status = bucket->before_size > DP_LOCKFILE_BYTES_MAX
                     ? APR_EINVAL
                     : dp_lockfile_read(&bucket->leases, bucket->before,
                                        bucket->before_size, bucket->pool);
    }
    return status;
}

/* A file that can't be understood: keep a copy for people, begin anew. The
 * file itself stays where it is, since others may be waiting on it. */
static void set_aside(dp_bucket_t *bucket)
{
    const char *bad = apr_pstrcat(bucket->pool, bucket->path, ".bad", NULL);
    int fd = open(bad, O_WRONLY | O_CREAT | O_TRUNC | DP_IO_FLAGS, 0600);
    apr_status_t status = APR_EGENERAL;

    if (fd >= 0) {
        status = dp_io_write(fd, bucket->before, bucket->before_size);
        close(fd);
    }
    dp_log(bucket->dir->log, DOGPILE_LOG_WARNING, 701, APR_SUCCESS,
           "locker %s: lock file %s was damaged (%" APR_SIZE_T_FMT
           " bytes); its leases are lost, its content is %s %s",
           bucket->dir->name, bucket->path, bucket->before_size,
           status == APR_SUCCESS ? "kept in" : "lost: can't write", bad);
    if (ftruncate(bucket->fd, 0) != 0) {
        dp_log(bucket->dir->log, DOGPILE_LOG_ERROR, 702, dp_io_failure(),
               "locker %s: can't empty the damaged lock file %s",
               bucket->dir->name, bucket->path);
    }
}

static void bucket_init(dp_bucket_t *bucket, const dp_lockdir_t *dir, int index,
                        apr_pool_t *pool)
{
    bucket->dir = dir;
    bucket->path =
        apr_psprintf(pool, "%s/%02x", dir->path, (unsigned int)index);
    bucket->fd = -1;
    bucket->now = 0;
    bucket->leases = NULL;
    bucket->before = "";
    bucket->before_size = 0;
    bucket->pool = pool;
}

apr_status_t dp_bucket_enter(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                             int index, apr_interval_time_t wait_usec,
                             apr_pool_t *pool)
{
    dp_patience_t patience = dp_patience_make(wait_usec);
    apr_status_t status;

    bucket_init(bucket, dir, index, pool);
    do {
        status = dp_io_open(&bucket->fd, bucket->path, dir->path);
        if (status == APR_SUCCESS) {
            status = lock_once(bucket->fd, LOCK_EX, bucket->path);
            if (status == APR_SUCCESS) {
                break;
            }
            close(bucket->fd);
        }
        bucket->fd = -1;
    } while (dp_io_is_passing(status) && dp_patience_pause(&patience));
    if (status != APR_SUCCESS) {
        return status == EAGAIN ? APR_TIMEUP : status;
    }
    status = dp_io_touch(&bucket->now, bucket->fd);
    if (status == APR_SUCCESS) {
        status = read_leases(bucket, bucket->fd);
        if (status == APR_EINVAL) {
            set_aside(bucket);
        }
    }
    if (status != APR_SUCCESS) {
        dp_bucket_leave(bucket);
    }
    return status;
}

apr_status_t dp_bucket_save(dp_bucket_t *bucket)
{
    const char *bytes;
    apr_size_t size;
    apr_status_t status;

    status = dp_lockfile_write(&bytes, &size, bucket->leases, bucket->pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    status = dp_io_write(bucket->fd, bytes, size);
    if (status == APR_SUCCESS && bucket->dir->is_remote
        && fdatasync(bucket->fd) != 0) {
        status = dp_io_failure();
    }
    /* Take back what was perhaps written. If that fails as well, the file is
     * torn, and whoever comes next will see it. */
    if (status != APR_SUCCESS) {
        (void)dp_io_write(bucket->fd, bucket->before, bucket->before_size);
    }
    return status;
}

void dp_bucket_leave(dp_bucket_t *bucket)
{
    /* Closing isn't enough: a process forked at this moment (a CGI before its
     * exec) has the same open file. */
    (void)flock(bucket->fd, LOCK_UN);
    close(bucket->fd);
    bucket->fd = -1;
}

/* The file server's clock, without touching anything that holds a lease. */
static apr_status_t look_at_clock(apr_time_t *now, dp_patience_t *patience,
                                  const dp_lockdir_t *dir, apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir->path, "/" DP_CLOCK_FILE, NULL);
    apr_status_t status;
    int fd;

    do {
        status = dp_io_open(&fd, path, dir->path);
    } while (dp_io_is_passing(status) && dp_patience_pause(patience));
    if (status != APR_SUCCESS) {
        return status;
    }
    status = dp_io_touch(now, fd);
    close(fd);
    return status;
}

apr_status_t dp_bucket_look(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                            int index, apr_pool_t *pool)
{
    dp_patience_t patience = dp_patience_make(DP_BUCKET_WAIT_USEC);
    apr_status_t status;
    int fd;

    bucket_init(bucket, dir, index, pool);
    do {
        fd = open(bucket->path, O_RDONLY | DP_IO_FLAGS);
        if (fd < 0) {
            status = dp_io_failure();
            continue;
        }
        status = lock_once(fd, LOCK_SH, bucket->path);
        if (status == APR_SUCCESS) {
            status = read_leases(bucket, fd);
            (void)flock(fd, LOCK_UN);
        }
        close(fd);
    } while (dp_io_is_passing(status) && dp_patience_pause(&patience));
    if (APR_STATUS_IS_ENOENT(status)) {
        /* Never used yet. Whether the directory can be used at all, the clock
         * tells. */
        bucket->leases = apr_array_make(pool, 1, sizeof(dp_lease_t));
        status = APR_SUCCESS;
    }
    if (status == APR_SUCCESS) {
        status = look_at_clock(&bucket->now, &patience, dir, pool);
    }
    return status == EAGAIN ? APR_TIMEUP : status;
}
