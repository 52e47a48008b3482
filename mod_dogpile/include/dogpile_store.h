/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store contract: where metatiles are kept.
 *
 * The model. A store maps a metatile's key to one record, a string of bytes
 * that begins with the header of store/record.h. A back end treats it as
 * opaque but for one thing: the write id, DOGPILE_ID_BYTES bytes at offset
 * DOGPILE_RECORD_WRITE_ID. Each write has its own random write id, and a put
 * is accepted only over the version that its writer saw (compare and replace,
 * under a short exclusion). That is all the safety the module has and needs:
 * a writer that was paused, cut off or robbed of its lock is refused.
 *
 * The promises, tested for every back end by tests/contract/store_contract.c:
 *
 *  1. A reader sees the old record or the new one, whole, never a mixture.
 *  2. put is refused (APR_EEXIST) when the record there is not the one whose
 *     write id is `base`; "absent" is the zero id, and a put over it is
 *     refused when there is a record.
 *  3. A torn, foreign, evicted or too large record is a miss, never an error
 *     to a client. Reads survive deletion under them.
 *  4. A server that is gone is unavailable: look is a miss and put fails; no
 *     call takes longer than its deadline (one second).
 *
 * Threads: as in dogpile_locker.h. look and put may be called from any thread
 * of a child at any time.
 */
#ifndef DOGPILE_STORE_H
#define DOGPILE_STORE_H

#include <apr_file_io.h>
#include <apr_tables.h>
#include <sys/uio.h>

#include "dogpile_types.h"

#define DOGPILE_STORE_GROUP "dogpile_store" /* of ap_register_provider() */
#define DOGPILE_STORE_VERSION 1
#define DOGPILE_STORE_VERSION_TEXT "1"

/* Where every record has its write id. */
#define DOGPILE_RECORD_WRITE_ID 16

/*
 * Names one metatile. The digest is the identity; the rest is there so that a
 * back end can lay records out for people (a layer, a zoom, a box), and is
 * covered by the digest. Texts may hold anything that a request may hold:
 * a back end that puts them in names escapes and bounds them.
 */
typedef struct dogpile_key_t {
    dogpile_digest_t digest;
    const char *source; /* DogpileSourceName */
    const char *layers; /* as asked, comma-separated */
    const char *grid;   /* name of the tile matrix set */
    int z;              /* level, index of the tile matrix */
    apr_uint32_t x;     /* metatile column, from the grid's origin */
    apr_uint32_t y;     /* metatile row, from the grid's origin */
} dogpile_key_t;

/*
 * A record as a back end hands it out: whole in memory, or as an open file
 * whose beginning is in memory. Lives in the pool of the look.
 */
typedef struct dogpile_blob_t {
    const unsigned char *bytes; /* its beginning */
    apr_size_t have;            /* how much of it is in memory, bytes */
    apr_size_t length;          /* how long it is, bytes */
    apr_file_t *file;           /* where the whole is, or NULL: have == length.
                                   Readable at any offset until the pool ends,
                                   even if deleted meanwhile */
} dogpile_blob_t;

/* Enough of a file's beginning for most headers. */
#define DOGPILE_BLOB_HEAD 4096

typedef struct dogpile_store_conf_t {
    const char *where;       /* after "disk:", "memcache:" or "redis:" */
    apr_int64_t limit_bytes; /* limit=, 0 for none */
    apr_uid_t uid;           /* who will use it, for prepare */
    apr_gid_t gid;
    const dogpile_log_t *log;
} dogpile_store_conf_t;

typedef struct dogpile_store_provider_t dogpile_store_provider_t;

/* A configured store; a back end embeds it as its first member. */
typedef struct dogpile_store_t {
    const dogpile_store_provider_t *provider;
    const dogpile_store_conf_t *conf;
    dogpile_id_t id; /* which store this is, equal for all who share it: a lock
                        on another store's metatile means nothing here. Set by
                        child_init; zero until the store could be reached; may
                        change when a server has lost its memory */
} dogpile_store_t;

struct dogpile_store_provider_t {
    int version;      /* DOGPILE_STORE_VERSION; always the first member */
    const char *type; /* "disk" */

    /* Check the configuration and make the store. Contacts and creates
     * nothing. Returns NULL, or what is wrong and what is allowed. */
    const char *(*create)(dogpile_store_t **store,
                          const dogpile_store_conf_t *conf,
                          apr_pool_t *result_pool);

    /* Once when the server really starts, still as root: make what the
     * children need, give it to conf->uid, and try it as that user. May be
     * NULL. Returns NULL or what is wrong. */
    const char *(*prepare)(dogpile_store_t *store, apr_pool_t *scratch_pool);

    /* In each child. May be NULL. */
    apr_status_t (*child_init)(dogpile_store_t *store, apr_pool_t *child_pool);

    /* APR_SUCCESS: `blob` is set. APR_NOTFOUND: no such record. Anything
     * else: could not be read, which callers treat as a miss. */
    apr_status_t (*look)(dogpile_store_t *store, const dogpile_key_t *key,
                         dogpile_blob_t *blob, apr_pool_t *result_pool);

    /*
     * Replace the record whose write id is `base` by the concatenation of
     * `parts`, whole or not at all. APR_SUCCESS: stored. APR_EEXIST: refused,
     * another version is there. Anything else: not stored.
     */
    apr_status_t (*put)(dogpile_store_t *store, const dogpile_key_t *key,
                        const dogpile_id_t *base, const struct iovec *parts,
                        int nparts, apr_pool_t *scratch_pool);

    /* A record that proved torn or foreign: put it out of the way, so that it
     * is reported once. May be NULL. */
    void (*set_aside)(dogpile_store_t *store, const dogpile_key_t *key,
                      apr_pool_t *scratch_pool);

    /* Where a locker for this store's users should live, as the arguments of
     * the locker type in `locker_type`: what goes into `directory` and
     * `servers` of its configuration. The one that the type doesn't take is
     * NULL. */
    const char *locker_type;
    const char *(*locker_directory)(dogpile_store_t *store, apr_pool_t *pool);
    const apr_array_header_t *(*locker_servers)(dogpile_store_t *store,
                                                apr_pool_t *pool);

    /* Rows for the status page. May be NULL. */
    void (*describe)(dogpile_store_t *store, dogpile_row_fn *row, void *baton,
                     apr_pool_t *scratch_pool);
};

#endif
