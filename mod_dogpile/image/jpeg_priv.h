/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of cutting one JPEG. libjpeg leaves by longjmp(), so all of it
 * lies in one structure in the frame of dp_jpeg_split(), which frees it in one
 * place. The functions below run under a setjmp() and don't return when libjpeg
 * finds an error.
 */
#ifndef DP_IMAGE_JPEG_PRIV_H
#define DP_IMAGE_JPEG_PRIV_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "image/image_priv.h"

typedef struct dp_jpeg_t {
    struct jpeg_error_mgr errors; /* first: libjpeg hands it back */
    jmp_buf failed;
    apr_status_t status; /* after a jump */
    struct jpeg_decompress_struct in;
    struct jpeg_compress_struct out;
    struct jpeg_progress_mgr progress;
    struct jpeg_destination_mgr target;
    dp_cut_t *cut;
    unsigned char *pixels; /* malloc, of dp_jpeg_recode() */
    unsigned char *tile;   /* malloc: the tile that is being written */
    apr_size_t tile_max;
} dp_jpeg_t;

/* Whether every window begins at a corner of the blocks that the picture is
 * coded in, so that it can be cut without decoding. */
int dp_jpeg_is_aligned(const dp_jpeg_t *jpeg);

/* Cut such windows: coefficients are copied, nothing is lost. */
void dp_jpeg_crop(dp_jpeg_t *jpeg);

/* Cut any windows: decode, and encode with the same tables. */
void dp_jpeg_recode(dp_jpeg_t *jpeg);

/* Start a tile; between the two, the caller fills jpeg->out. */
void dp_jpeg_begin_tile(dp_jpeg_t *jpeg, const dp_window_t *window);
void dp_jpeg_end_tile(dp_jpeg_t *jpeg, dp_piece_t *piece);

/* The source's colour profile, where it has one: after the start of a tile's
 * compression, before its pixels. */
void dp_jpeg_write_profile(dp_jpeg_t *jpeg);

/* Leave with APR_ENOMEM. */
void dp_jpeg_no_memory(dp_jpeg_t *jpeg) __attribute__((noreturn));

#endif
