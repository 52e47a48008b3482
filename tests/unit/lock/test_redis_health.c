/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/redis_health.h"

#include <errno.h>

#include "unit.h"

#define SECOND apr_time_from_sec(1)

static dp_redis_health_t health;
static apr_time_t now;

static void begin(void)
{
    health = (dp_redis_health_t){.failures = 0};
    now = 1000 * SECOND;
}

static void fail_times(int times)
{
    for (; times > 0; times--) {
        dp_redis_health_count(&health, APR_TIMEUP, "late", now);
    }
}

static dp_redis_news_e note(apr_status_t status)
{
    return dp_redis_health_note(&health, status, "because", now);
}

START_TEST(a_few_failures_are_borne)
{
    begin();
    ck_assert(!dp_redis_health_is_given_up(&health, now));
    fail_times(DP_REDIS_FAILURES_BORNE - 1);
    ck_assert(!dp_redis_health_is_given_up(&health, now));
    fail_times(1);
    ck_assert(dp_redis_health_is_given_up(&health, now));
    dp_redis_health_count(&health, APR_SUCCESS, "", now);
    ck_assert(!dp_redis_health_is_given_up(&health, now));
    fail_times(DP_REDIS_FAILURES_BORNE - 1);
    ck_assert(!dp_redis_health_is_given_up(&health, now));
}
END_TEST

START_TEST(one_tries_while_the_others_wait)
{
    begin();
    fail_times(DP_REDIS_FAILURES_BORNE);
    ck_assert_int_eq(health.retry_at - now, DP_REDIS_PAUSE_MIN_USEC);
    now += DP_REDIS_PAUSE_MIN_USEC - 1;
    ck_assert(dp_redis_health_is_given_up(&health, now));
    now++;
    ck_assert(!dp_redis_health_is_given_up(&health, now));
    ck_assert(dp_redis_health_is_given_up(&health, now));
    /* Whoever tried was never heard of again. */
    now += DP_REDIS_PAUSE_MAX_USEC;
    ck_assert(!dp_redis_health_is_given_up(&health, now));
}
END_TEST

START_TEST(pauses_grow_to_their_longest)
{
    apr_interval_time_t before = DP_REDIS_PAUSE_MIN_USEC;
    int i;

    begin();
    fail_times(DP_REDIS_FAILURES_BORNE);
    for (i = 0; i < 100; i++) {
        apr_interval_time_t pause;

        fail_times(1);
        pause = health.retry_at - now;
        ck_assert(pause == 2 * before || pause == DP_REDIS_PAUSE_MAX_USEC);
        before = pause;
    }
    ck_assert_int_eq(before, DP_REDIS_PAUSE_MAX_USEC);
}
END_TEST

START_TEST(a_failure_is_said_once_and_so_is_its_end)
{
    int i;

    begin();
    ck_assert_int_eq(note(APR_SUCCESS), DP_REDIS_NO_NEWS);
    ck_assert_int_eq(note(APR_TIMEUP), DP_REDIS_FAILED);
    for (i = 0; i < 100; i++) {
        now += 10 * SECOND;
        ck_assert_int_eq(note(APR_TIMEUP), DP_REDIS_NO_NEWS);
    }
    ck_assert_int_eq(note(APR_SUCCESS), DP_REDIS_RECOVERED);
    ck_assert_int_eq(note(APR_SUCCESS), DP_REDIS_NO_NEWS);
    ck_assert_uint_eq(health.nfailed, 101);
    ck_assert_str_eq(health.why, "because");
}
END_TEST

START_TEST(one_that_comes_and_goes_is_said_once_a_minute)
{
    int said = 0;
    int i;

    begin();
    for (i = 0; i < 600; i++) {
        said += note(i % 2 ? APR_SUCCESS : ECONNREFUSED) == DP_REDIS_FAILED;
        now += SECOND;
    }
    ck_assert_int_eq(said, 10);
}
END_TEST

START_TEST(another_reason_is_said_after_a_minute)
{
    begin();
    ck_assert_int_eq(note(ECONNREFUSED), DP_REDIS_FAILED);
    now += DP_REDIS_REPORT_USEC - 1;
    ck_assert_int_eq(note(APR_EACCES), DP_REDIS_NO_NEWS);
    now++;
    ck_assert_int_eq(note(APR_EACCES), DP_REDIS_FAILED);
}
END_TEST

/* Looks go well while takes are refused. */
START_TEST(what_is_refused_is_over_when_it_was_calm_for_a_minute)
{
    int i;

    begin();
    ck_assert_int_eq(note(APR_ENOMEM), DP_REDIS_FAILED);
    for (i = 0; i < 300; i++) {
        now += SECOND;
        ck_assert_int_eq(note(i % 3 ? APR_SUCCESS : APR_ENOMEM),
                         DP_REDIS_NO_NEWS);
    }
    now += 60 * SECOND;
    ck_assert_int_eq(note(APR_SUCCESS), DP_REDIS_RECOVERED);
}
END_TEST

UNIT_MAIN("lock/redis_health", a_few_failures_are_borne,
          one_tries_while_the_others_wait, pauses_grow_to_their_longest,
          a_failure_is_said_once_and_so_is_its_end,
          one_that_comes_and_goes_is_said_once_a_minute,
          another_reason_is_said_after_a_minute,
          what_is_refused_is_over_when_it_was_calm_for_a_minute)
