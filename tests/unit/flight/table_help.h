/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the flight table: a table in shared memory, and what must
 * be true of its insides at any time.
 */
#ifndef DP_TESTS_FLIGHT_TABLE_HELP_H
#define DP_TESTS_FLIGHT_TABLE_HELP_H

#include <string.h>
#include <sys/mman.h>

#include "flight/table_priv.h"
#include "unit.h"

static inline dp_table_t *table_make(int nslots, int nflights)
{
    void *memory =
        mmap(NULL, dp_table_size(nslots, nflights), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    dp_table_t *table;

    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(dp_table_init(memory, nslots, nflights, &table), 0);
    return table;
}

/* Keys with the same `n / 16` meet in one bucket of a table of 8 flights. */
static inline dogpile_digest_t key_of(int n)
{
    dogpile_digest_t key;

    memset(&key, 0, sizeof(key));
    key.bytes[0] = (unsigned char)(n / 16);
    key.bytes[31] = (unsigned char)n;
    return key;
}

static inline dp_join_e join(dp_table_t *table, int slot, int key,
                             dp_ticket_t *ticket)
{
    dogpile_digest_t digest = key_of(key);

    return dp_table_join(table, slot, &digest, 7, ticket);
}

static inline void fill_outcome(dp_outcome_t *outcome, int is_record)
{
    dp_outcome_fail(outcome, 502, 0, "no");
    if (is_record) {
        outcome->kind = DP_OUTCOME_RECORD;
        outcome->length = 10;
    }
}

static inline int waiters_of(dp_table_t *table, uint32_t index)
{
    int sum = 0;
    uint32_t s;

    for (s = 0; s < table->nslots; s++) {
        sum += (int)dp_counts_of(table, index)[s];
    }
    return sum;
}

static inline int count_linked(dp_table_t *table, uint32_t index)
{
    const dp_flight_t *all = dp_flights(table);
    int seen = 0;
    uint32_t b;
    uint32_t i;

    for (b = 0; b < table->nbuckets; b++) {
        for (i = dp_buckets(table)[b]; i != DP_NONE; i = all[i].next) {
            seen += i == index;
        }
    }
    return seen;
}

static inline int count_free(dp_table_t *table, uint32_t index)
{
    int seen = 0;
    uint32_t i;

    for (i = table->free_head; i != DP_NONE; i = dp_flights(table)[i].next) {
        seen += i == index;
    }
    return seen;
}

/* Whatever happened before, this holds. */
static inline void check_table(dp_table_t *table)
{
    uint32_t i;

    dp_table_lock(table);
    for (i = 0; i < table->nflights; i++) {
        const dp_flight_t *flight = dp_flights(table) + i;

        ck_assert_int_eq(count_free(table, i), flight->state == DP_FLIGHT_FREE);
        ck_assert_int_eq(count_linked(table, i), flight->is_linked);
        ck_assert_int_eq(waiters_of(table, i), (int)flight->waiters);
        switch (flight->state) {
        case DP_FLIGHT_FREE:
            ck_assert_int_eq(flight->waiters, 0);
            break;
        case DP_FLIGHT_ORPHAN:
            ck_assert(flight->is_linked && !flight->is_led);
            ck_assert(flight->waiters > 0 && !flight->is_fetching);
            break;
        case DP_FLIGHT_AIRBORNE:
            ck_assert(flight->is_linked && flight->is_led);
            ck_assert_int_ge(flight->leader, 0);
            break;
        case DP_FLIGHT_LANDED:
            ck_assert(flight->is_led || flight->waiters > 0);
            ck_assert(flight->is_led || !flight->is_linked);
            break;
        default:
            ck_assert_int_eq(flight->state, DP_STATE_CLEARING);
            ck_assert(!flight->is_led && flight->waiters == 0);
        }
    }
    dp_table_unlock(table);
}

static inline int flights_in(dp_table_t *table)
{
    dp_table_counts_t counts;

    dp_table_counts(table, &counts);
    return counts.flights;
}

#endif
