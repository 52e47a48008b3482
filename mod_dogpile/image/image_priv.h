/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: one splitter a format. dp_image_split()
 * has looked at the header already, so a splitter is only called for a
 * complete file of its kind, of the expected size, with windows that lie
 * inside the picture.
 */
#ifndef DP_IMAGE_IMAGE_PRIV_H
#define DP_IMAGE_IMAGE_PRIV_H

#include "image/image.h"

/* A picture and how to cut it. `pool` receives the pieces and `why`. */
typedef struct dp_cut_t {
    const unsigned char *bytes;
    apr_size_t size;
    int width;
    int height;
    const dp_window_t *windows;
    int nwindows;
    dp_piece_t *pieces;
    const char *why;
    apr_pool_t *pool;
} dp_cut_t;

apr_status_t dp_png_split(dp_cut_t *cut);
apr_status_t dp_jpeg_split(dp_cut_t *cut);

#endif
