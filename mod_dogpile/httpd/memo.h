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

#include "base/arena.h"
#include "httpd/config.h"

typedef struct dp_memos_t dp_memos_t; /* of a child */

/* The tile that a request asks for. */
typedef struct dp_memo_t {
    dogpile_digest_t digest; /* of its metatile */
    dogpile_store_t *store;
    int index; /* of the tile in it */
} dp_memo_t;

/* With an arena of its own; `huge` as there. */
dp_memos_t *dp_memos_create(int huge, apr_pool_t *pool);

/* Whether the request is known; `memo` is set if so. From any thread. */
int dp_memo_find(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                 dp_memo_t *memo);

/* Remember, as far as there is memory. Very long requests aren't, nor those
 * under the settings of one place too many. */
void dp_memo_keep(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                  const dp_memo_t *memo);

#endif
