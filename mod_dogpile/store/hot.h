/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot records: those that are asked for again and again, kept in the memory
 * of a child, so that a hit needs no call of the system.
 *
 * A record gets in when it is found a second time, and the least recently used
 * ones make room for it. Each is looked up in its store again when the last
 * look is a second old, so that what another process has written, removed or
 * replaced is seen within that time; one that has expired is looked up every
 * time. Copies, not mappings: a file that somebody truncates would end the
 * process.
 */
#ifndef DP_STORE_HOT_H
#define DP_STORE_HOT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "store/store.h"

typedef struct dp_hot_t dp_hot_t; /* of a child */

/* A record, shared by all who look at it; they only read. */
typedef struct dp_hot_record_t {
    dp_record_t record;
    const unsigned char *bytes;    /* all record.length of them */
    char key[DP_DIGEST_HEX_BYTES]; /* record.key as text */
} dp_hot_record_t;

/* At most that many bytes of records, in the arena, and that many records.
 * `clock` is the time of day. The pool must outlive every user's, and the arena
 * the pool. APR_SUCCESS, or why there can be no mutex. */
apr_status_t dp_hot_create(dp_hot_t **hot, apr_size_t bytes_max,
                           int records_max, dp_arena_t *arena,
                           const dp_clock_t *clock, apr_pool_t *result_pool);

/*
 * As dp_store_look(). Sets either `shared`, which stays as it is until
 * user_pool is cleared, or sets it to NULL and `found`, which lives in
 * user_pool. From any thread.
 */
apr_status_t dp_hot_look(dp_hot_t *hot, dogpile_store_t *store,
                         const dogpile_key_t *key,
                         const dp_hot_record_t **shared, dp_found_t *found,
                         apr_pool_t *user_pool);

/* What was seen in the store less than a second ago, or NULL. It may have
 * expired, and then there may be something newer. */
const dp_hot_record_t *dp_hot_find(dp_hot_t *hot, const dogpile_store_t *store,
                                   const dogpile_digest_t *digest,
                                   apr_pool_t *user_pool);

/* This process has written a record of that key. */
void dp_hot_forget(dp_hot_t *hot, const dogpile_store_t *store,
                   const dogpile_key_t *key);

/* How many there are, and how many bytes they have. */
void dp_hot_count(dp_hot_t *hot, int *records, apr_size_t *bytes);

#endif
