/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a JPEG with libjpeg: opening, errors, limits and the tile buffer.
 * Called by dp_image_split() on a fetcher thread.
 *
 * Windows on the grid of coded blocks are cut without decoding (jpeg_crop.c),
 * which is every window of a metatile whose buffer and tiles are multiples of
 * 16; others are decoded and encoded again (jpeg_recode.c).
 *
 * libjpeg repairs broken data and only warns. A repaired map is a wrong map,
 * so a warning is an error here.
 *
 * Invariant: the one setjmp() is in a function without locals, and what a jump
 * could lose lies in the dp_jpeg_t of its caller, which frees it in one place.
 */
#include "image/jpeg_priv.h"

#include <apr_strings.h>
#include <jerror.h>
#include <stdlib.h>
#include <string.h>

/* Encoders write about ten; each costs a pass over the whole picture. */
#define SCANS_MAX 64

/* libjpeg's tables and rows besides the coefficients, bytes. */
#define WORK_BYTES (1024L * 1024)
/* Coefficients of a pixel at most: four components, two bytes each. */
#define PIXEL_BYTES 8
/* Sides are rounded up to whole blocks: at most four of eight pixels. */
#define BLOCKS_PX 32

#define QUANTUM_MAX 8191 /* of a quantisation table */

#define TILE_BYTES ((apr_size_t)64 * 1024) /* to begin with */

/* The longest colour profile that is handed on to every tile. */
#define PROFILE_MAX (32 * 1024)
#define PROFILE_MARKER (JPEG_APP0 + 2)
#define PROFILE_NAME "ICC_PROFILE" /* ICC.1, annex B: with its final zero */

static void leave(dp_jpeg_t *jpeg, apr_status_t status, const char *why)
    __attribute__((noreturn));

static void leave(dp_jpeg_t *jpeg, apr_status_t status, const char *why)
{
    jpeg->status = status;
    jpeg->cut->why = why;
    longjmp(jpeg->failed, 1);
}

void dp_jpeg_no_memory(dp_jpeg_t *jpeg)
{
    leave(jpeg, APR_ENOMEM, "no memory to cut the JPEG");
}

static void fail(j_common_ptr codec)
{
    dp_jpeg_t *jpeg = (dp_jpeg_t *)codec->err;
    char text[JMSG_LENGTH_MAX];

    if (codec->err->msg_code == JERR_OUT_OF_MEMORY) {
        dp_jpeg_no_memory(jpeg);
    }
    codec->err->format_message(codec, text);
    leave(jpeg, APR_EINVAL,
          apr_pstrcat(jpeg->cut->pool, "a broken JPEG: ", text, NULL));
}

/* Levels below 0 are warnings about the data, others are traces. */
static void emit(j_common_ptr codec, int level)
{
    if (level < 0) {
        fail(codec);
    }
}

static void print_nothing(j_common_ptr codec)
{
    (void)codec;
}

static void count_scans(j_common_ptr codec)
{
    dp_jpeg_t *jpeg = (dp_jpeg_t *)codec->err;

    if (codec->is_decompressor && jpeg->in.input_scan_number > SCANS_MAX) {
        leave(jpeg, APR_EINVAL, "a JPEG of too many scans");
    }
}

static void target_start(j_compress_ptr out)
{
    dp_jpeg_t *jpeg = (dp_jpeg_t *)out->err;

    out->dest->next_output_byte = jpeg->tile;
    out->dest->free_in_buffer = jpeg->tile_max;
}

/* The buffer is full: double it. */
static boolean target_grow(j_compress_ptr out)
{
    dp_jpeg_t *jpeg = (dp_jpeg_t *)out->err;
    unsigned char *larger = realloc(jpeg->tile, 2 * jpeg->tile_max);

    if (!larger) {
        dp_jpeg_no_memory(jpeg);
    }
    jpeg->tile = larger;
    out->dest->next_output_byte = larger + jpeg->tile_max;
    out->dest->free_in_buffer = jpeg->tile_max;
    jpeg->tile_max *= 2;
    return TRUE;
}

static void target_end(j_compress_ptr out)
{
    (void)out;
}

/* T.81 B.2.4.1 forbids 0. libjpeg's encoder divides by eight times the value,
 * in 16 bits, without looking: 0 and 8192 would end the process. */
static int is_sound_table(const JQUANT_TBL *table)
{
    int i;

    for (i = 0; table && i < DCTSIZE2; i++) {
        if (table->quantval[i] == 0 || table->quantval[i] > QUANTUM_MAX) {
            return 0;
        }
    }
    return 1;
}

