/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker by flock, where clients of a file server see names, sizes
 * and times as they were a while ago.
 *
 * What is delayed here is what caching clients may delay: sizes and times, and
 * which file is at a path. What is not: the bytes that are read, and the number
 * of links, under a flock. NFS forgets what it remembers of a file when it is
 * granted a lock on it, and Ceph, GFS2 and OCFS2 remember nothing that another
 * host has changed; this form is used on no other network file system. Nor are
 * the times of a file that one has just touched oneself: the answer brings them
 * along.
 *
 * So that names go out of date, each contender removes the bucket now and then,
 * under its flock and while nobody holds a lease.
 */
#include <apr_strings.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock/lock_disk_io.h"
#include "lock/lockfile.h"
#include "lock_disk_fixture.h"

#define ROUNDS 300
#define ONE_IN 3         /* looks are late */
#define SIZES 8          /* that are remembered */
#define REMOVE_ONE_IN 10 /* times */

static int is_late;          /* only while two contend */
static __thread int is_ours; /* this thread is the janitor for a moment */
static __thread ino_t touched;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *bucket;
static int removed_fd = -1; /* the bucket before; under the mutex */
static int removals;
static int late_opens;
static int late_sizes;
static off_t sizes[SIZES]; /* that the bucket has had */
static int nsizes;

/* The C library's version of a call. */
#define REAL(type, name, ...)                                                  \
    type (*real_##name)(__VA_ARGS__) =                                         \
        (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int is_late_now(void)
{
    return is_late && !is_ours && random() % ONE_IN == 0;
}

/* The file that was at the path before, or none yet: -1. */
static int open_removed_locked(int flags)
{
    REAL(int, open, const char *, int, ...);
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", removed_fd);
    return removed_fd < 0 ? -1 : real_open(path, flags & ~O_NOFOLLOW);
}

int open(const char *path, int flags, ...)
{
    REAL(int, open, const char *, int, ...);
    va_list arguments;
    mode_t mode;
    int fd;

    va_start(arguments, flags);
    mode = flags & O_CREAT ? (mode_t)va_arg(arguments, unsigned int) : 0;
    va_end(arguments);
    if (!is_late_now() || (flags & O_CREAT) || strcmp(path, bucket) != 0) {
        return real_open(path, flags, mode);
    }
    pthread_mutex_lock(&mutex);
    late_opens++;
    fd = open_removed_locked(flags);
    pthread_mutex_unlock(&mutex);
    if (fd < 0) {
        errno = ENOENT; /* as before anybody has made it */
    }
    return fd;
}

/* As it was when it was still there. */
int lstat(const char *path, struct stat *info)
{
    REAL(int, lstat, const char *, struct stat *);
    REAL(int, fstat, int, struct stat *);
    int result = -1;

    if (is_late_now() && strcmp(path, bucket) == 0) {
        pthread_mutex_lock(&mutex);
        result = removed_fd < 0 ? -1 : real_fstat(removed_fd, info);
        info->st_nlink = 1;
        pthread_mutex_unlock(&mutex);
    }
    return result == 0 ? 0 : real_lstat(path, info);
}

static off_t late_size(void)
{
    off_t size;

    pthread_mutex_lock(&mutex);
    size = sizes[random() % SIZES];
    late_sizes++;
    pthread_mutex_unlock(&mutex);
    return size;
}

int fstat(int fd, struct stat *info)
{
    REAL(int, fstat, int, struct stat *);
    int result = real_fstat(fd, info);

    if (result == 0 && is_late_now()) {
        info->st_size = late_size();
        if (info->st_ino != touched) {
            info->st_mtim.tv_sec -= random() % 3600;
        }
    }
    return result;
}

/* AT_STATX_FORCE_SYNC makes NFS ask the server. Not everybody obeys. */
int statx(int dirfd, const char *path, int flags, unsigned int mask,
          struct statx *info)
{
    REAL(int, statx, int, const char *, int, unsigned int, struct statx *);
    int result = real_statx(dirfd, path, flags, mask, info);

    if (result == 0 && is_late_now()) {
        info->stx_size = (apr_uint64_t)late_size();
    }
    return result;
}

int futimens(int fd, const struct timespec times[2])
{
    REAL(int, futimens, int, const struct timespec *);
    REAL(int, fstat, int, struct stat *);
    struct stat info;

    if (real_fstat(fd, &info) == 0) {
        touched = info.st_ino;
    }
    return real_futimens(fd, times);
}

/* The last step of each write. */
int ftruncate(int fd, off_t size)
{
    REAL(int, ftruncate, int, off_t);

    pthread_mutex_lock(&mutex);
    sizes[nsizes++ % SIZES] = size;
    pthread_mutex_unlock(&mutex);
    return real_ftruncate(fd, size);
}

static int is_empty(int fd)
{
    apr_array_header_t *leases = NULL;
    const char *bytes;
    apr_size_t size;
    apr_pool_t *pool;
    int empty;

    apr_pool_create(&pool, NULL);
    empty = dp_io_read(&bytes, &size, fd, DP_LOCKFILE_BYTES_MAX, pool)
                == APR_SUCCESS
            && dp_lockfile_read(&leases, bytes, size, pool) == APR_SUCCESS
            && leases->nelts == 0;
    apr_pool_destroy(pool);
    return empty;
}

/* Remove the bucket if that harms nobody: under its flock, and empty. */
static int remove_empty(int fd)
{
    int is_done = 0;

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return 0;
    }
    pthread_mutex_lock(&mutex);
    if (is_empty(fd) && unlink(bucket) == 0) {
        removals++;
        if (removed_fd >= 0) {
            close(removed_fd);
        }
        removed_fd = dup(fd);
        is_done = 1;
    }
    pthread_mutex_unlock(&mutex);
    flock(fd, LOCK_UN);
    return is_done;
}

/* Insists, but not every time. */
static void remove_bucket(void)
{
    static __thread int times;
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    int is_done = times++ % REMOVE_ONE_IN != 0;
    int fd;

    is_ours = 1;
    while (!is_done && apr_time_now() < deadline) {
        fd = open(bucket, O_RDWR);
        is_done = remove_empty(fd);
        if (fd >= 0) {
            close(fd);
        }
        sched_yield();
    }
    is_ours = 0;
}

START_TEST(late_names_sizes_and_times_let_no_two_in)
{
    lock_disk_contest_t contest = {.rounds = ROUNDS, .between = remove_bucket};

    contest.locker = lock_disk_locker();
    contest.key = contract_key("a");
    ck_assert_ptr_eq(dp_disk_of(contest.locker)->dir.form, &dp_form_flock);
    bucket = lock_disk_bucket(&contest.key);
    is_late = 1;
    lock_disk_contend(&contest);
    is_late = 0;
    close(removed_fd);
    ck_assert_uint_eq(contest.crowds, 0);
    ck_assert_uint_eq(contest.lost, 0);
    ck_assert_uint_eq(contest.unknown, 0);
    ck_assert_uint_eq(contest.failures, 0);
    ck_assert_uint_eq(contest.taken, 2 * ROUNDS);
    ck_assert_int_ge(removals, 2 * ROUNDS / REMOVE_ONE_IN);
    ck_assert_int_gt(late_opens, ROUNDS);
    ck_assert_int_gt(late_sizes, ROUNDS);
}
END_TEST

UNIT_MAIN("lock/disk late looks, by flock",
          late_names_sizes_and_times_let_no_two_in)
