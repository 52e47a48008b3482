/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a JPEG at any pixel: decodes it once and encodes each window with the
 * source's quantisation tables, sampling factors and colour space. Called by
 * dp_jpeg_split() under its setjmp().
 *
 * The samples stay in the coded colour space, so nothing is lost in a
 * conversion, and CMYK or grey need no case of their own. Chroma is doubled
 * and halved by plain repetition and average, which undo each other.
 */
#include "image/jpeg_priv.h"

#include <stdlib.h>

static void decode(dp_jpeg_t *jpeg, apr_size_t row_bytes)
{
    struct jpeg_decompress_struct *in = &jpeg->in;

    jpeg->pixels = malloc(row_bytes * in->image_height);
    if (!jpeg->pixels) {
        dp_jpeg_no_memory(jpeg);
    }
    in->out_color_space = in->jpeg_color_space;
    in->do_fancy_upsampling = FALSE;
    in->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(in);
    while (in->output_scanline < in->output_height) {
        JSAMPROW row = jpeg->pixels + in->output_scanline * row_bytes;

        jpeg_read_scanlines(in, &row, 1);
    }
}

static void encode(dp_jpeg_t *jpeg, const dp_window_t *window,
                   apr_size_t row_bytes, dp_piece_t *piece)
{
    struct jpeg_compress_struct *out = &jpeg->out;
    apr_size_t left =
        (apr_size_t)window->x * (apr_size_t)jpeg->in.num_components;
    apr_size_t top = (apr_size_t)window->y;

    dp_jpeg_begin_tile(jpeg, window);
    out->dct_method = JDCT_ISLOW;
    jpeg_start_compress(out, TRUE);
    dp_jpeg_write_profile(jpeg);
    while (out->next_scanline < out->image_height) {
        JSAMPROW row =
            jpeg->pixels + (top + out->next_scanline) * row_bytes + left;

        jpeg_write_scanlines(out, &row, 1);
    }
    dp_jpeg_end_tile(jpeg, piece);
}

void dp_jpeg_recode(dp_jpeg_t *jpeg)
{
    dp_cut_t *cut = jpeg->cut;
    apr_size_t row_bytes =
        (apr_size_t)cut->width * (apr_size_t)jpeg->in.num_components;
    int i;

    decode(jpeg, row_bytes);
    for (i = 0; i < cut->nwindows; i++) {
        encode(jpeg, &cut->windows[i], row_bytes, &cut->pieces[i]);
    }
    /* Reads on to the end marker: what is broken there is refused as well. */
    jpeg_finish_decompress(&jpeg->in);
}
