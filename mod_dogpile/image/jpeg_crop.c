/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a JPEG without decoding its pixels: the quantised coefficients are
 * unpacked once, and each tile is written from its share of them. No
 * generation is lost, in any colour space, and neither the transform nor the
 * colour conversion costs time. Called by dp_jpeg_split() under its setjmp().
 *
 * Possible where a window begins at a corner of an MCU (ITU-T T.81 A.2.4), 16
 * pixels where chroma is halved. It may end anywhere: the blocks at its right
 * and lower edge are then cropped by the tile's dimensions.
 */
#include "image/jpeg_priv.h"

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
    const dp_cut_t *cut = jpeg->cut;
    int i;

    for (i = 0; i < cut->nwindows; i++) {
        if (cut->windows[i].x % mcu_width(jpeg) != 0
            || cut->windows[i].y % mcu_height(jpeg) != 0) {
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

/* Room for the coefficients of a tile, until its compression has ended. */
static jvirt_barray_ptr *request_blocks(dp_jpeg_t *jpeg,
                                        const dp_window_t *window)
{
    j_common_ptr out = (j_common_ptr)&jpeg->out;
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
static void copy_blocks(dp_jpeg_t *jpeg, jvirt_barray_ptr to,
                        jvirt_barray_ptr from, int i, const dp_window_t *window)
{
    const jpeg_component_info *info = &jpeg->in.comp_info[i];
    j_common_ptr in = (j_common_ptr)&jpeg->in;
    j_common_ptr out = (j_common_ptr)&jpeg->out;
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
        JBLOCKARRAY source =
            in->mem->access_virt_barray(in, from, top + y, high, FALSE);

        for (k = 0; k < high; k++) {
            memcpy(target[k], source[k] + left, n * sizeof(JBLOCK));
        }
    }
}

void dp_jpeg_crop(dp_jpeg_t *jpeg)
{
    dp_cut_t *cut = jpeg->cut;
    jvirt_barray_ptr *all = jpeg_read_coefficients(&jpeg->in);
    int i;
    int k;

    for (i = 0; i < cut->nwindows; i++) {
        const dp_window_t *window = &cut->windows[i];
        jvirt_barray_ptr *blocks;

        dp_jpeg_begin_tile(jpeg, window);
        blocks = request_blocks(jpeg, window);
        for (k = 0; k < jpeg->in.num_components; k++) {
            copy_blocks(jpeg, blocks[k], all[k], k, window);
        }
        jpeg_write_coefficients(&jpeg->out, blocks);
        dp_jpeg_write_profile(jpeg);
        dp_jpeg_end_tile(jpeg, &cut->pieces[i]);
    }
}
