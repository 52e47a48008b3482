/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests, random ids, and how both are written down.
 */
#ifndef DP_BASE_DIGEST_H
#define DP_BASE_DIGEST_H

#include "dogpile_types.h"

#define DP_DIGEST_HEX_BYTES (2 * DOGPILE_DIGEST_BYTES + 1)
#define DP_ID_HEX_BYTES (2 * DOGPILE_ID_BYTES + 1)

/* SHA-256 (FIPS 180-4) of `size` bytes. */
void dp_digest(dogpile_digest_t *digest, const void *bytes, apr_size_t size);

int dp_digest_equal(const dogpile_digest_t *a, const dogpile_digest_t *b);

/* A new id from the system's random source, never the zero id. */
void dp_id_make(dogpile_id_t *id);

int dp_id_equal(const dogpile_id_t *a, const dogpile_id_t *b);
int dp_id_is_none(const dogpile_id_t *id);

/* The value of a hexadecimal digit, or -1. */
int dp_hex_value(char c);

/* Lower-case hexadecimal with a final zero; `text` has room for
 * 2 * size + 1 bytes. Returns `text`. */
char *dp_hex(char *text, const void *bytes, apr_size_t size);

/* Reads exactly 2 * size hexadecimal digits. Returns 1, or 0 and leaves
 * `bytes` undefined when there is anything else. */
int dp_unhex(void *bytes, apr_size_t size, const char *text);

#endif
