/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to the disk store: put, by fetcher threads, and set_aside, by
 * whoever stumbled over a bad record.
 *
 * A record is written to a file of its own, brought to the disk, and only
 * then renamed to its name, inside the short exclusion and only if the record
 * of that name is still the one that the writer saw. So a reader never sees
 * half a record, also after a power failure, and a writer that comes too late
 * is refused. The slow part is outside the exclusion.
 *
 * Invariant: every path out of put has either renamed the temporary file or
 * removed it; one of a process that was killed is removed by prepare.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "store/blob.h"
#include "store/store_disk.h"

/* Someone who removes directories as fast as they are made. */
#define RENAME_TRIES 8
#define REPORT_SEC 60

static apr_status_t write_fully(int fd, const struct iovec *part)
{
    const char *bytes = part->iov_base;
    size_t left = part->iov_len;

    while (left > 0) {
        ssize_t wrote = write(fd, bytes, left);

        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        if (wrote > 0) {
            bytes += wrote;
            left -= (size_t)wrote;
        }
    }
    return APR_SUCCESS;
}

/* All parts, down to the disk. A network file system may say only at close
 * that there was no room. */
static apr_status_t write_parts(int fd, const struct iovec *parts, int nparts)
{
    apr_status_t status = APR_SUCCESS;
    int i;

    for (i = 0; i < nparts && status == APR_SUCCESS; i++) {
        status = write_fully(fd, &parts[i]);
    }
    if (status == APR_SUCCESS && fdatasync(fd) != 0) {
        status = errno;
    }
    if (close(fd) != 0 && status == APR_SUCCESS) {
        status = errno;
    }
    return status;
}

static apr_status_t write_temporary(const char **path,
                                    const dp_store_disk_t *disk,
                                    const struct iovec *parts, int nparts,
                                    apr_pool_t *pool)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    char hex[DP_ID_HEX_BYTES];
    apr_status_t status;
    dogpile_id_t id;
    int fd;

    dp_id_make(&id);
    *path =
        apr_psprintf(pool, "%s/" DP_DISK_TEMPORARY "/%ld-%s", disk->root,
                     (long)getpid(), dp_hex(hex, id.bytes, sizeof(id.bytes)));
    fd = open(*path, flags, disk->mode & 0666);
    if (fd < 0 && errno == ENOENT) {
        status = dp_disk_make_above(disk, *path, pool);
        if (status != APR_SUCCESS) {
            return status;
        }
        fd = open(*path, flags, disk->mode & 0666);
    }
    if (fd < 0) {
        return errno;
    }
    status = write_parts(fd, parts, nparts);
    if (status != APR_SUCCESS) {
        unlink(*path);
    }
    return status;
}

/* The write id of the record at `path`; none where there is no record, or
 * something that isn't one. */
static apr_status_t read_write_id(dogpile_id_t *id, const char *path,
                                  const dogpile_key_t *key, apr_pool_t *pool)
{
    dogpile_blob_t blob;
    dp_record_t record;
    apr_status_t status = dp_disk_open(&blob, path, pool);

    memset(id, 0, sizeof(*id));
    if (status == APR_SUCCESS) {
        status = dp_blob_record(&record, &blob, &key->digest, pool);
        dp_disk_close(&blob);
    }
    if (status == APR_SUCCESS) {
        *id = record.write_id;
    }
    return status == APR_NOTFOUND || status == APR_EINVAL ? APR_SUCCESS
                                                          : status;
}

/* Directories may be missing, and may be removed again by someone who clears
 * a layer, between any two steps. */
static apr_status_t rename_over(const dp_store_disk_t *disk, const char *from,
                                const char *to, apr_pool_t *pool)
{
    apr_status_t status;
    int tries = 0;

    do {
        if (rename(from, to) == 0) {
            return APR_SUCCESS;
        }
        status = errno;
        if (status == ENOENT) {
            (void)dp_disk_make_above(disk, to, pool);
        }
    } while (status == ENOENT && ++tries < RENAME_TRIES);
    return status;
}

