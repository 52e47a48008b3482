/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PNGs for tests, made and read back with libpng alone. A picture's samples
 * come from paint(), so every pixel of every piece of it is known.
 */
#ifndef DP_TESTS_PNG_PICTURES_H
#define DP_TESTS_PNG_PICTURES_H

#include <apr_strings.h>
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "unit.h"

typedef enum scene_e {
    SCENE_PLAIN,
    SCENE_MAP,
    SCENE_RELIEF,
    SCENE_PHOTO
} scene_e;

typedef struct form_t {
    int colour;
    int depth;
    int interlaced;
    scene_e scene;
    int has_transparency; /* tRNS */
    int has_extras;       /* other ancillary chunks */
    int filters;          /* of libpng, or 0 for its choice */
    int idat_bytes;       /* of a chunk of pixels, or 0 for libpng's choice */
} form_t;

typedef struct buffer_t {
    unsigned char *bytes;
    apr_size_t size;
    apr_size_t pos; /* while reading */
} buffer_t;

typedef struct decoded_t {
    int width;
    int height;
    int colour;
    int depth;
    apr_size_t row_bytes;
    unsigned char *rows;
    int ncolours;
    png_color palette[256];
    int nalpha;
    unsigned char alpha[256];
    png_color_16 clear;
    int has_gamma;
    int has_profile;
    int ntext;
} decoded_t;

static const struct {
    int colour;
    int depth;
} kinds[] = {
    {PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},
    {PNG_COLOR_TYPE_GRAY, 4},        {PNG_COLOR_TYPE_GRAY, 8},
    {PNG_COLOR_TYPE_GRAY, 16},       {PNG_COLOR_TYPE_PALETTE, 1},
    {PNG_COLOR_TYPE_PALETTE, 2},     {PNG_COLOR_TYPE_PALETTE, 4},
    {PNG_COLOR_TYPE_PALETTE, 8},     {PNG_COLOR_TYPE_RGB, 8},
    {PNG_COLOR_TYPE_RGB, 16},        {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_RGB_ALPHA, 8},
    {PNG_COLOR_TYPE_RGB_ALPHA, 16},
};

#define NKINDS ((int)(sizeof(kinds) / sizeof(*kinds)))

/* A land whose height at a place is in [0, 65535], the same in each run. */
static inline unsigned height_at(int x, int y)
{
    double h = sin(x * 0.021 + 1.3 * sin(y * 0.017))
               + sin(y * 0.027 + 1.1 * sin(x * 0.013 + 2)) + sin(x * y * 9e-5);

    return (unsigned)((h + 3) * 10900);
}

/* Channel c of a pixel, 16 bits. */
static inline unsigned paint(scene_e scene, int x, int y, int c)
{
    unsigned land = height_at(x, y);
    unsigned hash = (unsigned)(x * 7919 + y * 104729 + c * 1299709 + 1);

    hash = (hash ^ hash >> 13) * 0x5bd1e995U;
    switch (scene) {
    case SCENE_PLAIN:
        return 0xffff;
    case SCENE_MAP:
        /* Areas of one colour, and lines with soft edges between them. */
        return (land / 8000 * 0x1d00 + c * 0x777U)
               * (land % 8000 < 400 ? land % 8000 : 400) / 400;
    case SCENE_RELIEF:
        return (0x8000 + (height_at(x + 1, y + 1) - land) * 8) / (c + 1U);
    default:
        return land / 2 + land % 3000 + (hash >> 20);
    }
}

static inline void write_bytes(png_structp png, png_bytep data, size_t size)
{
    buffer_t *buffer = png_get_io_ptr(png);

    buffer->bytes = realloc(buffer->bytes, buffer->size + size);
    memcpy(buffer->bytes + buffer->size, data, size);
    buffer->size += size;
}

static inline void read_bytes(png_structp png, png_bytep data, size_t size)
{
    buffer_t *buffer = png_get_io_ptr(png);

    ck_assert(size <= buffer->size - buffer->pos);
    memcpy(data, buffer->bytes + buffer->pos, size);
    buffer->pos += size;
}

