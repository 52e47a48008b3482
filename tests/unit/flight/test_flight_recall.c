/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flights and a source that is sick: it is asked once a period.
 */
#include "flight/play.h"

#define PERIOD SECONDS(5)

static dp_flights_t *flights;

static void set_up(dp_blame_e blame)
{
    play();
    fake.fails = 1;
    fake.blame = blame;
    flights = make_child(4, unit_pool);
}

static dp_waiter_t *join_at(int key, int limit)
{
    want_t want = {.key = key, .limit = limit, .error_usec = PERIOD};
    dp_waiter_t *waiter;

    MUST(join_as(flights, &want, &waiter) != DP_JOIN_FULL);
    return waiter;
}

/* Whether the failure is an earlier flight's. */
static int land_failed(dp_waiter_t *waiter)
{
    dp_outcome_t outcome;

    ck_assert(wait_long(waiter));
    MUST(dp_flight_outcome(waiter, &outcome));
    ck_assert_int_eq(outcome.kind, DP_OUTCOME_FAILED);
    ck_assert_int_gt(outcome.retry_after_sec, 0);
    dp_flight_leave(waiter);
    return outcome.is_remembered;
}

static int is_recalled(int number)
{
    dogpile_digest_t key;
    dp_wish_t wish = {.key = &key, .source = 7};
    dp_outcome_t outcome;

    memset(&key, number + 1, sizeof(key));
    return dp_flight_recall(flights, &wish, &outcome);
}

START_TEST(those_in_line_at_a_source_that_fails_ask_no_more)
{
    dp_waiter_t *waiters[4];
    int i;

    set_up(DP_BLAME_SOURCE);
    for (i = 0; i < 4; i++) {
        waiters[i] = join_at(i, 1);
        WAIT_UNTIL(FAKE(producing) == 1);
        WAIT_UNTIL(i == 0
                   || phase_of(flights, waiters[i]) == DP_PHASE_UPSTREAM);
    }
    ck_assert(!is_recalled(9));
    open_gate(0);
    for (i = 0; i < 4; i++) {
        ck_assert_int_eq(land_failed(waiters[i]), i > 0);
    }
    ck_assert(is_recalled(9));
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(count_of(DP_COUNT_fetches), 1);
    expect_nothing_left(flights);
}
END_TEST

START_TEST(after_the_period_one_flight_tries_and_the_others_dont_wait)
{
    dp_waiter_t *first;
    int i;

    set_up(DP_BLAME_SOURCE);
    open_gate(0);
    ck_assert(!land_failed(join_at(0, 9)));
    advance(flights, PERIOD);
    ck_assert(!is_recalled(1));
    first = join_at(1, 9);
    WAIT_UNTIL(FAKE(producing) == 1);
    for (i = 2; i < 5; i++) {
        ck_assert(land_failed(join_at(i, 9)));
    }
    fake_set(&fake.fails, 0);
    open_gate(1);
    ck_assert(wait_long(first));
    expect_record(first, 1);
    dp_flight_leave(first);
    open_gate(2);
    first = join_at(2, 9); /* normal at once */
    ck_assert(wait_long(first));
    expect_record(first, 2);
    dp_flight_leave(first);
    ck_assert_int_eq(FAKE(produces), 3);
    expect_nothing_left(flights);
}
END_TEST

START_TEST(a_metatile_that_cant_be_drawn_holds_no_other_up)
{
    dp_waiter_t *other;

    set_up(DP_BLAME_PICTURE);
    open_gate(0);
    ck_assert(!land_failed(join_at(0, 9)));
    ck_assert(is_recalled(0));
    ck_assert(!is_recalled(1));
    fake_set(&fake.fails, 0);
    open_gate(1);
    other = join_at(1, 9);
    ck_assert(wait_long(other));
    expect_record(other, 1);
    dp_flight_leave(other);
    advance(flights, PERIOD);
    ck_assert(!is_recalled(0));
    expect_nothing_left(flights);
}
END_TEST

START_TEST(a_source_that_hangs_is_down_until_it_answers)
{
    dp_waiter_t *waiter;

    set_up(DP_BLAME_SOURCE);
    fake_set(&fake.fails, 0);
    waiter = join_at(0, 9);
    WAIT_UNTIL(FAKE(producing) == 1);
    advance(flights, FETCH_TIMEOUT);
    ck_assert(!land_failed(waiter));
    ck_assert(is_recalled(1));
    open_gate(0);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(keeps), 1); /* late, and good */
    ck_assert(!is_recalled(1));
}
END_TEST

