/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight and the lock on its source's data: nothing is rendered while
 * somebody changes the data, and nothing half-changed is kept.
 */
#include "flight/play.h"

static dp_flights_t *flights;

static void set_up(fake_lock_e source_lock)
{
    play();
    fake.source_lock.state = source_lock;
    flights = make_child(4, unit_pool);
}

static dp_waiter_t *join_both(dogpile_locker_t *locker)
{
    want_t wish = {
        .locker = locker, .source_locker = &fake_source_locker, .limit = 100};
    dp_waiter_t *waiter;

    MUST(join_as(flights, &wish, &waiter) != DP_JOIN_FULL);
    return waiter;
}

static void expect_landing(dp_waiter_t *waiter)
{
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
}

START_TEST(it_is_held_while_the_source_is_asked)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_both(&fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    ck_assert_int_eq(FAKE(source_lock.acquires), 1);
    ck_assert_int_eq(FAKE(source_lock.releases), 0);
    advance(flights, LEASE / 3);
    WAIT_UNTIL(FAKE(source_lock.renews) == 1 && FAKE(lock.renews) == 1);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(source_lock.releases), 1);
    ck_assert_int_eq(FAKE(lock.releases), 1);
}
END_TEST

START_TEST(while_data_changes_a_flight_waits_and_holds_nothing)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_both(&fake_locker);
    WAIT_UNTIL(phase_of(flights, waiter) == DP_PHASE_WATCHING);
    ck_assert_int_eq(FAKE(lock.acquires), 1);
    ck_assert_int_eq(FAKE(lock.releases), 1);
    ck_assert_int_eq(table_counts().fetching, 0);
    advance(flights, RETRY);
    WAIT_UNTIL(FAKE(source_lock.probes) == 1);
    ck_assert_int_eq(FAKE(produces), 0);
    fake_set(&fake.source_lock.state, LOCK_FREE);
    advance(flights, RETRY);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(looks), 2); /* another host may have been faster */
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(a_refresh_that_nobody_waits_for_is_given_up_meanwhile)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    waiter = join_both(&fake_locker);
    WAIT_UNTIL(phase_of(flights, waiter) == DP_PHASE_WATCHING);
    dp_flight_leave(waiter);
    advance(flights, RETRY);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 0);
}
END_TEST

START_TEST(a_picture_of_data_that_may_have_changed_is_not_kept)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_both(&fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    fake_set(&fake.source_lock.state, LOCK_ELSEWHERE);
    advance(flights, LEASE / 3);
    WAIT_UNTIL(count_of(DP_COUNT_lock_lost) == 1);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(keeps), 0);
    ck_assert_int_eq(FAKE(lock.releases), 1);
}
END_TEST

START_TEST(a_lease_that_was_lost_unseen_counts_too)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_both(&fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    fake_set(&fake.source_lock.state, LOCK_ELSEWHERE);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(keeps), 0);
    ck_assert_int_eq(count_of(DP_COUNT_lock_lost), 1);
}
END_TEST

START_TEST(a_source_may_be_locked_where_metatiles_are_not)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    open_gate(0);
    waiter = join_both(NULL);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(lock.acquires), 0);
    ck_assert_int_eq(FAKE(source_lock.releases), 1);
}
END_TEST

UNIT_MAIN("flight/flight_source", it_is_held_while_the_source_is_asked,
          while_data_changes_a_flight_waits_and_holds_nothing,
          a_refresh_that_nobody_waits_for_is_given_up_meanwhile,
          a_picture_of_data_that_may_have_changed_is_not_kept,
          a_lease_that_was_lost_unseen_counts_too,
          a_source_may_be_locked_where_metatiles_are_not)