/* Inside the exclusion: is it still the record that the writer saw? */
static apr_status_t replace_locked(const dp_store_disk_t *disk,
                                   const char *temporary, const char *path,
                                   const dogpile_key_t *key,
                                   const dogpile_id_t *base, apr_pool_t *pool)
{
    dogpile_id_t there;
    apr_status_t status = read_write_id(&there, path, key, pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (!dp_id_equal(&there, base)) {
        return APR_EEXIST;
    }
    return rename_over(disk, temporary, path, pool);
}

static apr_status_t put(const dp_store_disk_t *disk, const dogpile_key_t *key,
                        const dogpile_id_t *base, const struct iovec *parts,
                        int nparts, apr_pool_t *pool)
{
    const char *path = dp_disk_path(disk, key, pool);
    const char *temporary;
    apr_status_t status =
        write_temporary(&temporary, disk, parts, nparts, pool);
    int fd;

    if (status != APR_SUCCESS) {
        return status;
    }
    status = dp_disk_enter(&fd, disk, &key->digest, pool);
    if (status == APR_SUCCESS) {
        status = replace_locked(disk, temporary, path, key, base, pool);
        close(fd);
    }
    if (status != APR_SUCCESS) {
        unlink(temporary);
    }
    return status;
}

/* A disk that is full stays so for hours: say it once, and when it is over.
 * One that is nearly full goes back and forth: not more than once a minute. */
static void report_put(dp_store_disk_t *disk, apr_status_t status)
{
    const dogpile_log_t *log = disk->store.conf->log;
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t said = apr_atomic_read32(&disk->said_put);

    apr_atomic_set32(&disk->last_put, (apr_uint32_t)status);
    if ((apr_uint32_t)status == said
        || (status != APR_SUCCESS
            && now - apr_atomic_read32(&disk->failed_sec) < REPORT_SEC)
        || apr_atomic_cas32(&disk->said_put, (apr_uint32_t)status, said)
               != said) {
        return;
    }
    if (status == APR_SUCCESS) {
        dp_log(log, DOGPILE_LOG_NOTICE, 403, APR_SUCCESS,
               "store disk:%s: metatiles are stored again", disk->root);
        return;
    }
    apr_atomic_set32(&disk->failed_sec, now);
    dp_log(log, DOGPILE_LOG_WARNING, 402, status,
           "store disk:%s: a metatile could not be stored; clients still get "
           "it, but it will be rendered anew for the next ones",
           disk->root);
}

apr_status_t dp_disk_put(dogpile_store_t *store, const dogpile_key_t *key,
                         const dogpile_id_t *base, const struct iovec *parts,
                         int nparts, apr_pool_t *scratch_pool)
{
    dp_store_disk_t *disk = (dp_store_disk_t *)store;
    apr_status_t status = put(disk, key, base, parts, nparts, scratch_pool);

    /* Refused is how a store works, not how it fails. */
    report_put(disk, status == APR_EEXIST ? APR_SUCCESS : status);
    return status;
}

/* Said once: where one can't be set aside, none can, and each look finds it
 * again. */
static void report_stuck(dp_store_disk_t *disk, const char *path,
                         apr_status_t status)
{
    if (!apr_atomic_xchg32(&disk->said_stuck, 1)) {
        dp_log(disk->store.conf->log, DOGPILE_LOG_WARNING, 401, status,
               "%s is torn or foreign, counts as absent, and can't be set "
               "aside; others like it are not mentioned",
               path);
    }
}

/* Inside the exclusion: whoever stumbled may be late, and the record replaced
 * or set aside by another. */
static void set_aside_locked(dp_store_disk_t *disk, const dogpile_key_t *key,
                             const char *path, apr_pool_t *pool)
{
    const char *aside = apr_pstrcat(pool, path, ".bad", NULL);
    dogpile_blob_t blob;
    dp_record_t record;
    apr_status_t status = dp_disk_open(&blob, path, pool);

    if (status == APR_SUCCESS) {
        status = dp_blob_record(&record, &blob, &key->digest, pool);
        dp_disk_close(&blob);
    }
    if (status != APR_EINVAL) {
        return;
    }
    if (rename(path, aside) != 0) {
        report_stuck(disk, path, errno);
        return;
    }
    dp_log(disk->store.conf->log, DOGPILE_LOG_WARNING, 400, APR_SUCCESS,
           "%s was torn or foreign, counts as absent, and is now %s", path,
           aside);
}

void dp_disk_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                       apr_pool_t *scratch_pool)
{
    dp_store_disk_t *disk = (dp_store_disk_t *)store;
    const char *path = dp_disk_path(disk, key, scratch_pool);
    apr_status_t status;
    int fd;

    status = dp_disk_enter(&fd, disk, &key->digest, scratch_pool);
    if (status != APR_SUCCESS) {
        report_stuck(disk, path, status);
        return;
    }
    set_aside_locked(disk, key, path, scratch_pool);
    close(fd);
}
