/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting whole PNGs: what the pieces must keep, pixel by pixel.
 */
#include "image/image.h"

#include "png_pictures.h"

#define SIDE 72

/* Odd places and sizes, the corners, a single pixel, everything. */
static const dp_window_t windows[] = {
    {3, 5, 13, 7},          {0, 0, 32, 32},      {SIDE - 9, SIDE - 11, 9, 11},
    {SIDE - 1, 0, 1, SIDE}, {0, SIDE - 1, 1, 1}, {0, 0, SIDE, SIDE},
    {17, 1, 50, 70},
};

#define NWINDOWS ((int)(sizeof(windows) / sizeof(*windows)))

static unsigned sample_of(const decoded_t *decoded, int x, int y, int c)
{
    const unsigned char *row = decoded->rows + (size_t)y * decoded->row_bytes;
    int bit = (x * channels_of(decoded->colour) + c) * decoded->depth;

    if (decoded->depth == 16) {
        return (unsigned)row[bit / 8] << 8 | row[bit / 8 + 1];
    }
    return (unsigned)row[bit / 8] >> (8 - decoded->depth - bit % 8)
           & ((1U << decoded->depth) - 1);
}

static void assert_pixels(const decoded_t *decoded, const form_t *form,
                          const dp_window_t *window)
{
    int x;
    int y;
    int c;

    ck_assert_int_eq(decoded->width, window->width);
    ck_assert_int_eq(decoded->height, window->height);
    ck_assert_int_eq(decoded->colour, form->colour);
    ck_assert_int_eq(decoded->depth, form->depth);
    for (y = 0; y < window->height; y++) {
        for (x = 0; x < window->width; x++) {
            for (c = 0; c < channels_of(form->colour); c++) {
                unsigned wanted =
                    paint(form->scene, window->x + x, window->y + y, c)
                    & 0xffff;

                ck_assert_msg(sample_of(decoded, x, y, c)
                                  == wanted >> (16 - form->depth),
                              "colour %d depth %d at %d,%d", form->colour,
                              form->depth, x, y);
            }
        }
    }
}

static void assert_all_cut(const form_t *form)
{
    buffer_t file = make(form, SIDE, SIDE);
    decoded_t whole;
    dp_piece_t pieces[NWINDOWS];
    const char *why;
    int i;

    ck_assert_msg(dp_image_split(pieces, file.bytes, file.size, SIDE, SIDE,
                                 windows, NWINDOWS, &why, unit_pool)
                      == APR_SUCCESS,
                  "%s", why);
    ck_assert_ptr_null(why);
    if (!form->interlaced) {
        whole = decode(file.bytes, file.size);
    }
    for (i = 0; i < NWINDOWS; i++) {
        decoded_t tile = decode(pieces[i].bytes, pieces[i].size);

        assert_pixels(&tile, form, &windows[i]);
        if (form->interlaced) {
            continue;
        }
        ck_assert_int_eq(tile.ncolours, whole.ncolours);
        ck_assert_mem_eq(tile.palette, whole.palette, sizeof(tile.palette));
        ck_assert_int_eq(tile.nalpha, whole.nalpha);
        ck_assert_mem_eq(tile.alpha, whole.alpha, sizeof(tile.alpha));
        ck_assert_mem_eq(&tile.clear, &whole.clear, sizeof(tile.clear));
    }
    free(file.bytes);
}

START_TEST(pixels_of_every_kind_are_unchanged)
{
    form_t form = {0};
    int i;

    for (i = 0; i < NKINDS; i++) {
        form.colour = kinds[i].colour;
        form.depth = kinds[i].depth;
        for (form.scene = SCENE_PLAIN; form.scene <= SCENE_PHOTO;
             form.scene++) {
            assert_all_cut(&form);
        }
    }
}
END_TEST

START_TEST(interlaced_pictures_become_plain_tiles)
{
    form_t form = {.interlaced = 1, .scene = SCENE_PHOTO};
    int i;

    for (i = 0; i < NKINDS; i++) {
        form.colour = kinds[i].colour;
        form.depth = kinds[i].depth;
        assert_all_cut(&form);
    }
}
END_TEST

