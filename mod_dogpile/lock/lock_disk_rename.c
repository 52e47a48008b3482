/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket as a chain of versions, for file systems whose flock(2) doesn't
 * exclude other hosts: form/NN holds a file `VERSION` with the leases, never
 * changed once it counts, and an empty file `is-VERSION` that says which one
 * counts. Whoever wants to change the leases writes them to a file of a new
 * version and renames `is-OLD` to `is-NEW`: the file server lets one succeed,
 * and only while OLD still counts.
 *
 * Called by lock_disk_step.c from any thread; nobody waits for anybody, and a
 * host that stops in the middle is in nobody's way.
 *
 * The invariant: a version's name is mostly random and used once, so
 * neither an out-of-date look nor a repeated or late request can undo what
 * others did: a rename of what doesn't count any more fails.
 */
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "lock/lock_disk.h"
#include "lock/lock_disk_io.h"
#include "lock/lockfile.h"

#define COUNTS "is-"
/* The first version has no file: nothing is held. */
#define FIRST "00000000000000000000000000000000"
/* A version's name begins with its number, so that a later one is told from an
 * earlier one; what makes it unique is the random rest. */
#define NUMBER_DIGITS 12

/* What those left whose rename came too late, or who died before it, is removed
 * by whoever comes next, so many files a step. */
#define LEFT_OVERS_MAX 16
/* More names than that aren't ours. */
#define NAMES_MAX 4096

static int is_version(const char *name)
{
    dogpile_id_t id;

    return dp_unhex(id.bytes, sizeof(id.bytes), name);
}

/* Does the call know that this one doesn't count any more? */
static int is_passed(const dp_bucket_t *bucket)
{
    return bucket->passed && bucket->passed[0]
           && strncmp(bucket->version, bucket->passed, NUMBER_DIGITS) <= 0;
}

/* A name that follows. */
static void name_next(char name[DP_ID_HEX_BYTES], const char *version)
{
    char number[NUMBER_DIGITS + 1];
    dogpile_id_t id;

    dp_id_make(&id);
    dp_hex(name, id.bytes, sizeof(id.bytes));
    apr_cpystrn(number, version, sizeof(number));
    snprintf(number, sizeof(number), "%0*llx", NUMBER_DIGITS,
             (strtoull(number, NULL, 16) + 1) & 0xffffffffffff);
    memcpy(name, number, NUMBER_DIGITS);
}

/* Which version counts? EAGAIN while one is about to follow another. */
static apr_status_t list_versions(dp_bucket_t *bucket, DIR *names)
{
    const struct dirent *entry;
    int left = NAMES_MAX;
    int found = 0;

    bucket->old =
        apr_array_make(bucket->pool, LEFT_OVERS_MAX, sizeof(const char *));
    errno = 0;
    for (entry = readdir(names); entry && left > 0; entry = readdir(names)) {
        const char *name = entry->d_name;

        left--;
        if (strncmp(name, COUNTS, strlen(COUNTS)) == 0
            && is_version(name + strlen(COUNTS))) {
            bucket->version = apr_pstrdup(bucket->pool, name + strlen(COUNTS));
            found++;
        }
        else if (bucket->old->nelts < LEFT_OVERS_MAX && is_version(name)) {
            APR_ARRAY_PUSH(bucket->old, const char *) =
                apr_pstrdup(bucket->pool, name);
        }
        errno = 0;
    }
    if (entry == NULL && errno != 0) {
        return dp_io_failure();
    }
    return found == 1 && !is_passed(bucket) ? APR_SUCCESS : EAGAIN;
}

/* The bucket's directory is listed anew each time: an open one may show what
 * was there when it was opened. Leaves it open in bucket->fd. */