START_TEST(what_hangs_and_then_fails_has_failed_once)
{
    dp_waiter_t *waiter;

    set_up(DP_BLAME_SOURCE);
    waiter = join_at(0, 9);
    WAIT_UNTIL(FAKE(producing) == 1);
    advance(flights, FETCH_TIMEOUT);
    ck_assert(!land_failed(waiter));
    advance(flights, PERIOD);
    ck_assert(!is_recalled(1));
    open_gate(0);
    expect_nothing_left(flights);
    ck_assert(!is_recalled(1));
}
END_TEST

START_TEST(an_answer_that_must_not_be_shared_is_remembered)
{
    dp_waiter_t *waiter;

    set_up(DP_BLAME_NONE);
    fake_set(&fake.fails, 0);
    fake_set(&fake.is_shared, 0);
    open_gate(0);
    waiter = join_at(0, 9);
    ck_assert(wait_long(waiter));
    dp_flight_leave(waiter);
    ck_assert(is_recalled(0));
    ck_assert(!is_recalled(1));
    advance(flights, DP_RECALL_PASS_USEC);
    ck_assert(!is_recalled(0));
    expect_nothing_left(flights);
}
END_TEST

/* --- several hosts: the lock is fake_source_locker's -------------------- */

static dp_waiter_t *join_shared(int key)
{
    want_t want = {.key = key,
                   .limit = 9,
                   .error_usec = PERIOD,
                   .down_locker = &fake_source_locker};
    dp_waiter_t *waiter;

    open_gate(key);
    MUST(join_as(flights, &want, &waiter) != DP_JOIN_FULL);
    return waiter;
}

START_TEST(only_a_source_that_is_down_costs_a_look_at_its_lock)
{
    dp_waiter_t *waiter;

    set_up(DP_BLAME_SOURCE);
    fake_set(&fake.fails, 0);
    waiter = join_shared(0);
    ck_assert(wait_long(waiter));
    dp_flight_leave(waiter);
    fake_set(&fake.fails, 1);
    ck_assert(!land_failed(join_shared(1)));
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(source_lock.acquires), 0);
    ck_assert_int_eq(FAKE(source_lock.breaks), 0);
}
END_TEST

START_TEST(who_tries_keeps_the_lock_until_the_source_works)
{
    dp_waiter_t *waiter;

    set_up(DP_BLAME_SOURCE);
    ck_assert(!land_failed(join_shared(0)));
    advance(flights, PERIOD);
    ck_assert(!land_failed(join_shared(1)));
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(source_lock.state), LOCK_MINE);
    ck_assert_int_eq(FAKE(source_lock.releases), 0);
    advance(flights, 2 * PERIOD);
    fake_set(&fake.fails, 0);
    waiter = join_shared(2); /* it is ours, still */
    ck_assert(wait_long(waiter));
    expect_record(waiter, 2);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(source_lock.acquires), 2);
    ck_assert_int_eq(FAKE(source_lock.breaks), 1);
    ck_assert_int_eq(FAKE(produces), 3);
}
END_TEST

START_TEST(while_another_host_tries_nobody_here_does)
{
    dp_waiter_t *waiter;
    int i;

    set_up(DP_BLAME_SOURCE);
    ck_assert(!land_failed(join_shared(0)));
    fake_set(&fake.source_lock.state, LOCK_ELSEWHERE);
    for (i = 1; i < 4; i++) {
        advance(flights, PERIOD);
        ck_assert(!is_recalled(9));
        ck_assert(land_failed(join_shared(i)));
        ck_assert(is_recalled(9));
    }
    ck_assert_int_eq(FAKE(produces), 1);
    fake_set(&fake.source_lock.state, LOCK_DOWN); /* no locker: try */
    fake_set(&fake.fails, 0);
    advance(flights, PERIOD);
    waiter = join_shared(4);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 4);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
}
END_TEST

UNIT_MAIN("flight/flight_recall",
          only_a_source_that_is_down_costs_a_look_at_its_lock,
          who_tries_keeps_the_lock_until_the_source_works,
          while_another_host_tries_nobody_here_does,
          those_in_line_at_a_source_that_fails_ask_no_more,
          after_the_period_one_flight_tries_and_the_others_dont_wait,
          a_metatile_that_cant_be_drawn_holds_no_other_up,
          a_source_that_hangs_is_down_until_it_answers,
          what_hangs_and_then_fails_has_failed_once,
          an_answer_that_must_not_be_shared_is_remembered)
