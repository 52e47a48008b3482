/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker by rename, where clients of a file server see directories,
 * files and their sizes as they were a while ago.
 *
 * This program's own versions of some calls stand between the locker and the
 * kernel. They keep a copy of the bucket after each change. What looks
 * (listing, opening to read) is shown the bucket or an older copy of it, each
 * time another: a client remembers listings, names and attributes apart. What
 * acts (create, write, rename, unlink) acts on the bucket itself, as a file
 * server does. Times of the file `clock` are right: the answer to a touch
 * brings them along.
 */
#include <apr_strings.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock_disk_fixture.h"

#define FDS_MAX 1024
#define FILE_MAX 4096
#define ROUNDS 120
/* One look of so many is late, and by so many changes at the most: some ten
 * steps. So a try that fails has good chances the next time. */
#define ONE_IN 3
#define MEMORY 40
/* One answer of so many to a rename is lost. */
#define LOST_ONE_IN 8

static int is_late; /* only while two contend */
static int loses_answers;
static int unseen_form; /* how often still */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char bucket[PATH_MAX];
static char history[PATH_MAX]; /* of copies, by number */
static int bucket_fd;
static int ncopies;         /* under the mutex, as what follows */
static int looks_late;      /* looks that were shown a copy */
static int renames_in_vain; /* renames of what didn't count any more */
static int answers_lost;
static char is_view[FDS_MAX]; /* descriptors of the bucket or a copy of it */

