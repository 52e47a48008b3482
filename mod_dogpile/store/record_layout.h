/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the parts of a record are: format 2, shared by its reader and its
 * writer and by nobody else. All numbers are unsigned and little-endian.
 *
 *     0   8  magic "DOGPILE\n"
 *     8   4  format
 *    12   4  bytes of the head: from the beginning up to the first body
 *    16  16  write id
 *    32  32  key, a SHA-256 digest
 *    64   8  created, microseconds since 1970
 *    72   8  expires, the same
 *    80   4  bytes of the whole record
 *    84   4  number of tiles, T
 *    88   4  number of kept headers, H
 *    92   8  stale: microseconds after `expires`, or all ones
 *   100   8  stale on error: the same
 *   108   8  age, microseconds, when it was created
 *   116   4  flags
 *   120 24T  a tile each: offset (4), length (4), ETag (16)
 *         .  texts: media type, source's ETag, source's Last-Modified, then H
 *            times name and value; each a length (4) and so many bytes
 *         4  CRC-32 (of zlib) of everything before it
 *            bodies
 */
#ifndef DP_STORE_RECORD_LAYOUT_H
#define DP_STORE_RECORD_LAYOUT_H

#include "store/record.h"

#define RECORD_MAGIC "DOGPILE\n"

enum {
    RECORD_AT_MAGIC = 0,
    RECORD_AT_FORMAT = 8,
    RECORD_AT_HEAD_BYTES = 12,
    RECORD_AT_WRITE_ID = 16,
    RECORD_AT_KEY = 32,
    RECORD_AT_CREATED = 64,
    RECORD_AT_EXPIRES = 72,
    RECORD_AT_LENGTH = 80,
    RECORD_AT_TILES = 84,
    RECORD_AT_HEADERS = 88,
    RECORD_AT_STALE = 92,
    RECORD_AT_STALE_ON_ERROR = 100,
    RECORD_AT_AGE = 108,
    RECORD_AT_FLAGS = 116,
    RECORD_FIXED_BYTES = 120,

    RECORD_TILE_BYTES = 24,
    RECORD_TEXTS_MIN = 3, /* that stand before the kept headers */
    RECORD_PREFIX_BYTES = 4,
    RECORD_CRC_BYTES = 4
};

/* Of flags; the others are none of this format. */
enum { RECORD_IS_EXPLICIT = 1, RECORD_MUST_REVALIDATE = 2, RECORD_FLAGS = 3 };

/* The length of a text that isn't there. */
#define RECORD_NO_TEXT 0xffffffffU

/* Times outside are no times, and would overflow in sums. About the year
 * 73000. */
#define RECORD_TIME_MAX (APR_INT64_C(1) << 61)

/* Texts become response headers: no control characters but the tab. */
static inline int record_is_text_byte(unsigned char byte)
{
    return (byte >= ' ' && byte != 0x7f) || byte == '\t';
}

static inline int record_is_time(apr_time_t time)
{
    return time >= 0 && time < RECORD_TIME_MAX;
}

/* A window after expiry, or that there is none. */
static inline int record_is_window(apr_interval_time_t usec)
{
    return usec == DP_WINDOW_UNSET || record_is_time(usec);
}

static inline int record_times_are_possible(const dp_record_t *record)
{
    return record_is_time(record->created) && record_is_time(record->expires)
           && record_is_time(record->age_usec)
           && record_is_window(record->stale_usec)
           && record_is_window(record->stale_on_error_usec);
}

static inline apr_uint32_t record_get32(const unsigned char *at)
{
    return (apr_uint32_t)at[0] | (apr_uint32_t)at[1] << 8
           | (apr_uint32_t)at[2] << 16 | (apr_uint32_t)at[3] << 24;
}

static inline apr_uint64_t record_get64(const unsigned char *at)
{
    return record_get32(at) | (apr_uint64_t)record_get32(at + 4) << 32;
}

static inline unsigned char *record_put32(unsigned char *at, apr_uint32_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
    at[2] = (unsigned char)(value >> 16);
    at[3] = (unsigned char)(value >> 24);
    return at + 4;
}

static inline unsigned char *record_put64(unsigned char *at, apr_uint64_t value)
{
    record_put32(at, (apr_uint32_t)value);
    return record_put32(at + 4, (apr_uint32_t)(value >> 32));
}

#endif
