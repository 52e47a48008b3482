/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a JPEG without decoding its pixels: the quantised coefficients are
 * unpacked once, and each tile is written from its share of them. No
 * generation is lost, in any colour space, and neither the transform nor the
 * colour conversion costs time. Called when a JPEG is opened and for each
 * tile, under their setjmp().
 *
 * libjpeg's arrays answer one thread at a time, so when a picture is opened
 * the places of all rows are noted; the arrays are never swapped out, because
 * their memory was bounded before.
 *
 * Possible where a window begins at a corner of an MCU (ITU-T T.81 A.2.4), 16
 * pixels where chroma is halved. It may end anywhere: the blocks at its right
 * and lower edge are then cropped by the tile's dimensions.
 */
#include "image/jpeg_priv.h"

#include <apr_strings.h>
#include <string.h>

static int mcu_width(const dp_jpeg_t *jpeg)
{
    return jpeg->in.max_h_samp_factor * DCTSIZE;
}

static int mcu_height(const dp_jpeg_t *jpeg)
{
    return jpeg->in.max_v_samp_factor * DCTSIZE;
}

int dp_jpeg_is_aligned(const dp_jpeg_t *jpeg)
{
    const dp_split_t *split = jpeg->split;
    int i;

    for (i = 0; i < split->nwindows; i++) {
        if (split->windows[i].x % mcu_width(jpeg) != 0
            || split->windows[i].y % mcu_height(jpeg) != 0) {
            return 0;
        }
    }
    return 1;
}

/* How many MCUs cover so many pixels. */
static JDIMENSION mcus(int pixels, int mcu_px)
{
    return (JDIMENSION)((pixels + mcu_px - 1) / mcu_px);
}

/* What an encoder can write (T.81 F.1.2): a block of others, as broken data
 * may give, would fail in the middle of some tile. */
static int is_codable(const JCOEF *block)
{
    int bad = block[0] < -1024 || block[0] > 1023;
    int i;

    for (i = 1; i < DCTSIZE2; i++) {
        bad |= block[i] < -1023 || block[i] > 1023;
    }
    return !bad;
}

static void check_row(dp_jpeg_t *jpeg, JBLOCKROW row, JDIMENSION n)
{
    JDIMENSION i;

    for (i = 0; i < n; i++) {
        if (!is_codable(row[i])) {
            dp_jpeg_leave(&jpeg->exit, APR_EINVAL,
                          "a broken JPEG: impossible coefficients");
        }
    }
}

/* Note the rows of component i, of whole MCUs. */
static void note_rows(dp_jpeg_t *jpeg, jvirt_barray_ptr from, int i)
{
    const jpeg_component_info *info = &jpeg->in.comp_info[i];
    j_common_ptr in = (j_common_ptr)&jpeg->in;
    JDIMENSION high = (JDIMENSION)info->v_samp_factor;
    JDIMENSION rows = mcus(jpeg->split->height, mcu_height(jpeg)) * high;
    JDIMENSION wide = mcus(jpeg->split->width, mcu_width(jpeg))
                      * (JDIMENSION)info->h_samp_factor;
    JDIMENSION y;
    JDIMENSION k;

    jpeg->blocks[i] = apr_palloc(jpeg->split->pool, rows * sizeof(JBLOCKROW));
    for (y = 0; y < rows; y += high) {
        JBLOCKARRAY source =
            in->mem->access_virt_barray(in, from, y, high, FALSE);

        for (k = 0; k < high; k++) {
            check_row(jpeg, source[k], wide);
            jpeg->blocks[i][y + k] = source[k];
        }
    }
}

void dp_jpeg_read_blocks(dp_jpeg_t *jpeg)
{
    jvirt_barray_ptr *all = jpeg_read_coefficients(&jpeg->in);
    int i;

    for (i = 0; i < jpeg->in.num_components; i++) {
        note_rows(jpeg, all[i], i);
    }
}

/* Room for the coefficients of a tile, until its compression has ended. */
static jvirt_barray_ptr *request_blocks(dp_jpeg_tile_t *tile,
                                        const dp_jpeg_t *jpeg,
                                        const dp_window_t *window)
{
    j_common_ptr out = (j_common_ptr)&tile->out;
    int n = jpeg->in.num_components;
    jvirt_barray_ptr *blocks = out->mem->alloc_small(
        out, JPOOL_IMAGE, (size_t)n * sizeof(jvirt_barray_ptr));
    int i;

    for (i = 0; i < n; i++) {
        const jpeg_component_info *info = &jpeg->in.comp_info[i];
        JDIMENSION across = mcus(window->width, mcu_width(jpeg));
        JDIMENSION down = mcus(window->height, mcu_height(jpeg));

        blocks[i] = out->mem->request_virt_barray(
            out, JPOOL_IMAGE, FALSE, across * (JDIMENSION)info->h_samp_factor,
            down * (JDIMENSION)info->v_samp_factor,
            (JDIMENSION)info->v_samp_factor);
    }
    out->mem->realize_virt_arrays(out);
    return blocks;
}

/* Copy what component i has in the window, a row of MCUs at a time. */
static void copy_blocks(dp_jpeg_tile_t *tile, jvirt_barray_ptr to,
                        const dp_jpeg_t *jpeg, int i, const dp_window_t *window)
{
    const jpeg_component_info *info = &jpeg->in.comp_info[i];
    j_common_ptr out = (j_common_ptr)&tile->out;
    JDIMENSION high = (JDIMENSION)info->v_samp_factor;
    JDIMENSION wide = (JDIMENSION)info->h_samp_factor;
    JDIMENSION left = mcus(window->x, mcu_width(jpeg)) * wide;
    JDIMENSION top = mcus(window->y, mcu_height(jpeg)) * high;
    size_t n = (size_t)mcus(window->width, mcu_width(jpeg)) * wide;
    JDIMENSION rows = mcus(window->height, mcu_height(jpeg)) * high;
    JDIMENSION y;
    JDIMENSION k;

    for (y = 0; y < rows; y += high) {
        JBLOCKARRAY target =
            out->mem->access_virt_barray(out, to, y, high, TRUE);

        for (k = 0; k < high; k++) {
            memcpy(target[k], jpeg->blocks[i][top + y + k] + left,
                   n * sizeof(JBLOCK));
        }
    }
}

void dp_jpeg_crop(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                  const dp_window_t *window)
{
    jvirt_barray_ptr *blocks = request_blocks(tile, jpeg, window);
    int i;

    for (i = 0; i < jpeg->in.num_components; i++) {
        copy_blocks(tile, blocks[i], jpeg, i, window);
    }
    jpeg_write_coefficients(&tile->out, blocks);
    dp_jpeg_write_profile(tile, jpeg);
}
