/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of cutting one JPEG: the source, which is opened once and then
 * only read, and a writer for each tile. libjpeg leaves by longjmp(), so all
 * that a jump could lose lies in one of these two, in the caller's frame or
 * below. The functions below run under a setjmp() and don't return when
 * libjpeg finds an error.
 */
#ifndef DP_IMAGE_JPEG_PRIV_H
#define DP_IMAGE_JPEG_PRIV_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "image/image_priv.h"

/* How a codec of libjpeg's ends when it finds an error. */
typedef struct dp_jpeg_exit_t {
    struct jpeg_error_mgr errors; /* first: libjpeg hands it back */
    jmp_buf jump;
    apr_status_t status; /* APR_SUCCESS unless it jumped */
    char why[JMSG_LENGTH_MAX];
} dp_jpeg_exit_t;

typedef struct dp_jpeg_t {
    dp_jpeg_exit_t exit; /* first */
    struct jpeg_decompress_struct in;
    struct jpeg_progress_mgr progress;
    dp_split_t *split;
    int is_aligned; /* to be cut without decoding */
    /* If so, the rows of coefficient blocks of each component; they lie in
     * `in`'s memory. */
    JBLOCKROW *blocks[MAX_COMPONENTS];
    /* If not, malloc. */
    unsigned char *pixels;
    apr_size_t row_bytes;
} dp_jpeg_t;

typedef struct dp_jpeg_tile_t {
    dp_jpeg_exit_t exit; /* first */
    struct jpeg_compress_struct out;
    struct jpeg_destination_mgr target;
    unsigned char *bytes; /* malloc */
    apr_size_t max;
} dp_jpeg_tile_t;

/* Make libjpeg's errors and its warnings jump. */
struct jpeg_error_mgr *dp_jpeg_exit_init(dp_jpeg_exit_t *from);
void dp_jpeg_leave(dp_jpeg_exit_t *from, apr_status_t status, const char *why)
    __attribute__((noreturn));
void dp_jpeg_no_memory(dp_jpeg_exit_t *from) __attribute__((noreturn));

/* Whether every window begins at a corner of the blocks that the picture is
 * coded in, so that it can be cut without decoding. */
int dp_jpeg_is_aligned(const dp_jpeg_t *jpeg);

/* For such windows: read the coefficients; copy them to a tile, so that
 * nothing is lost. */
void dp_jpeg_read_blocks(dp_jpeg_t *jpeg);
void dp_jpeg_crop(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                  const dp_window_t *window);

/* For any windows: decode; encode with the same tables. */
void dp_jpeg_read_pixels(dp_jpeg_t *jpeg);
void dp_jpeg_recode(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                    const dp_window_t *window);

/* A codec's resample(), of such a picture. */
apr_status_t dp_jpeg_resample(dp_split_t *split, const int *columns,
                              const int *rows);

/* The source's colour profile, where it has one: after the start of a tile's
 * compression, before its pixels. */
void dp_jpeg_write_profile(dp_jpeg_tile_t *tile, const dp_jpeg_t *jpeg);

/* A whole tile, without a jump. `why` lies in the pool, which the caller
 * keeps. */
apr_status_t dp_jpeg_write(dp_piece_t *piece, dp_jpeg_t *jpeg,
                           const dp_window_t *window, const char **why,
                           apr_pool_t *pool);

#endif
