/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the head of a record. On the path of every hit, so: one allocation,
 * one pass, no system call. Called from any thread; touches nothing shared.
 *
 * The bytes are whatever lay in a directory or came from a server that others
 * write to as well. Nothing is believed before it was compared with what is
 * there: every number is checked against the bytes at hand before it is used
 * to read or to allocate, also after the checksum, which keeps out accidents
 * and not malice.
 *
 * Invariant: what is allocated is at most three times the bytes of the head.
 */
#include "store/record.h"

#include <string.h>
#include <zlib.h>

#include "base/digest.h"
#include "store/record_layout.h"

/* What is left of the head, and where the copies of its texts go. */
typedef struct cursor_t {
    const unsigned char *at;
    const unsigned char *end;
    char *copy;
} cursor_t;

/* The counts of the fixed part, not yet compared with what follows it. */
typedef struct counts_t {
    apr_uint32_t tiles;
    apr_uint32_t headers;
} counts_t;

static int sizes_are_possible(const dp_record_t *record, const counts_t *counts,
                              apr_size_t length)
{
    apr_size_t least = RECORD_FIXED_BYTES + RECORD_CRC_BYTES;

    if (record->length != length || length > DP_RECORD_BYTES_MAX
        || record->head_bytes > length
        || record->head_bytes > DP_RECORD_HEAD_MAX) {
        return 0;
    }
    if (counts->tiles < 1 || counts->tiles > DP_RECORD_TILES_MAX
        || counts->headers > DP_RECORD_HEADERS_MAX) {
        return 0;
    }
    least += counts->tiles * (apr_size_t)RECORD_TILE_BYTES;
    least += (RECORD_TEXTS_MIN + 2 * (apr_size_t)counts->headers)
             * RECORD_PREFIX_BYTES;
    return record->head_bytes >= least;
}

static void read_times(dp_record_t *record, const unsigned char *bytes)
{
    apr_uint32_t flags = record_get32(bytes + RECORD_AT_FLAGS);

    record->created = (apr_time_t)record_get64(bytes + RECORD_AT_CREATED);
    record->expires = (apr_time_t)record_get64(bytes + RECORD_AT_EXPIRES);
    record->age_usec = (apr_interval_time_t)record_get64(bytes + RECORD_AT_AGE);
    record->stale_usec =
        (apr_interval_time_t)record_get64(bytes + RECORD_AT_STALE);
    record->stale_on_error_usec =
        (apr_interval_time_t)record_get64(bytes + RECORD_AT_STALE_ON_ERROR);
    record->is_explicit = (flags & RECORD_IS_EXPLICIT) != 0;
    record->must_revalidate = (flags & RECORD_MUST_REVALIDATE) != 0;
}

