/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Empty pictures, for clients that get nothing better. Called on request
 * threads; a tile costs a fraction of a millisecond.
 *
 * A PNG has one colour in its palette, so all sizes are a few hundred bytes.
 *
 * Invariant: the one setjmp() is in a function without locals, and what a jump
 * could lose is freed by its caller.
 */
#include <apr_strings.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "image/jpeg_priv.h"

#define JPEG_QUALITY 75

typedef struct colour_t {
    unsigned char rgba[4];
} colour_t;

/* --- PNG --------------------------------------------------------------- */

static apr_status_t write_png(dp_piece_t *piece, int width, int height,
                              const colour_t *colour, apr_pool_t *pool)
{
    apr_size_t npixels = (apr_size_t)width * (apr_size_t)height;
    unsigned char *pixels = calloc(npixels, 1);
    png_alloc_size_t size;
    unsigned char *bytes = NULL;
    png_image image;

    memset(&image, 0, sizeof(image));
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    image.format = PNG_FORMAT_RGBA_COLORMAP;
    image.colormap_entries = 1;
    if (pixels != NULL
        && png_image_write_get_memory_size(image, size, 0, pixels, 0,
                                           colour->rgba)) {
        bytes = apr_palloc(pool, size);
        if (!png_image_write_to_memory(&image, bytes, &size, 0, pixels, 0,
                                       colour->rgba)) {
            bytes = NULL;
        }
    }
    free(pixels);
    png_image_free(&image);
    if (bytes == NULL) {
        return APR_ENOMEM;
    }
    piece->bytes = bytes;
    piece->size = size;
    return APR_SUCCESS;
}

/* --- JPEG -------------------------------------------------------------- */

typedef struct plain_t {
    dp_jpeg_exit_t exit; /* first */
    struct jpeg_compress_struct out;
    unsigned char *row;   /* malloc */
    unsigned char *bytes; /* libjpeg's malloc */
    unsigned long size;
} plain_t;

static void write_rows(plain_t *plain, int width, int height)
{
    struct jpeg_compress_struct *out = &plain->out;
    JSAMPROW row = plain->row;

    out->err = dp_jpeg_exit_init(&plain->exit);
    jpeg_create_compress(out);
    jpeg_mem_dest(out, &plain->bytes, &plain->size);
    out->image_width = (JDIMENSION)width;
    out->image_height = (JDIMENSION)height;
    out->input_components = 3;
    out->in_color_space = JCS_RGB;
    jpeg_set_defaults(out);
    jpeg_set_quality(out, JPEG_QUALITY, TRUE);
    jpeg_start_compress(out, TRUE);
    while (out->next_scanline < out->image_height) {
        jpeg_write_scanlines(out, &row, 1);
    }
    jpeg_finish_compress(out);
}

static void write_or_fail(plain_t *plain, int width, int height)
{
    if (setjmp(plain->exit.jump) == 0) {
        write_rows(plain, width, height);
    }
}

static apr_status_t write_jpeg(dp_piece_t *piece, int width, int height,
                               const colour_t *colour, apr_pool_t *pool)
{
    plain_t plain;
    int x;

    memset(&plain, 0, sizeof(plain));
    plain.row = malloc((apr_size_t)width * 3);
    if (plain.row == NULL) {
        return APR_ENOMEM;
    }
    for (x = 0; x < width; x++) {
        memcpy(plain.row + 3 * (apr_size_t)x, colour->rgba, 3);
    }
    write_or_fail(&plain, width, height);
    if (plain.exit.status == APR_SUCCESS) {
        piece->bytes = apr_pmemdup(pool, plain.bytes, plain.size);
        piece->size = plain.size;
    }
    jpeg_destroy_compress(&plain.out);
    free(plain.bytes);
    free(plain.row);
    return plain.exit.status;
}

apr_status_t dp_image_blank(dp_piece_t *piece, dp_image_kind_e kind, int width,
                            int height, unsigned int rgb, int is_transparent,
                            apr_pool_t *result_pool)
{
    colour_t colour = {{(unsigned char)(rgb >> 16), (unsigned char)(rgb >> 8),
                        (unsigned char)rgb, is_transparent ? 0 : 255}};

    memset(piece, 0, sizeof(*piece));
    switch (kind) {
    case DP_IMAGE_PNG:
        return write_png(piece, width, height, &colour, result_pool);
    case DP_IMAGE_JPEG:
        return write_jpeg(piece, width, height, &colour, result_pool);
    default:
        return APR_EINVAL;
    }
}
