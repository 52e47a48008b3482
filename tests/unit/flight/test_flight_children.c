/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several children of an httpd, played in one process, and what becomes of
 * their flights when one stops.
 */
#include "flight/play.h"

static dp_flights_t *a;
static dp_flights_t *b;
static apr_pool_t *pool_of_a;

static void set_up_two(void)
{
    play();
    apr_pool_create(&pool_of_a, unit_pool);
    a = make_child(2, pool_of_a);
    b = make_child(2, unit_pool);
}

START_TEST(a_flight_is_everyones)
{
    dp_waiter_t *there;
    dp_waiter_t *here;

    set_up_two();
    there = join_key(a, 0, NULL);
    here = join_key(b, 0, NULL);
    ck_assert_int_eq(phase_of(b, here), DP_PHASE_AWAY);
    WAIT_UNTIL(FAKE(producing) == 1);
    open_gate(0);
    ck_assert(wait_long(here));
    ck_assert(wait_long(there));
    expect_record(here, 0);
    dp_flight_leave(there);
    expect_record(here, 0);
    dp_flight_leave(here);
    expect_nothing_left(a);
    expect_nothing_left(b);
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(a_source_is_asked_by_so_many_of_all_children)
{
    want_t wish = {.key = 0, .locker = NULL, .limit = 1};
    dp_waiter_t *first;
    dp_waiter_t *second;

    set_up_two();
    join_as(a, &wish, &first);
    WAIT_UNTIL(FAKE(producing) == 1);
    wish.key = 1;
    join_as(b, &wish, &second);
    WAIT_UNTIL(phase_of(b, second) == DP_PHASE_UPSTREAM);
    ck_assert_int_eq(FAKE(produces), 1);
    open_all_gates();
    ck_assert(wait_long(second));
    ck_assert(wait_long(first));
    expect_record(second, 1);
    dp_flight_leave(first);
    dp_flight_leave(second);
    expect_nothing_left(a);
    expect_nothing_left(b);
}
END_TEST

/* --- stopping ---------------------------------------------------------- */

static void *stop_a(void *baton)
{
    (void)baton;
    apr_pool_destroy(pool_of_a);
    return NULL;
}

static int is_stopping(dp_flights_t *flights)
{
    int is;

    dp_flights_lock(flights);
    is = flights->is_stopping;
    dp_flights_unlock(flights);
    return is;
}

START_TEST(stopping_finishes_what_is_fetched)
{
    apr_int64_t started;
    dp_waiter_t *there;
    dp_waiter_t *here;
    pthread_t thread;
    apr_int64_t pid;
    int slot;

    set_up_two();
    slot = a->slot;
    there = join_key(a, 0, &fake_locker);
    WAIT_UNTIL(FAKE(producing) == 1);
    here = join_key(b, 0, &fake_locker);
    dp_flight_leave(there);
    pthread_create(&thread, NULL, stop_a, NULL);
    WAIT_UNTIL(is_stopping(a));
    ck_assert_int_eq(FAKE(lock.releases), 0);
    open_gate(0);
    pthread_join(thread, NULL);
    ck_assert(wait_long(here));
    expect_record(here, 0);
    dp_flight_leave(here);
    dp_table_slot(shared.table, slot, &pid, &started);
    ck_assert_int_eq(pid, 0);
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(FAKE(keeps), 1);
    ck_assert_int_eq(FAKE(lock.releases), 1);
    ck_assert_int_eq(count_of(DP_COUNT_takeovers), 0);
    expect_nothing_left(b);
}
END_TEST

START_TEST(stopping_leaves_what_waits_to_others)
{
    dp_waiter_t *there[3];
    dp_waiter_t *here;
    pthread_t thread;
    int i;

    set_up_two();
    for (i = 0; i < 2; i++) {
        there[i] = join_key(a, i, NULL); /* both of its threads */
    }
    WAIT_UNTIL(FAKE(producing) == 2);
    there[2] = join_key(a, 2, NULL);
    here = join_key(b, 2, NULL);
    ck_assert_int_eq(phase_of(a, there[2]), DP_PHASE_QUEUED);
    for (i = 0; i < 3; i++) {
        dp_flight_leave(there[i]);
    }
    open_gate(2);
    pthread_create(&thread, NULL, stop_a, NULL);
    ck_assert(wait_long(here)); /* while the child still stops */
    expect_record(here, 2);
    dp_flight_leave(here);
    open_all_gates();
    pthread_join(thread, NULL);
    ck_assert_int_eq(FAKE(produces), 3);
    ck_assert_int_eq(count_of(DP_COUNT_takeovers), 1);
    expect_nothing_left(b);
}
END_TEST

START_TEST(stopping_leaves_someone_elses_lock_to_others)
{
    dp_waiter_t *there;
    dp_waiter_t *here;

    set_up_two();
    open_gate(0);
    fake_set(&fake.lock.state, LOCK_ELSEWHERE);
    there = join_key(a, 0, &fake_locker);
    WAIT_UNTIL(phase_of(a, there) == DP_PHASE_WATCHING);
    here = join_key(b, 0, &fake_locker);
    dp_flight_leave(there);
    stop_a(NULL);
    WAIT_UNTIL(phase_of(b, here) == DP_PHASE_WATCHING);
    fake_set(&fake.lock.state, LOCK_FREE);
    advance(b, RETRY);
    ck_assert(wait_long(here));
    expect_record(here, 0);
    dp_flight_leave(here);
    expect_nothing_left(b);
    ck_assert_int_eq(FAKE(produces), 1);
}
END_TEST

START_TEST(a_child_that_never_waited_stops_too)
{
    set_up_two();
    stop_a(NULL);
    ck_assert_int_eq(dp_table_claim(shared.table, 1, 1), 0);
}
END_TEST

START_TEST(there_are_no_more_children_than_slots)
{
    dp_flights_conf_t conf = {.shared = &shared, .fetch_threads = 1};
    dp_flights_t *none;
    int i;

    play();
    for (i = 0; i < NSLOTS; i++) {
        make_child(1, unit_pool);
    }
    conf.pid = getpid();
    ck_assert_int_eq(dp_flights_create(&none, &conf, unit_pool), APR_ENOSPC);
}
END_TEST

UNIT_MAIN("flight/flight_children", a_flight_is_everyones,
          a_source_is_asked_by_so_many_of_all_children,
          stopping_finishes_what_is_fetched,
          stopping_leaves_what_waits_to_others,
          stopping_leaves_someone_elses_lock_to_others,
          a_child_that_never_waited_stops_too,
          there_are_no_more_children_than_slots)
