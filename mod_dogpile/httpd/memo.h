/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests were found to ask for: a request that was seen before, letter
 * by letter and under the same settings, needs not be read again.
 *
 * Which tile a request means follows from its path and query, the virtual host
 * and the settings alone (task.c), so a memo never grows old; those that
 * aren't used make room.
 */
#ifndef DP_HTTPD_MEMO_H
#define DP_HTTPD_MEMO_H

#include "httpd/reply.h"

typedef struct dp_memos_t dp_memos_t; /* of a child */

/* A tile that requests ask for, and what was last answered. */
typedef struct dp_memo_t {
    dogpile_digest_t digest;                /* of its metatile */
    char key[2 * DOGPILE_DIGEST_BYTES + 1]; /* the same, as DOGPILE_KEY */
    dogpile_store_t *store;
    int index;             /* of its tile */
    dogpile_id_t write_id; /* of the record that `lines` tell of */
    apr_int64_t age_sec;   /* and its age */
    dp_lines_t lines;
} dp_memo_t;

apr_status_t dp_memos_create(dp_memos_t **memos, apr_pool_t *pool);

/* What is known of a request, a copy in its pool, or NULL. From any thread. */
dp_memo_t *dp_memo_find(dp_memos_t *memos, const request_rec *r,
                        const dp_dir_t *dir);

/* Remember. Requests that are very long aren't. */
void dp_memo_keep(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                  const dp_memo_t *memo);

#endif
