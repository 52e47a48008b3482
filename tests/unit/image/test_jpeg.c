/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting JPEGs. Pictures are made and read back with libjpeg; pieces are
 * compared with the decoded source, exactly where nothing may be lost and by
 * their signal-to-noise ratio elsewhere.
 */
#include "image/image.h"

#include <apr_strings.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "unit.h"

#define SIDE 160
#define QUALITY 85

typedef struct form_t {
    const char *name;
    J_COLOR_SPACE space; /* as coded */
    int h;               /* sampling factors of the first component */
    int v;
    int progressive;
    int least_db; /* of tiles that must be encoded again */
} form_t;

typedef struct file_t {
    unsigned char *bytes;
    unsigned long size;
} file_t;

typedef struct decoded_t {
    int width;
    int height;
    int components;
    J_COLOR_SPACE space;
    int h;
    int v;
    UINT16 table[DCTSIZE2];
    int has_profile;
    unsigned char *samples;
} decoded_t;

/* A hard picture for the second encoding: a line of a strong colour. */
static const form_t forms[] = {
    {"grey", JCS_GRAYSCALE, 1, 1, 0, 40},    {"4:4:4", JCS_YCbCr, 1, 1, 0, 38},
    {"4:2:2", JCS_YCbCr, 2, 1, 0, 36},       {"4:2:0", JCS_YCbCr, 2, 2, 0, 35},
    {"4:1:1", JCS_YCbCr, 4, 1, 0, 32},       {"RGB", JCS_RGB, 1, 1, 0, 40},
    {"CMYK", JCS_CMYK, 1, 1, 0, 40},         {"YCCK", JCS_YCCK, 2, 2, 0, 36},
    {"progressive", JCS_YCbCr, 2, 2, 1, 35},
};

#define NFORMS ((int)(sizeof(forms) / sizeof(*forms)))

/* At corners of 32 pixels, so of any blocks; the last ends anywhere. */
static const dp_window_t aligned[] = {
    {32, 32, 64, 64}, {0, 96, 32, 64}, {128, 0, 32, 160}, {96, 64, 37, 41}};
static const dp_window_t unaligned[] = {
    {10, 10, 128, 64}, {3, 5, 61, 37}, {159, 0, 1, 160}, {90, 131, 70, 29}};

#define NWINDOWS 4

static const char profile[] = "ICC_PROFILE\0\1\1not a real profile";

/* Areas, lines with soft edges, a little shading: channel c of a pixel. */
static unsigned char paint(int x, int y, int c)
{
    double edge = fabs(y - 60 - 25 * sin(x * 0.05)) - 3;
    double ground = (x / 53 + y / 71) % 2 ? 205 - 9 * c : 235 - 17 * c;
    double line = 90 + 40 * c;

    ground += 5 * sin(x * 0.03) + 5 * sin(y * 0.04);
    if (edge < -1) {
        return (unsigned char)line;
    }
    return (unsigned char)(edge > 1 ? ground
                                    : line + (ground - line) * (edge + 1) / 2);
}

static void set_form(struct jpeg_compress_struct *out, const form_t *form)
{
    jpeg_set_defaults(out);
    jpeg_set_colorspace(out, form->space);
    jpeg_set_quality(out, QUALITY, TRUE);
    out->comp_info[0].h_samp_factor = form->h;
    out->comp_info[0].v_samp_factor = form->v;
    if (out->num_components == 4) {
        out->comp_info[3].h_samp_factor = form->h;
        out->comp_info[3].v_samp_factor = form->v;
    }
    if (form->progressive) {
        jpeg_simple_progression(out);
    }
}

static J_COLOR_SPACE input_space(J_COLOR_SPACE coded)
{
    if (coded == JCS_GRAYSCALE) {
        return coded;
    }
    return coded == JCS_CMYK || coded == JCS_YCCK ? JCS_CMYK : JCS_RGB;
}

