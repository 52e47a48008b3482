/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short exclusion of the disk store: flock(2) on one of 64 files that are
 * never unlinked. Entered by a fetcher thread for the time of one header read
 * and one rename. Two threads of a process exclude each other like two hosts,
 * because each opens the file anew; a process that dies leaves it.
 *
 * A bucket and not a file a key, so that there is nothing to clean up, and
 * thus nobody who removes a file that someone else has just locked. Should an
 * operator empty the directory nevertheless, a lock on a file without a name
 * is noticed and taken again.
 *
 * Invariant: who is inside holds the lock of the file that has the name.
 */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "store/store_disk.h"

#define ENTER_MSEC 1000
/* One stay inside takes tens of microseconds. */
#define PAUSE_LEAST_USEC 200
#define PAUSE_MOST_USEC 10000

static apr_int64_t now_msec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Between half and all of `usec`, so that waiters don't march in step. */
static void pause_about(apr_uint32_t usec)
{
    struct timespec pause = {.tv_sec = 0};
    dogpile_id_t random;

    dp_id_make(&random);
    usec -= (usec / 2) * random.bytes[0] / 256;
    pause.tv_nsec = (long)usec * 1000;
    nanosleep(&pause, NULL);
}

static apr_status_t open_bucket(int *fd, const dp_store_disk_t *disk,
                                const char *path, apr_pool_t *pool)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    mode_t mode = disk->mode & 0666;
    apr_status_t status;

    *fd = open(path, flags, mode);
    if (*fd < 0 && errno == ENOENT) {
        status = dp_disk_make_above(disk, path, pool);
        if (status != APR_SUCCESS) {
            return status;
        }
        *fd = open(path, flags, mode);
    }
    if (*fd < 0) {
        return errno;
    }
    /* The umask may have kept the group out. Only the owner can and needs
     * to change that. */
    if (mode & 0066) {
        (void)!fchmod(*fd, mode);
    }
    return APR_SUCCESS;
}

/* APR_SUCCESS: locked, and still the file of that name. APR_EAGAIN: not now;
 * `fd` is -1 where it has to be opened again. */
static apr_status_t try_enter(int *fd, const dp_store_disk_t *disk,
                              const char *path, apr_pool_t *pool)
{
    apr_status_t status = APR_SUCCESS;
    struct stat info;

    if (*fd < 0) {
        status = open_bucket(fd, disk, path, pool);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK || errno == EINTR ? APR_EAGAIN : errno;
    }
    if (fstat(*fd, &info) != 0) {
        return errno;
    }
    if (info.st_nlink == 0) {
        close(*fd);
        *fd = -1;
        return APR_EAGAIN;
    }
    return APR_SUCCESS;
}

apr_status_t dp_disk_enter(int *fd, const dp_store_disk_t *disk,
                           const dogpile_digest_t *key,
                           apr_pool_t *scratch_pool)
{
    const char *path =
        apr_psprintf(scratch_pool, "%s/" DP_DISK_EXCLUSION "/%02u", disk->root,
                     key->bytes[0] % DP_DISK_BUCKETS);
    apr_int64_t end = now_msec() + ENTER_MSEC;
    apr_uint32_t usec = PAUSE_LEAST_USEC;
    apr_status_t status;

    *fd = -1;
    status = try_enter(fd, disk, path, scratch_pool);
    while (status == APR_EAGAIN && now_msec() < end) {
        pause_about(usec);
        usec = usec * 2 < PAUSE_MOST_USEC ? usec * 2 : PAUSE_MOST_USEC;
        status = try_enter(fd, disk, path, scratch_pool);
    }
    if (status != APR_SUCCESS && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return status == APR_EAGAIN ? APR_TIMEUP : status;
}
