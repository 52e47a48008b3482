/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which form the buckets of a lock directory have. All who share it must use
 * the same one, so the directory says it: form/flock, or form/00 to form/3f
 * with the first version of each bucket. The first who comes tries whether
 * flock(2) works there and decides; it prepares `form` beside and renames it,
 * which fails when somebody else's is there, since a directory that isn't
 * empty is never replaced (rename(2)).
 *
 * Called by the parent when the server starts, in a process that has become
 * the user, and by each child, on a thread, since the directory may hang.
 *
 * The invariant: `form` is complete when it appears and stays as it is. A host
 * where flock doesn't work never joins those who rely on it.
 */
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock_disk.h"
#include "lock/lock_disk_io.h"

#define FORM DP_FORM_DIRECTORY
#define FIRST_VERSION "is-00000000000000000000000000000000"
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Long enough for the slowest to finish what he is at. */
#define LEFT_OVER_USEC apr_time_from_sec(3600)

/* A new name that begins so. */
static const char *draft_name(const char *prefix, apr_pool_t *pool)
{
    char hex[DP_ID_HEX_BYTES];
    dogpile_id_t id;

    dp_id_make(&id);
    dp_hex(hex, id.bytes, sizeof(id.bytes));
    return apr_pstrcat(pool, prefix, hex, NULL);
}

/* APR_SUCCESS with NULL in `form`: none yet. */
static apr_status_t read_form(const dp_form_t **form, int dirfd)
{
    struct stat info;

    *form = NULL;
    if (fstatat(dirfd, FORM, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? APR_SUCCESS : dp_io_failure();
    }
    if (fstatat(dirfd, FORM "/flock", &info, AT_SYMLINK_NOFOLLOW) == 0) {
        *form = &dp_form_flock;
    }
    else if (errno != ENOENT) {
        return dp_io_failure();
    }
    else if (fstatat(dirfd, FORM "/00", &info, AT_SYMLINK_NOFOLLOW) == 0) {
        *form = &dp_form_rename;
    }
    return *form ? APR_SUCCESS : APR_ENOTIMPL;
}

/* Do two opens of one file exclude each other? NULL, or why not. */
static const char *test_flock(int first, int second, apr_pool_t *pool)
{
    char text[128];

    if (flock(first, LOCK_EX | LOCK_NB) != 0) {
        return apr_psprintf(pool, "flock says: %s",
                            apr_strerror(errno, text, sizeof(text)));
    }
    if (flock(second, LOCK_EX | LOCK_NB) == 0) {
        return "flock lets two in at once";
    }
    return NULL;
}

/* Does flock work? `why_not` is NULL, or the reason. */
static apr_status_t try_flock(const char **why_not, int dirfd, apr_pool_t *pool)
{
    const char *name = draft_name(DP_TRY_DRAFT, pool);
    int first =
        openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | DP_IO_FLAGS, 0600);
    int second;

    if (first < 0) {
        return dp_io_failure();
    }
    second = openat(dirfd, name, O_RDWR | DP_IO_FLAGS);
    *why_not = dp_mount_distrust(dirfd, pool);
    if (*why_not == NULL && second >= 0) {
        *why_not = test_flock(first, second, pool);
    }
    (void)unlinkat(dirfd, name, 0);
    close(first);
    if (second < 0) {
        return dp_io_failure();
    }
    close(second);
    return APR_SUCCESS;
}

/* An empty file in an open directory, for whom the directory is. */
static apr_status_t make_file(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | DP_IO_FLAGS, 0600);
    apr_status_t status;

    if (fd < 0) {
        return dp_io_failure();
    }
    status = dp_io_adopt(fd, dirfd);
    close(fd);
    return status;
}

/* A directory in an open one, likewise; left open. */
static apr_status_t make_directory(int *fd, int dirfd, const char *name)
{
    if (mkdirat(dirfd, name, 0700) != 0) {
        return dp_io_failure();
    }
    *fd = openat(dirfd, name, DIRECTORY_FLAGS);
    return *fd < 0 ? dp_io_failure() : dp_io_adopt(*fd, dirfd);
}

static apr_status_t fill_draft(int draft, const dp_form_t *form)
{
    apr_status_t status = APR_SUCCESS;
    char name[8];
    int bucket;
    int i;

    if (form == &dp_form_flock) {
        return make_file(draft, "flock");
    }
    for (i = 0; i < form->nbuckets && status == APR_SUCCESS; i++) {
        snprintf(name, sizeof(name), "%02x", (unsigned int)i & 0xff);
        bucket = -1;
        status = make_directory(&bucket, draft, name);
        if (status == APR_SUCCESS) {
            status = make_file(bucket, FIRST_VERSION);
        }
        if (bucket >= 0) {
            close(bucket);
        }
    }
    return status;
}

/* Whatever there is of a draft that nobody is at any more. */
static void remove_draft(int dirfd, const char *name, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < dp_form_rename.nbuckets; i++) {
        const char *bucket =
            apr_psprintf(pool, "%s/%02x", name, (unsigned int)i);

        (void)unlinkat(dirfd,
                       apr_pstrcat(pool, bucket, "/" FIRST_VERSION, NULL), 0);
        (void)unlinkat(dirfd, bucket, AT_REMOVEDIR);
    }
    (void)unlinkat(dirfd, apr_pstrcat(pool, name, "/flock", NULL), 0);
    (void)unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* Somebody else may be faster: that is not a failure. */
