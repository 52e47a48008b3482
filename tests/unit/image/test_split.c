/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture is opened once and cut by any threads at the same time, tile by
 * tile.
 */
#include "image/image.h"

#include <apr_thread_proc.h>

#include "png_pictures.h"

/* After png.h. */
#include <jpeglib.h>

#define SIDE 160
#define NWINDOWS 5
#define NTHREADS 4
#define ROUNDS 6

/* On block corners, and not. */
static const dp_window_t aligned[NWINDOWS] = {{0, 0, 64, 64},
                                              {64, 32, 64, 64},
                                              {96, 96, 64, 64},
                                              {32, 0, 128, 160},
                                              {0, 0, 160, 160}};
static const dp_window_t unaligned[NWINDOWS] = {{1, 0, 64, 64},
                                                {67, 33, 64, 64},
                                                {91, 95, 63, 61},
                                                {32, 7, 128, 150},
                                                {159, 159, 1, 1}};

static buffer_t make_jpeg(void)
{
    struct jpeg_compress_struct out;
    struct jpeg_error_mgr errors;
    buffer_t file = {NULL, 0, 0};
    unsigned long size = 0;
    unsigned char row[SIDE * 3];
    JSAMPROW rows[] = {row};
    int i;

    out.err = jpeg_std_error(&errors);
    jpeg_create_compress(&out);
    jpeg_mem_dest(&out, &file.bytes, &size);
    out.image_width = SIDE;
    out.image_height = SIDE;
    out.in_color_space = JCS_RGB;
    out.input_components = 3;
    jpeg_set_defaults(&out);
    jpeg_start_compress(&out, TRUE);
    while (out.next_scanline < out.image_height) {
        for (i = 0; i < SIDE * 3; i++) {
            row[i] = (unsigned char)(paint(SCENE_PHOTO, i / 3,
                                           (int)out.next_scanline, i % 3)
                                     >> 8);
        }
        jpeg_write_scanlines(&out, rows, 1);
    }
    jpeg_finish_compress(&out);
    jpeg_destroy_compress(&out);
    file.size = size;
    return file;
}

/* One thread: encodes all windows, beginning anywhere, and compares. */
typedef struct cutter_t {
    dp_split_t *split;
    const dp_piece_t *wanted;
    int first;
    int nwrong;
} cutter_t;

static void *APR_THREAD_FUNC cut_all(apr_thread_t *thread, void *data)
{
    cutter_t *cutter = data;
    apr_pool_t *pool;
    int i;

    (void)thread;
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    for (i = 0; i < ROUNDS * NWINDOWS; i++) {
        int k = (cutter->first + i) % NWINDOWS;
        dp_piece_t piece;
        const char *why;

        if (dp_split_piece(&piece, cutter->split, k, &why, pool) != APR_SUCCESS
            || why || piece.size != cutter->wanted[k].size
            || memcmp(piece.bytes, cutter->wanted[k].bytes, piece.size) != 0) {
            cutter->nwrong++;
        }
    }
    apr_pool_destroy(pool);
    return NULL;
}

static void assert_cut_by_threads(const buffer_t *file,
                                  const dp_window_t *windows)
{
    apr_thread_t *threads[NTHREADS];
    cutter_t cutters[NTHREADS];
    dp_piece_t wanted[NWINDOWS];
    dp_split_t *split;
    const char *why;
    apr_status_t status;
    int i;

    ck_assert_int_eq(dp_image_split(wanted, file->bytes, file->size, SIDE, SIDE,
                                    windows, NWINDOWS, &why, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_split_open(&split, file->bytes, file->size, SIDE, SIDE,
                                   windows, NWINDOWS, &why, unit_pool),
                     APR_SUCCESS);
    ck_assert_ptr_null(why);
    for (i = 0; i < NTHREADS; i++) {
        cutters[i] = (cutter_t){split, wanted, i, 0};
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, cut_all,
                                           &cutters[i], unit_pool),
                         APR_SUCCESS);
    }
    for (i = 0; i < NTHREADS; i++) {
        apr_thread_join(&status, threads[i]);
        ck_assert_int_eq(cutters[i].nwrong, 0);
    }
}

