/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/freshness.h"

#include "unit.h"

typedef struct row_t {
    dp_answer_fields_t fields;
    int is_shareable;
    int is_explicit;
    int seconds;
} row_t;

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:59:37 GMT"

START_TEST(what_the_source_says_is_read)
{
    static const row_t rows[] = {
        {{.cache_control = NULL}, 1, 0, 0},
        {{.cache_control = "max-age=60"}, 1, 1, 60},
        {{.cache_control = "public, MAX-AGE=\"60\""}, 1, 1, 60},
        {{.cache_control = "max-age=60, s-maxage=600"}, 1, 1, 600},
        {{.cache_control = "max-age=60", .age = "20"}, 1, 1, 40},
        {{.cache_control = "max-age=60", .age = "90"}, 1, 1, 0},
        {{.cache_control = "max-age=60", .age = "soon"}, 1, 1, 60},
        {{.cache_control = "max-age=-1"}, 1, 0, 0},
        {{.cache_control = "max-age"}, 1, 0, 0},
        {{.cache_control = "max-age=99999999999999999999"}, 1, 1, 2147483647},
        {{.cache_control = "no-cache, max-age=60"}, 1, 1, 0},
        {{.cache_control = "no-store"}, 0, 0, 0},
        {{.cache_control = "private, max-age=60"}, 0, 1, 60},
        {{.cache_control = "private=\"Set-Cookie, X\", max-age=5"}, 0, 1, 5},
        {{.cache_control = "ext=\"no-store, x\", max-age=5"}, 1, 1, 5},
        {{.cache_control = "ext=\"a\\\", no-store\", max-age=5"}, 1, 1, 5},
        {{.cache_control = ",,  ,max-age=5,,"}, 1, 1, 5},
        {{.cache_control = "x=\"unterminated, no-store"}, 1, 0, 0},
        {{.cache_control = "no-store", .cdn_cache_control = "max-age=9"},
         1,
         1,
         9},
        /* RFC 9213: the targeted field sets Expires aside as well, and one
         * that can't be parsed isn't there. */
        {{.expires = LATER, .date = DATE, .cdn_cache_control = "public"},
         1,
         0,
         0},
        {{.cache_control = "max-age=7", .cdn_cache_control = "max-age=9,"},
         1,
         1,
         7},
        {{.cache_control = "max-age=7", .cdn_cache_control = ""}, 1, 1, 7},
        {{.cdn_cache_control = "max-age=9;x=y, a=\"no-store\""}, 1, 1, 9},
        {{.cache_control = "max-age=5, max-age=50"}, 1, 1, 5},
        {{.expires = LATER, .date = DATE}, 1, 1, 600},
        {{.expires = "Fri, 31 Dec 9999 23:59:59 GMT", .date = DATE},
         1,
         1,
         2147483647},
        {{.expires = DATE, .date = LATER}, 1, 1, 0},
        {{.expires = "0", .date = DATE}, 1, 1, 0},
        {{.cache_control = "max-age=7", .expires = LATER, .date = DATE},
         1,
         1,
         7},
        {{.vary = "*"}, 0, 0, 0},
        {{.vary = "Accept-Encoding, Origin"}, 1, 0, 0},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        dp_freshness_t freshness;
        apr_int64_t seconds;

        dp_freshness_read(&freshness, &rows[i].fields);
        seconds = apr_time_sec(freshness.lifetime_usec);
        ck_assert_msg(freshness.is_shareable == rows[i].is_shareable, "row %d",
                      (int)i);
        ck_assert_msg(freshness.is_explicit == rows[i].is_explicit, "row %d",
                      (int)i);
        ck_assert_msg(
            seconds == rows[i].seconds
                || (seconds > 2147483646 && rows[i].seconds == 2147483647),
            "row %d: %d", (int)i, (int)seconds);
    }
}
END_TEST

typedef struct window_row_t {
    dp_answer_fields_t fields;
    int stale; /* seconds, -1: the source doesn't say */
    int on_error;
} window_row_t;

