/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight and its locker: someone else's lock, leases, lockers that fail.
 */
#include "flight/play.h"

static dp_flights_t *flights;

static void set_up(fake_lock_e lock)
{
    play();
    fake.lock.state = lock;
    flights = make_child(4, unit_pool);
}

static dp_waiter_t *join_watching(void)
{
    dp_waiter_t *waiter = join_key(flights, 0, &fake_locker);

    WAIT_UNTIL(phase_of(flights, waiter) == DP_PHASE_WATCHING);
    return waiter;
}

static void expect_landing(dp_waiter_t *waiter)
{
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
}

START_TEST(the_lock_is_held_for_the_flight_and_given_back)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_key(flights, 0, &fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    ck_assert_int_eq(FAKE(lock.acquires), 1);
    ck_assert_int_eq(FAKE(lock.releases), 0);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(lock.releases), 1);
    ck_assert_int_eq(FAKE(keeps), 1);
    ck_assert_int_eq(count_of(DP_COUNT_lock_waits), 0);
}
END_TEST

START_TEST(someone_elses_lock_is_looked_at_until_it_is_free)
{
    dp_waiter_t *waiter;
    int i;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_watching();
    ck_assert_int_eq(FAKE(lock.probes), 0);
    for (i = 1; i < 5; i++) {
        advance(flights, RETRY);
        WAIT_UNTIL(FAKE(lock.probes) == i);
    }
    ck_assert_int_eq(FAKE(lock.acquires), 1); /* looking doesn't take */
    ck_assert_int_eq(FAKE(produces), 0);
    WAIT_UNTIL(phase_of(flights, waiter) == DP_PHASE_WATCHING);
    fake_set(&fake.lock.state, LOCK_FREE);
    advance(flights, RETRY);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(lock.acquires), 2);
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(count_of(DP_COUNT_lock_waits), 1);
}
END_TEST

START_TEST(pauses_grow_from_ten_milliseconds)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_watching();
    advance(flights, MSEC(10) - 1);
    ck_assert_int_eq(FAKE(lock.probes), 0);
    advance(flights, 1);
    WAIT_UNTIL(FAKE(lock.probes) == 1);
    advance(flights, MSEC(20) / 2 - 1);
    ck_assert_int_eq(FAKE(lock.probes), 1);
    advance(flights, MSEC(20) / 2 + 1);
    WAIT_UNTIL(FAKE(lock.probes) == 2);
    fake_set(&fake.lock.state, LOCK_FREE);
    advance(flights, RETRY);
    expect_landing(waiter);
}
END_TEST

START_TEST(what_the_other_host_stored_is_taken)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    waiter = join_watching();
    fake_set(&fake.is_stored, 1);
    fake_set(&fake.lock.state, LOCK_FREE);
    advance(flights, RETRY);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(produces), 0);
}
END_TEST

START_TEST(when_nobody_waits_any_more_the_flight_is_given_up)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    waiter = join_watching();
    dp_flight_leave(waiter);
    advance(flights, RETRY);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(lock.probes), 0);
    ck_assert_int_eq(FAKE(lock.acquires), 1);
    ck_assert_int_eq(FAKE(lock.releases), 0);
    ck_assert_int_eq(FAKE(produces), 0);
    /* and the next one starts afresh */
    fake_set(&fake.lock.state, LOCK_FREE);
    open_gate(0);
    expect_landing(join_key(flights, 0, &fake_locker));
}
END_TEST

START_TEST(a_lease_is_renewed_at_a_third)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_key(flights, 0, &fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    advance(flights, LEASE / 3 - 1);
    ck_assert_int_eq(FAKE(lock.renews), 0);
    advance(flights, 1);
    WAIT_UNTIL(FAKE(lock.renews) == 1);
    advance(flights, LEASE / 3 - 1);
    ck_assert_int_eq(FAKE(lock.renews), 1);
    advance(flights, 1);
    WAIT_UNTIL(FAKE(lock.renews) == 2);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(count_of(DP_COUNT_lock_lost), 0);
}
END_TEST