static apr_status_t publish(int dirfd, const dp_form_t *form, apr_pool_t *pool)
{
    const char *name = draft_name(DP_FORM_DRAFT, pool);
    int draft = -1;
    apr_status_t status = make_directory(&draft, dirfd, name);

    if (status == APR_SUCCESS) {
        status = fill_draft(draft, form);
    }
    if (draft >= 0) {
        close(draft);
    }
    if (status == APR_SUCCESS && renameat(dirfd, name, dirfd, FORM) != 0) {
        status =
            errno == EEXIST || errno == ENOTEMPTY ? EAGAIN : dp_io_failure();
    }
    if (status != APR_SUCCESS) {
        remove_draft(dirfd, name, pool);
    }
    return status == EAGAIN ? APR_SUCCESS : status;
}

apr_status_t dp_form_publish(const char *path, const dp_form_t *form,
                             apr_pool_t *scratch_pool)
{
    int dirfd = open(path, DIRECTORY_FLAGS);
    apr_status_t status;

    if (dirfd < 0) {
        return dp_io_failure();
    }
    status = publish(dirfd, form, scratch_pool);
    close(dirfd);
    return status;
}

/* The form that is there, after all that was done. A client that remembers
 * that there was none is asked again for a while. */
static apr_status_t read_settled(const dp_form_t **form, int dirfd)
{
    dp_patience_t patience = dp_patience_make(DP_BUCKET_WAIT_USEC);
    apr_status_t status;

    do {
        status = read_form(form, dirfd);
        if (status == APR_SUCCESS && *form == NULL) {
            status = EAGAIN;
        }
    } while (dp_patience_again(&patience, status));
    return status == EAGAIN ? APR_TIMEUP : status;
}

/* Learn the form, or decide. */
static apr_status_t settle(const dp_form_t **form, const char **why_not,
                           int dirfd, const dp_lockdir_t *dir, apr_pool_t *pool)
{
    apr_status_t status = read_form(form, dirfd);

    if (status != APR_SUCCESS || *form == &dp_form_rename) {
        return status;
    }
    status = try_flock(why_not, dirfd, pool);
    if (status != APR_SUCCESS || *form != NULL) {
        return status;
    }
    status = publish(dirfd, *why_not ? &dp_form_rename : &dp_form_flock, pool);
    if (status == APR_SUCCESS) {
        status = read_settled(form, dirfd);
    }
    if (status == APR_SUCCESS && *form == &dp_form_rename && *why_not) {
        dp_log(dir->log, DOGPILE_LOG_NOTICE, 705, APR_SUCCESS,
               "locker %s: %s keeps its locks by rename: %s", dir->name,
               dir->path, *why_not);
    }
    return status;
}

apr_status_t dp_form_settle(dp_lockdir_t *dir, const char **why,
                            apr_pool_t *pool)
{
    const dp_form_t *form = NULL;
    const char *why_not = NULL;
    int dirfd = open(dir->path, DIRECTORY_FLAGS);
    apr_status_t status;
    char text[128];

    status =
        dirfd < 0 ? dp_io_failure() : settle(&form, &why_not, dirfd, dir, pool);
    if (status == APR_SUCCESS && form == &dp_form_flock && why_not) {
        *why = apr_psprintf(pool,
                            "is shared with hosts that use flock, which "
                            "doesn't work here: %s",
                            why_not);
        status = ENOLCK;
    }
    else if (status != APR_SUCCESS) {
        *why = apr_psprintf(pool, "can't be used: %s",
                            apr_strerror(status, text, sizeof(text)));
    }
    else {
        __atomic_store_n(&dir->is_remote, dp_mount_is_remote(dirfd),
                         __ATOMIC_RELEASE);
        __atomic_store_n(&dir->form, form, __ATOMIC_RELEASE);
    }
    if (dirfd >= 0) {
        close(dirfd);
    }
    return status;
}

void dp_form_tidy(const dp_lockdir_t *dir, apr_pool_t *pool)
{
    DIR *names = opendir(dir->path);
    const struct dirent *entry;
    struct stat info;
    apr_time_t now;

    if (names == NULL || dp_lockdir_now(&now, dir, pool) != APR_SUCCESS) {
        if (names) {
            closedir(names);
        }
        return;
    }
    for (entry = readdir(names); entry; entry = readdir(names)) {
        int is_try =
            strncmp(entry->d_name, DP_TRY_DRAFT, strlen(DP_TRY_DRAFT)) == 0;
        int is_form =
            strncmp(entry->d_name, DP_FORM_DRAFT, strlen(DP_FORM_DRAFT)) == 0;

        if ((!is_try && !is_form)
            || fstatat(dirfd(names), entry->d_name, &info, AT_SYMLINK_NOFOLLOW)
                   != 0
            || now - apr_time_from_sec((apr_time_t)info.st_mtim.tv_sec)
                   < LEFT_OVER_USEC) {
            continue;
        }
        if (is_form) {
            remove_draft(dirfd(names), entry->d_name, pool);
        }
        else {
            (void)unlinkat(dirfd(names), entry->d_name, 0);
        }
    }
    closedir(names);
}