void dp_jpeg_begin_tile(dp_jpeg_t *jpeg, const dp_window_t *window)
{
    int i;

    jpeg_copy_critical_parameters(&jpeg->in, &jpeg->out);
    for (i = 0; i < NUM_QUANT_TBLS; i++) {
        if (!is_sound_table(jpeg->out.quant_tbl_ptrs[i])) {
            leave(jpeg, APR_EINVAL, "a broken JPEG: impossible quantisation");
        }
    }
    jpeg->out.image_width = (JDIMENSION)window->width;
    jpeg->out.image_height = (JDIMENSION)window->height;
    /* Twice the time of a small step, for tiles that are smaller by a few
     * percent, and by half where there is little to see. */
    jpeg->out.optimize_coding = TRUE;
    jpeg->out.dest = &jpeg->target;
}

void dp_jpeg_end_tile(dp_jpeg_t *jpeg, dp_piece_t *piece)
{
    jpeg_finish_compress(&jpeg->out);
    piece->size = jpeg->tile_max - jpeg->target.free_in_buffer;
    piece->bytes = apr_pmemdup(jpeg->cut->pool, jpeg->tile, piece->size);
}

void dp_jpeg_write_profile(dp_jpeg_t *jpeg)
{
    const struct jpeg_marker_struct *marker = jpeg->in.marker_list;

    for (; marker; marker = marker->next) {
        if (marker->data_length == marker->original_length
            && marker->data_length >= sizeof(PROFILE_NAME)
            && memcmp(marker->data, PROFILE_NAME, sizeof(PROFILE_NAME)) == 0) {
            jpeg_write_marker(&jpeg->out, PROFILE_MARKER, marker->data,
                              marker->data_length);
            return;
        }
    }
}

static void open_codecs(dp_jpeg_t *jpeg)
{
    dp_cut_t *cut = jpeg->cut;

    jpeg->in.err = &jpeg->errors;
    jpeg->out.err = &jpeg->errors;
    jpeg_create_decompress(&jpeg->in);
    jpeg_create_compress(&jpeg->out);
    jpeg->in.mem->max_memory_to_use = WORK_BYTES
                                      + (long)PIXEL_BYTES
                                            * (cut->width + BLOCKS_PX)
                                            * (cut->height + BLOCKS_PX);
    jpeg->out.mem->max_memory_to_use = jpeg->in.mem->max_memory_to_use;
    jpeg->progress.progress_monitor = count_scans;
    jpeg->in.progress = &jpeg->progress;
    jpeg->target.init_destination = target_start;
    jpeg->target.empty_output_buffer = target_grow;
    jpeg->target.term_destination = target_end;
    jpeg->tile_max = TILE_BYTES;
    jpeg->tile = malloc(jpeg->tile_max);
    if (!jpeg->tile) {
        dp_jpeg_no_memory(jpeg);
    }
}

static void cut_all(dp_jpeg_t *jpeg)
{
    dp_cut_t *cut = jpeg->cut;

    open_codecs(jpeg);
    jpeg_mem_src(&jpeg->in, cut->bytes, cut->size);
    jpeg_save_markers(&jpeg->in, PROFILE_MARKER, PROFILE_MAX);
    jpeg_read_header(&jpeg->in, TRUE);
    if (jpeg->in.image_width != (JDIMENSION)cut->width
        || jpeg->in.image_height != (JDIMENSION)cut->height) {
        leave(jpeg, APR_EINVAL, "a JPEG of two sizes");
    }
    if (dp_jpeg_is_aligned(jpeg)) {
        dp_jpeg_crop(jpeg);
    }
    else {
        dp_jpeg_recode(jpeg);
    }
}

static void cut_or_fail(dp_jpeg_t *jpeg)
{
    if (setjmp(jpeg->failed) == 0) {
        cut_all(jpeg);
    }
}

apr_status_t dp_jpeg_split(dp_cut_t *cut)
{
    dp_jpeg_t jpeg = {.cut = cut, .status = APR_SUCCESS};

    jpeg_std_error(&jpeg.errors);
    jpeg.errors.error_exit = fail;
    jpeg.errors.emit_message = emit;
    jpeg.errors.output_message = print_nothing;
    cut_or_fail(&jpeg);
    jpeg_destroy_compress(&jpeg.out);
    jpeg_destroy_decompress(&jpeg.in);
    free(jpeg.pixels);
    free(jpeg.tile);
    return jpeg.status;
}
