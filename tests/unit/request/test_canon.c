/* SPDX-License-Identifier: Apache-2.0 */
#include "request/canon.h"

#include <apr_strings.h>
#include <string.h>

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Compares texts either of which may be NULL. */
static void check_text(const char *input, const char *is, const char *want)
{
    ck_assert_msg(is == want || (is && want && strcmp(is, want) == 0),
                  "\"%s\": %s, not %s", input, is ? is : "NULL",
                  want ? want : "NULL");
}

START_TEST(formats_are_raster_pictures)
{
    static const struct {
        const char *value;
        const char *format;
        int cuttable;
    } cases[] = {
        {"image/png", "image/png", 1},
        {"IMAGE/PNG", "image/png", 1},
        {"image/png; mode=8bit", "image/png; mode=8bit", 1},
        {"Image/PNG ;Mode=8bit", "image/png; mode=8bit", 1},
        {"image/png8", "image/png8", 1},
        {"image/png24;x=1", "image/png24; x=1", 1},
        {"image/pngx", "image/pngx", 0},
        {"image/jpeg", "image/jpeg", 1},
        {"image/jpg", "image/jpg", 1},
        {"image/jpeg;quality=80", "image/jpeg; quality=80", 1},
        {"image/jpeg2000", "image/jpeg2000", 0},
        {"image/vnd.jpeg-png", "image/vnd.jpeg-png", 0},
        {"image/gif", "image/gif", 0},
        {"image/webp", "image/webp", 0},
        {"image/svg+xml", NULL, 0},
        {"image/svg xml", NULL, 0},
        {"image/", NULL, 0},
        {"image", NULL, 0},
        {"", NULL, 0},
        {"text/html", NULL, 0},
        {"application/pdf", NULL, 0},
        {"application/openlayers", NULL, 0},
        {"png", NULL, 0},
    };
    size_t i;

    for (i = 0; i < COUNT(cases); i++) {
        const char *format = dp_canon_format(cases[i].value, unit_pool);

        check_text(cases[i].value, format, cases[i].format);
        ck_assert_msg(!format
                          || dp_format_is_cuttable(format) == cases[i].cuttable,
                      "%s", cases[i].value);
    }
}
END_TEST

START_TEST(lists_of_defaults_are_the_default)
{
    ck_assert_str_eq(dp_canon_styles(NULL), "");
    ck_assert_str_eq(dp_canon_styles(""), "");
    ck_assert_str_eq(dp_canon_styles(",,"), "");
    ck_assert_str_eq(dp_canon_styles(",x,"), ",x,");
    ck_assert_str_eq(dp_canon_styles("X"), "X");
}
END_TEST

START_TEST(booleans_are_true_or_false)
{
    int is_true;

    ck_assert(dp_canon_boolean("tRue", &is_true) && is_true);
    ck_assert(dp_canon_boolean("False", &is_true) && !is_true);
    ck_assert(dp_canon_boolean("", &is_true) && !is_true);
    ck_assert(dp_canon_boolean(NULL, &is_true) && !is_true);
    ck_assert(!dp_canon_boolean("1", &is_true));
    ck_assert(!dp_canon_boolean("TRUE ", &is_true));
}
END_TEST

START_TEST(colours_have_one_spelling)
{
    static const struct {
        const char *value;
        const char *color;
    } cases[] = {{"0xffAA00", "0xFFAA00"},
                 {"0XFFAA00", "0xFFAA00"},
                 {"", ""},
                 {"#ffaa00", NULL},
                 {"white", NULL},
                 {"0xffaa0", NULL},
                 {"0xffaa001", NULL},
                 {"0xggaa00", NULL},
                 {"0", NULL},
                 {"0x", NULL},
                 {"1xffaa00", NULL}};
    size_t i;

    for (i = 0; i < COUNT(cases); i++) {
        check_text(cases[i].value, dp_canon_color(cases[i].value, unit_pool),
                   cases[i].color);
    }
    ck_assert_str_eq(dp_canon_color(NULL, unit_pool), "");
}
END_TEST

START_TEST(boxes_are_four_numbers_in_order)
{
    static const char *const bad[] = {"",
                                      "1,2,3",
                                      "1,2,3,4,5",
                                      "1,2,3,",
                                      ",1,2,3",
                                      "1,2,3,4,",
                                      "a,2,3,4",
                                      "1,2,3,4x",
                                      "1,2,nan,4",
                                      "1,2,inf,4",
                                      "1,2,1e999,4",
                                      "0x1,2,3,4",
                                      "1 ,2,3,4",
                                      "3,2,1,4",
                                      "1,4,3,2",
                                      "1,2,1,4",
                                      "1,2,3,2",
                                      "0,0,0,0",
                                      "-1e308,0,1.7e308,1",
                                      "1;2;3;4",
                                      "1,2,3,4 5",
                                      "-0,0,0,1"};
    double n[4];
    size_t i;

    for (i = 0; i < COUNT(bad); i++) {
        ck_assert_msg(dp_canon_bbox(bad[i], n) != NULL, "%s", bad[i]);
    }
    ck_assert_ptr_null(dp_canon_bbox("-1.5,2e3,+3,2000.25", n));
    ck_assert(n[0] == -1.5 && n[1] == 2000 && n[2] == 3 && n[3] == 2000.25);
    ck_assert_ptr_null(dp_canon_bbox("-0,-0.0,1,1", n));
    ck_assert(!__builtin_signbit(n[0]) && !__builtin_signbit(n[1]));
    ck_assert_ptr_nonnull(
        dp_canon_bbox(apr_psprintf(unit_pool, "%0300d,0,1,1", 0), n));
}
END_TEST

START_TEST(details_are_short_and_harmless)
{
    ck_assert_str_eq(
        dp_canon_detail("param", "a\"b\\c\n\x7f\xc3\xa9", unit_pool),
        "param a?b?c????");
    ck_assert_uint_eq(
        strlen(dp_canon_detail("crs", apr_psprintf(unit_pool, "%0999d", 7),
                               unit_pool)),
        4 + 64);
}
END_TEST

START_TEST(every_reason_has_a_word)
{
    int i;
    int j;

    for (i = 0; i < DP_REASON_COUNT; i++) {
        for (j = 0; j < i; j++) {
            ck_assert_str_ne(dp_reason_name((dp_reason_e)i),
                             dp_reason_name((dp_reason_e)j));
        }
    }
    ck_assert_str_eq(dp_reason_name(DP_REASON_OFF_GRID), "off-grid");
    ck_assert_str_eq(dp_reason_name((dp_reason_e)-1), "none");
    ck_assert_str_eq(dp_reason_name(DP_REASON_COUNT), "none");
}
END_TEST

UNIT_MAIN("request/canon", formats_are_raster_pictures,
          lists_of_defaults_are_the_default, booleans_are_true_or_false,
          colours_have_one_spelling, boxes_are_four_numbers_in_order,
          details_are_short_and_harmless, every_reason_has_a_word)
