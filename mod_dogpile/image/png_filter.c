/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of PNG 9.2, both ways: undone in the rows of a source, in place,
 * and applied to the rows of a window as it is cut out. Called by the decoder
 * and the encoders, on their threads; only dp_png_unfilter() writes to a
 * picture, before anybody else sees it.
 *
 * Undoing is a chain, each pixel needs the one before it; what can be gained
 * is that the distance between the two is a constant to the compiler. Applied,
 * no byte depends on another's result.
 */
#include "image/png_priv.h"

#include <string.h>

/* PNG 9.4, without a branch: which of the three is nearest can't be foreseen
 * by a processor either. */
static inline short paeth(short left, short above, short corner)
{
    short from_left = (short)(above - corner);
    short from_above = (short)(left - corner);
    short from_corner = (short)(from_left + from_above);
    short a = from_left < 0 ? (short)-from_left : from_left;
    short b = from_above < 0 ? (short)-from_above : from_above;
    short c = from_corner < 0 ? (short)-from_corner : from_corner;
    short second = b <= c ? above : corner;
    short nearest = b <= c ? b : c;

    return a <= nearest ? left : second;
}

static inline void undo_sub(unsigned char *row, apr_size_t n, apr_size_t bpp)
{
    apr_size_t i;

    for (i = bpp; i < n; i++) {
        row[i] = (unsigned char)(row[i] + row[i - bpp]);
    }
}

static void undo_up(unsigned char *restrict row,
                    const unsigned char *restrict above, apr_size_t n)
{
    apr_size_t i;

    for (i = 0; i < n; i++) {
        row[i] = (unsigned char)(row[i] + above[i]);
    }
}

static inline void undo_average(unsigned char *row, const unsigned char *above,
                                apr_size_t n, apr_size_t bpp)
{
    apr_size_t i;

    for (i = 0; i < bpp; i++) {
        row[i] = (unsigned char)(row[i] + above[i] / 2);
    }
    for (; i < n; i++) {
        row[i] = (unsigned char)(row[i] + (row[i - bpp] + above[i]) / 2);
    }
}

static inline void undo_paeth(unsigned char *row, const unsigned char *above,
                              apr_size_t n, apr_size_t bpp)
{
    apr_size_t i;

    for (i = 0; i < bpp; i++) {
        row[i] = (unsigned char)(row[i] + above[i]);
    }
    for (; i < n; i++) {
        row[i] =
            (unsigned char)(row[i]
                            + paeth(row[i - bpp], above[i], above[i - bpp]));
    }
}

static inline void undo(unsigned char *row, const unsigned char *above,
                        int filter, apr_size_t n, apr_size_t bpp)
{
    switch (filter) {
    case DP_PNG_SUB:
        undo_sub(row, n, bpp);
        break;
    case DP_PNG_UP:
        undo_up(row, above, n);
        break;
    case DP_PNG_AVERAGE:
        undo_average(row, above, n, bpp);
        break;
    case DP_PNG_PAETH:
        undo_paeth(row, above, n, bpp);
        break;
    default:
        break;
    }
}

int dp_png_unfilter(unsigned char *row, const unsigned char *above, int filter,
                    apr_size_t row_bytes, apr_size_t pixel_bytes)
{
    if (filter > DP_PNG_PAETH) {
        return 0;
    }
    switch (pixel_bytes) { /* each is compiled for its distance */
    case 1:
        undo(row, above, filter, row_bytes, 1);
        break;
    case 3:
        undo(row, above, filter, row_bytes, 3);
        break;
    case 4:
        undo(row, above, filter, row_bytes, 4);
        break;
    default:
        undo(row, above, filter, row_bytes, pixel_bytes);
    }
    return 1;
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

static void filter_average(unsigned char *restrict out,
                           const unsigned char *row, const unsigned char *above,
                           apr_size_t n, apr_size_t bpp)
{
    apr_size_t i;

    for (i = 0; i < bpp; i++) {
        out[i] = (unsigned char)(row[i] - above[i] / 2);
    }
    for (; i < n; i++) {
        out[i] = (unsigned char)(row[i] - (row[i - bpp] + above[i]) / 2);
    }
}

static void filter_paeth(unsigned char *restrict out, const unsigned char *row,
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
        short guess = paeth(row[i - bpp], above[i], above[i - bpp]);

        out[i] = (unsigned char)(row[i] - guess);
    }
}

apr_size_t dp_png_filter(unsigned char *out, const dp_png_t *png,
                         const dp_window_t *window, int filter,
                         const unsigned char *above)
{
    apr_size_t bits = (apr_size_t)png->pixel_bits;
    apr_size_t first_bit = (apr_size_t)window->x * bits;
    apr_size_t bpp = dp_png_bytes_of(png, 1);
    apr_size_t n = dp_png_bytes_of(png, window->width);
    int y;

    for (y = window->y; y < window->y + window->height; y++) {
        const unsigned char *row = dp_png_row(png, y) + first_bit / 8;

        *out++ = (unsigned char)filter;
        if (bits < 8) {
            cut_bits(out, dp_png_row(png, y), png->row_bytes, first_bit,
                     (apr_size_t)window->width * bits);
        }
        else if (filter == DP_PNG_AVERAGE) {
            filter_average(out, row, above, n, bpp);
        }
        else if (filter == DP_PNG_PAETH) {
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
