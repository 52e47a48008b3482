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
        {{.expires = LATER, .date = DATE}, 1, 1, 600},
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
          jitter_only_shortens)
