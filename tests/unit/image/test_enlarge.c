/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures for the moment: enlarged parts, and empty ones.
 */
#include <stdio.h>

#include <jpeglib.h>

#include "image/png_pictures.h"

#define SIDE 64

static unsigned sample_at(const decoded_t *decoded, int x, int y, int c)
{
    const unsigned char *row =
        decoded->rows + (apr_size_t)y * decoded->row_bytes;
    int bit = (x * channels_of(decoded->colour) + c) * decoded->depth;

    if (decoded->depth == 16) {
        return (unsigned)row[bit / 8] << 8 | row[bit / 8 + 1];
    }
    return (unsigned)row[bit / 8] >> (8 - decoded->depth - bit % 8)
           & ((1u << decoded->depth) - 1);
}

static decoded_t enlarge(const buffer_t *png, const dp_part_t *part)
{
    const char *why;
    dp_piece_t piece;

    ck_assert_int_eq(dp_image_enlarge(&piece, png->bytes, png->size, SIDE, part,
                                      &why, unit_pool),
                     APR_SUCCESS);
    return decode(piece.bytes, piece.size);
}

/* Of a part of 16 pixels each becomes 4 by 4 equal ones. */
static void assert_enlarged(const form_t *form)
{
    const dp_part_t part = {.x = 32, .y = 16, .side = 16};
    buffer_t png = make(form, SIDE, SIDE);
    form_t plain = *form;
    buffer_t source;
    decoded_t before;
    decoded_t after;
    int i;

    plain.interlaced = 0;
    source = make(&plain, SIDE, SIDE);
    before = decode(source.bytes, source.size);
    after = enlarge(&png, &part);
    ck_assert_int_eq(after.width, SIDE);
    ck_assert_int_eq(after.height, SIDE);
    ck_assert_int_eq(after.colour, before.colour);
    ck_assert_int_eq(after.depth, before.depth);
    ck_assert_int_eq(after.ncolours, before.ncolours);
    ck_assert_int_eq(after.nalpha, before.nalpha);
    for (i = 0; i < SIDE * SIDE * channels_of(form->colour); i++) {
        int c = i % channels_of(form->colour);
        int x = i / channels_of(form->colour) % SIDE;
        int y = i / channels_of(form->colour) / SIDE;

        ck_assert_uint_eq(sample_at(&after, x, y, c),
                          sample_at(&before, 32 + x / 4, 16 + y / 4, c));
    }
    free(png.bytes);
    free(source.bytes);
}

START_TEST(pixels_are_repeated_and_the_kind_stays)
{
    int i;

    for (i = 0; i < 2 * NKINDS; i++) {
        form_t form = {.colour = kinds[i / 2].colour,
                       .depth = kinds[i / 2].depth,
                       .interlaced = i % 2,
                       .scene = SCENE_RELIEF,
                       .has_transparency = 1};

        if ((form.colour & PNG_COLOR_MASK_ALPHA) != 0) {
            form.has_transparency = 0;
        }
        assert_enlarged(&form);
    }
}
END_TEST

START_TEST(parts_need_not_be_whole_pixels_nor_lie_inside)
{
    const dp_part_t parts[] = {{-3, -3, 16},   {60, 60, 16},
                               {1e9, -1e9, 2}, {0.5, 0.25, 0.125},
                               {0, 0, SIDE},   {31.7, 2.1, 61.3}};
    form_t form = {.colour = PNG_COLOR_TYPE_RGB, .depth = 8};
    buffer_t png = make(&form, SIDE, SIDE);
    apr_size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        ck_assert_int_eq(enlarge(&png, &parts[i]).width, SIDE);
    }
    free(png.bytes);
}
END_TEST

START_TEST(what_is_no_part_of_such_a_picture_is_refused)
{
    const dp_part_t parts[] = {{0, 0, 0},   {0, 0, -1},       {0, 0, SIDE + 1},
                               {NAN, 0, 1}, {0, INFINITY, 1}, {0, 0, NAN}};
    const dp_part_t good = {0, 0, 1};
    form_t form = {.colour = PNG_COLOR_TYPE_RGB, .depth = 8};
    buffer_t png = make(&form, SIDE, SIDE);
    dp_piece_t piece;
    const char *why;
    apr_size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        ck_assert_int_eq(dp_image_enlarge(&piece, png.bytes, png.size, SIDE,
                                          &parts[i], &why, unit_pool),
                         APR_EINVAL);
        ck_assert_ptr_nonnull(why);
    }
    ck_assert_int_eq(dp_image_enlarge(&piece, png.bytes, png.size, SIDE + 1,
                                      &good, &why, unit_pool),
                     APR_EINVAL);
    ck_assert_int_eq(dp_image_enlarge(&piece, png.bytes, png.size - 20, SIDE,
                                      &good, &why, unit_pool),
                     APR_EINVAL);
    ck_assert_ptr_null(piece.bytes);
    free(png.bytes);
}
END_TEST

