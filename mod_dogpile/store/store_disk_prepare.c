/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the disk store's directory ready, once, when the server really
 * starts, by the parent and usually as root: make it, give it to the user of
 * the children, try it as that user, and then, as that user, make what the
 * store itself keeps there.
 *
 * The store's id is linked into place, so that of two hosts which start at
 * once the first one's stands, and both read the same.
 *
 * Invariant: root itself touches nothing inside the directory; see
 * base/tryas.h.
 */
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/tryas.h"
#include "store/store_disk.h"

#define ROOT_MODE 0700
/* Longer than any write takes. */
#define LEFT_OVER_SEC 3600
#define ID_FILE_BYTES DP_ID_HEX_BYTES /* 32 digits and a line end */

apr_status_t dp_disk_read_id(const dp_store_disk_t *disk, dogpile_id_t *id,
                             apr_pool_t *scratch_pool)
{
    const char *path =
        apr_pstrcat(scratch_pool, disk->root, "/" DP_DISK_ID, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char text[ID_FILE_BYTES + 1];
    ssize_t got;

    if (fd < 0) {
        return errno == ENOENT ? APR_NOTFOUND : errno;
    }
    got = read(fd, text, sizeof(text));
    close(fd);
    if (got != ID_FILE_BYTES || text[got - 1] != '\n') {
        return APR_EINVAL;
    }
    text[got - 1] = '\0';
    return dp_unhex(id->bytes, sizeof(id->bytes), text) && !dp_id_is_none(id)
               ? APR_SUCCESS
               : APR_EINVAL;
}

static apr_status_t write_id(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    apr_status_t status = APR_SUCCESS;
    char text[ID_FILE_BYTES + 1];
    dogpile_id_t id;

    if (fd < 0) {
        return errno;
    }
    dp_id_make(&id);
    dp_hex(text, id.bytes, sizeof(id.bytes));
    text[ID_FILE_BYTES - 1] = '\n';
    errno = EIO;
    if (write(fd, text, ID_FILE_BYTES) != ID_FILE_BYTES || fsync(fd) != 0) {
        status = errno;
    }
    close(fd);
    return status;
}

/* What is done as the user. */
typedef struct setup_t {
    dp_store_disk_t *disk;
    apr_pool_t *pool;
} setup_t;

static apr_status_t complain(char why[DP_WHY_BYTES], const char *what,
                             apr_status_t status)
{
    snprintf(why, DP_WHY_BYTES, "%s: %s", what, strerror(status));
    return status;
}

static apr_status_t make_id(const setup_t *setup, char *why)
{
    const char *root = setup->disk->root;
    const char *path = apr_pstrcat(setup->pool, root, "/" DP_DISK_ID, NULL);
    const char *draft = apr_psprintf(
        setup->pool, "%s/" DP_DISK_TEMPORARY "/id-%ld-%" APR_TIME_T_FMT, root,
        (long)getpid(), apr_time_now());
    dogpile_id_t id;
    apr_status_t status = dp_disk_read_id(setup->disk, &id, setup->pool);

    if (status == APR_NOTFOUND) {
        status = write_id(draft);
        if (status == APR_SUCCESS && link(draft, path) != 0
            && errno != EEXIST) {
            status = errno;
        }
        unlink(draft);
        if (status != APR_SUCCESS) {
            return complain(why, path, status);
        }
        status = dp_disk_read_id(setup->disk, &id, setup->pool);
    }
    if (status == APR_EINVAL) {
        snprintf(why, DP_WHY_BYTES,
                 "%s holds no store id; stop every httpd that uses this store "
                 "and remove it",
                 path);
        return status;
    }
    return status == APR_SUCCESS ? status : complain(why, path, status);
}

/* Temporary files of processes that were killed while they wrote. */
static void remove_left_overs(const setup_t *setup)
{
    const char *path = apr_pstrcat(setup->pool, setup->disk->root,
                                   "/" DP_DISK_TEMPORARY, NULL);
    DIR *directory = opendir(path);
    time_t oldest = (time_t)apr_time_sec(apr_time_now()) - LEFT_OVER_SEC;
    const struct dirent *entry;
    struct stat info;

    if (directory == NULL) {
        return;
    }
    for (entry = readdir(directory); entry; entry = readdir(directory)) {
        int flags = AT_SYMLINK_NOFOLLOW;

        if (fstatat(dirfd(directory), entry->d_name, &info, flags) == 0
            && S_ISREG(info.st_mode) && info.st_mtime < oldest) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
}

static apr_status_t set_up(void *baton, char why[DP_WHY_BYTES])
{
    static const char *const names[] = {DP_DISK_TEMPORARY, DP_DISK_EXCLUSION};
    const setup_t *setup = baton;
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *below = apr_pstrcat(setup->pool, setup->disk->root, "/",
                                        names[i], "/", NULL);
        apr_status_t status =
            dp_disk_make_above(setup->disk, below, setup->pool);

        if (status != APR_SUCCESS) {
            return complain(why, below, status);
        }
    }
    remove_left_overs(setup);
    return make_id(setup, why);
}

static int is_empty(int fd)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;
    int entries = 0;

    if (directory == NULL) {
        close(fd);
        return 0;
    }
    do {
        entry = readdir(directory);
        entries += entry != NULL;
    } while (entry != NULL && entries <= 2);
    closedir(directory);
    return entries <= 2;
}

/*
 * "mkdir /srv/tiles" by root is how many begin. What is root's own and empty
 * is meant for the store; anything else is left to its owner.
 */
static void give_if_empty(const char *root, apr_uid_t uid, apr_gid_t gid)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;

    if (fd < 0) {
        return;
    }
    if (geteuid() == 0 && fstat(fd, &info) == 0 && info.st_uid == 0
        && is_empty(dup(fd))) {
        (void)!fchown(fd, uid, gid);
    }
    close(fd);
}

const char *dp_disk_prepare(dogpile_store_t *store, apr_pool_t *scratch_pool)
{
    dp_store_disk_t *disk = (dp_store_disk_t *)store;
    const dogpile_store_conf_t *conf = store->conf;
    setup_t setup = {.disk = disk, .pool = scratch_pool};
    const char *why = NULL;
    apr_status_t status;

    status = dp_make_directory(disk->root, ROOT_MODE, conf->uid, conf->gid,
                               NULL, scratch_pool);
    if (status != APR_SUCCESS) {
        return apr_psprintf(scratch_pool, "disk:%s can't be created: %s",
                            disk->root, strerror(status));
    }
    give_if_empty(disk->root, conf->uid, conf->gid);
    dp_disk_learn_mode(disk);
    status = dp_try_as(conf->uid, conf->gid, disk->root,
                       DP_TRY_LINK | DP_TRY_FLOCK, &why, scratch_pool);
    if (status == EROFS) {
        dp_log(conf->log, DOGPILE_LOG_WARNING, 405, status,
               "store disk:%s: hits are served, nothing is stored", disk->root);
        return NULL;
    }
    if (status == APR_SUCCESS) {
        status = dp_as_user(conf->uid, conf->gid, set_up, &setup, &why,
                            scratch_pool);
    }
    return status == APR_SUCCESS
               ? NULL
               : apr_psprintf(scratch_pool, "disk:%s can't be used: %s",
                              disk->root, why);
}