static apr_status_t read_fixed(dp_record_t *record, counts_t *counts,
                               const unsigned char *bytes, apr_size_t length)
{
    if (memcmp(bytes + RECORD_AT_MAGIC, RECORD_MAGIC, 8) != 0) {
        return APR_EINVAL;
    }
    if (record_get32(bytes + RECORD_AT_FORMAT) != DP_RECORD_FORMAT) {
        return APR_NOTFOUND; /* as after an update of the module */
    }
    memset(record, 0, sizeof(*record));
    memcpy(record->write_id.bytes, bytes + RECORD_AT_WRITE_ID,
           DOGPILE_ID_BYTES);
    memcpy(record->key.bytes, bytes + RECORD_AT_KEY, DOGPILE_DIGEST_BYTES);
    record->head_bytes = record_get32(bytes + RECORD_AT_HEAD_BYTES);
    record->length = record_get32(bytes + RECORD_AT_LENGTH);
    counts->tiles = record_get32(bytes + RECORD_AT_TILES);
    counts->headers = record_get32(bytes + RECORD_AT_HEADERS);
    read_times(record, bytes);
    if (!sizes_are_possible(record, counts, length)
        || dp_id_is_none(&record->write_id)
        || !record_times_are_possible(record)
        || record_get32(bytes + RECORD_AT_FLAGS) > RECORD_FLAGS) {
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

static apr_status_t read_tiles(dp_record_t *record, dp_record_tile_t *tiles,
                               int ntiles, cursor_t *cursor)
{
    int i;

    for (i = 0; i < ntiles; i++) {
        apr_uint32_t offset = record_get32(cursor->at);
        apr_uint32_t length = record_get32(cursor->at + 4);

        if (offset < record->head_bytes || offset >= record->length
            || length < 1 || length > record->length - offset) {
            return APR_EINVAL;
        }
        tiles[i].offset = offset;
        tiles[i].length = length;
        memcpy(tiles[i].etag, cursor->at + 8, DP_ETAG_BYTES);
        cursor->at += RECORD_TILE_BYTES;
    }
    record->tiles = tiles;
    record->ntiles = ntiles;
    return APR_SUCCESS;
}

/* Sets `text` to a copy, or to NULL where there is none. The copy with its
 * final zero is never longer than the text with its length. */
static apr_status_t read_text(const char **text, cursor_t *cursor)
{
    apr_size_t left = (apr_size_t)(cursor->end - cursor->at);
    apr_uint32_t length;
    apr_uint32_t i;

    *text = NULL;
    if (left < RECORD_PREFIX_BYTES) {
        return APR_EINVAL;
    }
    length = record_get32(cursor->at);
    cursor->at += RECORD_PREFIX_BYTES;
    if (length == RECORD_NO_TEXT) {
        return APR_SUCCESS;
    }
    if (length > left - RECORD_PREFIX_BYTES) {
        return APR_EINVAL;
    }
    for (i = 0; i < length; i++) {
        if (!record_is_text_byte(cursor->at[i])) {
            return APR_EINVAL;
        }
    }
    memcpy(cursor->copy, cursor->at, length);
    cursor->copy[length] = '\0';
    *text = cursor->copy;
    cursor->copy += length + 1;
    cursor->at += length;
    return APR_SUCCESS;
}

static apr_status_t read_texts(dp_record_t *record, dp_record_header_t *headers,
                               int nheaders, cursor_t *cursor)
{
    int i;

    if (read_text(&record->media_type, cursor) != APR_SUCCESS
        || read_text(&record->source_etag, cursor) != APR_SUCCESS
        || read_text(&record->source_last_modified, cursor) != APR_SUCCESS
        || record->media_type == NULL) {
        return APR_EINVAL;
    }
    for (i = 0; i < nheaders; i++) {
        if (read_text(&headers[i].name, cursor) != APR_SUCCESS
            || read_text(&headers[i].value, cursor) != APR_SUCCESS
            || headers[i].name == NULL || headers[i].value == NULL) {
            return APR_EINVAL;
        }
    }
    record->headers = headers;
    record->nheaders = nheaders;
    return cursor->at == cursor->end ? APR_SUCCESS : APR_EINVAL;
}

/* Tiles and texts of a head that is whole. */
static apr_status_t read_rest(dp_record_t *record, const counts_t *counts,
                              const unsigned char *bytes, apr_pool_t *pool)
{
    apr_size_t tiles_size = counts->tiles * sizeof(dp_record_tile_t);
    apr_size_t headers_size = counts->headers * sizeof(dp_record_header_t);
    cursor_t cursor = {
        .at = bytes + RECORD_FIXED_BYTES,
        .end = bytes + record->head_bytes - RECORD_CRC_BYTES,
    };
    apr_size_t texts_size = (apr_size_t)(cursor.end - cursor.at)
                            - counts->tiles * (apr_size_t)RECORD_TILE_BYTES;
    /* Headers first: they hold pointers and need the alignment. */
    char *block = apr_palloc(pool, headers_size + tiles_size + texts_size);
    apr_status_t status;

    cursor.copy = block + headers_size + tiles_size;
    status = read_tiles(record, (dp_record_tile_t *)(block + headers_size),
                        (int)counts->tiles, &cursor);
    if (status != APR_SUCCESS) {
        return status;
    }
    return read_texts(record, (dp_record_header_t *)block, (int)counts->headers,
                      &cursor);
}

int dp_record_is_whole(const dp_record_t *record, const unsigned char *bytes)
{
    dogpile_digest_t digest;
    int i;

    for (i = 0; i < record->ntiles; i++) {
        const dp_record_tile_t *tile = &record->tiles[i];

        dp_digest(&digest, bytes + tile->offset, tile->length);
        if (memcmp(digest.bytes, tile->etag, DP_ETAG_BYTES) != 0) {
            return 0;
        }
    }
    return 1;
}

apr_status_t dp_record_read(dp_record_t *record, const unsigned char *bytes,
                            apr_size_t have, apr_size_t length,
                            const dogpile_digest_t *key, apr_size_t *need,
                            apr_pool_t *result_pool)
{
    counts_t counts;
    apr_status_t status;
    apr_size_t sum_at;

    if (length < RECORD_FIXED_BYTES) {
        return APR_EINVAL;
    }
    if (have < RECORD_FIXED_BYTES) {
        *need = RECORD_FIXED_BYTES;
        return APR_INCOMPLETE;
    }
    status = read_fixed(record, &counts, bytes, length);
    if (status != APR_SUCCESS) {
        return status;
    }
    if (key != NULL
        && memcmp(key->bytes, record->key.bytes, DOGPILE_DIGEST_BYTES) != 0) {
        return APR_EINVAL;
    }
    if (have < record->head_bytes) {
        *need = record->head_bytes;
        return APR_INCOMPLETE;
    }
    sum_at = record->head_bytes - RECORD_CRC_BYTES;
    if (crc32(0, bytes, (uInt)sum_at) != record_get32(bytes + sum_at)) {
        return APR_EINVAL;
    }
    return read_rest(record, &counts, bytes, result_pool);
}