/* --- JPEG -------------------------------------------------------------- */

static unsigned char *decode_jpeg(const dp_piece_t *piece, int width,
                                  int height)
{
    unsigned char *rgb =
        apr_palloc(unit_pool, (apr_size_t)width * (apr_size_t)height * 3);
    struct jpeg_decompress_struct in;
    struct jpeg_error_mgr errors;

    in.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, piece->bytes, piece->size);
    jpeg_read_header(&in, TRUE);
    ck_assert_int_eq((int)in.image_width, width);
    ck_assert_int_eq((int)in.image_height, height);
    in.out_color_space = JCS_RGB;
    jpeg_start_decompress(&in);
    while (in.output_scanline < in.output_height) {
        JSAMPROW row =
            rgb + (apr_size_t)in.output_scanline * (apr_size_t)width * 3;

        jpeg_read_scanlines(&in, &row, 1);
    }
    jpeg_finish_decompress(&in);
    jpeg_destroy_decompress(&in);
    return rgb;
}

static void assert_near(const unsigned char *rgb, int r, int g, int b)
{
    ck_assert_int_le(abs(rgb[0] - r), 4);
    ck_assert_int_le(abs(rgb[1] - g), 4);
    ck_assert_int_le(abs(rgb[2] - b), 4);
}

START_TEST(a_jpeg_is_enlarged_as_well)
{
    const dp_part_t part = {.x = 8, .y = 8, .side = 8};
    const char *why;
    dp_piece_t blank;
    dp_piece_t large;

    ck_assert_int_eq(dp_image_blank(&blank, DP_IMAGE_JPEG, SIDE, SIDE, 0x2040C0,
                                    0, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_image_enlarge(&large, blank.bytes, blank.size, SIDE,
                                      &part, &why, unit_pool),
                     APR_SUCCESS);
    assert_near(decode_jpeg(&large, SIDE, SIDE), 0x20, 0x40, 0xC0);
}
END_TEST

/* --- blank ------------------------------------------------------------- */

START_TEST(an_empty_jpeg_has_one_colour)
{
    const unsigned char *rgb;
    dp_piece_t piece;

    ck_assert_int_eq(
        dp_image_blank(&piece, DP_IMAGE_JPEG, 30, 20, 0xFF8000, 1, unit_pool),
        APR_SUCCESS);
    rgb = decode_jpeg(&piece, 30, 20);
    assert_near(rgb, 0xFF, 0x80, 0);
    assert_near(rgb + 3 * (30 * 20 - 1), 0xFF, 0x80, 0);
}
END_TEST

START_TEST(an_empty_png_is_small_and_transparent_where_asked)
{
    dp_piece_t piece;
    decoded_t image;
    int i;

    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(dp_image_blank(&piece, DP_IMAGE_PNG, 256, 200,
                                        0x123456, i, unit_pool),
                         APR_SUCCESS);
        ck_assert_uint_lt(piece.size, 400);
        image = decode(piece.bytes, piece.size);
        ck_assert_int_eq(image.width, 256);
        ck_assert_int_eq(image.height, 200);
        ck_assert_int_eq(image.colour, PNG_COLOR_TYPE_PALETTE);
        ck_assert_int_eq(image.palette[0].red, 0x12);
        ck_assert_int_eq(image.palette[0].blue, 0x56);
        ck_assert_int_eq(image.nalpha, i);
        ck_assert_int_eq(image.alpha[0], 0);
    }
}
END_TEST

START_TEST(other_kinds_have_no_empty_picture)
{
    dp_piece_t piece;

    ck_assert_int_eq(
        dp_image_blank(&piece, DP_IMAGE_GIF, 1, 1, 0, 0, unit_pool),
        APR_EINVAL);
    ck_assert_int_eq(
        dp_image_blank(&piece, DP_IMAGE_UNKNOWN, 1, 1, 0, 0, unit_pool),
        APR_EINVAL);
}
END_TEST

UNIT_MAIN("image/enlarge", pixels_are_repeated_and_the_kind_stays,
          parts_need_not_be_whole_pixels_nor_lie_inside,
          what_is_no_part_of_such_a_picture_is_refused,
          a_jpeg_is_enlarged_as_well, an_empty_jpeg_has_one_colour,
          an_empty_png_is_small_and_transparent_where_asked,
          other_kinds_have_no_empty_picture)
