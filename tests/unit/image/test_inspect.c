/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognising pictures by their frames: files made by hand here, because no
 * codec is involved.
 */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define PNG_OF(width, height)                                                  \
    "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" width height                             \
    "\x08\x02\0\0\0____\0\0\0\x02IDATxy____\0\0\0\0IEND____"

#define JPEG_HEAD                                                              \
    "\xff\xd8\xff\xe1\0\x0a"                                                   \
    "Exif\xff\xd8\xff\xd9"
#define JPEG_FRAME "\xff\xc2\0\x0b\x08\x01\x02\x03\x04\x01\x01\x11\0"
#define JPEG_SCAN                                                              \
    "\xff\xda\0\x08\x01\x01\0\0\x3f\0"                                         \
    "ab\xff\0c\xff\xd0"                                                        \
    "d"

#define GIF_OF(rest) "GIF89a\x04\x03\x02\x01\x80\0\0rgbRGB" rest
#define GIF_IMAGE ",\0\0\0\0\x04\x03\x02\x01\0\x02\x02xy\x01;\0"

typedef struct sample_t {
    const char *name;
    const char *bytes;
    apr_size_t size;
    dp_image_kind_e kind;
    int width;
    int height;
} sample_t;

#define SAMPLE(name, text, kind, width, height)                                \
    {                                                                          \
        name, text, sizeof(text) - 1, kind, width, height                      \
    }

static const sample_t whole[] = {
    SAMPLE("png", PNG_OF("\0\0\4\x20", "\0\1\0\1"), DP_IMAGE_PNG, 1056, 65537),
    SAMPLE("jpeg", JPEG_HEAD "\xff" JPEG_FRAME JPEG_SCAN JPEG_SCAN "\xff\xd9",
           DP_IMAGE_JPEG, 0x304, 0x102),
    SAMPLE("gif", GIF_OF("!\xfe\x03;;;\0" GIF_IMAGE ";"), DP_IMAGE_GIF, 0x304,
           0x102),
    SAMPLE("webp lossy",
           "RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0abc\x9d\x01\x2a\x20\x44\x01\x40",
           DP_IMAGE_WEBP, 0x420, 1),
    SAMPLE("webp lossless",
           "RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\x41\x00\x00_____",
           DP_IMAGE_WEBP, 0x200, 2),
    SAMPLE("webp extended",
           "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\1\0\x02\0\0",
           DP_IMAGE_WEBP, 512, 3),
};

#define NWHOLE (sizeof(whole) / sizeof(*whole))

/* A copy without a byte to spare, so that a sanitizer sees a step too far. */
static void inspect_copy(dp_image_info_t *info, const void *bytes,
                         apr_size_t size)
{
    void *copy = malloc(size ? size : 1);

    memcpy(copy, bytes, size);
    dp_image_inspect(info, copy, size);
    free(copy);
}

START_TEST(media_types_are_named)
{
    ck_assert_str_eq(dp_image_media_type(DP_IMAGE_PNG), "image/png");
    ck_assert_str_eq(dp_image_media_type(DP_IMAGE_JPEG), "image/jpeg");
    ck_assert_str_eq(dp_image_media_type(DP_IMAGE_GIF), "image/gif");
    ck_assert_str_eq(dp_image_media_type(DP_IMAGE_WEBP), "image/webp");
    ck_assert_ptr_null(dp_image_media_type(DP_IMAGE_UNKNOWN));
}
END_TEST

START_TEST(media_types_are_read_without_parameters_and_case)
{
    static const char *const png[] = {"image/png", "Image/PNG; mode=8bit",
                                      "image/png8", "image/png;x"};
    static const char *const none[] = {
        "",         "image/",     "image/svg+xml", "image/vnd.jpeg-png",
        "text/xml", "image/pngx", ";image/png"};
    apr_size_t i;

    for (i = 0; i < sizeof(png) / sizeof(*png); i++) {
        ck_assert_int_eq(dp_image_kind_of(png[i]), DP_IMAGE_PNG);
    }
    for (i = 0; i < sizeof(none) / sizeof(*none); i++) {
        ck_assert_int_eq(dp_image_kind_of(none[i]), DP_IMAGE_UNKNOWN);
    }
    ck_assert_int_eq(dp_image_kind_of("image/jpg"), DP_IMAGE_JPEG);
    ck_assert_int_eq(dp_image_kind_of("image/jpeg ; q=1"), DP_IMAGE_JPEG);
    ck_assert_int_eq(dp_image_kind_of("image/gif"), DP_IMAGE_GIF);
    ck_assert_int_eq(dp_image_kind_of("image/webp"), DP_IMAGE_WEBP);
}
END_TEST

