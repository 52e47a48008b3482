/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front door of cutting: everything about a picture that can be refused
 * from its header is refused here, before a codec sees a byte.
 *
 * dp_split_open() is called by a flight on its fetcher thread, once a
 * metatile; dp_split_piece() by any threads, for a window each. A codec's
 * memory is bounded by the size that the caller expects, never by what the
 * file claims.
 *
 * Invariant: a split exists only of a picture that is sound to its last byte,
 * and a piece is whole or empty.
 */
#include "image/image.h"

#include <apr_strings.h>
#include <string.h>

#include "image/image_priv.h"

/* 8192 x 8192: far above any metatile, and no size overflows an int. */
#define PIXELS_MAX (1 << 26)

static const char *kind_name(dp_image_kind_e kind)
{
    static const char *const names[] = {"unknown", "PNG", "JPEG", "GIF",
                                        "WebP"};

    return names[kind];
}

static int window_fits(const dp_window_t *window, int width, int height)
{
    return window->x >= 0 && window->y >= 0 && window->width > 0
           && window->height > 0 && window->width <= width - window->x
           && window->height <= height - window->y;
}

/* NULL, or what is wrong with the header or the order. */
static const char *refusal(const dp_split_t *split, const dp_image_info_t *info)
{
    int i;

    if (info->kind == DP_IMAGE_UNKNOWN) {
        return "not a picture";
    }
    if (info->kind != DP_IMAGE_PNG && info->kind != DP_IMAGE_JPEG) {
        return apr_psprintf(split->pool,
                            "a %s, where only PNG and JPEG can be cut",
                            kind_name(info->kind));
    }
    if (info->width != split->width || info->height != split->height) {
        return apr_psprintf(split->pool,
                            "not a %s of %dx%d pixels but of %dx%d",
                            kind_name(info->kind), split->width, split->height,
                            info->width, info->height);
    }
    if (!info->is_complete) {
        return apr_psprintf(split->pool, "a %s that is cut short",
                            kind_name(info->kind));
    }
    if (split->width <= 0 || split->height <= 0
        || split->width > PIXELS_MAX / split->height) {
        return "a picture of too many pixels";
    }
    for (i = 0; i < split->nwindows; i++) {
        if (!window_fits(&split->windows[i], split->width, split->height)) {
            return "a window that lies outside the picture";
        }
    }
    return NULL;
}

apr_status_t dp_split_open(dp_split_t **split, const void *bytes,
                           apr_size_t size, int width, int height,
                           const dp_window_t *windows, int nwindows,
                           const char **why, apr_pool_t *result_pool)
{
    dp_split_t *made = apr_pcalloc(result_pool, sizeof(*made));
    apr_status_t status;
    dp_image_info_t info;

    *split = NULL;
    made->bytes = bytes;
    made->size = size;
    made->width = width;
    made->height = height;
    made->windows = windows;
    made->nwindows = nwindows;
    made->pool = result_pool;
    dp_image_inspect(&info, bytes, size);
    *why = refusal(made, &info);
    if (*why) {
        return APR_EINVAL;
    }
    made->codec = info.kind == DP_IMAGE_PNG ? &dp_png_codec : &dp_jpeg_codec;
    status = made->codec->open(made);
    *why = made->why;
    if (status == APR_SUCCESS) {
        *split = made;
    }
    return status;
}

apr_status_t dp_split_piece(dp_piece_t *piece, dp_split_t *split, int i,
                            const char **why, apr_pool_t *result_pool)
{
    apr_status_t status =
        split->codec->piece(piece, split, &split->windows[i], result_pool);

    *why = NULL;
    if (status != APR_SUCCESS) {
        memset(piece, 0, sizeof(*piece));
        *why = status == APR_ENOMEM ? "no memory to encode a tile"
                                    : "a tile that can't be encoded";
    }
    return status;
}

static apr_status_t cut_all(dp_piece_t *pieces, dp_split_t *split,
                            const char **why, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < split->nwindows; i++) {
        apr_status_t status = dp_split_piece(&pieces[i], split, i, why, pool);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return APR_SUCCESS;
}

apr_status_t dp_image_split(dp_piece_t *pieces, const void *bytes,
                            apr_size_t size, int width, int height,
                            const dp_window_t *windows, int nwindows,
                            const char **why, apr_pool_t *result_pool)
{
    apr_pool_t *scratch_pool;
    dp_split_t *split;
    apr_status_t status = apr_pool_create(&scratch_pool, result_pool);

    *why = "no memory to cut a picture";
    if (status == APR_SUCCESS) {
        status = dp_split_open(&split, bytes, size, width, height, windows,
                               nwindows, why, scratch_pool);
        if (status == APR_SUCCESS) {
            status = cut_all(pieces, split, why, result_pool);
        }
        *why = *why ? apr_pstrdup(result_pool, *why) : NULL;
        apr_pool_destroy(scratch_pool);
    }
    if (status != APR_SUCCESS && nwindows > 0) {
        memset(pieces, 0, (apr_size_t)nwindows * sizeof(*pieces));
    }
    return status;
}
