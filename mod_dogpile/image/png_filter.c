/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts the rows of a window out of a decoded PNG and filters them (PNG 9.2),
 * and decides how. Called by the encoder, on its thread; only reads the
 * picture.
 *
 * The decision is made for a window and from one number, the share of pixels
 * that equal their left neighbour: it separates drawn maps, shaded relief and
 * photographs well, and costs less than a percent of the encoding. Trying
 * filters row by row, as libpng does, costs as much as the deflating and makes
 * drawn maps a quarter larger (docs/design/image.md).
 */
#include "image/png_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define COLOUR_PALETTE 3

/* PNG 9.2. Sub and Up never won a measurement. */
#define FILTER_NONE 0
#define FILTER_AVERAGE 3
#define FILTER_PAETH 4

/* Pixels of less than a byte: so few bytes that being thorough is cheap. */
static const dp_png_plan_t plan_packed = {FILTER_NONE, 6, Z_DEFAULT_STRATEGY};
/* Indexes: a level more than for colours, as each tile has its palette too. */
static const dp_png_plan_t plan_indexed = {FILTER_NONE, 3, Z_DEFAULT_STRATEGY};
/* With few edges they deflate fast, and badly at the lowest levels. */
static const dp_png_plan_t plan_indexed_sparse = {FILTER_NONE, 5,
                                                  Z_DEFAULT_STRATEGY};
/* Drawn maps in colours: repetitions are everything. */
static const dp_png_plan_t plan_drawn = {FILTER_NONE, 2, Z_DEFAULT_STRATEGY};
static const dp_png_plan_t plan_drawn_sparse = {FILTER_NONE, 3,
                                                Z_DEFAULT_STRATEGY};
/* Nearly empty tiles, shading and gradients: Paeth leaves runs of zeros, or
 * short ones and small numbers. */
static const dp_png_plan_t plan_smooth = {FILTER_PAETH, 1, Z_RLE};
/* Photographs: neighbours are similar, and nothing is equal. */
static const dp_png_plan_t plan_rough = {FILTER_AVERAGE, 4, Z_FILTERED};

/* Of 100 pixels, how many equal their left neighbour. */
#define EMPTY_PERCENT 98
#define SPARSE_PERCENT 85
#define DRAWN_PERCENT 50
#define SMOOTH_PERCENT 15

/* A plan is made from each eighth row. */
#define SAMPLE_STEP 8

apr_size_t dp_png_bytes_of(const dp_png_t *png, int width)
{
    return ((apr_size_t)width * (apr_size_t)png->pixel_bits + 7) / 8;
}

static const unsigned char *row_at(const dp_png_t *png, int y)
{
    return png->pixels + (apr_size_t)y * png->row_bytes;
}

/* For pixels of whole bytes. */
static int percent_equal(const dp_png_t *png, const dp_window_t *window)
{
    apr_size_t bpp = dp_png_bytes_of(png, 1);
    apr_size_t n = dp_png_bytes_of(png, window->width);
    apr_int64_t equal = 0;
    apr_int64_t total = 0;
    apr_size_t i;
    int y;

    for (y = 0; y < window->height; y += SAMPLE_STEP) {
        const unsigned char *row =
            row_at(png, window->y + y) + (apr_size_t)window->x * bpp;

        for (i = bpp; i < n; i += bpp) {
            equal += memcmp(row + i, row + i - bpp, bpp) == 0;
            total++;
        }
    }
    return total == 0 ? 100 : (int)(equal * 100 / total);
}