START_TEST(whole_files_are_recognised)
{
    dp_image_info_t info;
    apr_size_t i;

    for (i = 0; i < NWHOLE; i++) {
        inspect_copy(&info, whole[i].bytes, whole[i].size);
        ck_assert_msg(info.kind == whole[i].kind && info.width == whole[i].width
                          && info.height == whole[i].height && info.is_complete,
                      "%s: kind %d, %dx%d, complete %d", whole[i].name,
                      info.kind, info.width, info.height, info.is_complete);
    }
}
END_TEST

START_TEST(no_beginning_of_a_file_is_complete)
{
    dp_image_info_t info;
    apr_size_t size;
    apr_size_t i;

    for (i = 0; i < NWHOLE; i++) {
        for (size = 0; size < whole[i].size; size++) {
            inspect_copy(&info, whole[i].bytes, size);
            ck_assert_msg(!info.is_complete, "%s of %d bytes", whole[i].name,
                          (int)size);
        }
    }
}
END_TEST

START_TEST(bytes_behind_the_end_do_not_matter)
{
    char padded[256];
    dp_image_info_t info;
    apr_size_t i;

    for (i = 0; i < NWHOLE; i++) {
        memcpy(padded, whole[i].bytes, whole[i].size);
        memcpy(padded + whole[i].size, "\r\n", 2);
        inspect_copy(&info, padded, whole[i].size + 2);
        ck_assert_msg(info.is_complete, "%s", whole[i].name);
    }
}
END_TEST

START_TEST(anything_else_is_unknown)
{
    static const char *const others[] = {
        "",
        "<?xml version=\"1.0\"?><ServiceExceptionReport/>",
        "GIF88a",
        "RIFF____WAVEfmt ",
        "\x89PNG\n\x1a\n",
        "\xff\xd8",
        "BM"};
    dp_image_info_t info;
    apr_size_t i;

    for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
        inspect_copy(&info, others[i], strlen(others[i]));
        ck_assert_int_eq(info.kind, DP_IMAGE_UNKNOWN);
        ck_assert_int_eq(info.width, 0);
        ck_assert(!info.is_complete);
    }
}
END_TEST

START_TEST(absurd_sizes_are_none)
{
    static const char huge[] = PNG_OF("\xff\xff\xff\xff", "\x80\0\0\0");
    dp_image_info_t info;

    inspect_copy(&info, huge, sizeof(huge) - 1);
    ck_assert_int_eq(info.kind, DP_IMAGE_PNG);
    ck_assert_int_eq(info.width, 0);
    ck_assert_int_eq(info.height, 0);
}
END_TEST

START_TEST(changed_files_are_walked_within_their_bounds)
{
    unsigned char copy[256];
    dp_image_info_t info;
    unsigned seed = 1;
    apr_size_t i;
    int k;

    for (i = 0; i < NWHOLE; i++) {
        for (k = 0; k < 4000; k++) {
            memcpy(copy, whole[i].bytes, whole[i].size);
            seed = seed * 1103515245U + 12345U;
            copy[(seed >> 8) % whole[i].size] = (unsigned char)(seed >> 24);
            seed = seed * 1103515245U + 12345U;
            copy[(seed >> 8) % whole[i].size] = 0xff;
            inspect_copy(&info, copy, whole[i].size);
            ck_assert(info.width >= 0 && info.height >= 0);
        }
    }
}
END_TEST

UNIT_MAIN("image/inspect", media_types_are_named,
          media_types_are_read_without_parameters_and_case,
          whole_files_are_recognised, no_beginning_of_a_file_is_complete,
          bytes_behind_the_end_do_not_matter, anything_else_is_unknown,
          absurd_sizes_are_none, changed_files_are_walked_within_their_bounds)
