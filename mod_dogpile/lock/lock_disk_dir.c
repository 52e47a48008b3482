/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the disk locker's private directory, or looks whether the one that is
 * there may be used, and tries it as the user who is going to use it.
 *
 * Called once by the parent when the server really starts, usually as root,
 * which on NFS may be nobody: what root can't do or see there is left to the
 * trial.
 *
 * The invariant: a directory that holds anything that isn't ours is never
 * changed, so a slip such as "DogpileLockDirectory /var/www" ends with a
 * message.
 */
#include "lock/lock_disk.h"

#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/tryas.h"

static mode_t mode_of(int with_group)
{
    return with_group ? 02770 : 0700;
}

static const char *reason(apr_pool_t *pool, int error)
{
    char text[128];

    return apr_pstrdup(pool, apr_strerror(error, text, sizeof(text)));
}

/* Something that file systems put into a directory by themselves, or that a
 * trial (base/tryas.h) left behind. */
static int is_of_the_system(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0
           || strcmp(name, "lost+found") == 0 || strcmp(name, ".snapshot") == 0
           || strncmp(name, ".nfs", 4) == 0
           || strncmp(name, ".fuse_hidden", 12) == 0
           || strncmp(name, DP_TRY_DRAFT, strlen(DP_TRY_DRAFT)) == 0;
}

/* Something that the locker puts there: files, and the form. */
static int is_ours(const struct dirent *entry)
{
    const char *name = entry->d_name;

    if (strcmp(name, DP_FORM_DIRECTORY) == 0
        || strncmp(name, DP_FORM_DRAFT, strlen(DP_FORM_DRAFT)) == 0) {
        return 1;
    }
    if (entry->d_type == DT_DIR) {
        return 0;
    }
    return strcmp(name, DP_CLOCK_FILE) == 0
           || (dp_hex_value(name[0]) >= 0 && dp_hex_value(name[1]) >= 0
               && (name[2] == '\0' || strcmp(name + 2, ".bad") == 0));
}

/* NULL when everything in the directory is ours, or what is wrong. */
static const char *check_content(DIR *dir, const char *path, apr_pool_t *pool)
{
    const char *wrong = NULL;
    struct dirent *entry;

    for (entry = readdir(dir); entry && !wrong; entry = readdir(dir)) {
        if (!is_of_the_system(entry->d_name) && !is_ours(entry)) {
            wrong = apr_psprintf(
                pool,
                "%s holds something else (%s): locks need a directory of "
                "their own, which need not exist",
                path, entry->d_name);
        }
    }
    return wrong;
}

/* Whoever else could put files there could end any lock. */
static const char *check_rights(const struct stat *info, const char *path,
                                apr_uid_t uid, apr_pool_t *pool)
{
    if (info->st_uid != 0 && info->st_uid != uid) {
        return apr_psprintf(pool,
                            "%s belongs to user %ld; it must belong to root "
                            "or to user %ld, who is going to use it",
                            path, (long)info->st_uid, (long)uid);
    }
    if (info->st_mode & S_IWOTH) {
        return apr_psprintf(pool,
                            "everyone may write in %s (mode %04o): locks need "
                            "a private directory, such as one below it",
                            path, (unsigned int)info->st_mode & 07777);
    }
    return NULL;
}

/* Owner, group and mode as they should be. Where we may not set them (root is
 * squashed on NFS) they stay, and the trial says whether they will do; but it
 * can't try for the members of a group. */
static const char *give(int dirfd, const struct stat *info, const char *path,
                        apr_uid_t uid, apr_gid_t gid, int with_group,
                        apr_pool_t *pool)
{
    mode_t mode = mode_of(with_group);
    apr_uid_t owner = geteuid() == 0 ? uid : info->st_uid;

    if ((info->st_uid != owner || info->st_gid != gid)
        && fchown(dirfd, owner, gid) != 0 && (errno != EPERM || with_group)) {
        return apr_psprintf(pool, "can't give %s to user %ld, group %ld: %s",
                            path, (long)owner, (long)gid, reason(pool, errno));
    }
    /* Always: a change of owner clears the setgid bit. */
    if (fchmod(dirfd, mode) != 0 && (errno != EPERM || with_group)) {
        return apr_psprintf(pool, "can't set the mode of %s to %04o: %s", path,
                            (unsigned int)mode, reason(pool, errno));
    }
    return NULL;
}

/* Look into the directory and give it away. A directory that root can't even
 * read (squashed on NFS) is left to the trial. */
