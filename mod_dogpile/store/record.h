/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record: one metatile as bytes, the same on disk, in memory shared by
 * the children, and in a memcached or redis. A header, then the tiles.
 *
 * Format 2, little-endian. First a fixed part: magic, format, sizes, write
 * id, key, times; then a table of the tiles, then texts (media type,
 * validators, kept headers), then a checksum of all that, then the bodies.
 * Equal tiles (the sea) share one body. The exact layout stands in
 * record_layout.h and docs/design/store.md.
 *
 * A record is parsed from its header alone; bodies are found by offset and
 * length, which the parser has checked against the record's length.
 */
#ifndef DP_STORE_RECORD_H
#define DP_STORE_RECORD_H

#include <apr_pools.h>

#include "dogpile_store.h"
#include "policy/freshness.h"

#define DP_RECORD_FORMAT 2
/* Bounds of the parser: more is a foreign file. */
#define DP_RECORD_TILES_MAX 4096
#define DP_RECORD_HEADERS_MAX 1024
#define DP_RECORD_HEAD_MAX 0x80000    /* 512 KiB */
#define DP_RECORD_BYTES_MAX 0x4000000 /* 64 MiB */
#define DP_ETAG_BYTES 16

typedef struct dp_record_tile_t {
    apr_uint32_t offset;               /* from the record's beginning */
    apr_uint32_t length;               /* bytes */
    unsigned char etag[DP_ETAG_BYTES]; /* the tile's SHA-256, cut */
} dp_record_tile_t;

/* A kept response header. */
typedef struct dp_record_header_t {
    const char *name;
    const char *value;
} dp_record_header_t;

/* A record's header, read or to be written. */
typedef struct dp_record_t {
    dogpile_digest_t key;
    dogpile_id_t write_id;
    apr_time_t created;           /* when the fetch began */
    apr_time_t expires;           /* fresh until then */
    apr_interval_time_t age_usec; /* how old it was when it was created */
    /* How long after `expires` it may be served while it is refreshed, and
     * where it can't be refreshed; or DP_WINDOW_UNSET: its source didn't say. */
    apr_interval_time_t stale_usec;
    apr_interval_time_t stale_on_error_usec;
    int is_explicit;     /* its source said how long it is fresh */
    int must_revalidate; /* and that nobody may serve it stale */
    const char *media_type;
    const char *source_etag; /* the source's validators, or NULL */
    const char *source_last_modified;
    const dp_record_header_t *headers;
    int nheaders;
    const dp_record_tile_t *tiles;
    int ntiles;
    apr_uint32_t head_bytes; /* where the bodies begin */
    apr_uint32_t length;     /* of the whole record */
} dp_record_t;

/* A tile to be written; never empty. */
typedef struct dp_record_body_t {
    const void *bytes;
    apr_size_t size;
} dp_record_body_t;

/*
 * Write a record: takes key, write_id, times, flags, media_type, validators and
 * headers from `record`, the tiles from `bodies`, computes ETags, and sets
 * tiles, ntiles, head_bytes and length. The whole is one block in
 * result_pool. APR_SUCCESS; APR_ENOSPC when it would pass one of the bounds;
 * APR_EINVAL for what a reader would refuse: no tile, an empty tile, no write
 * id, a time before 1970, a control character in a text.
 */
apr_status_t dp_record_write(unsigned char **bytes, dp_record_t *record,
                             const dp_record_body_t *bodies, int nbodies,
                             apr_pool_t *result_pool);

/*
 * Read the header of a record of `length` bytes of which the first `have` are
 * at `bytes`. Texts and tiles are copied to the pool. APR_SUCCESS;
 * APR_INCOMPLETE when more of the beginning is needed (`need` says how much);
 * APR_NOTFOUND when it is of another version's format; APR_EINVAL when it is
 * torn, foreign, or not the record of `key` (NULL: any).
 */
apr_status_t dp_record_read(dp_record_t *record, const unsigned char *bytes,
                            apr_size_t have, apr_size_t length,
                            const dogpile_digest_t *key, apr_size_t *need,
                            apr_pool_t *result_pool);

/* Whether the bodies are those that the header was written for. `bytes` is the
 * whole record. */
int dp_record_is_whole(const dp_record_t *record, const unsigned char *bytes);

#endif