/* The C library's version of a call. */
#define REAL(type, name, ...)                                                  \
    type (*real_##name)(__VA_ARGS__) =                                         \
        (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* With its times. */
static void copy_file(int to, const char *name)
{
    REAL(int, openat, int, const char *, int, ...);
    char bytes[FILE_MAX];
    struct timespec times[2];
    struct stat info;
    int source = real_openat(bucket_fd, name, O_RDONLY);
    int copy = real_openat(to, name, O_WRONLY | O_CREAT, 0600);
    ssize_t size = read(source, bytes, sizeof(bytes));

    fstat(source, &info);
    times[0] = times[1] = info.st_mtim;
    if (source < 0 || copy < 0 || size < 0 || write(copy, bytes, size) != size
        || futimens(copy, times) != 0) {
        abort();
    }
    close(source);
    close(copy);
}

static void remember_locked(void)
{
    char path[PATH_MAX + 16];
    const struct dirent *entry;
    DIR *names = opendir(bucket);
    int copy;

    snprintf(path, sizeof(path), "%s/%d", history, ncopies);
    if (names == NULL || mkdir(path, 0700) != 0) {
        abort();
    }
    copy = open(path, O_RDONLY | O_DIRECTORY);
    for (entry = readdir(names); entry; entry = readdir(names)) {
        if (entry->d_name[0] != '.') {
            copy_file(copy, entry->d_name);
        }
    }
    closedir(names);
    close(copy);
    ncopies++;
}

/* Where a look leads: into the bucket, or what it was. */
static const char *choose_view(char path[PATH_MAX + 16])
{
    int age;

    pthread_mutex_lock(&mutex);
    age = random() % ONE_IN ? 0 : 1 + (int)(random() % MEMORY);
    if (age == 0 || age > ncopies) {
        snprintf(path, PATH_MAX, "%s", bucket);
    }
    else {
        snprintf(path, PATH_MAX + 16, "%s/%d", history, ncopies - age);
        looks_late++;
    }
    pthread_mutex_unlock(&mutex);
    return path;
}

static int is_view_fd(int fd)
{
    return is_late && fd >= 0 && fd < FDS_MAX && is_view[fd];
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT ? (mode_t)va_arg(arguments, unsigned int) : 0;
}

int open(const char *path, int flags, ...)
{
    REAL(int, open, const char *, int, ...);
    char view[PATH_MAX + 16];
    va_list arguments;
    mode_t mode;
    int fd;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    if (!is_late || strcmp(path, bucket) != 0) {
        return real_open(path, flags, mode);
    }
    fd = real_open(choose_view(view), flags);
    if (fd >= FDS_MAX) {
        abort();
    }
    if (fd >= 0) {
        is_view[fd] = 1;
    }
    return fd;
}

int close(int fd)
{
    REAL(int, close, int);

    if (fd >= 0 && fd < FDS_MAX) {
        is_view[fd] = 0;
    }
    return real_close(fd);
}

/* A name is looked up, or a file is made. */
int openat(int fd, const char *name, int flags, ...)
{
    REAL(int, openat, int, const char *, int, ...);
    char path[PATH_MAX + 64];
    va_list arguments;
    mode_t mode;
    int made;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    if (!is_view_fd(fd)) {
        return real_openat(fd, name, flags, mode);
    }
    if ((flags & O_CREAT) == 0) {
        choose_view(path);
        strcat(strcat(path, "/"), name);
        return real_openat(AT_FDCWD, path, flags);
    }
    pthread_mutex_lock(&mutex);
    made = real_openat(bucket_fd, name, flags, mode);
    remember_locked();
    pthread_mutex_unlock(&mutex);
    return made;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    ssize_t put;

    if (!is_late) {
        return real_pwrite(fd, bytes, size, offset);
    }
    pthread_mutex_lock(&mutex);
    put = real_pwrite(fd, bytes, size, offset);
    remember_locked();
    pthread_mutex_unlock(&mutex);
    return put;
}

int renameat(int from, const char *old, int to, const char *new)
{
    REAL(int, renameat, int, const char *, int, const char *);
    int result;
    int error;

    if (!is_view_fd(from)) {
        return real_renameat(from, old, to, new);
    }
    pthread_mutex_lock(&mutex);
    result = real_renameat(bucket_fd, old, bucket_fd, new);
    error = errno;
    remember_locked();
    renames_in_vain += result != 0;
    if (result == 0 && loses_answers && random() % LOST_ONE_IN == 0) {
        answers_lost++;
        result = -1;
        error = ENOENT;
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

int unlinkat(int fd, const char *name, int flags)
{
    REAL(int, unlinkat, int, const char *, int);
    int result;

    if (!is_view_fd(fd)) {
        return real_unlinkat(fd, name, flags);
    }
    pthread_mutex_lock(&mutex);
    result = real_unlinkat(bucket_fd, name, flags);
    remember_locked();
    pthread_mutex_unlock(&mutex);
    return result;
}

int fstatat(int fd, const char *name, struct stat *info, int flags)
{
    REAL(int, fstatat, int, const char *, struct stat *, int);

    if (unseen_form > 0 && strncmp(name, "form", 4) == 0) {
        unseen_form--;
        errno = ENOENT;
        return -1;
    }
    return real_fstatat(fd, name, info, flags);
}

static int damages; /* that were reported */

static void count_damages(void *baton, dogpile_log_level_e level, int id,
                          apr_status_t status, const char *text)
{
    (void)baton;
    (void)level;
    (void)status;
    (void)text;
    damages += id == 701;
}

static const dogpile_log_t log_of_damages = {.write = count_damages};

static int count_files(void)
{
    const struct dirent *entry;
    DIR *names = opendir(bucket);
    int files = 0;

    ck_assert_ptr_nonnull(names);
    for (entry = readdir(names); entry; entry = readdir(names)) {
        files += entry->d_name[0] != '.';
    }
    closedir(names);
    return files;
}

/* And what is left when they are done: one version, and that it counts. */
static lock_disk_contest_t contend(void)
{
    lock_disk_contest_t contest = {.rounds = ROUNDS};
    dogpile_locker_conf_t *conf;
    dogpile_id_t token;

    contract_under_test = &lock_disk_rename_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);
    conf->log = &log_of_damages;
    contest.locker = contract_locker(conf);
    contest.key = contract_key("a");
    snprintf(bucket, sizeof(bucket), "%s/form/%02x", conf->directory,
             (unsigned int)contest.key.digest.bytes[0]
                 % (unsigned int)dp_form_rename.nbuckets);
    snprintf(history, sizeof(history), "%s/../history", conf->directory);
    ck_assert_int_eq(mkdir(history, 0700), 0);
    bucket_fd = open(bucket, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(bucket_fd, 0);
    is_late = 1;
    lock_disk_contend(&contest);
    is_late = 0;
    close(bucket_fd);
    ck_assert_int_gt(looks_late, ROUNDS);
    ck_assert_int_gt(renames_in_vain, 0);
    ck_assert_uint_eq(contest.crowds, 0);
    ck_assert_uint_eq(contest.lost, 0);
    ck_assert_uint_eq(contest.failures, 0);
    ck_assert_uint_eq(contest.taken, 2 * ROUNDS);
    ck_assert_int_eq(damages, 0);
    token = contract_take(contest.locker, &contest.key, DOGPILE_EXCLUSIVE);
    contract_release(contest.locker, &contest.key, &token);
    ck_assert_int_eq(count_files(), 2);
    return contest;
}

START_TEST(a_late_look_costs_another_try_and_no_more)
{
    lock_disk_contest_t contest = contend();

    ck_assert_uint_eq(contest.unknown, 0);
}
END_TEST

/* Whether a rename was done is then told by looks that are late. Who doesn't
 * learn that he has given back is told "not there". */
START_TEST(late_looks_and_lost_answers_let_no_two_in)
{
    lock_disk_contest_t contest;

    loses_answers = 1;
    contest = contend();
    ck_assert_int_gt(answers_lost, 0);
    ck_assert_uint_le(contest.unknown, (unsigned int)answers_lost);
}
END_TEST

/* The others' form, made a moment ago. */
START_TEST(a_form_that_is_not_shown_yet_is_found)
{
    const char *directory = lock_disk_directory();

    lock_disk_publish(directory, &dp_form_rename);
    unseen_form = 3;
    ck_assert_ptr_eq(dp_disk_of(lock_disk_locker())->dir.form, &dp_form_rename);
    ck_assert_int_eq(unseen_form, 0);
}
END_TEST

UNIT_MAIN("lock/disk late looks", a_late_look_costs_another_try_and_no_more,
          late_looks_and_lost_answers_let_no_two_in,
          a_form_that_is_not_shown_yet_is_found)