START_TEST(every_filter_of_a_source_is_undone)
{
    static const int filters[] = {PNG_FILTER_NONE,  PNG_FILTER_SUB,
                                  PNG_FILTER_UP,    PNG_FILTER_AVG,
                                  PNG_FILTER_PAETH, PNG_ALL_FILTERS};
    form_t form = {.scene = SCENE_PHOTO, .idat_bytes = 100};
    size_t k;
    int i;

    for (k = 0; k < sizeof(filters) / sizeof(*filters); k++) {
        form.filters = filters[k];
        for (i = 0; i < NKINDS; i++) {
            form.colour = kinds[i].colour;
            form.depth = kinds[i].depth;
            assert_all_cut(&form);
        }
    }
}
END_TEST

START_TEST(transparency_is_kept)
{
    form_t form = {.has_transparency = 1, .scene = SCENE_MAP};
    int i;

    for (i = 0; i < NKINDS; i++) {
        form.colour = kinds[i].colour;
        form.depth = kinds[i].depth;
        if (!(form.colour & PNG_COLOR_MASK_ALPHA)) {
            assert_all_cut(&form);
        }
    }
}
END_TEST

START_TEST(looks_are_kept_and_notes_are_dropped)
{
    form_t form = {.colour = PNG_COLOR_TYPE_RGB, .depth = 8, .has_extras = 1};
    buffer_t file = make(&form, 16, 16);
    decoded_t tile;
    dp_piece_t piece;
    const char *why;

    ck_assert_int_eq(decode(file.bytes, file.size).ntext, 2);
    ck_assert_int_eq(cut(file.bytes, file.size, 16, 16, &piece, &why), 0);
    tile = decode(piece.bytes, piece.size);
    ck_assert(tile.has_gamma);
    ck_assert_int_eq(tile.ntext, 0);
    free(file.bytes);
}
END_TEST

START_TEST(equal_pixels_give_equal_bytes)
{
    static const dp_window_t same[] = {{0, 0, 13, 9}, {8, 1, 13, 9}};
    form_t form = {.depth = 1, .scene = SCENE_PLAIN};
    dp_piece_t pieces[2];
    buffer_t file = make(&form, 21, 11);
    const char *why;

    ck_assert_int_eq(dp_image_split(pieces, file.bytes, file.size, 21, 11, same,
                                    2, &why, unit_pool),
                     APR_SUCCESS);
    ck_assert_uint_eq(pieces[0].size, pieces[1].size);
    ck_assert_mem_eq(pieces[0].bytes, pieces[1].bytes, pieces[0].size);
    free(file.bytes);
}
END_TEST

START_TEST(tiles_are_hardly_larger_than_those_of_libpng)
{
    form_t form = {0};
    int i;

    for (i = 0; i < NKINDS; i++) {
        apr_size_t ours = 0;
        apr_size_t theirs = 0;

        form.colour = kinds[i].colour;
        form.depth = kinds[i].depth;
        for (form.scene = SCENE_MAP; form.scene <= SCENE_PHOTO; form.scene++) {
            buffer_t file = make(&form, 192, 192);
            dp_piece_t piece;
            const char *why;

            ck_assert_int_eq(cut(file.bytes, file.size, 192, 192, &piece, &why),
                             APR_SUCCESS);
            ours += piece.size;
            theirs += file.size;
            free(file.bytes);
        }
        ck_assert_msg(ours <= theirs * 11 / 10, "colour %d depth %d: %d of %d",
                      form.colour, form.depth, (int)ours, (int)theirs);
    }
}
END_TEST

UNIT_MAIN("image/png", pixels_of_every_kind_are_unchanged,
          interlaced_pictures_become_plain_tiles,
          every_filter_of_a_source_is_undone, transparency_is_kept,
          looks_are_kept_and_notes_are_dropped, equal_pixels_give_equal_bytes,
          tiles_are_hardly_larger_than_those_of_libpng)
