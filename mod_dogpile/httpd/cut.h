/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a metatile into its tiles on as many processors as there are.
 */
#ifndef DP_HTTPD_CUT_H
#define DP_HTTPD_CUT_H

#include "httpd/httpd_priv.h"

#include "image/image.h"

/* Threads that cut beside those of the flights, in all children. */
#define DP_CUTTERS_MAX 64

/* Shared by all children: the pids of those whose threads cut, 0 for a free
 * place. */
typedef struct dp_cutters_t {
    apr_int64_t pids[DP_CUTTERS_MAX];
} dp_cutters_t;

/* A tile is ready; from any thread, several at once. The piece and the pool
 * last as long as the pool of the cut. */
typedef void dp_cut_fn(void *baton, int i, const dp_piece_t *piece,
                       apr_pool_t *pool);

/* What to cut. */
typedef struct dp_cut_t {
    dp_split_t *split;
    int n;
    int first; /* the tile to begin with */
    dp_cut_fn *done;
    void *baton;
} dp_cut_t;

/* Cut all tiles; n pieces, in `pool`. APR_SUCCESS or APR_ENOMEM with `why`. */
apr_status_t dp_cut(dp_piece_t *pieces, const dp_cut_t *cut, const char **why,
                    apr_pool_t *pool);

/* child_init, before the flights' beginning: it must end after them. */
void dp_cut_child_init(apr_pool_t *pchild);

#endif
