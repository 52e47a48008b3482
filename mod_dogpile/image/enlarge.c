/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a tile, enlarged to the size of a tile: what a client may look at
 * until the real one is there. Called on request threads.
 *
 * Pixels are repeated, not blended: a palette stays one, edges stay sharp, and
 * the work is one copy of each pixel. The picture is decoded and encoded as if
 * it were cut, so it keeps its kind, its palette and its colour space. The
 * second window is never cut; it begins off the grid of a JPEG's blocks, so
 * that it is decoded.
 *
 * Invariant: the result has exactly as many pixels as the source.
 */
#include <apr_strings.h>
#include <math.h>
#include <string.h>

#include "image/image_priv.h"

/* Larger than any tile. */
#define SIDE_MAX 8192

/* Where each of px pixels comes from. */
static int *pick(double from, double side, int px, apr_pool_t *pool)
{
    int *picked = apr_palloc(pool, (apr_size_t)px * sizeof(*picked));
    int i;

    for (i = 0; i < px; i++) {
        double at = floor(from + (i + 0.5) * side / px);

        picked[i] = at < 0 ? 0 : at > px - 1 ? px - 1 : (int)at;
    }
    return picked;
}

apr_status_t dp_image_enlarge(dp_piece_t *piece, const void *bytes,
                              apr_size_t size, int px, const dp_part_t *part,
                              const char **why, apr_pool_t *result_pool)
{
    const dp_window_t windows[] = {{0, 0, px, px}, {1, 1, 1, 1}};
    apr_pool_t *scratch_pool;
    apr_status_t status;
    dp_split_t *split;

    memset(piece, 0, sizeof(*piece));
    *why = "a part of no picture";
    if (px < 2 || px > SIDE_MAX || !isfinite(part->x) || !isfinite(part->y)
        || !(part->side > 0) || part->side > px) {
        return APR_EINVAL;
    }
    apr_pool_create(&scratch_pool, result_pool);
    status = dp_split_open(&split, bytes, size, px, px, windows, 2, why,
                           scratch_pool);
    if (status == APR_SUCCESS) {
        status = split->codec->resample(
            split, pick(part->x, part->side, px, scratch_pool),
            pick(part->y, part->side, px, scratch_pool));
        *why = "no memory to enlarge a picture";
    }
    if (status == APR_SUCCESS) {
        status = dp_split_piece(piece, split, 0, why, result_pool);
    }
    *why = *why ? apr_pstrdup(result_pool, *why) : NULL;
    apr_pool_destroy(scratch_pool);
    return status;
}