static apr_status_t find_version(dp_bucket_t *bucket)
{
    int flags = O_RDONLY | O_DIRECTORY | DP_IO_FLAGS;
    apr_status_t status;
    DIR *names;
    int fd;

    bucket->fd = open(bucket->path, flags);
    if (bucket->fd < 0) {
        return dp_io_failure();
    }
    fd = dup(bucket->fd);
    names = fd < 0 ? NULL : fdopendir(fd);
    if (names == NULL) {
        status = dp_io_failure();
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    status = list_versions(bucket, names);
    closedir(names);
    return status;
}

/* EAGAIN: another version has followed, and this one's file was removed.
 * APR_EINVAL: that isn't a list of leases. */
static apr_status_t read_version(dp_bucket_t *bucket)
{
    struct stat info = {.st_size = 0};
    apr_status_t status;
    int fd;

    if (strcmp(bucket->version, FIRST) == 0) {
        return dp_bucket_parse(bucket);
    }
    fd = openat(bucket->fd, bucket->version, O_RDONLY | DP_IO_FLAGS);
    if (fd < 0) {
        return errno == ENOENT ? EAGAIN : dp_io_failure();
    }
    status = dp_io_read(&bucket->before, &bucket->before_size, fd,
                        DP_LOCKFILE_BYTES_MAX, bucket->pool);
    if (fstat(fd, &info) != 0) {
        status = dp_io_failure();
    }
    close(fd);
    bucket->written = dp_io_written(&info);
    if (status == APR_SUCCESS && bucket->before_size == 0) {
        return APR_EINVAL; /* a crash of the server took what was written */
    }
    return status == APR_SUCCESS ? dp_bucket_parse(bucket) : status;
}

static void rename_leave(dp_bucket_t *bucket)
{
    if (bucket->fd >= 0) {
        close(bucket->fd);
    }
    bucket->fd = -1;
}

/* The new version's file, complete on the file server: closing sends what
 * wasn't sent yet and says whether it arrived (close(2), NFS). Not synced: if
 * the server loses it in a crash, that will be seen. */
static apr_status_t write_version(const dp_bucket_t *bucket,
                                  const char *version, const char *bytes,
                                  apr_size_t size)
{
    int fd = openat(bucket->fd, version,
                    O_RDWR | O_CREAT | O_EXCL | DP_IO_FLAGS, 0600);
    apr_status_t status;

    if (fd < 0) {
        return dp_io_failure();
    }
    status = dp_io_adopt(fd, bucket->fd);
    if (status == APR_SUCCESS) {
        status = dp_io_write(fd, bytes, size);
    }
    if (close(fd) != 0 && status == APR_SUCCESS) {
        status = dp_io_failure();
    }
    if (status != APR_SUCCESS) {
        (void)unlinkat(bucket->fd, version, 0);
    }
    /* Removed meanwhile: another version has followed. */
    return status == ESTALE ? EAGAIN : status;
}

/* The rename wasn't done, says the file server. It may have been done
 * nevertheless, and the answer to the first request been lost. A look tells;
 * if it is out of date, the next try does, which asks for a later version. The new version's file may count,
 * so it is left to whoever comes next. */
static apr_status_t find_out(const dp_bucket_t *bucket, const char *version,
                             apr_status_t failure)
{
    dp_bucket_t now = *bucket;
    apr_status_t status = find_version(&now);

    rename_leave(&now);
    if (status != APR_SUCCESS) {
        return status;
    }
    return strcmp(now.version, version) == 0 ? APR_SUCCESS
           : failure == ENOENT               ? EAGAIN
                                             : failure;
}

static apr_status_t follow(const dp_bucket_t *bucket, const char *version)
{
    const char *from = apr_pstrcat(bucket->pool, COUNTS, bucket->version, NULL);
    const char *to = apr_pstrcat(bucket->pool, COUNTS, version, NULL);
    apr_status_t failure;

    if (renameat(bucket->fd, from, bucket->fd, to) == 0) {
        return APR_SUCCESS;
    }
    failure = dp_io_failure();
    if (failure == ENOENT && bucket->passed) {
        apr_cpystrn(bucket->passed, bucket->version, DP_ID_HEX_BYTES);
    }
    return find_out(bucket, version, failure);
}

/* Remove the version before, and all others that were there when our own was
 * begun. Whoever wrote one of them had seen, at the latest, what we have
 * followed: its rename fails. */
static void tidy(const dp_bucket_t *bucket)
{
    int i;

    for (i = 0; i < bucket->old->nelts; i++) {
        const char *name = APR_ARRAY_IDX(bucket->old, i, const char *);

        if (strcmp(name, bucket->version) != 0) {
            (void)unlinkat(bucket->fd, name, 0);
        }
    }
    if (strcmp(bucket->version, FIRST) != 0) {
        (void)unlinkat(bucket->fd, bucket->version, 0);
    }
}

static apr_status_t rename_save(dp_bucket_t *bucket)
{
    char version[DP_ID_HEX_BYTES];
    const char *bytes;
    apr_size_t size;
    apr_status_t status;

    status = dp_lockfile_write(&bytes, &size, bucket->leases, bucket->pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    name_next(version, bucket->version);
    status = write_version(bucket, version, bytes, size);
    if (status == APR_SUCCESS) {
        status = follow(bucket, version);
    }
    if (status == APR_SUCCESS) {
        tidy(bucket);
    }
    return status;
}

/* What counts can't be understood: keep it for people, begin anew. If it
 * doesn't count any more, saving fails, and it was no loss. */
static apr_status_t set_aside(dp_bucket_t *bucket)
{
    const char *bad = apr_pstrcat(bucket->pool, bucket->path, ".bad", NULL);
    const char *file =
        apr_pstrcat(bucket->pool, bucket->path, "/", bucket->version, NULL);
    int is_kept = rename(file, bad) == 0;
    apr_status_t status;

    bucket->leases = apr_array_make(bucket->pool, 1, sizeof(dp_lease_t));
    status = rename_save(bucket);
    if (status == APR_SUCCESS) {
        dp_bucket_report(bucket, is_kept ? bad : NULL);
    }
    return status == APR_SUCCESS ? APR_EINVAL : status;
}

/* A version that is gone and still counts was lost by the file server. But
 * both are looks. An exclusive create fails where only the look was wrong, and
 * leaves an empty file where it was right: one that is damaged. */
static void mark_lost(const dp_bucket_t *bucket)
{
    dp_bucket_t now = *bucket;
    apr_status_t status = find_version(&now);

    rename_leave(&now);
    if (status == APR_SUCCESS && strcmp(now.version, bucket->version) == 0) {
        (void)write_version(bucket, bucket->version, "", 0);
    }
}

/*
 * What was read isn't a list of leases. So a client shows a sound version, too,
 * when it remembers how that was in the making. It is believed when the file
 * is older than a lease, whatever was in it: then all that is over. APR_EINVAL,
 * or until then EAGAIN.
 */
static apr_status_t judge_damage(dp_bucket_t *bucket)
{
    apr_status_t status =
        dp_lockdir_now(&bucket->now, bucket->dir, bucket->pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    return bucket->now - bucket->written > bucket->dir->lease_usec ? APR_EINVAL
                                                                   : EAGAIN;
}

static apr_status_t enter_version(dp_bucket_t *bucket)
{
    apr_status_t status = read_version(bucket);

    if (status == APR_SUCCESS) {
        return dp_lockdir_now(&bucket->now, bucket->dir, bucket->pool);
    }
    if (status == EAGAIN) {
        mark_lost(bucket);
    }
    if (status == APR_EINVAL) {
        status = judge_damage(bucket);
    }
    return status == APR_EINVAL ? set_aside(bucket) : status;
}

static apr_status_t rename_enter(dp_bucket_t *bucket)
{
    apr_status_t status = find_version(bucket);

    if (status == APR_SUCCESS) {
        status = enter_version(bucket);
    }
    if (status != APR_SUCCESS) {
        rename_leave(bucket);
    }
    return status;
}

static apr_status_t rename_look(dp_bucket_t *bucket)
{
    apr_status_t status = find_version(bucket);

    if (status == APR_SUCCESS) {
        status = read_version(bucket);
    }
    rename_leave(bucket);
    if (status == APR_EINVAL) {
        return judge_damage(bucket);
    }
    /* A directory that isn't there isn't an empty bucket. */
    return status == ENOENT ? ENOTDIR : status;
}

const dp_form_t dp_form_rename = {.name = "rename",
                                  .nbuckets = 64,
                                  .enter = rename_enter,
                                  .save = rename_save,
                                  .confirm = rename_save,
                                  .leave = rename_leave,
                                  .look = rename_look};
