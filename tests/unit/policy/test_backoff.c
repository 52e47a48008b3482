/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/backoff.h"

#include <limits.h>

#include "unit.h"

static const dp_backoff_t backoff = {.first_usec = 1000, .longest_usec = 9000};

/* The longest and the shortest pause that dice can give. */
static apr_interval_time_t most(const dp_backoff_t *of, unsigned int failures)
{
    apr_interval_time_t pause = 0;
    unsigned int dice;

    for (dice = 0; dice < 20000; dice++) {
        apr_interval_time_t one = dp_backoff_pause(of, failures, dice);

        pause = one > pause ? one : pause;
    }
    return pause;
}

static apr_interval_time_t least(const dp_backoff_t *of, unsigned int failures)
{
    apr_interval_time_t pause = most(of, failures);
    unsigned int dice;

    for (dice = 0; dice < 20000; dice++) {
        apr_interval_time_t one = dp_backoff_pause(of, failures, dice);

        pause = one < pause ? one : pause;
    }
    return pause;
}

START_TEST(each_failure_doubles_the_pause_up_to_the_longest)
{
    ck_assert_int_eq(most(&backoff, 1), 1000);
    ck_assert_int_eq(most(&backoff, 2), 2000);
    ck_assert_int_eq(most(&backoff, 3), 4000);
    ck_assert_int_eq(most(&backoff, 4), 8000);
    ck_assert_int_eq(most(&backoff, 5), 9000);
    ck_assert_int_eq(most(&backoff, 6), 9000);
    ck_assert_int_eq(most(&backoff, UINT_MAX), 9000);
}
END_TEST

START_TEST(dice_decide_the_upper_half)
{
    ck_assert_int_eq(least(&backoff, 1), 500);
    ck_assert_int_eq(least(&backoff, 3), 2000);
    ck_assert_int_eq(least(&backoff, 9), 4500);
}
END_TEST

START_TEST(none_is_as_one)
{
    ck_assert_int_eq(dp_backoff_pause(&backoff, 0, 7),
                     dp_backoff_pause(&backoff, 1, 7));
}
END_TEST

START_TEST(the_longest_counts_even_for_the_first)
{
    const dp_backoff_t tight = {.first_usec = 5000, .longest_usec = 100};
    const dp_backoff_t none = {.first_usec = 5000, .longest_usec = 0};

    ck_assert_int_eq(most(&tight, 1), 100);
    ck_assert_int_eq(most(&tight, 3), 100);
    ck_assert_int_eq(most(&none, 3), 0);
}
END_TEST

START_TEST(no_number_is_too_large)
{
    const dp_backoff_t ages = {.first_usec = APR_INT64_MAX / 2 + 2,
                               .longest_usec = APR_INT64_MAX};
    apr_interval_time_t pause = dp_backoff_pause(&ages, UINT_MAX, UINT_MAX);

    ck_assert_int_ge(pause, APR_INT64_MAX / 2);
}
END_TEST

UNIT_MAIN("policy/backoff", each_failure_doubles_the_pause_up_to_the_longest,
          dice_decide_the_upper_half, none_is_as_one,
          the_longest_counts_even_for_the_first, no_number_is_too_large)
