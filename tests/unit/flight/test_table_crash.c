/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table when a child dies with the mutex in its hands, or anywhere
 * else.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flight/table_help.h"

#define NSLOTS 3
#define NFLIGHTS 8
#define NKEYS 20

static unsigned char wake[NSLOTS];

/* --- a death with the mutex held --------------------------------------- */

/* In a child: take the mutex, do `harm`, say so and wait to be killed. */
static void die_with_mutex(dp_table_t *table, void (*harm)(dp_table_t *table))
{
    int fds[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dp_table_lock(table);
        harm(table);
        if (write(fds[1], "x", 1) == 1) {
            for (;;) {
                pause();
            }
        }
        _exit(1);
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(fds[0]);
    close(fds[1]);
}

static void tear_links(dp_table_t *table)
{
    memset(dp_buckets(table), 0, table->nbuckets * sizeof(uint32_t));
    table->free_head = 3;
    dp_flights(table)[3].next = 3;
    dp_flights(table)[NFLIGHTS - 1].waiters = 77;
}

START_TEST(the_next_locker_rebuilds_the_links)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    dp_ticket_t a;
    dp_ticket_t b;
    dp_ticket_t again;

    dp_table_claim(table, 100, 1);
    join(table, 0, 1, &a);
    join(table, 0, 2, &b);
    join(table, 0, 2, &b);
    die_with_mutex(table, tear_links);
    check_table(table);
    ck_assert_int_eq(dp_table_waiters(table, &b), 2);
    ck_assert_int_eq(join(table, 0, 1, &again), DP_JOIN_WAITER);
    ck_assert_int_eq(again.index, a.index);
    ck_assert_int_eq(join(table, 0, 9, &again), DP_JOIN_LEADER);
    check_table(table);
}
END_TEST

static void half_adopt(dp_table_t *table)
{
    dp_flights(table)[NFLIGHTS - 1].leader = 1;
    dp_flights(table)[NFLIGHTS - 1].is_led = 1;
}

static void half_orphan(dp_table_t *table)
{
    dp_flights(table)[NFLIGHTS - 1].leader = -1;
}

static void half_leave(dp_table_t *table)
{
    dp_flights(table)[NFLIGHTS - 1].is_led = 0;
    dp_counts_of(table, NFLIGHTS - 1)[0] = 0;
}

START_TEST(half_an_adoption_is_none)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    dp_ticket_t ticket;
    int i;

    for (i = 0; i < NSLOTS; i++) {
        dp_table_claim(table, 100 + i, 1);
    }
    join(table, 0, 1, &ticket);
    ck_assert_int_eq(ticket.index, NFLIGHTS - 1);
    join(table, 2, 1, &ticket);
    dp_table_bury(table, 0, 100, 1, wake);
    die_with_mutex(table, half_adopt);
    check_table(table);
    ck_assert(dp_table_adopt(table, 2, &ticket));
    die_with_mutex(table, half_orphan);
    check_table(table);
    ck_assert_int_eq(dp_table_look(table, &ticket, NULL), DP_FLIGHT_ORPHAN);
    ck_assert(dp_table_adopt(table, 2, &ticket));
}
END_TEST

START_TEST(a_flight_that_was_half_freed_is_free)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    dp_outcome_t made;
    dp_ticket_t ticket;

    fill_outcome(&made, 1);
    dp_table_claim(table, 100, 1);
    join(table, 0, 1, &ticket);
    ck_assert_int_eq(ticket.index, NFLIGHTS - 1);
    dp_table_land(table, &ticket, &made, wake);
    die_with_mutex(table, half_leave);
    check_table(table);
    ck_assert_int_eq(dp_table_look(table, &ticket, NULL), DP_FLIGHT_FREE);
    ck_assert_int_eq(flights_in(table), 0);
}
END_TEST

/* --- a death anywhere -------------------------------------------------- */

static void do_anything(dp_table_t *table, int slot, unsigned *seed)
{
    dp_ticket_t ticket;
    dp_outcome_t made;

    fill_outcome(&made, rand_r(seed) % 2);
    if (join(table, slot, rand_r(seed) % NKEYS, &ticket) == DP_JOIN_FULL) {
        return;
    }
    if (dp_table_leader(table, &ticket) == slot) {
        dp_table_begin_fetch(table, &ticket, 1);
        switch (rand_r(seed) % 4) {
        case 0:
            dp_table_resign(table, &ticket, wake);
            break;
        case 1:
            return; /* the child's death must take it back */
        default:
            dp_table_land(table, &ticket, &made, wake);
            dp_table_end_fetch(table, &ticket, wake);
            if (dp_table_finish(table, &ticket)) {
                dp_table_cleared(table, &ticket);
            }
        }
    }
    if (dp_table_leave(table, slot, &ticket)) {
        dp_table_cleared(table, &ticket);
    }
}

/* A child that does anything for ever, and is killed somewhere in it. */
static pid_t start_busy_child(dp_table_t *table, int slot, unsigned seed)
{
    int fds[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        do_anything(table, slot, &seed);
        if (write(fds[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            do_anything(table, slot, &seed);
        }
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

START_TEST(children_may_die_at_any_instruction)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    unsigned seed = 5;
    pid_t pids[2];
    int round;
    int i;
    int n;

    for (round = 0; round < 100; round++) {
        for (i = 0; i < 2; i++) {
            ck_assert_int_eq(dp_table_claim(table, 100 + i, 1), i);
        }
        for (i = 0; i < 2; i++) {
            pids[i] = start_busy_child(table, i, (unsigned)(2 * round + i));
        }
        for (n = rand_r(&seed) % 200; n > 0; n--) {
            do_anything(table, 2, &seed);
        }
        for (i = 0; i < 2; i++) {
            kill(pids[i], SIGKILL);
            ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
            check_table(table);
        }
        for (i = 0; i < 2; i++) {
            dp_table_bury(table, i, 100 + i, 1, wake);
            check_table(table);
        }
        ck_assert_int_eq(dp_table_claim(table, 100, 1), 0);
        ck_assert_int_eq(dp_table_claim(table, 101, 1), 1);
        ck_assert_int_eq(dp_table_claim(table, 102, 1), 2);
        for (i = 0; i < NSLOTS; i++) {
            dp_table_bury(table, i, 100 + i, 1, wake);
        }
        ck_assert_int_eq(flights_in(table), 0);
    }
}
END_TEST

UNIT_MAIN("flight/table_crash", the_next_locker_rebuilds_the_links,
          half_an_adoption_is_none, a_flight_that_was_half_freed_is_free,
          children_may_die_at_any_instruction)
