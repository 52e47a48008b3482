/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the disk store share: the store, its paths, its short
 * exclusion. Only for store_*.c and their tests.
 */
#ifndef DP_STORE_STORE_DISK_H
#define DP_STORE_STORE_DISK_H

#include <sys/types.h>

#include "store/record.h"

/* What the store itself keeps beside the sources. An escaped text never
 * begins with a dot, so no source can have one of these names. */
#define DP_DISK_TEMPORARY ".tmp"
#define DP_DISK_EXCLUSION ".exclusion"
#define DP_DISK_LOCKS ".locks"
#define DP_DISK_ID ".store-id"

typedef struct dp_store_disk_t {
    dogpile_store_t store; /* first */
    const char *root;      /* absolute, without a final slash */
    mode_t mode;           /* of directories: that of the root */
    /* Atomic: what was logged, so that a full disk is said once and not once
     * a metatile. */
    apr_uint32_t last_put;   /* what the last put came to */
    apr_uint32_t said_put;   /* what was last said of puts */
    apr_uint32_t failed_sec; /* when a failure was last said */
    apr_uint32_t said_stuck; /* that a bad record can't be set aside */
} dp_store_disk_t;

/* Where the record of `key` is. */
const char *dp_disk_path(const dp_store_disk_t *disk, const dogpile_key_t *key,
                         apr_pool_t *pool);

/*
 * A name of a directory made from any text: [A-Za-z0-9.-] stay, but no dot in
 * front; everything else is "_"; at most 48 bytes. Where that changes
 * anything, "-" and 8 hexadecimal digits of the text's digest follow, so that
 * different texts have different names.
 */
#define DP_DISK_NAME_BYTES 48
const char *dp_disk_name(const char *text, apr_pool_t *pool);

/* Take the mode of directories from the root, less what would let anybody
 * write. */
void dp_disk_learn_mode(dp_store_disk_t *disk);

/* Make the directories above `path`, all below the root. */
apr_status_t dp_disk_make_above(const dp_store_disk_t *disk, const char *path,
                                apr_pool_t *scratch_pool);

/*
 * Open and read the beginning of what is at `path`. What isn't a regular file
 * is a blob without bytes, which no reader takes for a record. APR_NOTFOUND
 * when there is nothing.
 */
apr_status_t dp_disk_open(dogpile_blob_t *blob, const char *path,
                          apr_pool_t *pool);

/* Close it before its pool ends. */
void dp_disk_close(dogpile_blob_t *blob);

/*
 * Enter the short exclusion of the bucket that `key` falls in, against every
 * thread of every process of every host that uses the directory. Waits at
 * most one second (APR_TIMEUP). Leave it by closing `fd`.
 */
#define DP_DISK_BUCKETS 64
apr_status_t dp_disk_enter(int *fd, const dp_store_disk_t *disk,
                           const dogpile_digest_t *key,
                           apr_pool_t *scratch_pool);

/* As the members of dogpile_store_provider_t. */
const char *dp_disk_prepare(dogpile_store_t *store, apr_pool_t *scratch_pool);
apr_status_t dp_disk_put(dogpile_store_t *store, const dogpile_key_t *key,
                         const dogpile_id_t *base, const struct iovec *parts,
                         int nparts, apr_pool_t *scratch_pool);
void dp_disk_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                       apr_pool_t *scratch_pool);

/* The id in the store's id file. APR_NOTFOUND when there is no such file,
 * APR_EINVAL when it holds something else. */
apr_status_t dp_disk_read_id(const dp_store_disk_t *disk, dogpile_id_t *id,
                             apr_pool_t *scratch_pool);

#endif
