/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What isn't the PNG that was expected is refused, with a reason and without
 * a single piece.
 */
#include "image/image.h"

#include <zlib.h>

#include "png_pictures.h"

static void assert_refused(const void *bytes, apr_size_t size, int width,
                           int height, const char *reason)
{
    dp_piece_t piece = {(const unsigned char *)"", 1};
    const char *why;

    ck_assert_int_eq(cut(bytes, size, width, height, &piece, &why), APR_EINVAL);
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(!reason || strstr(why, reason), "%s", why);
    ck_assert_ptr_null(piece.bytes);
    ck_assert_uint_eq(piece.size, 0);
}

START_TEST(another_size_or_kind_is_named)
{
    static const char gif[] = "GIF89a\x10\0\x10\0\0\0\0;";
    static const char xml[] = "<ServiceExceptionReport/>";
    form_t form = {
        .colour = PNG_COLOR_TYPE_RGB, .depth = 8, .scene = SCENE_MAP};
    buffer_t file = make(&form, 16, 16);

    assert_refused(file.bytes, file.size, 17, 16,
                   "not a PNG of 17x16 pixels but of 16x16");
    assert_refused(gif, sizeof(gif) - 1, 16, 16, "a GIF");
    assert_refused(xml, sizeof(xml) - 1, 16, 16, "not a picture");
    assert_refused("", 0, 16, 16, "not a picture");
    free(file.bytes);
}
END_TEST

START_TEST(windows_outside_are_refused)
{
    static const dp_window_t bad[] = {{-1, 0, 2, 2}, {15, 0, 2, 2},
                                      {0, 0, 0, 1},  {0, 16, 1, 1},
                                      {0, 0, 1, -1}, {1, 1, 0x7fffffff, 1}};
    form_t form = {
        .colour = PNG_COLOR_TYPE_RGB, .depth = 8, .scene = SCENE_MAP};
    buffer_t file = make(&form, 16, 16);
    dp_piece_t piece;
    const char *why;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_int_eq(dp_image_split(&piece, file.bytes, file.size, 16, 16,
                                        &bad[i], 1, &why, unit_pool),
                         APR_EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "window"));
    }
    free(file.bytes);
}
END_TEST

START_TEST(truncated_files_are_refused)
{
    static const unsigned char end[] = "\0\0\0\0IEND\xae\x42\x60\x82";
    form_t form = {
        .colour = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8, .scene = SCENE_PHOTO};
    buffer_t file = make(&form, 64, 64);
    unsigned char *copy = malloc(file.size + 12);
    apr_size_t size;

    for (size = 0; size < file.size; size += 97) {
        unsigned char *exact = malloc(size ? size : 1);

        memcpy(exact, file.bytes, size);
        assert_refused(exact, size, 64, 64,
                       size > 33 ? "that is cut short" : NULL);
        free(exact);
        /* With an end glued on, so that the frames alone don't tell. */
        memcpy(copy, file.bytes, size);
        memcpy(copy + size, end, 12);
        assert_refused(copy, size + 12, 64, 64, NULL);
    }
    free(copy);
    free(file.bytes);
}
END_TEST

static void assert_flips_refused(const form_t *form)
{
    buffer_t file = make(form, 48, 48);
    unsigned seed = 7;
    int i;

    for (i = 0; i < 1500; i++) {
        apr_size_t at;
        unsigned char bit;

        seed = seed * 1103515245U + 12345U;
        at = (seed >> 4) % file.size;
        bit = (unsigned char)(1 << (seed >> 29));
        file.bytes[at] ^= bit;
        /* Every byte of a PNG is under a CRC, or is one. */
        assert_refused(file.bytes, file.size, 48, 48, NULL);
        file.bytes[at] ^= bit;
    }
    free(file.bytes);
}

START_TEST(flipped_bits_are_refused)
{
    form_t form = {.colour = PNG_COLOR_TYPE_PALETTE,
                   .depth = 4,
                   .scene = SCENE_MAP,
                   .has_transparency = 1,
                   .has_extras = 1,
                   .idat_bytes = 60};

    assert_flips_refused(&form);
    form.interlaced = 1;
    assert_flips_refused(&form);
}
END_TEST

/* A greyscale picture of 4 x 2 pixels, chunk by chunk. */
typedef struct hand_t {
    unsigned char bytes[512];
    apr_size_t size;
} hand_t;

