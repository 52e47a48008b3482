/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a JPEG with libjpeg: errors and limits. Called by dp_split_open()
 * on a fetcher thread. Its tiles are written in jpeg_tile.c, by any threads.
 *
 * Windows on the grid of coded blocks are cut without decoding (jpeg_crop.c),
 * which is every window of a metatile whose buffer and tiles are multiples of
 * 16; others are decoded and encoded again (jpeg_recode.c).
 *
 * libjpeg repairs broken data and only warns. A repaired map is a wrong map,
 * so a warning is an error here.
 *
 * Invariant: the one setjmp() is in a function without locals, and what a jump
 * could lose lies in the dp_jpeg_t, which is freed with the split's pool.
 */
#include "image/jpeg_priv.h"

#include <apr_strings.h>
#include <jerror.h>
#include <stdlib.h>

/* Encoders write about ten; each costs a pass over the whole picture. */
#define SCANS_MAX 64

/* libjpeg's tables and rows besides the coefficients, bytes. */
#define WORK_BYTES (1024L * 1024)
/* Coefficients of a pixel at most: four components, two bytes each. */
#define PIXEL_BYTES 8
/* Sides are rounded up to whole blocks: at most four of eight pixels. */
#define BLOCKS_PX 32

#define QUANTUM_MAX 8191 /* of a quantisation table */

/* The longest colour profile that is handed on to every tile. */
#define PROFILE_MAX (32 * 1024)
#define PROFILE_MARKER (JPEG_APP0 + 2)

void dp_jpeg_leave(dp_jpeg_exit_t *from, apr_status_t status, const char *why)
{
    from->status = status;
    apr_cpystrn(from->why, why, sizeof(from->why));
    longjmp(from->jump, 1);
}

void dp_jpeg_no_memory(dp_jpeg_exit_t *from)
{
    dp_jpeg_leave(from, APR_ENOMEM, "no memory to cut the JPEG");
}

static void fail(j_common_ptr codec)
{
    static const char prefix[] = "a broken JPEG: ";
    dp_jpeg_exit_t *from = (dp_jpeg_exit_t *)codec->err;
    char text[sizeof(prefix) + JMSG_LENGTH_MAX];

    if (codec->err->msg_code == JERR_OUT_OF_MEMORY) {
        dp_jpeg_no_memory(from);
    }
    codec->err->format_message(codec,
                               apr_cpystrn(text, prefix, sizeof(prefix)));
    dp_jpeg_leave(from, APR_EINVAL, text);
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

struct jpeg_error_mgr *dp_jpeg_exit_init(dp_jpeg_exit_t *from)
{
    jpeg_std_error(&from->errors);
    from->errors.error_exit = fail;
    from->errors.emit_message = emit;
    from->errors.output_message = print_nothing;
    from->status = APR_SUCCESS;
    return &from->errors;
}

static void count_scans(j_common_ptr codec)
{
    const dp_jpeg_t *jpeg = (const dp_jpeg_t *)codec->err;

    if (jpeg->in.input_scan_number > SCANS_MAX) {
        dp_jpeg_leave((dp_jpeg_exit_t *)codec->err, APR_EINVAL,
                      "a JPEG of too many scans");
    }
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

static void check_tables(dp_jpeg_t *jpeg)
{
    int i;

    for (i = 0; i < NUM_QUANT_TBLS; i++) {
        if (!is_sound_table(jpeg->in.quant_tbl_ptrs[i])) {
            dp_jpeg_leave(&jpeg->exit, APR_EINVAL,
                          "a broken JPEG: impossible quantisation");
        }
    }
}

static void create(dp_jpeg_t *jpeg)
{
    const dp_split_t *split = jpeg->split;

    jpeg->in.err = dp_jpeg_exit_init(&jpeg->exit);
    jpeg_create_decompress(&jpeg->in);
    jpeg->in.mem->max_memory_to_use = WORK_BYTES
                                      + (long)PIXEL_BYTES
                                            * (split->width + BLOCKS_PX)
                                            * (split->height + BLOCKS_PX);
    jpeg->progress.progress_monitor = count_scans;
    jpeg->in.progress = &jpeg->progress;
}

static void read_all(dp_jpeg_t *jpeg)
{
    const dp_split_t *split = jpeg->split;

    create(jpeg);
    jpeg_mem_src(&jpeg->in, split->bytes, split->size);
    jpeg_save_markers(&jpeg->in, PROFILE_MARKER, PROFILE_MAX);
    jpeg_read_header(&jpeg->in, TRUE);
    if (jpeg->in.image_width != (JDIMENSION)split->width
        || jpeg->in.image_height != (JDIMENSION)split->height) {
        dp_jpeg_leave(&jpeg->exit, APR_EINVAL, "a JPEG of two sizes");
    }
    jpeg->is_aligned = dp_jpeg_is_aligned(jpeg);
    if (jpeg->is_aligned) {
        dp_jpeg_read_blocks(jpeg);
    }
    else {
        dp_jpeg_read_pixels(jpeg);
    }
    check_tables(jpeg);
}

static void read_or_fail(dp_jpeg_t *jpeg)
{
    if (setjmp(jpeg->exit.jump) == 0) {
        read_all(jpeg);
    }
}

static apr_status_t forget(void *data)
{
    dp_jpeg_t *jpeg = data;

    jpeg_destroy_decompress(&jpeg->in);
    free(jpeg->pixels);
    return APR_SUCCESS;
}

static apr_status_t open_jpeg(dp_split_t *split)
{
    /* What no tile can be written from, one of a single pixel can't. */
    static const dp_window_t trial = {0, 0, 1, 1};
    dp_jpeg_t *jpeg = apr_pcalloc(split->pool, sizeof(*jpeg));
    dp_piece_t piece;

    split->picture = jpeg;
    jpeg->split = split;
    apr_pool_cleanup_register(split->pool, jpeg, forget, apr_pool_cleanup_null);
    read_or_fail(jpeg);
    if (jpeg->exit.status != APR_SUCCESS) {
        split->why = jpeg->exit.why;
        return jpeg->exit.status;
    }
    return dp_jpeg_write(&piece, jpeg, &trial, &split->why, split->pool);
}

static apr_status_t cut_jpeg(dp_piece_t *piece, dp_split_t *split,
                             const dp_window_t *window, apr_pool_t *pool)
{
    const char *why;

    return dp_jpeg_write(piece, split->picture, window, &why, pool);
}

const dp_codec_t dp_jpeg_codec = {open_jpeg, cut_jpeg, dp_jpeg_resample};
