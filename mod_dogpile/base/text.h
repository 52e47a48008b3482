/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing small pieces of text from people and networks, where
 * the C library is too lenient: no locale, no leading space, no trailing rest.
 */
#ifndef DP_BASE_TEXT_H
#define DP_BASE_TEXT_H

#include <apr.h>
#include <apr_pools.h>
#include <apr_time.h>

/* A whole number in [min, max], decimal, nothing else in `text`.
 * Returns 1 and sets `value`, or 0. */
int dp_text_int(const char *text, apr_int64_t min, apr_int64_t max,
                apr_int64_t *value);

/* A finite decimal number (sign, fraction and exponent allowed; no
 * hexadecimal, infinity or nan), nothing else in `text`. Returns 1 or 0. */
int dp_text_double(const char *text, double *value);

/* A time as directives write it: a number, fractions allowed, of seconds or of
 * the unit that follows it (ms, s, min, h, d). Returns 1, or 0 when it is
 * something else, negative or longer than a hundred years. */
int dp_text_duration(const char *text, apr_interval_time_t *usec);

/* Room for any dp_text_from_double() result, with its final zero. */
#define DP_TEXT_DOUBLE_BYTES 32

/* The shortest decimal form that reads back as exactly `value`. */
char *dp_text_from_double(char text[DP_TEXT_DOUBLE_BYTES], double value);

/*
 * Decode %XX and, if `plus`, '+' as a space. Returns the text, or NULL when an
 * escape is broken or stands for a zero byte.
 */
char *dp_text_unescape(const char *text, apr_size_t size, int plus,
                       apr_pool_t *pool);

/* Everything but RFC 3986's unreserved characters as %XX, for a query value;
 * '/', ':' and ',' stay readable. */
char *dp_text_escape(const char *text, apr_pool_t *pool);

#endif
