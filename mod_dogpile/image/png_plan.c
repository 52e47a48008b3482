/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a window is filtered and deflated. Called by the encoder, on its
 * thread; only reads the picture.
 *
 * One number decides, the share of pixels that equal their left neighbour: it
 * separates drawn maps from what has no edges, and costs less than a percent
 * of the encoding. Drawn maps aren't filtered, repetitions are everything.
 * For shaded relief and photographs no cheap number tells what is best; so
 * there a strip of the window is encoded in each way. Trying filters row
 * by row, as libpng does, costs as much as the deflating and makes drawn maps
 * a quarter larger (docs/design/image.md).
 */
#include "image/png_priv.h"

#include <string.h>

#define COLOUR_PALETTE 3

/* Indexes aren't numbers that a filter could predict. A higher level than for
 * colours: they are few bytes, and each tile has its palette too. Pixels of
 * less than a byte are alike. */
static const dp_png_plan_t plan_indexed = {DP_PNG_NONE, 6};
static const dp_png_plan_t plan_drawn = {DP_PNG_NONE, 1};
/* With few edges they deflate fast, and badly at the lowest levels. */
static const dp_png_plan_t plan_drawn_sparse = {DP_PNG_NONE, 2};
static const dp_png_plan_t plan_drawn_empty = {DP_PNG_NONE, 5};
/* Where hardly a pixel repeats: shading, gradients, photographs. Matches of
 * grain cost more than they save, and zlib can do without. */
static const dp_png_plan_t plans_smooth[] = {{DP_PNG_PAETH, DP_PNG_RUNS},
                                             {DP_PNG_AVERAGE, DP_PNG_RUNS},
                                             {DP_PNG_AVERAGE, 2},
                                             {DP_PNG_NONE, 2}};

#define NSMOOTH ((int)(sizeof(plans_smooth) / sizeof(*plans_smooth)))

/* Of 100 pixels, how many equal their left neighbour. */
#define EMPTY_PERCENT 95
#define SPARSE_PERCENT 85
#define DRAWN_PERCENT 70

/* A plan is made from each eighth row. */
#define SAMPLE_STEP 8

/* How many pixels of a row of n bytes equal the one before them. */
static inline int count_equal(const unsigned char *row, apr_size_t n,
                              apr_size_t bpp)
{
    int equal = 0;
    apr_size_t i;

    for (i = bpp; i < n; i += bpp) {
        equal += memcmp(row + i, row + i - bpp, bpp) == 0;
    }
    return equal;
}

/* For pixels of whole bytes. */
static int percent_equal(const dp_png_t *png, const dp_window_t *window)
{
    apr_size_t bpp = dp_png_bytes_of(png, 1);
    apr_size_t n = dp_png_bytes_of(png, window->width);
    apr_int64_t equal = 0;
    apr_int64_t total = 0;
    int y;

    for (y = 0; y < window->height; y += SAMPLE_STEP) {
        const unsigned char *row =
            dp_png_row(png, window->y + y) + (apr_size_t)window->x * bpp;

        switch (bpp) { /* a constant spares a call for each pixel */
        case 3:
            equal += count_equal(row, n, 3);
            break;
        case 4:
            equal += count_equal(row, n, 4);
            break;
        default:
            equal += count_equal(row, n, bpp);
        }
        total += window->width - 1;
    }
    return total == 0 ? 100 : (int)(equal * 100 / total);
}

int dp_png_plans_of(const dp_png_plan_t **plans, const dp_png_t *png,
                    const dp_window_t *window)
{
    int percent;

    *plans = &plan_indexed;
    if (png->bit_depth < 8 || png->colour_type == COLOUR_PALETTE) {
        return 1;
    }
    percent = percent_equal(png, window);
    if (percent < DRAWN_PERCENT) {
        *plans = plans_smooth;
        return NSMOOTH;
    }
    *plans = percent >= EMPTY_PERCENT    ? &plan_drawn_empty
             : percent >= SPARSE_PERCENT ? &plan_drawn_sparse
                                         : &plan_drawn;
    return 1;
}

int dp_png_is_plain(const dp_png_t *png, const dp_window_t *window)
{
    apr_size_t bpp = dp_png_bytes_of(png, 1);
    apr_size_t left = (apr_size_t)window->x * bpp;
    apr_size_t n = dp_png_bytes_of(png, window->width);
    const unsigned char *first = dp_png_row(png, window->y) + left;
    int y;

    /* Each pixel of the first row equals the next, and each row the first. */
    if (png->pixel_bits < 8 || memcmp(first, first + bpp, n - bpp) != 0) {
        return 0;
    }
    for (y = window->y + 1; y < window->y + window->height; y++) {
        if (memcmp(dp_png_row(png, y) + left, first, n) != 0) {
            return 0;
        }
    }
    return 1;
}
