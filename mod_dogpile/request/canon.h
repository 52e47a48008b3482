/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one canonical form of each kind of value that a map request has, common
 * to all protocols. Values arrive decoded. Internal to this room.
 */
#ifndef DP_REQUEST_CANON_H
#define DP_REQUEST_CANON_H

#include "request/request.h"

/* ASCII, whatever the process's locale. */
static inline char dp_ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

static inline char dp_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* A copy in upper case. */
char *dp_canon_upper(const char *text, apr_size_t size, apr_pool_t *pool);

/* Lower-case media type, a blank after each semicolon and nowhere else, or NULL
 * if that isn't a picture made of pixels. */
const char *dp_canon_format(const char *value, apr_pool_t *pool);

/* "" for lists of nothing but defaults. */
const char *dp_canon_styles(const char *value);

/* TRUE or FALSE; "" and NULL are FALSE. Returns 1, or 0 if it is neither. */
int dp_canon_boolean(const char *value, int *is_true);

/* "0xFFFFFF", "" for "" and NULL, or NULL if it is no colour. */
const char *dp_canon_color(const char *value, apr_pool_t *pool);

/* Four finite numbers, the first two below the last two. The order of axes
 * stays. Returns NULL, or what is wrong. */
const char *dp_canon_bbox(const char *value, double numbers[4]);

/*
 * For verdicts that are no map: `what` and `text` with a space between them,
 * short and safe in a header field, a log line and a JSON string.
 */
const char *dp_canon_detail(const char *what, const char *text,
                            apr_pool_t *pool);

#endif
