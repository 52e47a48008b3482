/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket as one file: changes are kept apart by flock(2) on it.
 *
 * Called by lock_disk_step.c from any thread. Each change opens its own
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
    apr_status_t status;

    if (bucket->dir->is_remote) {
        /* FUSE keeps what another thread read before the lock was ours. */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    status = dp_io_read(&bucket->before, &bucket->before_size, fd,
                        DP_LOCKFILE_BYTES_MAX, bucket->pool);
    return status == APR_SUCCESS ? dp_bucket_parse(bucket) : status;
}

/* A file that can't be understood: keep a copy for people, begin anew. The
 * file itself stays where it is, since others may be waiting on it. */
static void set_aside(dp_bucket_t *bucket)
{
    const char *bad = apr_pstrcat(bucket->pool, bucket->path, ".bad", NULL);
    apr_status_t status;
    int fd;

    status = dp_io_open(&fd, bad, bucket->dir->path);
    if (status == APR_SUCCESS) {
        status = dp_io_write(fd, bucket->before, bucket->before_size);
        close(fd);
    }
    dp_bucket_report(bucket, status == APR_SUCCESS ? bad : NULL);
    if (ftruncate(bucket->fd, 0) != 0) {
        dp_log(bucket->dir->log, DOGPILE_LOG_ERROR, 702, dp_io_failure(),
               "locker %s: can't empty the damaged lock file %s",
               bucket->dir->name, bucket->path);
    }
}

static void flock_leave(dp_bucket_t *bucket)
{
    /* Closing isn't enough: a process forked at this moment (a CGI before its
     * exec) has the same open file. */
    (void)flock(bucket->fd, LOCK_UN);
    close(bucket->fd);
    bucket->fd = -1;
}

static apr_status_t flock_enter(dp_bucket_t *bucket)
{
    apr_status_t status;

    status = dp_io_open(&bucket->fd, bucket->path, bucket->dir->path);
    if (status != APR_SUCCESS) {
        bucket->fd = -1;
        return status;
    }
    status = lock_once(bucket->fd, LOCK_EX, bucket->path);
    if (status == APR_SUCCESS) {
        status = dp_io_touch(&bucket->now, bucket->fd);
    }
    if (status == APR_SUCCESS) {
        status = read_leases(bucket, bucket->fd);
        if (status == APR_EINVAL) {
            set_aside(bucket);
        }
    }
    if (status != APR_SUCCESS) {
        flock_leave(bucket);
    }
    return status;
}

static apr_status_t flock_save(dp_bucket_t *bucket)
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
        /* What was judged is lost to nobody: not a reason for another try. */
        return status == EAGAIN ? EIO : status;
    }
    return APR_SUCCESS;
}

/* Nobody changes what is locked. */
static apr_status_t flock_confirm(dp_bucket_t *bucket)
{
    (void)bucket;
    return APR_SUCCESS;
}

static apr_status_t flock_look(dp_bucket_t *bucket)
{
    int fd = open(bucket->path, O_RDONLY | DP_IO_FLAGS);
    apr_status_t status;

    if (fd < 0) {
        return dp_io_failure();
    }
    status = lock_once(fd, LOCK_SH, bucket->path);
    if (status == APR_SUCCESS) {
        status = read_leases(bucket, fd);
        (void)flock(fd, LOCK_UN);
    }
    close(fd);
    return status;
}

const dp_form_t dp_form_flock = {.name = "flock",
                                 .nbuckets = DP_BUCKETS,
                                 .enter = flock_enter,
                                 .save = flock_save,
                                 .confirm = flock_confirm,
                                 .leave = flock_leave,
                                 .look = flock_look};
