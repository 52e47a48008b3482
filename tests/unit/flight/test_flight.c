/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coalescing within an httpd: who fetches, who waits, what they get.
 */
#include "flight/flight.h"

#include "flight/play.h"

#define NTHREADS 12

static dp_flights_t *flights;

static void set_up(void)
{
    play();
    flights = make_child(4, unit_pool);
}

/* --- waiting threads --------------------------------------------------- */

typedef struct client_t {
    pthread_t thread;
    dp_waiter_t *waiter;
    int max_blocked;
    int landed;
} client_t;

static void *wait_there(void *baton)
{
    client_t *client = baton;

    client->landed = dp_flight_wait(
        client->waiter, fake_now(NULL) + SECONDS(3600), client->max_blocked);
    return NULL;
}

static void start(client_t *client, dp_waiter_t *waiter, int max_blocked)
{
    client->waiter = waiter;
    client->max_blocked = max_blocked;
    ck_assert_int_eq(pthread_create(&client->thread, NULL, wait_there, client),
                     0);
}

static int end(client_t *client)
{
    pthread_join(client->thread, NULL);
    return client->landed;
}

/* --- tests ------------------------------------------------------------- */

START_TEST(many_wait_and_one_fetch_is_made)
{
    client_t clients[NTHREADS];
    int i;

    set_up();
    for (i = 0; i < NTHREADS; i++) {
        start(&clients[i], join_key(flights, 3, NULL), NTHREADS);
    }
    WAIT_UNTIL(table_counts().blocked == NTHREADS);
    open_gate(3);
    for (i = 0; i < NTHREADS; i++) {
        ck_assert(end(&clients[i]));
        expect_record(clients[i].waiter, 3);
    }
    for (i = 0; i < NTHREADS; i++) {
        dp_flight_leave(clients[i].waiter);
    }
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(FAKE(keeps), 1);
    ck_assert_int_eq(FAKE(takes_signals), 0);
    ck_assert_int_eq(count_of(DP_COUNT_flights_begun), 1);
    ck_assert_int_eq(count_of(DP_COUNT_fetches), 1);
}
END_TEST

START_TEST(a_failure_is_everyones_at_once)
{
    client_t clients[NTHREADS];
    dp_waiter_t *next;
    int i;

    set_up();
    fake_set(&fake.fails, 1);
    for (i = 0; i < NTHREADS; i++) {
        start(&clients[i], join_key(flights, 3, NULL), NTHREADS);
    }
    open_gate(3);
    for (i = 0; i < NTHREADS; i++) {
        ck_assert(end(&clients[i]));
        expect_failure(clients[i].waiter, 502);
    }
    ck_assert_int_eq(FAKE(produces), 1);
    fake_set(&fake.fails, 0);
    next = join_key(flights, 3, NULL); /* isn't given the old failure */
    ck_assert(wait_long(next));
    expect_record(next, 3);
    expect_failure(clients[0].waiter, 502);
    for (i = 0; i < NTHREADS; i++) {
        dp_flight_leave(clients[i].waiter);
    }
    dp_flight_leave(next);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 2);
    ck_assert_int_eq(FAKE(keeps), 1);
    ck_assert_int_eq(count_of(DP_COUNT_fetch_errors), 1);
}
END_TEST

START_TEST(an_answer_that_is_not_shared_is_told_and_not_kept)
{
    dp_outcome_t outcome;
    dp_waiter_t *waiter;

    set_up();
    fake_set(&fake.is_shared, 0);
    open_gate(0);
    waiter = join_key(flights, 0, NULL);
    ck_assert(wait_long(waiter));
    ck_assert(dp_flight_outcome(waiter, &outcome));
    ck_assert_int_eq(outcome.kind, DP_OUTCOME_PASS);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(keeps), 0);
}
END_TEST

START_TEST(who_has_no_time_goes_and_the_flight_goes_on)
{
    dp_waiter_t *waiter;

    set_up();
    waiter = join_key(flights, 0, NULL);
    ck_assert(!dp_flight_wait(waiter, fake_now(NULL) - 1, 100));
    ck_assert(!dp_flight_wait(waiter, fake_now(NULL), 100));
    dp_flight_leave(waiter);
    WAIT_UNTIL(FAKE(producing) == 1);
    open_gate(0);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(FAKE(keeps), 1);
}
END_TEST

