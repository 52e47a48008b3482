/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small steps on the disk locker's files: open, read, write, ask the file
 * server for the time, and try again within a deadline.
 *
 * Called by the files that exclude others from a bucket, from any thread; no
 * state. The invariant: no result here is APR_EEXIST or APR_NOTFOUND, which
 * mean something else to a locker's caller, and a failure is never
 * APR_SUCCESS, whatever errno says.
 */
#include "lock/lock_disk_io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Pauses between two tries grow to this. */
#define PAUSE_MAX_USEC 8000

apr_status_t dp_io_failure(void)
{
    return errno == 0 || errno == EEXIST ? APR_EGENERAL : errno;
}

dp_patience_t dp_patience_make(apr_interval_time_t wait_usec)
{
    dp_patience_t patience = {dp_clock_now(&dp_clock_monotonic) + wait_usec,
                              1000, 0};

    return patience;
}

/* Pause, or return 0 when the time is up. Jittered by the clock's last digits,
 * so that those who met once don't meet again. */
static int pause_a_while(dp_patience_t *patience)
{
    apr_int64_t now = dp_clock_now(&dp_clock_monotonic);
    struct timespec pause = {0, 0};

    if (now >= patience->deadline) {
        return 0;
    }
    pause.tv_nsec =
        1000
        * (long)(patience->pause_usec / 2 + now % (patience->pause_usec / 2));
    nanosleep(&pause, NULL);
    if (patience->pause_usec < PAUSE_MAX_USEC) {
        patience->pause_usec *= 2;
    }
    return 1;
}

int dp_patience_again(dp_patience_t *patience, apr_status_t status)
{
    if (status == ESTALE && !patience->was_stale) {
        patience->was_stale = 1;
        return 1;
    }
    return (status == EAGAIN || status == EACCES) && pause_a_while(patience);
}

apr_status_t dp_io_adopt(int fd, int dirfd)
{
    struct stat above;
    struct stat made;

    if (fstat(dirfd, &above) != 0 || fstat(fd, &made) != 0) {
        return dp_io_failure();
    }
    if (geteuid() == 0 && fchown(fd, above.st_uid, above.st_gid) != 0) {
        return dp_io_failure();
    }
    if ((above.st_mode & S_IWGRP)
        && fchmod(fd, S_ISDIR(made.st_mode) ? 02770 : 0660) != 0) {
        return dp_io_failure();
    }
    return APR_SUCCESS;
}

/* The same, where the directory isn't open. */
static apr_status_t adopt(int fd, const char *directory)
{
    int dirfd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    apr_status_t status;

    if (dirfd < 0) {
        return dp_io_failure();
    }
    status = dp_io_adopt(fd, dirfd);
    close(dirfd);
    return status;
}

apr_status_t dp_io_open(int *fd, const char *path, const char *directory)
{
    apr_status_t status;

    *fd = open(path, O_RDWR | DP_IO_FLAGS);
    if (*fd >= 0) {
        return APR_SUCCESS;
    }
    if (errno != ENOENT) {
        return dp_io_failure();
    }
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | DP_IO_FLAGS, 0600);
    if (*fd < 0) {
        return errno == EEXIST ? EAGAIN : dp_io_failure();
    }
    status = adopt(*fd, directory);
    if (status != APR_SUCCESS) {
        close(*fd);
    }
    return status;
}

apr_time_t dp_io_written(const struct stat *info)
{
    return apr_time_from_sec((apr_time_t)info->st_mtim.tv_sec)
           + info->st_mtim.tv_nsec / 1000;
}

/* Both times at once, which whoever may write may do (utimensat(2)); one
 * alone needs the owner. */
apr_status_t dp_io_touch(apr_time_t *now, int fd)
{
    struct stat info;

    if (futimens(fd, NULL) != 0 || fstat(fd, &info) != 0) {
        return dp_io_failure();
    }
    *now = dp_io_written(&info);
    return APR_SUCCESS;
}

/* From `size` bytes on until there are `room`, or the file ends. */
static apr_status_t read_on(char *text, apr_size_t *size, int fd,
                            apr_size_t room)
{
    ssize_t got = 1;

    while (*size < room && got != 0) {
        got = pread(fd, text + *size, room - *size, (off_t)*size);
        if (got < 0 && errno != EINTR) {
            return dp_io_failure();
        }
        *size += got > 0 ? (apr_size_t)got : 0;
    }
    return APR_SUCCESS;
}

apr_status_t dp_io_read(const char **bytes, apr_size_t *size, int fd,
                        apr_size_t max, apr_pool_t *result_pool)
{
    struct statx info;
    apr_size_t room;
    char *text;
    apr_status_t status;

    /* Network file systems remember for a while how long it was; this makes
     * those that can be made ask again. It is believed no further than for
     * how much room there must be: the end is where reading ends. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &info)
        != 0) {
        return dp_io_failure();
    }
    room = info.stx_size < max ? (apr_size_t)info.stx_size + 1 : max + 1;
    text = apr_palloc(result_pool, room);
    *size = 0;
    status = read_on(text, size, fd, room);
    while (status == APR_SUCCESS && *size == room && room <= max) {
        room = 2 * room < max ? 2 * room : max + 1;
        text = memcpy(apr_palloc(result_pool, room), text, *size);
        status = read_on(text, size, fd, room);
    }
    *bytes = text;
    return status;
}

apr_status_t dp_io_write(int fd, const char *bytes, apr_size_t size)
{
    apr_size_t done = 0;
    ssize_t put;

    while (done < size) {
        put = pwrite(fd, bytes + done, size - done, (off_t)done);
        if (put < 0 && errno != EINTR) {
            return dp_io_failure();
        }
        done += put > 0 ? (apr_size_t)put : 0;
    }
    return ftruncate(fd, (off_t)size) == 0 ? APR_SUCCESS : dp_io_failure();
}