static const char *settle(int dirfd, const struct stat *info, const char *path,
                          apr_uid_t uid, apr_gid_t gid, int with_group,
                          apr_pool_t *pool)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const char *wrong;

    if (dir == NULL) {
        int error = errno;

        if (fd >= 0) {
            close(fd);
        }
        return error == EACCES && !with_group
                   ? NULL
                   : apr_psprintf(pool, "can't read the directory %s: %s", path,
                                  reason(pool, error));
    }
    wrong = check_content(dir, path, pool);
    if (!wrong) {
        wrong = give(fd, info, path, uid, gid, with_group, pool);
    }
    closedir(dir);
    return wrong;
}

/* Open it without need of any right to it, and without following a link. */
static const char *open_directory(int *dirfd, struct stat *info,
                                  const char *path, apr_pool_t *pool)
{
    *dirfd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*dirfd >= 0 && fstat(*dirfd, info) == 0) {
        return NULL;
    }
    if (errno == ENOTDIR || errno == ELOOP) {
        return apr_psprintf(pool, "%s is a symbolic link or not a directory",
                            path);
    }
    return apr_psprintf(pool, "can't open the directory %s: %s", path,
                        reason(pool, errno));
}

/* May the directory that is there be used? Then it is given away. */
static const char *use_directory(const char *path, apr_uid_t uid, apr_gid_t gid,
                                 int with_group, apr_pool_t *pool)
{
    struct stat info = {.st_mode = 0};
    int dirfd = -1;
    const char *wrong = open_directory(&dirfd, &info, path, pool);

    if (!wrong) {
        wrong = check_rights(&info, path, uid, pool);
    }
    if (!wrong) {
        wrong = settle(dirfd, &info, path, uid, gid, with_group, pool);
    }
    if (dirfd >= 0) {
        close(dirfd);
    }
    return wrong;
}

/* What the user, and before that this process, does to the directory. */
typedef struct preparation_t {
    const dp_lockdir_t *dir;
    apr_uid_t uid;
    apr_gid_t gid;
    int with_group;
    apr_pool_t *pool;
} preparation_t;

/* Say what is wrong, from another process. */
static apr_status_t refuse(char why[DP_WHY_BYTES], const char *wrong)
{
    apr_cpystrn(why, wrong, DP_WHY_BYTES);
    return APR_EGENERAL;
}

static apr_status_t make(void *baton, char why[DP_WHY_BYTES])
{
    const preparation_t *p = baton;
    const char *path = p->dir->path;
    const char *wrong = NULL;
    apr_status_t status;
    int made;

    status = dp_make_directory(path, mode_of(p->with_group), p->uid, p->gid,
                               &made, p->pool);
    if (status != APR_SUCCESS) {
        return refuse(why,
                      apr_psprintf(p->pool, "can't make the directory %s: %s",
                                   path, reason(p->pool, status)));
    }
    if (!made) {
        wrong = use_directory(path, p->uid, p->gid, p->with_group, p->pool);
    }
    return wrong ? refuse(why, wrong) : APR_SUCCESS;
}

static apr_status_t settle_form(void *baton, char why[DP_WHY_BYTES])
{
    const preparation_t *p = baton;
    dp_lockdir_t dir = *p->dir;
    const char *wrong;

    if (dp_form_settle(&dir, &wrong, p->pool) != APR_SUCCESS) {
        return refuse(why, apr_psprintf(p->pool, "%s %s", p->dir->path, wrong));
    }
    dp_form_tidy(&dir, p->pool);
    return APR_SUCCESS;
}

/* The directory is made and judged as who we are, then tried and its form
 * settled as who will use it. All by processes of their own: this one must
 * not hang with a file server. */
static apr_status_t prepare(preparation_t *p, const char **wrong)
{
    const char *why;
    apr_status_t status =
        dp_as_user(geteuid(), getegid(), make, p, wrong, p->pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    status =
        dp_try_as(p->uid, p->gid, p->dir->path, DP_TRY_WRITE, &why, p->pool);
    if (status != APR_SUCCESS) {
        *wrong =
            apr_psprintf(p->pool, "can't lock in %s: %s", p->dir->path, why);
        return status;
    }
    return dp_as_user(p->uid, p->gid, settle_form, p, wrong, p->pool);
}

const char *dp_lockdir_prepare(const dp_lockdir_t *dir, apr_uid_t uid,
                               apr_gid_t gid, int with_group,
                               apr_pool_t *scratch_pool)
{
    preparation_t p = {.dir = dir,
                       .uid = uid,
                       .gid = gid,
                       .with_group = with_group,
                       .pool = scratch_pool};
    const char *wrong = NULL;
    apr_status_t status = prepare(&p, &wrong);

    if (status == APR_TIMEUP) {
        /* A server that is down keeps no httpd from starting. */
        dp_log(dir->log, DOGPILE_LOG_WARNING, 704, status,
               "locker %s: the lock directory %s doesn't answer; it is used "
               "when it does",
               dir->name, dir->path);
        return NULL;
    }
    return status == APR_SUCCESS ? NULL : wrong;
}
