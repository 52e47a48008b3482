/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a record as one block of memory, once a fetch, on a fetcher thread.
 * First every part gets its place, with sums that can't overflow because each
 * step is compared with its bound; then everything is written in order.
 *
 * Equal tiles are written once: most of an ocean is one picture. They are
 * recognised by their SHA-256, of which a part becomes their ETag, so equal
 * tiles have equal ETags on all hosts, too.
 *
 * Invariant: what is written here, dp_record_read() accepts.
 */
#include "store/record.h"

#include <string.h>
#include <zlib.h>

#include "base/digest.h"
#include "store/record_layout.h"

static apr_size_t text_bytes(const char *text)
{
    return RECORD_PREFIX_BYTES + (text ? strlen(text) : 0);
}

static int is_text(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    while (*c && record_is_text_byte(*c)) {
        c++;
    }
    return *c == '\0';
}

static int is_text_or_null(const char *text)
{
    return text == NULL || is_text(text);
}

/* What the reader would refuse is refused here. */
static int is_writable(const dp_record_t *record)
{
    int i;

    for (i = 0; i < record->nheaders; i++) {
        if (!is_text(record->headers[i].name)
            || !is_text(record->headers[i].value)) {
            return 0;
        }
    }
    return record->media_type != NULL && is_text(record->media_type)
           && is_text_or_null(record->source_etag)
           && is_text_or_null(record->source_last_modified)
           && record_times_are_possible(record)
           && !dp_id_is_none(&record->write_id);
}

static apr_size_t head_size(const dp_record_t *record, int ntiles)
{
    apr_size_t size = RECORD_FIXED_BYTES + RECORD_CRC_BYTES;
    int i;

    size += (apr_size_t)ntiles * RECORD_TILE_BYTES;
    size += text_bytes(record->media_type);
    size += text_bytes(record->source_etag);
    size += text_bytes(record->source_last_modified);
    for (i = 0; i < record->nheaders && size <= DP_RECORD_HEAD_MAX; i++) {
        size += text_bytes(record->headers[i].name);
        size += text_bytes(record->headers[i].value);
    }
    return size;
}

/* The first tile with the same content, or `i` itself. */
static int first_equal(const dp_record_tile_t *tiles, int i)
{
    int j;

    for (j = 0; j < i; j++) {
        if (memcmp(tiles[j].etag, tiles[i].etag, DP_ETAG_BYTES) == 0
            && tiles[j].length == tiles[i].length) {
            break;
        }
    }
    return j;
}

/* Gives each tile its place, beginning at `at`. Returns where the last one
 * ends, or 0 when that is too far. */
static apr_size_t place_tiles(dp_record_tile_t *tiles,
                              const dp_record_body_t *bodies, int nbodies,
                              apr_size_t at)
{
    int i;

    for (i = 0; i < nbodies; i++) {
        dogpile_digest_t digest;
        int first;

        if (bodies[i].size > DP_RECORD_BYTES_MAX - at) {
            return 0;
        }
        dp_digest(&digest, bodies[i].bytes, bodies[i].size);
        memcpy(tiles[i].etag, digest.bytes, DP_ETAG_BYTES);
        tiles[i].length = (apr_uint32_t)bodies[i].size;
        tiles[i].offset = (apr_uint32_t)at;
        first = first_equal(tiles, i);
        if (first < i) {
            tiles[i].offset = tiles[first].offset;
            continue;
        }
        at += bodies[i].size;
    }
    return at;
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes,
                                apr_size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
    apr_size_t length;

    if (text == NULL) {
        return record_put32(at, RECORD_NO_TEXT);
    }
    length = strlen(text);
    at = record_put32(at, (apr_uint32_t)length);
    return put_bytes(at, text, length);
}

/* The fixed part. */
static unsigned char *put_fixed(unsigned char *at, const dp_record_t *record)
{
    apr_uint32_t flags =
        (record->is_explicit ? RECORD_IS_EXPLICIT : 0U)
        | (record->must_revalidate ? RECORD_MUST_REVALIDATE : 0U);

    at = put_bytes(at, RECORD_MAGIC, 8);
    at = record_put32(at, DP_RECORD_FORMAT);
    at = record_put32(at, record->head_bytes);
    at = put_bytes(at, record->write_id.bytes, DOGPILE_ID_BYTES);
    at = put_bytes(at, record->key.bytes, DOGPILE_DIGEST_BYTES);
    at = record_put64(at, (apr_uint64_t)record->created);
    at = record_put64(at, (apr_uint64_t)record->expires);
    at = record_put32(at, record->length);
    at = record_put32(at, (apr_uint32_t)record->ntiles);
    at = record_put32(at, (apr_uint32_t)record->nheaders);
    at = record_put64(at, (apr_uint64_t)record->stale_usec);
    at = record_put64(at, (apr_uint64_t)record->stale_on_error_usec);
    at = record_put64(at, (apr_uint64_t)record->age_usec);
    return record_put32(at, flags);
}

static void put_head(unsigned char *bytes, const dp_record_t *record)
{
    unsigned char *at = put_fixed(bytes, record);
    int i;

    for (i = 0; i < record->ntiles; i++) {
        at = record_put32(at, record->tiles[i].offset);
        at = record_put32(at, record->tiles[i].length);
        at = put_bytes(at, record->tiles[i].etag, DP_ETAG_BYTES);
    }
    at = put_text(at, record->media_type);
    at = put_text(at, record->source_etag);
    at = put_text(at, record->source_last_modified);
    for (i = 0; i < record->nheaders; i++) {
        at = put_text(at, record->headers[i].name);
        at = put_text(at, record->headers[i].value);
    }
    record_put32(at, (apr_uint32_t)crc32(0, bytes, (uInt)(at - bytes)));
}

apr_status_t dp_record_write(unsigned char **bytes, dp_record_t *record,
                             const dp_record_body_t *bodies, int nbodies,
                             apr_pool_t *result_pool)
{
    dp_record_tile_t *tiles;
    apr_size_t head;
    apr_size_t length;
    int i;

    if (!is_writable(record) || nbodies < 1) {
        return APR_EINVAL;
    }
    for (i = 0; i < nbodies; i++) {
        if (bodies[i].size == 0) {
            return APR_EINVAL;
        }
    }
    head = head_size(record, nbodies);
    if (nbodies > DP_RECORD_TILES_MAX || head > DP_RECORD_HEAD_MAX
        || record->nheaders > DP_RECORD_HEADERS_MAX) {
        return APR_ENOSPC;
    }
    tiles = apr_palloc(result_pool, (apr_size_t)nbodies * sizeof(*tiles));
    length = place_tiles(tiles, bodies, nbodies, head);
    if (length == 0) {
        return APR_ENOSPC;
    }
    record->tiles = tiles;
    record->ntiles = nbodies;
    record->head_bytes = (apr_uint32_t)head;
    record->length = (apr_uint32_t)length;
    *bytes = apr_palloc(result_pool, length);
    put_head(*bytes, record);
    for (i = 0; i < nbodies; i++) {
        /* Equal ones are written over each other. */
        memcpy(*bytes + tiles[i].offset, bodies[i].bytes, bodies[i].size);
    }
    return APR_SUCCESS;
}