/* `scans` are of jpeg_compress_struct; 0 for those of the form. */
static file_t make(const form_t *form, int width, int height,
                   const jpeg_scan_info *scans, int nscans)
{
    struct jpeg_compress_struct out;
    struct jpeg_error_mgr errors;
    file_t file = {NULL, 0};
    unsigned char *row = malloc((size_t)width * 4);

    out.err = jpeg_std_error(&errors);
    jpeg_create_compress(&out);
    jpeg_mem_dest(&out, &file.bytes, &file.size);
    out.image_width = (JDIMENSION)width;
    out.image_height = (JDIMENSION)height;
    out.in_color_space = input_space(form->space);
    out.input_components = out.in_color_space == JCS_GRAYSCALE ? 1
                           : out.in_color_space == JCS_RGB     ? 3
                                                               : 4;
    set_form(&out, form);
    if (nscans > 0) {
        out.scan_info = scans;
        out.num_scans = nscans;
    }
    jpeg_start_compress(&out, TRUE);
    jpeg_write_marker(&out, JPEG_COM, (const JOCTET *)"a note", 6);
    jpeg_write_marker(&out, JPEG_APP0 + 2, (const JOCTET *)profile,
                      sizeof(profile));
    while (out.next_scanline < out.image_height) {
        int i;

        for (i = 0; i < width * out.input_components; i++) {
            row[i] = paint(i / out.input_components, (int)out.next_scanline,
                           i % out.input_components);
        }
        jpeg_write_scanlines(&out, &row, 1);
    }
    jpeg_finish_compress(&out);
    jpeg_destroy_compress(&out);
    free(row);
    return file;
}

/* Chroma is repeated and not smoothed, so that a tile, which doesn't know its
 * neighbours, can equal its part of the whole. */
static decoded_t decode(const void *bytes, unsigned long size)
{
    struct jpeg_decompress_struct in;
    struct jpeg_error_mgr errors;
    decoded_t decoded = {0};
    size_t row_bytes;

    in.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, bytes, size);
    jpeg_save_markers(&in, JPEG_APP0 + 2, 0xffff);
    jpeg_read_header(&in, TRUE);
    in.do_fancy_upsampling = FALSE;
    decoded.space = in.jpeg_color_space;
    decoded.h = in.comp_info[0].h_samp_factor;
    decoded.v = in.comp_info[0].v_samp_factor;
    jpeg_start_decompress(&in);
    memcpy(decoded.table, in.quant_tbl_ptrs[0]->quantval,
           sizeof(decoded.table));
    decoded.has_profile =
        in.marker_list && in.marker_list->data_length == sizeof(profile);
    decoded.width = (int)in.output_width;
    decoded.height = (int)in.output_height;
    decoded.components = in.output_components;
    row_bytes = (size_t)decoded.width * (size_t)decoded.components;
    decoded.samples = apr_palloc(unit_pool, row_bytes * (size_t)decoded.height);
    while (in.output_scanline < in.output_height) {
        JSAMPROW row = decoded.samples + in.output_scanline * row_bytes;

        jpeg_read_scanlines(&in, &row, 1);
    }
    jpeg_finish_decompress(&in);
    ck_assert_int_eq(errors.num_warnings, 0);
    jpeg_destroy_decompress(&in);
    return decoded;
}