const dp_png_plan_t *dp_png_plan_of(const dp_png_t *png,
                                    const dp_window_t *window)
{
    int percent;

    if (png->bit_depth < 8) {
        return &plan_packed;
    }
    percent = percent_equal(png, window);
    /* Indexes aren't numbers that a filter could predict. */
    if (png->colour_type == COLOUR_PALETTE) {
        return percent >= SPARSE_PERCENT ? &plan_indexed_sparse : &plan_indexed;
    }
    if (percent >= EMPTY_PERCENT) {
        return &plan_smooth;
    }
    if (percent >= SPARSE_PERCENT) {
        return &plan_drawn_sparse;
    }
    if (percent >= DRAWN_PERCENT) {
        return &plan_drawn;
    }
    /* The lower bytes of 16 bits are never smooth. */
    return percent >= SMOOTH_PERCENT && png->bit_depth == 8 ? &plan_smooth
                                                            : &plan_rough;
}

/* Pixels that share bytes: shift them to the left, and clear what the last
 * byte holds beyond the window. */
static void cut_bits(unsigned char *out, const unsigned char *row,
                     apr_size_t row_bytes, apr_size_t first_bit,
                     apr_size_t nbits)
{
    apr_size_t from = first_bit / 8;
    unsigned shift = (unsigned)(first_bit % 8);
    apr_size_t n = (nbits + 7) / 8;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        unsigned next = from + i + 1 < row_bytes ? row[from + i + 1] : 0;
        unsigned both = (unsigned)row[from + i] << 8 | next;

        out[i] = (unsigned char)(both >> (8 - shift));
    }
    if (nbits % 8 != 0) {
        out[n - 1] &= (unsigned char)(0xff << (8 - nbits % 8));
    }
}

static void filter_average(unsigned char *out, const unsigned char *row,
                           const unsigned char *above, apr_size_t n,
                           apr_size_t bpp)
{
    apr_size_t i;

    for (i = 0; i < bpp; i++) {
        out[i] = (unsigned char)(row[i] - above[i] / 2);
    }
    for (; i < n; i++) {
        out[i] = (unsigned char)(row[i] - (row[i - bpp] + above[i]) / 2);
    }
}

static int paeth(int left, int above, int corner)
{
    int to_left = abs(above - corner);
    int to_above = abs(left - corner);
    int to_corner = abs(left + above - 2 * corner);

    if (to_left <= to_above && to_left <= to_corner) {
        return left;
    }
    return to_above <= to_corner ? above : corner;
}

static void filter_paeth(unsigned char *out, const unsigned char *row,
                         const unsigned char *above, apr_size_t n,
                         apr_size_t bpp)
{
    apr_size_t i;

    /* Common in maps, and then the guess is always what lies above. */
    if (memcmp(row, above, n) == 0) {
        memset(out, 0, n);
        return;
    }
    for (i = 0; i < bpp; i++) {
        out[i] = (unsigned char)(row[i] - above[i]);
    }
    for (; i < n; i++) {
        int guess = paeth(row[i - bpp], above[i], above[i - bpp]);

        out[i] = (unsigned char)(row[i] - guess);
    }
}

apr_size_t dp_png_filter(unsigned char *out, const dp_png_t *png,
                         const dp_window_t *window, int filter,
                         const unsigned char *no_row)
{
    apr_size_t bits = (apr_size_t)png->pixel_bits;
    apr_size_t first_bit = (apr_size_t)window->x * bits;
    apr_size_t bpp = dp_png_bytes_of(png, 1);
    apr_size_t n = dp_png_bytes_of(png, window->width);
    const unsigned char *above = no_row;
    int y;

    for (y = window->y; y < window->y + window->height; y++) {
        const unsigned char *row = row_at(png, y) + first_bit / 8;

        *out++ = (unsigned char)filter;
        if (bits < 8) {
            cut_bits(out, row_at(png, y), png->row_bytes, first_bit,
                     (apr_size_t)window->width * bits);
        }
        else if (filter == FILTER_AVERAGE) {
            filter_average(out, row, above, n, bpp);
        }
        else if (filter == FILTER_PAETH) {
            filter_paeth(out, row, above, n, bpp);
        }
        else {
            memcpy(out, row, n);
        }
        out += n;
        above = row;
    }
    return (1 + n) * (apr_size_t)window->height;
}
