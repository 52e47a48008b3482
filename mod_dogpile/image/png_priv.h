/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two halves of cutting a PNG: one picture in, decoded once, and any
 * number of windows out, each encoded by itself. An encoder only reads the
 * picture, so windows may be encoded in any order, and by several encoders at
 * once.
 */
#ifndef DP_IMAGE_PNG_PRIV_H
#define DP_IMAGE_PNG_PRIV_H

#include <apr_tables.h>

#include "image/image_priv.h"

#define DP_PNG_SIGNATURE_BYTES 8
#define DP_PNG_HEADER_BYTES 33 /* signature and IHDR */
#define DP_PNG_FRAME_BYTES 12  /* length, type and CRC of a chunk */

/* A decoded picture: packed as PNG packs its rows, without transformation. */
typedef struct dp_png_t {
    int bit_depth;
    int colour_type;          /* PNG 11.2.2 */
    int pixel_bits;           /* of all channels */
    apr_size_t row_bytes;     /* of the whole picture */
    unsigned char *pixels;    /* row_bytes * height, malloc */
    apr_array_header_t *kept; /* of dp_piece_t: whole chunks of the source
                                  that belong between IHDR and IDAT */
} dp_png_t;

/* Decodes the cut's picture. On failure cut->why is set. Whatever it returns,
 * the caller frees with dp_png_free(). `png` is zero before. */
apr_status_t dp_png_read(dp_png_t *png, dp_cut_t *cut);
void dp_png_free(dp_png_t *png);

/* How a window is filtered and deflated. */
typedef struct dp_png_plan_t {
    int filter; /* PNG 9.2 */
    int level;  /* of zlib */
    int strategy;
} dp_png_plan_t;

/* What suits a window, after a look at a sample of its pixels. */
const dp_png_plan_t *dp_png_plan_of(const dp_png_t *png,
                                    const dp_window_t *window);

/* The bytes of a row of `width` pixels. */
apr_size_t dp_png_bytes_of(const dp_png_t *png, int width);

/*
 * The filtered rows of a window, each a filter byte and its pixels. `out` has
 * room for them; `no_row` is a row of zeros, what lies above the first.
 * Returns the number of bytes.
 */
apr_size_t dp_png_filter(unsigned char *out, const dp_png_t *png,
                         const dp_window_t *window, int filter,
                         const unsigned char *no_row);

typedef struct dp_png_encoder_t dp_png_encoder_t;

/* An encoder for windows of at most max_width x max_height pixels, or NULL
 * without memory. Freed with dp_png_encoder_free(), which accepts NULL. */
dp_png_encoder_t *dp_png_encoder_make(const dp_png_t *png, int max_width,
                                      int max_height);
void dp_png_encoder_free(dp_png_encoder_t *encoder);

/* Encode one window, which lies inside the picture, into `pool`. */
apr_status_t dp_png_encode(dp_piece_t *piece, dp_png_encoder_t *encoder,
                           const dp_window_t *window, apr_pool_t *pool);

#endif
