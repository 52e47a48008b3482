/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing one tile of a JPEG with libjpeg: its parameters are the source's,
 * its bytes go to a buffer that grows. Called by dp_split_piece() on any
 * thread, and once when a picture is opened. All that is written lies in a
 * dp_jpeg_tile_t of the caller's frame; the source is only read.
 *
 * Invariant: the one setjmp() is in a function without locals, and what a jump
 * could lose is freed in one place.
 */
#include "image/jpeg_priv.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define TILE_BYTES ((apr_size_t)64 * 1024) /* to begin with */

#define PROFILE_MARKER (JPEG_APP0 + 2)
#define PROFILE_NAME "ICC_PROFILE" /* ICC.1, annex B: with its final zero */

static void target_start(j_compress_ptr out)
{
    dp_jpeg_tile_t *tile = (dp_jpeg_tile_t *)out->err;

    out->dest->next_output_byte = tile->bytes;
    out->dest->free_in_buffer = tile->max;
}

/* The buffer is full: double it. */
static boolean target_grow(j_compress_ptr out)
{
    dp_jpeg_tile_t *tile = (dp_jpeg_tile_t *)out->err;
    unsigned char *larger = realloc(tile->bytes, 2 * tile->max);

    if (!larger) {
        dp_jpeg_no_memory(&tile->exit);
    }
    tile->bytes = larger;
    out->dest->next_output_byte = larger + tile->max;
    out->dest->free_in_buffer = tile->max;
    tile->max *= 2;
    return TRUE;
}

static void target_end(j_compress_ptr out)
{
    (void)out;
}

void dp_jpeg_write_profile(dp_jpeg_tile_t *tile, const dp_jpeg_t *jpeg)
{
    const struct jpeg_marker_struct *marker = jpeg->in.marker_list;

    for (; marker; marker = marker->next) {
        if (marker->data_length == marker->original_length
            && marker->data_length >= sizeof(PROFILE_NAME)
            && memcmp(marker->data, PROFILE_NAME, sizeof(PROFILE_NAME)) == 0) {
            jpeg_write_marker(&tile->out, PROFILE_MARKER, marker->data,
                              marker->data_length);
            return;
        }
    }
}

static void create(dp_jpeg_tile_t *tile, const dp_jpeg_t *jpeg)
{
    tile->out.err = dp_jpeg_exit_init(&tile->exit);
    jpeg_create_compress(&tile->out);
    tile->out.mem->max_memory_to_use = jpeg->in.mem->max_memory_to_use;
    tile->target.init_destination = target_start;
    tile->target.empty_output_buffer = target_grow;
    tile->target.term_destination = target_end;
    tile->out.dest = &tile->target;
    tile->max = TILE_BYTES;
    tile->bytes = malloc(tile->max);
    if (!tile->bytes) {
        dp_jpeg_no_memory(&tile->exit);
    }
}

static void write_all(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                      const dp_window_t *window)
{
    create(tile, jpeg);
    jpeg_copy_critical_parameters(&jpeg->in, &tile->out);
    tile->out.image_width = (JDIMENSION)window->width;
    tile->out.image_height = (JDIMENSION)window->height;
    /* Twice the time of a small step, for tiles that are smaller by a few
     * percent, and by half where there is little to see. */
    tile->out.optimize_coding = TRUE;
    if (jpeg->is_aligned) {
        dp_jpeg_crop(tile, jpeg, window);
    }
    else {
        dp_jpeg_recode(tile, jpeg, window);
    }
    jpeg_finish_compress(&tile->out);
}

static void write_or_fail(dp_jpeg_tile_t *tile, dp_jpeg_t *jpeg,
                          const dp_window_t *window)
{
    if (setjmp(tile->exit.jump) == 0) {
        write_all(tile, jpeg, window);
    }
}

apr_status_t dp_jpeg_write(dp_piece_t *piece, dp_jpeg_t *jpeg,
                           const dp_window_t *window, const char **why,
                           apr_pool_t *pool)
{
    dp_jpeg_tile_t tile;

    memset(&tile, 0, sizeof(tile));
    write_or_fail(&tile, jpeg, window);
    *why = NULL;
    if (tile.exit.status == APR_SUCCESS) {
        piece->size = tile.max - tile.target.free_in_buffer;
        piece->bytes = apr_pmemdup(pool, tile.bytes, piece->size);
    }
    else {
        *why = apr_pstrdup(pool, tile.exit.why);
    }
    jpeg_destroy_compress(&tile.out);
    free(tile.bytes);
    return tile.exit.status;
}
