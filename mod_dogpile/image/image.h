/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures as bytes: what they are, and cutting them into tiles.
 *
 * The bytes come from a network. Every function bounds its work by the
 * dimensions that the caller expects and says what is wrong in one sentence.
 * May be called from any thread; no state.
 */
#ifndef DP_IMAGE_IMAGE_H
#define DP_IMAGE_IMAGE_H

#include <apr_pools.h>

#include "grid/metatile.h"

typedef enum dp_image_kind_e {
    DP_IMAGE_UNKNOWN,
    DP_IMAGE_PNG,
    DP_IMAGE_JPEG,
    DP_IMAGE_GIF,
    DP_IMAGE_WEBP
} dp_image_kind_e;

typedef struct dp_image_info_t {
    dp_image_kind_e kind;
    int width;
    int height;
    int is_complete; /* ends as its format says a whole one ends */
} dp_image_info_t;

/* The media type, "image/png"; NULL for DP_IMAGE_UNKNOWN. */
const char *dp_image_media_type(dp_image_kind_e kind);

/* The kind that a media type names ("image/png; mode=8bit", "image/png8",
 * "image/jpg"), DP_IMAGE_UNKNOWN for any other. */
dp_image_kind_e dp_image_kind_of(const char *media_type);

/* By magic bytes, header and end marker, without decoding. A side is 0 where
 * the header doesn't tell. Bytes behind the end don't matter. */
void dp_image_inspect(dp_image_info_t *info, const void *bytes,
                      apr_size_t size);

/* An encoded tile, in the pool of the split. */
typedef struct dp_piece_t {
    const unsigned char *bytes;
    apr_size_t size;
} dp_piece_t;

/* An empty picture of the colour 0xRRGGBB, or one that lets what is behind it
 * through (PNG only). APR_SUCCESS; APR_EINVAL for kinds that can't be written;
 * APR_ENOMEM. */
apr_status_t dp_image_blank(dp_piece_t *piece, dp_image_kind_e kind, int width,
                            int height, unsigned int rgb, int is_transparent,
                            apr_pool_t *result_pool);

/* A square of a picture, whole pixels or not, from its top left corner. */
typedef struct dp_part_t {
    double x;
    double y;
    double side; /* more than 0, at most the picture's */
} dp_part_t;

/*
 * A part of a square PNG or JPEG of px by px pixels, enlarged to px by px by
 * repeating pixels. What reaches over an edge repeats the edge. The results
 * are those of dp_split_open().
 */
apr_status_t dp_image_enlarge(dp_piece_t *piece, const void *bytes,
                              apr_size_t size, int px, const dp_part_t *part,
                              const char **why, apr_pool_t *result_pool);

/* A picture that has been decoded and waits to be cut. */
typedef struct dp_split_t dp_split_t;

/*
 * Decode a PNG or JPEG of exactly width x height pixels, to cut it into the
 * windows. Everything that is wrong with the picture is found here, so that
 * no tile of a broken one is ever seen.
 *
 * `bytes` and `windows` must live as long as the split, which ends with its
 * pool. Nothing in it belongs to the thread that opened it.
 * APR_SUCCESS; APR_EINVAL when the bytes aren't such a picture (`why` says
 * how); APR_ENOMEM.
 */
apr_status_t dp_split_open(dp_split_t **split, const void *bytes,
                           apr_size_t size, int width, int height,
                           const dp_window_t *windows, int nwindows,
                           const char **why, apr_pool_t *result_pool);

/*
 * Encode the tile of window i. Any threads may do this at once with one
 * split, each with a pool of its own; a tile may be encoded again and gives
 * the same bytes. A PNG stays what it is: palette (with its transparency and
 * bit depth), greyscale, RGB or RGBA, 8 or 16 bit; its pixels are unchanged.
 * A JPEG keeps its colour space, subsampling and quantisation tables; if all
 * windows begin at corners of its coded blocks (at multiples of 16 pixels,
 * usually), it loses nothing either.
 * APR_SUCCESS, or APR_ENOMEM with an empty piece and `why`.
 */
apr_status_t dp_split_piece(dp_piece_t *piece, dp_split_t *split, int i,
                            const char **why, apr_pool_t *result_pool);

/* Open, and cut all windows in their order. On failure all pieces are empty.
 * The results are those of dp_split_open(). */
apr_status_t dp_image_split(dp_piece_t *pieces, const void *bytes,
                            apr_size_t size, int width, int height,
                            const dp_window_t *windows, int nwindows,
                            const char **why, apr_pool_t *result_pool);

#endif
