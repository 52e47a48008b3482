/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that are processes, and what becomes of their flights when one is
 * killed.
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "flight/play.h"

static dp_flights_t *b;

static int told[2]; /* a pipe that hears of every fetch of every process */

static void hear(void)
{
    char byte;

    ck_assert_int_eq(read(told[0], &byte, 1), 1);
}

/* How much was told that nobody has heard yet. */
static int unheard(void)
{
    char bytes[256];
    int n = 0;

    close(told[1]);
    fake.tells = -1;
    while (read(told[0], bytes, 1) == 1) {
        n++;
    }
    return n;
}

/* Another process, whose one flight is fetched until it is killed. Made before
 * this one has threads. */
static pid_t fork_leader(void)
{
    pid_t pid;

    play();
    ck_assert_int_eq(pipe(told), 0);
    fake.tells = told[1];
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        join_key(make_child(1, unit_pool), 0, NULL);
        for (;;) {
            pause();
        }
    }
    hear();
    return pid;
}

START_TEST(a_dead_leaders_flight_is_fetched_by_another_child)
{
    pid_t leader = fork_leader();
    dp_waiter_t *waiter;

    b = make_child(1, unit_pool);
    open_gate(0);
    waiter = join_key(b, 0, NULL);
    ck_assert_int_eq(phase_of(b, waiter), DP_PHASE_AWAY);
    kill(leader, SIGKILL);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    dp_flight_leave(waiter);
    expect_nothing_left(b);
    ck_assert_int_eq(FAKE(produces), 1);
    ck_assert_int_eq(count_of(DP_COUNT_takeovers), 1);
    ck_assert_int_eq(unheard(), 1); /* two in all */
    waitpid(leader, NULL, 0);
}
END_TEST

START_TEST(a_leader_that_was_dead_before_is_noticed)
{
    pid_t leader = fork_leader();
    dp_waiter_t *waiter;

    kill(leader, SIGKILL);
    waitpid(leader, NULL, 0);
    b = make_child(1, unit_pool);
    open_gate(0);
    waiter = join_key(b, 0, NULL);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 0);
    dp_flight_leave(waiter);
    expect_nothing_left(b);
    ck_assert_int_eq(count_of(DP_COUNT_takeovers), 1);
}
END_TEST

START_TEST(the_parents_word_is_enough)
{
    pid_t leader = fork_leader();
    dp_waiter_t *waiter;

    kill(leader, SIGKILL);
    waitpid(leader, NULL, 0);
    dp_flights_bury(&shared, leader);
    dp_flights_bury(&shared, leader);
    ck_assert_int_eq(table_counts().flights, 0);
    b = make_child(1, unit_pool);
    open_gate(0);
    waiter = join_key(b, 0, NULL);
    ck_assert(wait_long(waiter));
    dp_flight_leave(waiter);
    expect_nothing_left(b);
    ck_assert_int_eq(count_of(DP_COUNT_takeovers), 0);
}
END_TEST

START_TEST(a_dead_childs_place_at_a_source_is_given_on)
{
    want_t wish = {.key = 1, .locker = NULL, .limit = 1};
    pid_t leader = fork_leader();
    dp_waiter_t *waiter;

    b = make_child(1, unit_pool);
    open_gate(1);
    join_as(b, &wish, &waiter);
    WAIT_UNTIL(phase_of(b, waiter) == DP_PHASE_UPSTREAM);
    kill(leader, SIGKILL);
    ck_assert(wait_long(waiter));
    expect_record(waiter, 1);
    dp_flight_leave(waiter);
    expect_nothing_left(b);
    ck_assert_int_eq(table_counts().fetching, 0);
    waitpid(leader, NULL, 0);
}
END_TEST

/* Join, wait, leave. */
static void fly_once(dp_flights_t *flights, unsigned *seed)
{
    want_t wish = {.key = rand_r(seed) % 3, .locker = NULL, .limit = 2};
    dp_waiter_t *waiter;

    if (join_as(flights, &wish, &waiter) == DP_JOIN_FULL) {
        return;
    }
    MUST(wait_long(waiter));
    expect_record(waiter, wish.key);
    dp_flight_leave(waiter);
}

static void fly_for_ever(unsigned seed, int fd)
{
    dp_flights_t *flights = make_child(2, unit_pool);

    for (;;) {
        fly_once(flights, &seed);
        if (write(fd, "x", 1) != 1) {
            _exit(1);
        }
    }
}

static pid_t fork_flier(unsigned seed)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fly_for_ever(seed, told[1]);
    }
    return pid;
}

START_TEST(whenever_a_child_dies_the_others_are_answered)
{
    unsigned seed = 3;
    unsigned round;
    int n;

    play();
    open_all_gates();
    for (round = 0; round < 20; round++) {
        apr_pool_t *pool;
        pid_t flier;

        ck_assert_int_eq(pipe(told), 0);
        flier = fork_flier(round);
        apr_pool_create(&pool, unit_pool);
        b = make_child(2, pool);
        for (n = 1 + rand_r(&seed) % 30; n > 0; n--) {
            hear();
            fly_once(b, &seed);
        }
        kill(flier, SIGKILL);
        for (n = 0; n < 10; n++) {
            fly_once(b, &seed);
        }
        waitpid(flier, NULL, 0);
        dp_flights_bury(&shared, flier);
        apr_pool_destroy(pool);
        ck_assert_int_eq(table_counts().flights, 0);
        ck_assert_int_eq(table_counts().fetching, 0);
        close(told[0]);
        close(told[1]);
    }
}
END_TEST

UNIT_MAIN("flight/flight_death",
          a_dead_leaders_flight_is_fetched_by_another_child,
          a_leader_that_was_dead_before_is_noticed, the_parents_word_is_enough,
          a_dead_childs_place_at_a_source_is_given_on,
          whenever_a_child_dies_the_others_are_answered)
