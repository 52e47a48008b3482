/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a JPEG at any pixel: decodes it once and encodes each window with the
 * source's quantisation tables, sampling factors and colour space. Called when
 * a JPEG is opened and for each tile, under their setjmp().
 *
 * The samples stay in the coded colour space, so nothing is lost in a
 * conversion, and CMYK or grey need no case of their own. Chroma is doubled
 * and halved by plain repetition and average, which undo each other.
 */
#include "image/jpeg_priv.h"

#include <stdlib.h>
#include <string.h>

/* To the end marker, so that what is broken there is refused as well. Not
 * jpeg_finish_decompress(), which forgets what tiles need. */
static void read_to_end(dp_jpeg_t *jpeg)
{
    int result;

    do {
        result = jpeg_consume_input(&jpeg->in);
        if (result == JPEG_SUSPENDED) {
            dp_jpeg_leave(&jpeg->exit, APR_EINVAL, "a JPEG that is cut short");
        }
    } while (result != JPEG_REACHED_EOI);
}

void dp_jpeg_read_pixels(dp_jpeg_t *jpeg)
{
    struct jpeg_decompress_struct *in = &jpeg->in;

    jpeg->row_bytes =
        (apr_size_t)in->image_width * (apr_size_t)in->num_components;
    jpeg->pixels = malloc(jpeg->row_bytes * in->image_height);
    if (!jpeg->pixels) {
        dp_jpeg_no_memory(&jpeg->exit);
    }
    in->out_color_space = in->jpeg_color_space;
    in->do_fancy_upsampling = FALSE;
    in->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(in);
    while (in->output_scanline < in->output_height) {
        JSAMPROW row = jpeg->pixels + in->output_scanline * jpeg->row_bytes;

        jpeg_read_scanlines(in, &row, 1);
    }
    read_to_end(jpeg);
}

apr_status_t dp_jpeg_resample(dp_split_t *split, const int *columns,
                              const int *rows)
{
    dp_jpeg_t *jpeg = split->picture;
    apr_size_t bytes = (apr_size_t)jpeg->in.num_components;
    unsigned char *to = malloc(jpeg->row_bytes * (apr_size_t)split->height);
    int x;
    int y;

    if (to == NULL || jpeg->pixels == NULL) {
        free(to);
        return APR_ENOMEM;
    }
    for (y = 0; y < split->height; y++) {
        const unsigned char *from =
            jpeg->pixels + (apr_size_t)rows[y] * jpeg->row_bytes;

        for (x = 0; x < split->width; x++) {
            memcpy(to + (apr_size_t)y * jpeg->row_bytes + (apr_size_t)x * bytes,
                   from + (apr_size_t)columns[x] * bytes, bytes);
        }
    }
    free(jpeg->pixels);
    jpeg->pixels = to;
    return APR_SUCCESS;
}

void dp_jpeg_recode(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                    const dp_window_t *window)
{
    struct jpeg_compress_struct *out = &tile->out;
    apr_size_t left =
        (apr_size_t)window->x * (apr_size_t)jpeg->in.num_components;
    apr_size_t top = (apr_size_t)window->y;

    out->dct_method = JDCT_ISLOW;
    jpeg_start_compress(out, TRUE);
    dp_jpeg_write_profile(tile, jpeg);
    while (out->next_scanline < out->image_height) {
        JSAMPROW row =
            jpeg->pixels + (top + out->next_scanline) * jpeg->row_bytes + left;

        jpeg_write_scanlines(out, &row, 1);
    }
}