/* The mean square of what a tile differs from its part of the whole. */
static double noise(const decoded_t *whole, const decoded_t *tile,
                    const dp_window_t *window)
{
    int n = tile->width * tile->components;
    double sum = 0;
    int y;
    int i;

    for (y = 0; y < tile->height; y++) {
        const unsigned char *a =
            whole->samples
            + ((size_t)(window->y + y) * (size_t)whole->width
               + (size_t)window->x)
                  * (size_t)whole->components;
        const unsigned char *b = tile->samples + (size_t)y * (size_t)n;

        for (i = 0; i < n; i++) {
            sum += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    return sum / ((double)n * tile->height);
}

static double psnr(double mean_square)
{
    return mean_square == 0 ? 1000 : 10 * log10(255 * 255 / mean_square);
}

static void assert_same_form(const decoded_t *tile, const decoded_t *whole,
                             const dp_window_t *window)
{
    ck_assert_int_eq(tile->width, window->width);
    ck_assert_int_eq(tile->height, window->height);
    ck_assert_int_eq(tile->components, whole->components);
    ck_assert_int_eq(tile->space, whole->space);
    ck_assert_int_eq(tile->h, whole->h);
    ck_assert_int_eq(tile->v, whole->v);
    ck_assert_mem_eq(tile->table, whole->table, sizeof(tile->table));
    ck_assert(tile->has_profile);
}

/* The lowest PSNR of the tiles. */
static double worst_tile(const form_t *form, const dp_window_t *windows)
{
    file_t file = make(form, SIDE, SIDE, NULL, 0);
    decoded_t whole = decode(file.bytes, file.size);
    dp_piece_t pieces[NWINDOWS];
    double worst = 1000;
    const char *why;
    int i;

    ck_assert_msg(dp_image_split(pieces, file.bytes, file.size, SIDE, SIDE,
                                 windows, NWINDOWS, &why, unit_pool)
                      == APR_SUCCESS,
                  "%s: %s", form->name, why);
    for (i = 0; i < NWINDOWS; i++) {
        decoded_t tile = decode(pieces[i].bytes, pieces[i].size);
        double ratio;

        assert_same_form(&tile, &whole, &windows[i]);
        ratio = psnr(noise(&whole, &tile, &windows[i]));
        worst = ratio < worst ? ratio : worst;
    }
    free(file.bytes);
    return worst;
}

START_TEST(tiles_on_block_corners_lose_nothing)
{
    int i;

    for (i = 0; i < NFORMS; i++) {
        ck_assert_msg(worst_tile(&forms[i], aligned) == 1000, "%s",
                      forms[i].name);
    }
}
END_TEST

START_TEST(other_tiles_lose_little)
{
    int i;

    for (i = 0; i < NFORMS; i++) {
        double worst = worst_tile(&forms[i], unaligned);

        ck_assert_msg(worst >= forms[i].least_db, "%s: %.1f dB", forms[i].name,
                      worst);
    }
}
END_TEST

/* Cut into two windows, on block corners or not. */
static apr_status_t cut(const file_t *file, int size, int is_aligned,
                        dp_piece_t pieces[2], const char **why)
{
    int at = is_aligned ? 16 : 9;
    dp_window_t windows[] = {{0, 0, size, size}, {at, at, 16, 16}};

    return dp_image_split(pieces, file->bytes, file->size, size, size, windows,
                          2, why, unit_pool);
}

static void assert_refused(const file_t *file, int size, const char *reason)
{
    int is_aligned;

    for (is_aligned = 0; is_aligned < 2; is_aligned++) {
        dp_piece_t pieces[2];
        const char *why = NULL;

        memset(pieces, 1, sizeof(pieces));
        ck_assert_int_eq(cut(file, size, is_aligned, pieces, &why), APR_EINVAL);
        ck_assert_ptr_nonnull(why);
        ck_assert_msg(!reason || strstr(why, reason), "%s", why);
        ck_assert_ptr_null(pieces[0].bytes);
        ck_assert_ptr_null(pieces[1].bytes);
    }
}

START_TEST(another_size_is_named)
{
    file_t file = make(&forms[3], 64, 64, NULL, 0);

    assert_refused(&file, 65, "not a JPEG of 65x65 pixels but of 64x64");
    free(file.bytes);
}
END_TEST

/* Every 97th byte, as it is and with an end marker glued on. */
static void assert_truncated_refused(const form_t *form)
{
    file_t file = make(form, 96, 96, NULL, 0);
    unsigned long size;

    for (size = 0; size < file.size; size += 97) {
        unsigned char *copy = malloc(size + 2);
        file_t part = {copy, size};

        memcpy(copy, file.bytes, size);
        memcpy(copy + size, "\xff\xd9", 2);
        assert_refused(&part, 96, NULL);
        part.size = size + 2;
        assert_refused(&part, 96, NULL);
        free(copy);
    }
    free(file.bytes);
}

START_TEST(truncated_files_are_refused)
{
    assert_truncated_refused(&forms[0]);
    assert_truncated_refused(&forms[3]);
}
END_TEST

START_TEST(junk_before_the_end_is_refused)
{
    file_t file = make(&forms[3], 64, 64, NULL, 0);
    file_t longer = {calloc(1, file.size + 64), file.size + 64};

    memcpy(longer.bytes, file.bytes, file.size - 2);
    memcpy(longer.bytes + longer.size - 2, "\xff\xd9", 2);
    assert_refused(&longer, 64, "extraneous");
    free(longer.bytes);
    free(file.bytes);
}
END_TEST

START_TEST(flipped_bits_give_whole_tiles_or_none)
{
    unsigned seed = 3;
    int i;

    for (i = 0; i < 1200; i++) {
        file_t file = make(&forms[i % NFORMS], 48, 48, NULL, 0);
        dp_piece_t pieces[2];
        dp_image_info_t info;
        const char *why;
        int k;

        for (k = 0; k < 2; k++) {
            seed = seed * 1103515245U + 12345U;
            file.bytes[(seed >> 4) % file.size] ^=
                (unsigned char)(1 << (seed >> 29));
        }
        if (cut(&file, 48, i & 1, pieces, &why) == APR_SUCCESS) {
            dp_image_inspect(&info, pieces[0].bytes, pieces[0].size);
            ck_assert(info.is_complete && info.width == 48);
            dp_image_inspect(&info, pieces[1].bytes, pieces[1].size);
            ck_assert(info.is_complete && info.height == 16);
        }
        else {
            ck_assert_ptr_nonnull(why);
            ck_assert_ptr_null(pieces[0].bytes);
        }
        free(file.bytes);
    }
}
END_TEST

/* libjpeg divides by these when it encodes. */
START_TEST(impossible_quantisation_is_refused)
{
    static const unsigned char sixteen[][2] = {{0, 0}, {0x20, 0}, {0xff, 0xff}};
    file_t file = make(&forms[3], 64, 64, NULL, 0);
    unsigned char *table = memmem(file.bytes, file.size, "\xff\xdb\0\x43\0", 5);
    file_t wide = {malloc(file.size + 64), file.size + 64};
    size_t head = (size_t)(table - file.bytes);
    int i;

    ck_assert_ptr_nonnull(table);
    /* The table again with values of two bytes. */
    memcpy(wide.bytes, file.bytes, head);
    memcpy(wide.bytes + head, "\xff\xdb\0\x83\x10", 5);
    for (i = 0; i < 64; i++) {
        wide.bytes[head + 5 + 2 * (size_t)i] = 0;
        wide.bytes[head + 6 + 2 * (size_t)i] = 16;
    }
    memcpy(wide.bytes + head + 133, table + 69, file.size - head - 69);
    for (i = 0; i < 3; i++) {
        memcpy(wide.bytes + head + 5 + 64, sixteen[i], 2);
        assert_refused(&wide, 64, "impossible quantisation");
    }
    table[20] = 0;
    assert_refused(&file, 64, "impossible quantisation");
    free(wide.bytes);
    free(file.bytes);
}
END_TEST

START_TEST(a_bomb_of_scans_is_refused)
{
    jpeg_scan_info scans[127];
    file_t file;
    int i;

    memset(scans, 0, sizeof(scans));
    scans[0].comps_in_scan = 3;
    scans[0].component_index[1] = 1;
    scans[0].component_index[2] = 2;
    for (i = 1; i < 127; i++) {
        scans[i].comps_in_scan = 1;
        scans[i].component_index[0] = (i - 1) / 63;
        scans[i].Ss = scans[i].Se = 1 + (i - 1) % 63;
    }
    file = make(&forms[3], 64, 64, scans, 127);
    assert_refused(&file, 64, "too many scans");
    free(file.bytes);
}
END_TEST

START_TEST(a_huge_header_is_refused_before_memory_is_taken)
{
    file_t file = make(&forms[3], 64, 64, NULL, 0);
    unsigned long i;

    for (i = 0; i + 9 < file.size; i++) {
        if (file.bytes[i] == 0xff && file.bytes[i + 1] == 0xc0) {
            memset(file.bytes + i + 5, 0xff, 4);
            break;
        }
    }
    assert_refused(&file, 64, "but of 65535x65535");
    assert_refused(&file, 65535, "too many pixels");
    free(file.bytes);
}
END_TEST

UNIT_MAIN("image/jpeg", tiles_on_block_corners_lose_nothing,
          other_tiles_lose_little, another_size_is_named,
          truncated_files_are_refused, junk_before_the_end_is_refused,
          flipped_bits_give_whole_tiles_or_none,
          impossible_quantisation_is_refused, a_bomb_of_scans_is_refused,
          a_huge_header_is_refused_before_memory_is_taken)
