/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling: where one thread serves requests, nothing flies between two.
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

static int ended_when_settled;

static void *settle(void *baton)
{
    (void)baton;
    dp_flights_settle(flights);
    ended_when_settled = FAKE(ended);
    return NULL;
}

START_TEST(settling_gives_up_what_waits_for_a_lock)
{
    set_up(LOCK_ELSEWHERE);
    dp_flight_leave(join_watching());
    dp_flights_settle(flights);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(lock.acquires), 1);
    ck_assert_int_eq(FAKE(lock.probes), 0);
    dp_flights_settle(flights);
}
END_TEST

START_TEST(settling_waits_for_a_fetch_and_its_end)
{
    pthread_t thread;
    int i;

    set_up(LOCK_FREE);
    dp_flight_leave(join_key(flights, 0, &fake_locker));
    WAIT_UNTIL(FAKE(producing) == 1);
    fake_set(&fake.is_end_held, 1);
    pthread_create(&thread, NULL, settle, NULL);
    ck_assert_int_eq(leading(flights), 1);
    open_gate(0);
    WAIT_UNTIL(FAKE(ending) == 1);
    ck_assert_int_eq(leading(flights), 0);
    for (i = 0; i < 1000; i++) {
        sched_yield(); /* so that a mistake shows */
    }
    fake_set(&fake.is_end_held, 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(ended_when_settled, 1);
    ck_assert_int_eq(leading(flights), 0);
    ck_assert(has_no_locals(flights));
    ck_assert_int_eq(table_counts().flights, 0);
    ck_assert_int_eq(FAKE(keeps), 1);
    ck_assert_int_eq(FAKE(lock.releases), 1);
}
END_TEST

START_TEST(what_comes_to_rest_while_settling_is_given_up)
{
    want_t wish = {.key = 1, .locker = NULL, .limit = 1};
    dp_waiter_t *fetching;
    dp_waiter_t *in_line;
    pthread_t thread;

    set_up(LOCK_FREE);
    wish.key = 0;
    join_as(flights, &wish, &fetching);
    WAIT_UNTIL(FAKE(producing) == 1);
    wish.key = 1;
    wish.locker = &fake_locker;
    join_as(flights, &wish, &in_line);
    dp_flight_leave(in_line);
    dp_flight_leave(fetching);
    pthread_create(&thread, NULL, settle, NULL);
    WAIT_UNTIL(FAKE(lock.releases) == 1); /* of the one in the line */
    open_gate(0);
    pthread_join(thread, NULL);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(whoever_joins_while_a_flight_is_resigned_is_answered)
{
    want_t wish = {.key = 1, .locker = NULL, .limit = 1};
    dp_waiter_t *fetching;
    dp_waiter_t *in_line;
    pthread_t thread;

    set_up(LOCK_FREE);
    open_gate(1);
    wish.key = 0;
    join_as(flights, &wish, &fetching);
    WAIT_UNTIL(FAKE(producing) == 1);
    wish.key = 1;
    wish.locker = &fake_locker;
    join_as(flights, &wish, &in_line);
    WAIT_UNTIL(phase_of(flights, in_line) == DP_PHASE_UPSTREAM);
    dp_flight_leave(in_line);
    fake_set(&fake.is_release_held, 1);
    pthread_create(&thread, NULL, settle, NULL);
    WAIT_UNTIL(FAKE(releasing) == 1);
    ck_assert_int_eq(join_as(flights, &wish, &in_line), DP_JOIN_WAITER);
    fake_set(&fake.is_release_held, 0);
    open_gate(0);
    ck_assert(wait_long(fetching));
    dp_flight_leave(fetching);
    ck_assert(wait_long(in_line));
    expect_record(in_line, 1);
    dp_flight_leave(in_line);
    pthread_join(thread, NULL);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 2);
    ck_assert_int_eq(FAKE(lock.acquires), FAKE(lock.releases));
}
END_TEST

UNIT_MAIN("flight/flight_settle", settling_gives_up_what_waits_for_a_lock,
          settling_waits_for_a_fetch_and_its_end,
          what_comes_to_rest_while_settling_is_given_up,
          whoever_joins_while_a_flight_is_resigned_is_answered)