START_TEST(a_lost_lease_is_counted_and_the_fetch_goes_on)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_key(flights, 0, &fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    fake_set(&fake.lock.state, LOCK_ELSEWHERE);
    advance(flights, LEASE / 3);
    WAIT_UNTIL(count_of(DP_COUNT_lock_lost) == 1);
    advance(flights, LEASE / 3);
    open_gate(0);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(lock.renews), 1);
    ck_assert_int_eq(FAKE(lock.releases), 0);
    ck_assert_int_eq(FAKE(keeps), 1); /* over the version seen before */
    ck_assert_int_eq(count_of(DP_COUNT_lock_lost), 1);
}
END_TEST

START_TEST(a_locker_that_fails_is_gone_without_and_said_once)
{
    set_up(LOCK_DOWN);
    open_gate(0);
    expect_landing(join_key(flights, 0, &fake_locker));
    expect_landing(join_key(flights, 0, &fake_locker));
    ck_assert_int_eq(FAKE(produces), 2);
    ck_assert_int_eq(FAKE(lock.releases), 0);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 502);
    ck_assert_int_eq(count_of(DP_COUNT_lock_unavailable), 2);
    fake_set(&fake.lock.state, LOCK_FREE);
    expect_landing(join_key(flights, 0, &fake_locker));
    ck_assert_int_eq(unit_log_count, 2);
    ck_assert_int_eq(unit_log_last_id, 503);
}
END_TEST

START_TEST(a_locker_that_fails_while_it_is_watched_is_gone_without)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_watching();
    fake_set(&fake.lock.state, LOCK_DOWN);
    advance(flights, RETRY);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(a_host_with_another_store_is_not_waited_for)
{
    set_up(LOCK_FOREIGN);
    open_gate(0);
    expect_landing(join_key(flights, 0, &fake_locker));
    expect_landing(join_key(flights, 0, &fake_locker));
    ck_assert_int_eq(FAKE(produces), 2);
    ck_assert_int_eq(FAKE(lock.probes), 0);
    ck_assert_int_eq(count_of(DP_COUNT_lock_foreign), 2);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 504);
}
END_TEST

START_TEST(a_lock_that_goes_to_another_store_is_waited_for_no_more)
{
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_watching();
    fake_set(&fake.lock.state, LOCK_FOREIGN);
    advance(flights, RETRY);
    expect_landing(waiter);
    ck_assert_int_eq(count_of(DP_COUNT_lock_foreign), 1);
}
END_TEST

START_TEST(a_release_that_is_told_of_spares_the_pause)
{
    dogpile_digest_t other;
    dp_waiter_t *waiter;

    set_up(LOCK_ELSEWHERE);
    open_gate(0);
    waiter = join_watching();
    fake_set(&fake.lock.state, LOCK_FREE);
    memset(&other, 77, sizeof(other));
    dp_flights_released(flights, &other);
    advance(flights, 0);
    ck_assert_int_eq(FAKE(lock.probes), 0);
    dp_flights_released(flights, &waiter->local->job->locks[0].key.digest);
    expect_landing(waiter);
    ck_assert_int_eq(FAKE(lock.acquires), 2);
}
END_TEST

START_TEST(a_child_that_is_stopped_gives_its_lock_back_in_mid_fetch)
{
    dp_waiter_t *waiter;

    set_up(LOCK_FREE);
    waiter = join_key(flights, 0, &fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    dp_flights_hurry(flights);
    advance(flights, 0);
    advance(flights, SECONDS(3) - 1);
    ck_assert_int_eq(FAKE(lock.releases), 0);
    advance(flights, 1);
    WAIT_UNTIL(FAKE(lock.releases) == 1);
    ck_assert(!wait_long(waiter)); /* nobody waits any more */
    dp_flight_leave(waiter);
    open_gate(0);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(lock.releases), 1);
}
END_TEST

UNIT_MAIN("flight/flight_lock", the_lock_is_held_for_the_flight_and_given_back,
          someone_elses_lock_is_looked_at_until_it_is_free,
          pauses_grow_from_ten_milliseconds,
          what_the_other_host_stored_is_taken,
          when_nobody_waits_any_more_the_flight_is_given_up,
          a_lease_is_renewed_at_a_third,
          a_lost_lease_is_counted_and_the_fetch_goes_on,
          a_locker_that_fails_is_gone_without_and_said_once,
          a_locker_that_fails_while_it_is_watched_is_gone_without,
          a_host_with_another_store_is_not_waited_for,
          a_lock_that_goes_to_another_store_is_waited_for_no_more,
          a_release_that_is_told_of_spares_the_pause,
          a_child_that_is_stopped_gives_its_lock_back_in_mid_fetch)