static void add_chunk(hand_t *hand, const char *type, const void *data,
                      size_t size)
{
    unsigned char *p = hand->bytes + hand->size;
    unsigned long crc;

    memset(p, 0, 3);
    p[3] = (unsigned char)size;
    memcpy(p + 4, type, 4);
    if (size > 0) {
        memcpy(p + 8, data, size);
    }
    crc = crc32(0, p + 4, (uInt)size + 4);
    p[8 + size] = (unsigned char)(crc >> 24);
    p[9 + size] = (unsigned char)(crc >> 16);
    p[10 + size] = (unsigned char)(crc >> 8);
    p[11 + size] = (unsigned char)crc;
    hand->size += 12 + size;
}

static void begin(hand_t *hand)
{
    hand->size = 8;
    memcpy(hand->bytes, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(hand, "IHDR", "\0\0\0\4\0\0\0\2\x8\0\0\0\0", 13);
}

/* Deflated rows whose filters are `first` and `second`, and `extra` bytes. */
static size_t deflate_rows(unsigned char *out, int first, int second,
                           size_t extra)
{
    unsigned char rows[10] = {(unsigned char)first, 1, 2, 3, 4,
                              (unsigned char)second};
    uLongf size = 64;

    ck_assert_int_eq(compress(out, &size, rows, sizeof(rows)), Z_OK);
    memset(out + size, 0, extra);
    return size + extra;
}

START_TEST(what_surrounds_the_pixels_is_looked_at)
{
    static const struct {
        int filter;
        size_t extra;
        const char *between; /* the halves of the pixels */
        const char *behind;
        const char *reason; /* NULL: it is sound */
    } cases[] = {
        {4, 0, "IDAT", "teXt", NULL},
        {5, 0, "IDAT", "teXt", "a broken PNG: a filter"},
        {255, 0, "IDAT", "teXt", "a broken PNG: a filter"},
        {4, 1, "IDAT", "teXt", "a broken PNG: data behind"},
        {4, 0, "teXt", "teXt", "a broken PNG: a chunk out of place"},
        {4, 0, "IDAT", "PLTE", "a broken PNG: a chunk out of place"},
        {4, 0, "IDAT", "ABCD", "a broken PNG: a chunk out of place"},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned char pixels[80];
        size_t size = deflate_rows(pixels, cases[i].filter, 0, cases[i].extra);
        hand_t hand;
        dp_piece_t piece;
        const char *why;

        begin(&hand);
        add_chunk(&hand, "IDAT", pixels, 5);
        add_chunk(&hand, cases[i].between, NULL, 0);
        add_chunk(&hand, "IDAT", pixels + 5, size - 5);
        add_chunk(&hand, cases[i].behind, NULL, 0);
        add_chunk(&hand, "IEND", NULL, 0);
        if (cases[i].reason) {
            assert_refused(hand.bytes, hand.size, 4, 2, cases[i].reason);
            continue;
        }
        ck_assert_msg(cut(hand.bytes, hand.size, 4, 2, &piece, &why) == 0, "%s",
                      why);
    }
}
END_TEST

/* The header says another height than the pixels, with a correct CRC. */
static void set_height(buffer_t *file, int height)
{
    unsigned char *header = file->bytes + 12;
    unsigned long crc;

    header[10] = (unsigned char)(height >> 8);
    header[11] = (unsigned char)height;
    crc = crc32(0, header, 17);
    header[17] = (unsigned char)(crc >> 24);
    header[18] = (unsigned char)(crc >> 16);
    header[19] = (unsigned char)(crc >> 8);
    header[20] = (unsigned char)crc;
}

START_TEST(too_few_and_too_many_pixels_are_refused)
{
    form_t form = {
        .colour = PNG_COLOR_TYPE_RGB, .depth = 8, .scene = SCENE_MAP};
    buffer_t file = make(&form, 64, 64);

    set_height(&file, 80);
    assert_refused(file.bytes, file.size, 64, 80, "a broken PNG");
    set_height(&file, 40);
    assert_refused(file.bytes, file.size, 64, 40, "a broken PNG");
    set_height(&file, 0);
    assert_refused(file.bytes, file.size, 64, 0, NULL);
    set_height(&file, 64);
    assert_refused(file.bytes, file.size, 64, 65, "of 64x64");
    free(file.bytes);
}
END_TEST

UNIT_MAIN("image/png_broken", another_size_or_kind_is_named,
          windows_outside_are_refused, truncated_files_are_refused,
          flipped_bits_are_refused, what_surrounds_the_pixels_is_looked_at,
          too_few_and_too_many_pixels_are_refused)