static inline int channels_of(int colour)
{
    return 1 + (colour == PNG_COLOR_TYPE_RGB || colour == 6 ? 2 : 0)
           + (colour & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

/* A row as PNG packs it. */
static inline void paint_row(unsigned char *row, const form_t *form, int y,
                             int width)
{
    int channels = channels_of(form->colour);
    int bit = 0;
    int x;
    int c;

    memset(row, 0, (size_t)width * 8);
    for (x = 0; x < width; x++) {
        for (c = 0; c < channels; c++) {
            unsigned value = paint(form->scene, x, y, c) & 0xffff;

            value >>= 16 - form->depth;
            if (form->depth == 16) {
                row[bit / 8] = (unsigned char)(value >> 8);
                row[bit / 8 + 1] = (unsigned char)value;
            }
            else {
                row[bit / 8] |=
                    (unsigned char)(value << (8 - form->depth - bit % 8));
            }
            bit += form->depth;
        }
    }
}

static inline void write_palette(png_structp png, png_infop info,
                                 const form_t *form)
{
    png_color palette[256];
    unsigned char alpha[256];
    png_color_16 clear = {0, 1, 1, 1, 1};
    int n = 1 << (form->depth > 8 ? 8 : form->depth);
    int i;

    for (i = 0; i < n; i++) {
        palette[i].red = (png_byte)(i * 37);
        palette[i].green = (png_byte)(255 - i);
        palette[i].blue = (png_byte)(i ^ 85);
        alpha[i] = (unsigned char)(i * 3);
    }
    if (form->colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, n);
    }
    if (form->has_transparency) {
        png_set_tRNS(png, info, alpha, (n + 1) / 2, &clear);
    }
}

static inline void write_extras(png_structp png, png_infop info)
{
    png_text text = {.compression = PNG_TEXT_COMPRESSION_NONE,
                     .key = (char *)"Software",
                     .text = (char *)"a map server"};
    png_time when = {2024, 2, 29, 12, 0, 0};

    png_set_gAMA(png, info, 0.45455);
    png_set_text(png, info, &text, 1);
    png_set_tIME(png, info, &when);
    png_set_pHYs(png, info, 3780, 3780, PNG_RESOLUTION_METER);
}

static inline buffer_t make(const form_t *form, int width, int height)
{
    buffer_t buffer = {NULL, 0, 0};
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    unsigned char *row = malloc((size_t)width * 8);
    int passes;
    int y;

    png_set_write_fn(png, &buffer, write_bytes, NULL);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height,
                 form->depth, form->colour,
                 form->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (form->filters) {
        png_set_filter(png, PNG_FILTER_TYPE_BASE, form->filters);
    }
    if (form->idat_bytes) {
        png_set_compression_buffer_size(png, (size_t)form->idat_bytes);
    }
    write_palette(png, info, form);
    if (form->has_extras) {
        write_extras(png, info);
    }
    png_write_info(png, info);
    passes = png_set_interlace_handling(png);
    while (passes-- > 0) {
        for (y = 0; y < height; y++) {
            paint_row(row, form, y, width);
            png_write_row(png, row);
        }
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
    return buffer;
}

static inline void read_chunks(decoded_t *decoded, png_structp png,
                               png_infop info)
{
    png_colorp palette;
    png_bytep alpha = NULL;
    png_color_16p clear = NULL;
    png_textp text;
    double gamma;

    decoded->has_gamma = png_get_gAMA(png, info, &gamma) != 0;
    decoded->ntext = png_get_text(png, info, &text, NULL)
                     + (png_get_valid(png, info, PNG_INFO_tIME) != 0);
    decoded->has_profile = png_get_valid(png, info, PNG_INFO_iCCP) != 0;
    if (png_get_PLTE(png, info, &palette, &decoded->ncolours)) {
        memcpy(decoded->palette, palette,
               (size_t)decoded->ncolours * sizeof(*palette));
    }
    if (png_get_tRNS(png, info, &alpha, &decoded->nalpha, &clear)) {
        if (alpha) {
            memcpy(decoded->alpha, alpha, (size_t)decoded->nalpha);
        }
        decoded->clear = *clear;
    }
}

static inline decoded_t decode(const void *bytes, apr_size_t size)
{
    buffer_t buffer = {(unsigned char *)bytes, size, 0};
    decoded_t decoded = {0};
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    int y;

    png_set_read_fn(png, &buffer, read_bytes);
    png_read_info(png, info);
    decoded.width = (int)png_get_image_width(png, info);
    decoded.height = (int)png_get_image_height(png, info);
    decoded.colour = png_get_color_type(png, info);
    decoded.depth = png_get_bit_depth(png, info);
    decoded.row_bytes = png_get_rowbytes(png, info);
    decoded.rows =
        apr_pcalloc(unit_pool, decoded.row_bytes * (size_t)decoded.height);
    ck_assert_int_eq(png_get_interlace_type(png, info), PNG_INTERLACE_NONE);
    for (y = 0; y < decoded.height; y++) {
        png_read_row(png, decoded.rows + (size_t)y * decoded.row_bytes, NULL);
    }
    png_read_end(png, info);
    read_chunks(&decoded, png, info);
    png_destroy_read_struct(&png, &info, NULL);
    return decoded;
}

/* The whole picture as the only tile. */
static inline apr_status_t cut(const void *bytes, apr_size_t size, int width,
                               int height, dp_piece_t *piece, const char **why)
{
    dp_window_t window = {0, 0, width, height};

    *why = NULL;
    return dp_image_split(piece, bytes, size, width, height, &window, 1, why,
                          unit_pool);
}

#endif
