/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front door of cutting: everything about a picture that can be refused
 * from its header is refused here, before a codec sees a byte.
 *
 * Called by a flight on its fetcher thread, once a metatile; no state. A
 * codec's memory is bounded by the size that the caller expects, never by
 * what the file claims.
 *
 * Invariant: on failure every piece is empty; there are no half results.
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
static const char *refusal(const dp_cut_t *cut, const dp_image_info_t *info)
{
    int i;

    if (info->kind == DP_IMAGE_UNKNOWN) {
        return "not a picture";
    }
    if (info->kind != DP_IMAGE_PNG && info->kind != DP_IMAGE_JPEG) {
        return apr_psprintf(cut->pool,
                            "a %s, where only PNG and JPEG can be cut",
                            kind_name(info->kind));
    }
    if (info->width != cut->width || info->height != cut->height) {
        return apr_psprintf(cut->pool, "not a %s of %dx%d pixels but of %dx%d",
                            kind_name(info->kind), cut->width, cut->height,
                            info->width, info->height);
    }
    if (!info->is_complete) {
        return apr_psprintf(cut->pool, "a %s that is cut short",
                            kind_name(info->kind));
    }
    if (cut->width <= 0 || cut->height <= 0
        || cut->width > PIXELS_MAX / cut->height) {
        return "a picture of too many pixels";
    }
    for (i = 0; i < cut->nwindows; i++) {
        if (!window_fits(&cut->windows[i], cut->width, cut->height)) {
            return "a window that lies outside the picture";
        }
    }
    return NULL;
}

apr_status_t dp_image_split(dp_piece_t *pieces, const void *bytes,
                            apr_size_t size, int width, int height,
                            const dp_window_t *windows, int nwindows,
                            const char **why, apr_pool_t *result_pool)
{
    dp_cut_t cut = {.bytes = bytes,
                    .size = size,
                    .width = width,
                    .height = height,
                    .windows = windows,
                    .nwindows = nwindows,
                    .pieces = pieces,
                    .why = NULL,
                    .pool = result_pool};
    apr_status_t status = APR_EINVAL;
    dp_image_info_t info;

    dp_image_inspect(&info, bytes, size);
    cut.why = refusal(&cut, &info);
    if (!cut.why) {
        status = info.kind == DP_IMAGE_PNG ? dp_png_split(&cut)
                                           : dp_jpeg_split(&cut);
    }
    if (status != APR_SUCCESS && nwindows > 0) {
        memset(pieces, 0, (apr_size_t)nwindows * sizeof(*pieces));
    }
    *why = cut.why;
    return status;
}
