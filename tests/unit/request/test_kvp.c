/* SPDX-License-Identifier: Apache-2.0 */
#include "request/kvp.h"

#include <apr_strings.h>
#include <string.h>

#include "unit.h"

static dp_kvp_t read_kvp(const char *query)
{
    dp_kvp_t kvp;

    dp_kvp_read(&kvp, query, unit_pool);
    return kvp;
}

START_TEST(names_are_upper_case_and_values_decoded)
{
    dp_kvp_t kvp = read_kvp("&&la%79ers=a%2Cb+c&&Time=&flag&x=a=b&");

    ck_assert_int_eq(kvp.count, 4);
    ck_assert_str_eq(kvp.pairs[0].name, "LAYERS");
    ck_assert_str_eq(dp_kvp_get(&kvp, "Layers"), "a,b c");
    ck_assert_str_eq(dp_kvp_get(&kvp, "TIME"), "");
    ck_assert_str_eq(dp_kvp_get(&kvp, "FLAG"), "");
    ck_assert_str_eq(dp_kvp_get(&kvp, "x"), "a=b");
    ck_assert_ptr_null(dp_kvp_get(&kvp, "LAYER"));
    ck_assert_ptr_null(kvp.twice);
    ck_assert_ptr_null(kvp.broken);
    ck_assert(!kvp.too_many);
    ck_assert_int_eq(read_kvp("").count, 0);
    ck_assert_int_eq(read_kvp("&&&").count, 0);
    ck_assert_int_eq(read_kvp("=").count, 1);
}
END_TEST

START_TEST(a_name_given_twice_is_noticed_in_any_spelling)
{
    ck_assert_str_eq(read_kvp("a=1&b=2&%41=1").twice, "A");
    ck_assert_ptr_null(read_kvp("a=1&ab=2").twice);
}
END_TEST

START_TEST(what_cannot_be_decoded_is_noticed)
{
    static const char *const bad[] = {"a=%",   "a=%4",   "a=%00",    "a=x%0Ay",
                                      "a=%7f", "a=\x01", "b=1&a=%gg"};
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        dp_kvp_t kvp = read_kvp(bad[i]);

        ck_assert_msg(kvp.broken != NULL, "%s", bad[i]);
        ck_assert_str_eq(kvp.broken, "unreadable A");
        ck_assert_ptr_null(dp_kvp_get(&kvp, "A"));
    }
    ck_assert_ptr_null(read_kvp("a=\xc3\xa9").broken);
    /* A name that is broken stays as it came. */
    ck_assert_str_eq(read_kvp("%zzb=1").pairs[0].name, "%ZZB");
}
END_TEST

START_TEST(the_list_is_bounded)
{
    const char *query = "";
    int i;

    for (i = 0; i < DP_QUERY_MAX_PARAMS; i++) {
        query = apr_psprintf(unit_pool, "%sp%d=1&", query, i);
    }
    ck_assert_int_eq(read_kvp(query).count, DP_QUERY_MAX_PARAMS);
    ck_assert(!read_kvp(query).too_many);
    query = apr_pstrcat(unit_pool, query, "more", NULL);
    ck_assert_int_eq(read_kvp(query).count, DP_QUERY_MAX_PARAMS);
    ck_assert(read_kvp(query).too_many);
}
END_TEST

START_TEST(raw_pieces_are_compared_as_if_decoded)
{
    static const struct {
        const char *raw;
        int equal;
    } cases[] = {{"get map", 1},   {"GET+MAP", 1},   {"%47et%20map", 1},
                 {"get%2bmap", 0}, {"get map ", 0},  {"get ma", 0},
                 {"", 0},          {"get%20ma%", 0}, {"get ma%7", 0},
                 {"get map%00", 0}};
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        dp_raw_t raw = {cases[i].raw, strlen(cases[i].raw)};

        ck_assert_msg(dp_kvp_equal(&raw, "Get Map") == cases[i].equal, "%s",
                      cases[i].raw);
    }
}
END_TEST

UNIT_MAIN("request/kvp", names_are_upper_case_and_values_decoded,
          a_name_given_twice_is_noticed_in_any_spelling,
          what_cannot_be_decoded_is_noticed, the_list_is_bounded,
          raw_pieces_are_compared_as_if_decoded)
