/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: one codec a format, each of three
 * functions. dp_split_open() has looked at the header already, so a codec is
 * only called for a complete file of its kind, of the expected size, with
 * windows that lie inside the picture.
 *
 * Invariant: after its codec has opened it, nobody writes to a split but
 * under the codec's own mutex.
 */
#ifndef DP_IMAGE_IMAGE_PRIV_H
#define DP_IMAGE_IMAGE_PRIV_H

#include "image/image.h"

typedef struct dp_codec_t {
    /* Decode into split->picture, which is freed with split->pool. On
     * APR_EINVAL and APR_ENOMEM, split->why says what is wrong. */
    apr_status_t (*open)(dp_split_t *split);
    /* Encode one window, on any thread. */
    apr_status_t (*piece)(dp_piece_t *piece, dp_split_t *split,
                          const dp_window_t *window, apr_pool_t *pool);
    /* Replace each pixel x, y by that of columns[x], rows[y]; of a split that
     * is decoded (jpeg_priv.h) and has one user. APR_SUCCESS or APR_ENOMEM. */
    apr_status_t (*resample)(dp_split_t *split, const int *columns,
                             const int *rows);
} dp_codec_t;

extern const dp_codec_t dp_png_codec;
extern const dp_codec_t dp_jpeg_codec;

/* A picture and how to cut it. */
struct dp_split_t {
    const unsigned char *bytes;
    apr_size_t size;
    int width;
    int height;
    const dp_window_t *windows;
    int nwindows;
    const dp_codec_t *codec;
    void *picture; /* the codec's */
    const char *why;
    apr_pool_t *pool;
};

#endif
