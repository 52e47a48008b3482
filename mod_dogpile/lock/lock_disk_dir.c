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
#include <sys/vfs.h>
#include <unistd.h>

#include "base/digest.h"
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
           || strncmp(name, ".try-", 5) == 0;
}

/* Something that the locker puts there: files only. */
static int is_ours(const struct dirent *entry)
{
    const char *name = entry->d_name;

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

const char *dp_lockdir_prepare(const char *path, apr_uid_t uid, apr_gid_t gid,
                               int with_group, apr_pool_t *scratch_pool)
{
    const char *wrong = NULL;
    const char *why;
    apr_status_t status;
    int made;

    status = dp_make_directory(path, mode_of(with_group), uid, gid, &made,
                               scratch_pool);
    if (status != APR_SUCCESS) {
        return apr_psprintf(scratch_pool, "can't make the directory %s: %s",
                            path, reason(scratch_pool, status));
    }
    if (!made) {
        wrong = use_directory(path, uid, gid, with_group, scratch_pool);
    }
    if (!wrong
        && dp_try_as(uid, gid, path, DP_TRY_FLOCK, &why, scratch_pool)
               != APR_SUCCESS) {
        wrong = apr_psprintf(scratch_pool, "can't lock in %s: %s", path, why);
    }
    return wrong;
}

int dp_lockdir_is_remote(const char *path)
{
    /* statfs(2): NFS, SMB, CIFS, SMB2, FUSE, Ceph, AFS, Lustre, 9P. */
    static const unsigned long kinds[] = {0x6969,     0x517b,     0xff534d42,
                                          0xfe534d42, 0x65735546, 0x00c36400,
                                          0x5346414f, 0x0bd00bd0, 0x01021997};
    struct statfs info;
    apr_size_t i;

    if (statfs(path, &info) != 0) {
        return 0;
    }
    for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (((unsigned long)info.f_type & 0xffffffffUL) == kinds[i]) {
            return 1;
        }
    }
    return 0;
}
