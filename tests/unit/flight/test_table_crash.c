/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table when a child dies with the mutex in its hands, or anywhere
 * else, and against a model that is too simple to be wrong.
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

static void fill(dp_outcome_t *outcome, int is_record)
{
    dp_outcome_fail(outcome, 502, 0, "no");
    if (is_record) {
        outcome->kind = DP_OUTCOME_RECORD;
        outcome->length = 10;
    }
}

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

    fill(&made, 1);
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

    fill(&made, rand_r(seed) % 2);
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

/* --- the model --------------------------------------------------------- */

/* One flight as the model sees it: by key, without indices or links. */
typedef struct model_t {
    int key; /* -1 for none */
    int is_landed;
    int leader; /* -1: an orphan, or finished */
    int waiters[NSLOTS];
    dp_ticket_t ticket;
} model_t;

static model_t model[NFLIGHTS];

static int all_waiters(const model_t *m)
{
    return m->waiters[0] + m->waiters[1] + m->waiters[2];
}

static model_t *model_find(int key)
{
    int i;

    for (i = 0; i < NFLIGHTS; i++) {
        if (model[i].key == key) {
            return model + i;
        }
    }
    return NULL;
}

/* Over, as soon as nobody waits and nobody leads. */
static void model_tidy(model_t *m)
{
    if (m->leader < 0 && all_waiters(m) == 0) {
        memset(m, 0, sizeof(*m));
        m->key = -1;
    }
}

static void model_join(dp_table_t *table, int key, int slot)
{
    model_t *m = model_find(key);
    dp_join_e expected = DP_JOIN_WAITER;
    dp_ticket_t ticket;

    if (m == NULL) {
        m = model_find(-1);
        expected = m ? DP_JOIN_LEADER : DP_JOIN_FULL;
    }
    else if (m->leader < 0) {
        expected = DP_JOIN_ADOPTED;
    }
    ck_assert_int_eq(join(table, slot, key, &ticket), expected);
    if (m == NULL) {
        return;
    }
    if (expected == DP_JOIN_LEADER) {
        m->key = key;
        m->ticket = ticket;
    }
    m->leader = expected == DP_JOIN_WAITER ? m->leader : slot;
    m->waiters[slot]++;
    ck_assert_mem_eq(&m->ticket, &ticket, sizeof(ticket));
}

static void model_bury(dp_table_t *table, int slot)
{
    int i;

    dp_table_bury(table, slot, 100 + slot, 1, wake);
    ck_assert_int_eq(dp_table_claim(table, 100 + slot, 1), slot);
    for (i = 0; i < NFLIGHTS; i++) {
        model[i].waiters[slot] = 0;
        if (model[i].leader == slot) {
            model[i].leader = -1;
        }
        model_tidy(model + i);
    }
}

static void model_lead(dp_table_t *table, model_t *m, int what)
{
    dp_outcome_t made;

    if (m->leader < 0) {
        return;
    }
    fill(&made, 1);
    if (m->is_landed) {
        ck_assert(!dp_table_land(table, &m->ticket, &made, wake));
    }
    else if (what == 0) {
        dp_table_resign(table, &m->ticket, wake);
        m->leader = -1;
        model_tidy(m);
    }
    else {
        ck_assert(dp_table_land(table, &m->ticket, &made, wake));
        m->is_landed = 1;
    }
}

/* The model has no flights that nobody can find, so all leave at once. */
static void model_finish(dp_table_t *table, model_t *m)
{
    int must_clear;
    int slot;

    if (!m->is_landed || m->leader < 0) {
        return;
    }
    must_clear = dp_table_finish(table, &m->ticket);
    for (slot = 0; slot < NSLOTS; slot++) {
        while (m->waiters[slot] > 0) {
            ck_assert(!must_clear);
            must_clear = dp_table_leave(table, slot, &m->ticket);
            m->waiters[slot]--;
        }
    }
    ck_assert(must_clear);
    dp_table_cleared(table, &m->ticket);
    m->leader = -1;
    model_tidy(m);
}

static void model_leave(dp_table_t *table, model_t *m, int slot)
{
    ck_assert(!dp_table_leave(table, slot, &m->ticket)
              || (m->is_landed && m->leader < 0 && all_waiters(m) == 1));
    if (m->waiters[slot] > 0) {
        m->waiters[slot]--;
        if (m->is_landed && m->leader < 0 && all_waiters(m) == 0) {
            dp_table_cleared(table, &m->ticket);
        }
        model_tidy(m);
    }
}

static void model_compare(dp_table_t *table)
{
    int flights = 0;
    int i;

    for (i = 0; i < NFLIGHTS; i++) {
        const model_t *m = model + i;
        dp_flight_state_e expected = DP_FLIGHT_LANDED;

        if (m->key < 0) {
            continue;
        }
        flights++;
        if (!m->is_landed) {
            expected = m->leader < 0 ? DP_FLIGHT_ORPHAN : DP_FLIGHT_AIRBORNE;
        }
        ck_assert_int_eq(dp_table_look(table, &m->ticket, NULL), expected);
        ck_assert_int_eq(dp_table_waiters(table, &m->ticket), all_waiters(m));
        ck_assert_int_eq(dp_table_leader(table, &m->ticket), m->leader);
    }
    ck_assert_int_eq(flights_in(table), flights);
    check_table(table);
}

/* A landed flight whose leader died isn't found any more, which the model has
 * no word for: it lets the waiters go. */
static void model_drop_headless(dp_table_t *table)
{
    int slot;
    int i;

    for (i = 0; i < NFLIGHTS; i++) {
        while (model[i].key >= 0 && model[i].is_landed && model[i].leader < 0) {
            for (slot = 0; model[i].waiters[slot] == 0;) {
                slot++;
            }
            model_leave(table, model + i, slot);
        }
    }
}

START_TEST(random_histories_agree_with_the_model)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    unsigned seed = 20240229;
    int n;

    for (n = 0; n < NFLIGHTS; n++) {
        model[n].key = model[n].leader = -1;
    }
    for (n = 0; n < NSLOTS; n++) {
        dp_table_claim(table, 100 + n, 1);
    }
    for (n = 0; n < 20000; n++) {
        model_t *m = model_find(rand_r(&seed) % NKEYS);
        int slot = rand_r(&seed) % NSLOTS;
        int what = rand_r(&seed) % 16;

        if (what < 7) {
            model_join(table, rand_r(&seed) % NKEYS, slot);
        }
        else if (what == 7) {
            model_bury(table, slot);
            model_drop_headless(table);
        }
        else if (m != NULL && what < 11) {
            model_leave(table, m, slot);
        }
        else if (m != NULL && what < 14) {
            model_lead(table, m, what % 3);
        }
        else if (m != NULL) {
            model_finish(table, m);
        }
        model_compare(table);
    }
}
END_TEST

UNIT_MAIN("flight/table_crash", the_next_locker_rebuilds_the_links,
          half_an_adoption_is_none, a_flight_that_was_half_freed_is_free,
          children_may_die_at_any_instruction,
          random_histories_agree_with_the_model)
