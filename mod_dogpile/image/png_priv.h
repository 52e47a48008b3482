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

/* PNG 9.2: how a row is filtered. */
enum { DP_PNG_NONE, DP_PNG_SUB, DP_PNG_UP, DP_PNG_AVERAGE, DP_PNG_PAETH };

/* A decoded picture: packed as PNG packs its rows, without transformation. */
typedef struct dp_png_t {
    int bit_depth;
    int colour_type;          /* PNG 11.2.2 */
    int pixel_bits;           /* of all channels */
    int height;               /* rows */
    apr_size_t row_bytes;     /* of the pixels of a row */
    unsigned char *rows;      /* malloc: a filter byte and a row, for each */
    apr_array_header_t *kept; /* of dp_piece_t: whole chunks of the source
                                  that belong between IHDR and IDAT */
} dp_png_t;

/* Decodes the split's picture. On failure split->why is set. Whatever it
 * returns, the caller frees png->rows. `png` is zero before. */
apr_status_t dp_png_read(dp_png_t *png, dp_split_t *split);

/*
 * Fills png->rows from the chunks that begin at `first`, the first IDAT, and
 * looks at those behind them. NULL, or what is wrong: dp_png_no_memory, or
 * something about the bytes.
 */
const char *dp_png_inflate(dp_png_t *png, const unsigned char *first);
extern const char dp_png_no_memory[];

/* The pixels of row y. */
static inline unsigned char *dp_png_row(const dp_png_t *png, int y)
{
    return png->rows + (apr_size_t)y * (1 + png->row_bytes) + 1;
}

/* The bytes of a row of `width` pixels; of one pixel at least 1. */
static inline apr_size_t dp_png_bytes_of(const dp_png_t *png, int width)
{
    return ((apr_size_t)width * (apr_size_t)png->pixel_bits + 7) / 8;
}

static inline apr_uint32_t dp_png_be32(const unsigned char *p)
{
    return (apr_uint32_t)p[0] << 24 | (apr_uint32_t)p[1] << 16
           | (apr_uint32_t)p[2] << 8 | p[3];
}

/* Undo a row's filter in place. `above` is the row above, zeros for the
 * first. 0 for a filter that doesn't exist. */
int dp_png_unfilter(unsigned char *row, const unsigned char *above, int filter,
                    apr_size_t row_bytes, apr_size_t pixel_bytes);

/*
 * The filtered rows of a window, each a filter byte and its pixels. `out` has
 * room for them; `above` is the row above the first, zeros if there is none.
 * Returns the number of bytes.
 */
apr_size_t dp_png_filter(unsigned char *out, const dp_png_t *png,
                         const dp_window_t *window, int filter,
                         const unsigned char *above);

/* How a window is filtered and deflated. */
typedef struct dp_png_plan_t {
    int filter; /* PNG 9.2 */
    int level;  /* of libdeflate, or DP_PNG_RUNS */
} dp_png_plan_t;

#define DP_PNG_RUNS 0      /* zlib's runs and Huffman codes, without matches */
#define DP_PNG_LEVEL_MAX 6 /* of the plans */

/* The plans to choose from, after a look at a sample of a window's pixels:
 * one, or several to try on a part of it. Returns their number. */
int dp_png_plans_of(const dp_png_plan_t **plans, const dp_png_t *png,
                    const dp_window_t *window);

/* Whether all pixels are the same. Not known, so 0, where pixels share
 * bytes. */
int dp_png_is_plain(const dp_png_t *png, const dp_window_t *window);

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
