/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>

#include "unit.h"

START_TEST(whole_numbers_are_read_strictly)
{
    static const char *const bad[] = {
        "", "-", " 1", "1 ", "+1", "0x10", "1.0", "9999999999999999999"};
    apr_int64_t value;
    apr_size_t i;

    ck_assert(dp_text_int("-12", -20, 20, &value));
    ck_assert_int_eq(value, -12);
    ck_assert(!dp_text_int("21", -20, 20, &value));
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(!dp_text_int(bad[i], -1000, 1000, &value), "%s", bad[i]);
    }
}
END_TEST

START_TEST(decimal_numbers_are_read_strictly)
{
    static const char *const bad[] = {"",      "inf", "nan",  "0x1p3", "1,5",
                                      "1e999", "1e",  " 1.0", "1.0 "};
    double value;
    apr_size_t i;

    ck_assert(dp_text_double("-20037508.342789244", &value));
    ck_assert_double_eq(value, -20037508.342789244);
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(!dp_text_double(bad[i], &value), "%s", bad[i]);
    }
}
END_TEST

START_TEST(decimal_numbers_survive_being_written)
{
    static const double values[] = {0.1,     20037508.342789244, -90,
                                    1.0 / 3, 0.703125,           1e-9};
    char text[DP_TEXT_DOUBLE_BYTES];
    double back;
    apr_size_t i;

    for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
        ck_assert(dp_text_double(dp_text_from_double(text, values[i]), &back));
        ck_assert(back == values[i]);
    }
    ck_assert_str_eq(dp_text_from_double(text, 0.1), "0.1");
}
END_TEST

START_TEST(times_are_read_with_their_units)
{
    static const struct {
        const char *text;
        apr_interval_time_t usec;
    } good[] = {{"0", 0},
                {"1.5", 1500000},
                {"100ms", 100000},
                {"2min", 120000000},
                {"1h", APR_INT64_C(3600000000)},
                {"7d", APR_INT64_C(604800000000)}};
    static const char *const bad[] = {"",   "s",    "-1",      "1 s",
                                      "1m", "1e99", "999999d", "five"};
    apr_interval_time_t usec;
    apr_size_t i;

    for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
        ck_assert(dp_text_duration(good[i].text, &usec));
        ck_assert_int_eq(usec, good[i].usec);
    }
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(!dp_text_duration(bad[i], &usec), "%s", bad[i]);
    }
}
END_TEST

START_TEST(escapes_are_decoded_or_refused)
{
    static const char *const bad[] = {"%", "%4", "%zz", "a%00b", "%%41"};
    apr_size_t i;

    ck_assert_str_eq(dp_text_unescape("a%2Cb+c", 7, 1, unit_pool), "a,b c");
    ck_assert_str_eq(dp_text_unescape("a+c", 3, 0, unit_pool), "a+c");
    ck_assert_str_eq(dp_text_unescape("%41", 3, 0, unit_pool), "A");
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_ptr_null(
            dp_text_unescape(bad[i], strlen(bad[i]), 1, unit_pool));
    }
}
END_TEST

START_TEST(values_are_escaped_for_a_query)
{
    ck_assert_str_eq(dp_text_escape("a b&c=d/e,f#\xc3\xa9", unit_pool),
                     "a%20b%26c%3Dd/e,f%23%C3%A9");
}
END_TEST

UNIT_MAIN("base/text", whole_numbers_are_read_strictly,
          decimal_numbers_are_read_strictly,
          decimal_numbers_survive_being_written,
          times_are_read_with_their_units, escapes_are_decoded_or_refused,
          values_are_escaped_for_a_query)
