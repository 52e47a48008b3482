/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk store: metatiles as files below one directory, on this host or on
 * a file server that several hosts mount.
 *
 * create and prepare run in the parent, child_init once in each child, look in
 * any thread of a child, once a request, without any lock: the file that is
 * open is whole, and stays so when it is replaced or removed. After child_init
 * nothing of the store changes but two atomic notes of what was logged.
 *
 * Files are opened by APR, not by open(2) and apr_os_file_put(): a file made
 * that way has no cleanup that follows it when httpd moves it to another pool
 * (apr_file_setaside), and would be closed too early or never.
 *
 * Invariant: a file below the root is trusted as little as a request.
 */
#include "store/store_disk.h"

#include <apr_atomic.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "store/store.h"

/* With the longest path below it, well within PATH_MAX. */
#define ROOT_BYTES_MAX 1024
#define MODE_UNKNOWN 0700

static const char *create(dogpile_store_t **store,
                          const dogpile_store_conf_t *conf,
                          apr_pool_t *result_pool)
{
    dp_store_disk_t *disk;
    char *root = apr_pstrdup(result_pool, conf->where);
    apr_size_t length = strlen(root);

    while (length > 0 && root[length - 1] == '/') {
        root[--length] = '\0';
    }
    if (root[0] != '/' || length > ROOT_BYTES_MAX) {
        return apr_psprintf(result_pool,
                            "disk:%s: an absolute path of at most %d bytes is "
                            "allowed, such as disk:/var/cache/apache2/dogpile",
                            conf->where, ROOT_BYTES_MAX);
    }
    if (conf->limit_bytes != 0) {
        return "limit= is not known to the disk store";
    }
    disk = apr_pcalloc(result_pool, sizeof(*disk));
    disk->store.provider = &dp_store_disk;
    disk->store.conf = conf;
    disk->root = root;
    disk->mode = MODE_UNKNOWN;
    *store = &disk->store;
    return NULL;
}

/* Never fails: a store that can't be used now may be mounted later, and one
 * that is read-only still serves hits. */
static apr_status_t child_init(dogpile_store_t *store, apr_pool_t *child_pool)
{
    dp_store_disk_t *disk = (dp_store_disk_t *)store;
    apr_status_t status = dp_disk_read_id(disk, &store->id, child_pool);

    dp_disk_learn_mode(disk);
    if (status != APR_SUCCESS) {
        memset(&store->id, 0, sizeof(store->id));
        dp_log(store->conf->log, DOGPILE_LOG_WARNING, 404, status,
               "%s/" DP_DISK_ID " can't be read, so this host can't tell "
               "whether a lock of another one is about the same store",
               disk->root);
    }
    return APR_SUCCESS;
}

/* There is nothing, or what was there has just gone from a file server. */
static int is_absence(apr_status_t status)
{
    return status == ENOENT || status == ENOTDIR || status == ESTALE;
}

static apr_status_t read_beginning(dogpile_blob_t *blob, apr_pool_t *pool)
{
    unsigned char *bytes;
    apr_os_file_t fd;
    struct stat info;
    ssize_t got;

    apr_os_file_get(&fd, blob->file);
    if (fstat(fd, &info) != 0) {
        return errno;
    }
    if (!S_ISREG(info.st_mode) || info.st_size > DP_RECORD_BYTES_MAX) {
        return APR_SUCCESS;
    }
    blob->length = (apr_size_t)info.st_size;
    blob->have =
        blob->length < DOGPILE_BLOB_HEAD ? blob->length : DOGPILE_BLOB_HEAD;
    bytes = apr_palloc(pool, blob->have);
    do {
        got = pread(fd, bytes, blob->have, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno;
    }
    blob->bytes = bytes;
    blob->have = (apr_size_t)got;
    return APR_SUCCESS;
}

static apr_status_t open_once(dogpile_blob_t *blob, const char *path,
                              apr_pool_t *pool)
{
    /* Not blocking: a fifo of that name must not stop a thread. */
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_BINARY
                        | APR_FOPEN_SENDFILE_ENABLED | APR_FOPEN_NONBLOCK;
    apr_status_t status;

    memset(blob, 0, sizeof(*blob));
    status = apr_file_open(&blob->file, path, flags, 0, pool);
    if (status != APR_SUCCESS) {
        blob->file = NULL;
        /* A link to itself, a socket: something, but no record. */
        return status == ELOOP || status == ENXIO ? APR_SUCCESS : status;
    }
    status = read_beginning(blob, pool);
    if (status != APR_SUCCESS) {
        dp_disk_close(blob);
    }
    return status;
}

apr_status_t dp_disk_open(dogpile_blob_t *blob, const char *path,
                          apr_pool_t *pool)
{
    apr_status_t status = open_once(blob, path, pool);

    /* Replaced on the file server between our look at its directory and our
     * open: the name now leads to the new one. */
    if (status == ESTALE) {
        status = open_once(blob, path, pool);
    }
    return is_absence(status) ? APR_NOTFOUND : status;
}

void dp_disk_close(dogpile_blob_t *blob)
{
    if (blob->file != NULL) {
        apr_file_close(blob->file);
        blob->file = NULL;
    }
}

static apr_status_t look(dogpile_store_t *store, const dogpile_key_t *key,
                         dogpile_blob_t *blob, apr_pool_t *result_pool)
{
    const dp_store_disk_t *disk = (const dp_store_disk_t *)store;

    return dp_disk_open(blob, dp_disk_path(disk, key, result_pool),
                        result_pool);
}

static const char *locker_directory(dogpile_store_t *store, apr_pool_t *pool)
{
    const dp_store_disk_t *disk = (const dp_store_disk_t *)store;

    return apr_pstrcat(pool, disk->root, "/" DP_DISK_LOCKS, NULL);
}

static void describe(dogpile_store_t *store, dogpile_row_fn *row, void *baton,
                     apr_pool_t *scratch_pool)
{
    dp_store_disk_t *disk = (dp_store_disk_t *)store;
    apr_status_t last = (apr_status_t)apr_atomic_read32(&disk->last_put);
    char text[DP_LOG_LINE_MAX];
    struct statvfs space;

    row(baton, "type", store->provider->type);
    row(baton, "path", disk->root);
    row(baton, "id",
        dp_id_is_none(&store->id)
            ? "unknown"
            : dp_hex(text, store->id.bytes, sizeof(store->id.bytes)));
    if (statvfs(disk->root, &space) == 0) {
        row(baton, "free",
            apr_psprintf(scratch_pool,
                         "%" APR_UINT64_T_FMT " MiB of %" APR_UINT64_T_FMT
                         " MiB",
                         (apr_uint64_t)space.f_bavail * space.f_frsize >> 20,
                         (apr_uint64_t)space.f_blocks * space.f_frsize >> 20));
    }
    row(baton, "last write",
        last == APR_SUCCESS ? "good" : apr_strerror(last, text, sizeof(text)));
}

const dogpile_store_provider_t dp_store_disk = {
    .version = DOGPILE_STORE_VERSION,
    .type = "disk",
    .create = create,
    .prepare = dp_disk_prepare,
    .child_init = child_init,
    .look = look,
    .put = dp_disk_put,
    .set_aside = dp_disk_set_aside,
    .locker_type = "disk",
    .locker_directory = locker_directory,
    .describe = describe,
};