START_TEST(too_many_blocked_are_turned_away_at_once)
{
    client_t clients[2];
    dp_waiter_t *third;
    int i;

    set_up();
    for (i = 0; i < 2; i++) {
        start(&clients[i], join_key(flights, i, NULL), 2);
    }
    WAIT_UNTIL(table_counts().blocked == 2);
    third = join_key(flights, 0, NULL);
    ck_assert(!dp_flight_wait(third, fake_now(NULL) + SECONDS(3600), 2));
    dp_flight_leave(third);
    open_all_gates();
    for (i = 0; i < 2; i++) {
        ck_assert(end(&clients[i]));
        dp_flight_leave(clients[i].waiter);
    }
    expect_nothing_left(flights);
}
END_TEST

START_TEST(the_leader_may_leave)
{
    dp_waiter_t *leader;
    dp_waiter_t *other;

    set_up();
    leader = join_key(flights, 0, NULL);
    other = join_key(flights, 0, NULL);
    WAIT_UNTIL(FAKE(producing) == 1);
    dp_flight_leave(leader);
    open_gate(0);
    ck_assert(wait_long(other));
    expect_record(other, 0);
    dp_flight_leave(other);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(what_is_in_the_store_after_all_is_not_fetched)
{
    dp_waiter_t *waiter;

    set_up();
    fake_set(&fake.is_stored, 1);
    waiter = join_key(flights, 0, &fake_locker);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    dp_flight_leave(waiter);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), 0);
    ck_assert_int_eq(FAKE(keeps), 0);
    ck_assert_int_eq(FAKE(lock.releases), 1);
    ck_assert_int_eq(count_of(DP_COUNT_found), 1);
}
END_TEST

START_TEST(a_fetch_that_takes_too_long_fails_and_is_kept_when_it_comes)
{
    dp_waiter_t *waiter;

    set_up();
    waiter = join_key(flights, 0, NULL);
    WAIT_UNTIL(FAKE(producing) == 1);
    advance(flights, FETCH_TIMEOUT - 1);
    ck_assert_int_eq(table_counts().waiters, 1);
    advance(flights, 1);
    ck_assert(wait_long(waiter));
    expect_failure(waiter, 504);
    ck_assert_int_eq(FAKE(producing), 1);
    ck_assert_int_eq(table_counts().fetching, 1);
    dp_flight_leave(waiter);
    open_gate(0);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(keeps), 1);
}
END_TEST

START_TEST(a_part_is_had_before_the_whole)
{
    want_t want = {.part = 2, .limit = 100};
    dp_outcome_t outcome;
    dp_waiter_t *whole;
    dp_waiter_t *part;
    dp_waiter_t *late;
    char bytes[13];

    set_up();
    fake_set(&fake.parts, 1);
    whole = join_key(flights, 0, NULL);
    ck_assert_int_eq(join_as(flights, &want, &part), DP_JOIN_WAITER);
    ck_assert(wait_long(part));
    ck_assert(dp_flight_outcome(part, &outcome));
    ck_assert_int_eq(outcome.is_part, 1);
    ck_assert_int_eq(outcome.length, 13);
    ck_assert_int_eq(dp_flight_read(part, 0, bytes, 13), APR_SUCCESS);
    ck_assert_mem_eq(bytes, "part of key 0", 13);
    ck_assert_int_eq(join_as(flights, &want, &late), DP_JOIN_WAITER);
    ck_assert(dp_flight_outcome(late, &outcome));
    ck_assert(!dp_flight_outcome(whole, &outcome));
    dp_flight_leave(part);
    open_gate(0);
    ck_assert(wait_long(whole));
    expect_record(whole, 0);
    expect_record(late, 0);
    dp_flight_leave(whole);
    dp_flight_leave(late);
    expect_nothing_left(flights);
}
END_TEST

START_TEST(another_part_is_waited_for)
{
    want_t want = {.part = 3, .limit = 100};
    dp_outcome_t outcome;
    dp_waiter_t *other;

    set_up();
    fake_set(&fake.parts, 1);
    ck_assert_int_eq(join_as(flights, &want, &other), DP_JOIN_LEADER);
    WAIT_UNTIL(FAKE(producing) == 1);
    ck_assert(!dp_flight_outcome(other, &outcome));
    open_gate(0);
    ck_assert(wait_long(other));
    expect_record(other, 0);
    dp_flight_leave(other);
    expect_nothing_left(flights);
}
END_TEST

UNIT_MAIN("flight/flight", many_wait_and_one_fetch_is_made,
          a_failure_is_everyones_at_once,
          an_answer_that_is_not_shared_is_told_and_not_kept,
          who_has_no_time_goes_and_the_flight_goes_on,
          too_many_blocked_are_turned_away_at_once, the_leader_may_leave,
          what_is_in_the_store_after_all_is_not_fetched,
          a_fetch_that_takes_too_long_fails_and_is_kept_when_it_comes,
          a_part_is_had_before_the_whole, another_part_is_waited_for)