START_TEST(threads_cut_a_png_at_the_same_time)
{
    form_t form = {.colour = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8};

    for (form.scene = SCENE_PLAIN; form.scene <= SCENE_PHOTO; form.scene++) {
        buffer_t file = make(&form, SIDE, SIDE);

        assert_cut_by_threads(&file, unaligned);
        free(file.bytes);
    }
}
END_TEST

START_TEST(threads_cut_a_jpeg_at_the_same_time)
{
    buffer_t file = make_jpeg();

    assert_cut_by_threads(&file, aligned);
    assert_cut_by_threads(&file, unaligned);
    free(file.bytes);
}
END_TEST

START_TEST(a_broken_picture_is_never_opened)
{
    form_t form = {
        .colour = PNG_COLOR_TYPE_RGB, .depth = 8, .scene = SCENE_PHOTO};
    buffer_t files[] = {make(&form, SIDE, SIDE), make_jpeg()};
    int i;

    for (i = 0; i < 2; i++) {
        dp_split_t *split = (dp_split_t *)&form;
        const char *why = NULL;

        /* Far down, so that the first tiles could be had. */
        memset(files[i].bytes + files[i].size * 9 / 10, 0xff, 40);
        ck_assert_int_eq(dp_split_open(&split, files[i].bytes, files[i].size,
                                       SIDE, SIDE, aligned, NWINDOWS, &why,
                                       unit_pool),
                         APR_EINVAL);
        ck_assert_ptr_nonnull(why);
        ck_assert_ptr_null(split);
        free(files[i].bytes);
    }
}
END_TEST

/* 32 x 64 pixels of RGB: seas of two colours, one above the other. */
static buffer_t make_seas(void)
{
    buffer_t buffer = {NULL, 0, 0};
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    unsigned char row[32 * 3];
    int y;

    png_set_write_fn(png, &buffer, write_bytes, NULL);
    png_set_IHDR(png, info, 32, 64, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (y = 0; y < 64; y++) {
        memset(row, y < 32 ? 0x40 : 0x90, sizeof(row));
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return buffer;
}

START_TEST(tiles_of_one_colour_are_each_of_their_own)
{
    static const dp_window_t windows[] = {
        {0, 0, 16, 16}, {16, 0, 16, 16}, {16, 40, 16, 16}, {0, 8, 16, 16},
        {0, 8, 16, 8},  {0, 8, 8, 16},   {0, 24, 16, 16},  {0, 0, 16, 16},
    };
    enum { N = sizeof(windows) / sizeof(*windows) };
    buffer_t file = make_seas();
    dp_piece_t pieces[N];
    const char *why;
    int i;

    ck_assert_int_eq(dp_image_split(pieces, file.bytes, file.size, 32, 64,
                                    windows, N, &why, unit_pool),
                     APR_SUCCESS);
    for (i = 0; i < N; i++) {
        decoded_t tile = decode(pieces[i].bytes, pieces[i].size);
        int y;

        ck_assert_int_eq(tile.width, windows[i].width);
        ck_assert_int_eq(tile.height, windows[i].height);
        for (y = 0; y < tile.height; y++) {
            ck_assert_int_eq(tile.rows[(size_t)y * tile.row_bytes],
                             windows[i].y + y < 32 ? 0x40 : 0x90);
        }
    }
    ck_assert_mem_eq(pieces[0].bytes, pieces[1].bytes, pieces[0].size);
    ck_assert_mem_eq(pieces[0].bytes, pieces[7].bytes, pieces[0].size);
    free(file.bytes);
}
END_TEST

UNIT_MAIN("image/split", threads_cut_a_png_at_the_same_time,
          threads_cut_a_jpeg_at_the_same_time, a_broken_picture_is_never_opened,
          tiles_of_one_colour_are_each_of_their_own)
