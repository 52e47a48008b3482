/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More flights than a source, the threads or the store can take.
 */
#include <stdlib.h>

#include "flight/play.h"

#define NTHREADS 12

static dp_flights_t *flights;

static void set_up(void)
{
    play();
    flights = make_child(4, unit_pool);
}

START_TEST(a_source_is_asked_by_so_many_and_in_turn)
{
    want_t wish = {.key = 0, .locker = NULL, .limit = 1};
    dp_waiter_t *waiters[3];
    int i;

    set_up();
    for (i = 0; i < 3; i++) {
        wish.key = i;
        join_as(flights, &wish, &waiters[i]);
        WAIT_UNTIL(i == 0 ? FAKE(producing) == 1
                          : phase_of(flights, waiters[i]) == DP_PHASE_UPSTREAM);
    }
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(FAKE(produces), i + 1);
        open_gate(i);
        ck_assert(wait_long(waiters[i]));
        expect_record(waiters[i], i);
        dp_flight_leave(waiters[i]);
        WAIT_UNTIL(i == 2 || FAKE(produces) == i + 2);
    }
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(order[0]), 0);
    ck_assert_int_eq(FAKE(order[1]), 1);
    ck_assert_int_eq(FAKE(order[2]), 2);
}
END_TEST

START_TEST(a_slow_store_delays_nobody)
{
    want_t wish = {.key = 0, .locker = NULL, .limit = 1};
    dp_waiter_t *waiter;
    dp_waiter_t *next;

    set_up();
    open_all_gates();
    fake_set(&fake.is_store_slow, 1);
    join_as(flights, &wish, &waiter);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    /* Until it is stored, it is found here. */
    ck_assert_int_eq(join_as(flights, &wish, &next), DP_JOIN_WAITER);
    ck_assert(dp_flight_wait(next, 0, 0));
    dp_flight_leave(next);
    wish.key = 1;
    ck_assert_int_eq(join_as(flights, &wish, &next), DP_JOIN_LEADER);
    ck_assert(wait_long(next));
    expect_record(next, 1);
    ck_assert_int_eq(FAKE(keeps), 0);
    fake_set(&fake.is_store_slow, 0);
    dp_flight_leave(waiter);
    dp_flight_leave(next);
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(keeps), 2);
}
END_TEST

START_TEST(more_flights_than_threads_all_land)
{
    dp_waiter_t *waiters[NFLIGHTS];
    dp_waiter_t *one_more;
    want_t wish = {.key = 0, .locker = NULL, .limit = 100};
    int i;

    set_up();
    for (i = 0; i < NFLIGHTS; i++) {
        waiters[i] = join_key(flights, i, NULL);
    }
    WAIT_UNTIL(FAKE(producing) == 4);
    wish.key = NFLIGHTS;
    ck_assert_int_eq(join_as(flights, &wish, &one_more), DP_JOIN_FULL);
    ck_assert_ptr_null(one_more);
    open_all_gates();
    for (i = 0; i < NFLIGHTS; i++) {
        ck_assert(wait_long(waiters[i]));
        expect_record(waiters[i], i);
        dp_flight_leave(waiters[i]);
    }
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), NFLIGHTS);
}
END_TEST

/* --- a storm ----------------------------------------------------------- */

static void *storm(void *baton)
{
    unsigned seed = (unsigned)(apr_size_t)baton;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    for (i = 0; i < 200; i++) {
        want_t wish = {.key = rand_r(&seed) % 3,
                       .locker = NULL,
                       .limit = 1 + rand_r(&seed) % 2};
        dp_waiter_t *waiter;

        if (join_in(flights, &wish, &waiter, pool) == DP_JOIN_FULL) {
            continue; /* places that are being cleared */
        }
        if (rand_r(&seed) % 4 != 0 && wait_long(waiter)) {
            expect_record(waiter, wish.key);
        }
        dp_flight_leave(waiter);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return NULL;
}

START_TEST(a_storm_leaves_nothing_behind)
{
    pthread_t threads[NTHREADS];
    apr_size_t i;

    set_up();
    open_all_gates();
    for (i = 0; i < NTHREADS; i++) {
        pthread_create(&threads[i], NULL, storm, (void *)i);
    }
    for (i = 0; i < NTHREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    expect_nothing_left(flights);
    ck_assert_int_eq(FAKE(produces), count_of(DP_COUNT_flights_begun));
    ck_assert_int_eq(FAKE(keeps), FAKE(produces));
}
END_TEST

UNIT_MAIN("flight/flight_load", a_source_is_asked_by_so_many_and_in_turn,
          a_slow_store_delays_nobody, more_flights_than_threads_all_land,
          a_storm_leaves_nothing_behind)