START_TEST(what_may_be_served_after_the_lifetime)
{
    static const window_row_t rows[] = {
        {{.cache_control = NULL}, -1, -1},
        {{.cache_control = "max-age=60"}, -1, -1},
        {{.cache_control = "max-age=60, stale-while-revalidate=30"}, 30, -1},
        {{.cache_control = "max-age=60, stale-if-error=90"}, -1, 90},
        {{.cache_control = "stale-if-error=9, stale-while-revalidate=3"}, 3, 9},
        {{.cache_control = "max-age=60, stale-while-revalidate=soon"}, -1, -1},
        {{.cache_control = "max-age=60, stale-while-revalidate=0"}, 0, -1},
        /* Forbidden: RFC 9111 section 4.2.4. */
        {{.cache_control = "max-age=60, must-revalidate"}, 0, 0},
        {{.cache_control = "proxy-revalidate, stale-if-error=90"}, 0, 0},
        {{.cache_control = "no-cache, stale-while-revalidate=30"}, 0, 0},
        {{.cache_control = "s-maxage=60"}, 0, 0},
        {{.cache_control = "s-maxage=60, stale-while-revalidate=30"}, 30, 0},
        {{.cache_control = "max-age=0"}, 0, 0},
        {{.cache_control = "max-age=0, stale-while-revalidate=30"}, 30, 0},
        {{.cache_control = "max-age=60", .age = "60"}, 0, 0},
        {{.expires = "0"}, 0, 0},
        {{.cache_control = "must-revalidate",
          .cdn_cache_control = "max-age=60, stale-if-error=90"},
         -1,
         90},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        dp_freshness_t f;
        apr_interval_time_t stale = apr_time_from_sec(rows[i].stale);
        apr_interval_time_t on_error = apr_time_from_sec(rows[i].on_error);

        dp_freshness_read(&f, &rows[i].fields);
        ck_assert_msg(f.stale_usec == (stale < 0 ? DP_WINDOW_UNSET : stale),
                      "row %d", (int)i);
        ck_assert_msg(f.stale_on_error_usec
                          == (on_error < 0 ? DP_WINDOW_UNSET : on_error),
                      "row %d", (int)i);
    }
}
END_TEST

START_TEST(age_and_must_revalidate_are_kept)
{
    static const dp_answer_fields_t fields = {
        .cache_control = "max-age=60, must-revalidate", .age = "20"};
    static const dp_answer_fields_t plain = {.age = "-1"};
    dp_freshness_t f;

    dp_freshness_read(&f, &fields);
    ck_assert_int_eq(f.age_usec, apr_time_from_sec(20));
    ck_assert_int_eq(f.must_revalidate, 1);
    dp_freshness_read(&f, &plain);
    ck_assert_int_eq(f.age_usec, 0);
    ck_assert_int_eq(f.must_revalidate, 0);
}
END_TEST

typedef struct asked_row_t {
    const char *cache_control;
    const char *pragma;
    int only_if_cached;
    int max_age; /* seconds */
} asked_row_t;

START_TEST(what_a_client_asks_is_read)
{
    static const asked_row_t rows[] = {
        {NULL, NULL, 0, -1},
        {"", "no-cache", 0, -1},
        {NULL, "no-cache", 0, 0},
        {NULL, "something", 0, -1},
        {"no-cache", NULL, 0, 0},
        {"NO-CACHE, max-age=60", NULL, 0, 0},
        {"max-age=0", NULL, 0, 0},
        {"max-age=60", "no-cache", 0, 60},
        {"max-age=soon", NULL, 0, -1},
        {"only-if-cached", NULL, 1, -1},
        {"max-age=0, only-if-cached", NULL, 1, 0},
        {"no-store, max-stale=5, min-fresh=5, no-transform", NULL, 0, -1},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        dp_asked_t asked;

        dp_freshness_asked(&asked, rows[i].cache_control, rows[i].pragma);
        ck_assert_msg(asked.only_if_cached == rows[i].only_if_cached, "row %d",
                      (int)i);
        ck_assert_msg(asked.max_age_usec
                          == (rows[i].max_age < 0
                                  ? -1
                                  : apr_time_from_sec(rows[i].max_age)),
                      "row %d", (int)i);
    }
}
END_TEST

START_TEST(jitter_only_shortens)
{
    apr_interval_time_t hour = apr_time_from_sec(3600);
    apr_interval_time_t least = hour;
    unsigned int dice;

    for (dice = 0; dice < 4000000000u; dice += 9999991u) {
        apr_interval_time_t usec = dp_freshness_jitter(hour, 10, dice);

        ck_assert(usec <= hour && usec >= hour - hour / 10);
        least = usec < least ? usec : least;
    }
    ck_assert(least < hour - hour / 20);
    ck_assert(dp_freshness_jitter(hour, 0, 12345) == hour);
    ck_assert(dp_freshness_jitter(0, 10, 12345) == 0);
}
END_TEST

UNIT_MAIN("policy/freshness", what_the_source_says_is_read,
          what_may_be_served_after_the_lifetime,
          age_and_must_revalidate_are_kept, what_a_client_asks_is_read,
          jitter_only_shortens)
