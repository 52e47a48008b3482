/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table against a model that is too simple to be wrong.
 */
#include <stdlib.h>

#include "flight/table_help.h"

#define NSLOTS 3
#define NFLIGHTS 8
#define NKEYS 20

static unsigned char wake[NSLOTS];

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
    fill_outcome(&made, 1);
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

UNIT_MAIN("flight/table_model", random_histories_agree_with_the_model)
