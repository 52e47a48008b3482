/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small steps on the disk locker's files. Results: APR_SUCCESS or a reason
 * that is neither APR_EEXIST nor APR_NOTFOUND.
 */
#ifndef DP_LOCK_LOCK_DISK_IO_H
#define DP_LOCK_LOCK_DISK_IO_H

#include <apr_pools.h>
#include <apr_time.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Every open here. Non-blocking, so that a pipe put there can't hold us. */
#define DP_IO_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* errno as such a result. */
apr_status_t dp_io_failure(void);

/* Tries that share one deadline. */
typedef struct dp_patience_t {
    apr_int64_t deadline; /* monotonic, microseconds */
    apr_interval_time_t pause_usec;
    int was_stale; /* a handle was, once */
} dp_patience_t;

dp_patience_t dp_patience_make(apr_interval_time_t wait_usec);

/*
 * Is a result worth another try, and is there time for it? Then pause and
 * return 1. EAGAIN is, and EACCES, since a colleague of the group may have
 * made the file and be about to open it to the group; ESTALE is once: what was
 * opened is gone on the file server, and a fresh open finds its successor.
 */
int dp_patience_again(dp_patience_t *patience, apr_status_t status);

/* Open a file in `directory` to read and write. Where there is none it is
 * made, for whom the directory is. EAGAIN: someone else just made it. */
apr_status_t dp_io_open(int *fd, const char *path, const char *directory);

/* Give what was just made, a file or a directory, to whom the open directory
 * belongs to, and open it to whom that lets in. */
apr_status_t dp_io_adopt(int fd, int dirfd);

/* Touch an open file: what time is it where the file is? */
apr_status_t dp_io_touch(apr_time_t *now, int fd);

/* When a file was last written, or touched. */
apr_time_t dp_io_written(const struct stat *info);

/* Up to max + 1 bytes, so that a file that is too large can be told. */
apr_status_t dp_io_read(const char **bytes, apr_size_t *size, int fd,
                        apr_size_t max, apr_pool_t *result_pool);

/* Make `bytes` the file's whole content. On failure it may be any mixture. */
apr_status_t dp_io_write(int fd, const char *bytes, apr_size_t size);

#endif
