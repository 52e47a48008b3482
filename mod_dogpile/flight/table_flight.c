/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table: the life of a flight, from the first join until its
 * leader and its last waiter have left. Called from request, fetcher, keeper
 * and waker threads of every child.
 */
#include "flight/table_priv.h"

#include <string.h>

#include "base/digest.h"

/* --- waiters ----------------------------------------------------------- */

static uint32_t find_locked(dp_table_t *table, const dogpile_digest_t *key)
{
    const dp_flight_t *all = dp_flights(table);
    uint32_t i = dp_buckets(table)[dp_bucket_of(table, key)];

    while (i != DP_NONE && !dp_digest_equal(&all[i].key, key)) {
        i = all[i].next;
    }
    return i;
}

static uint32_t start_locked(dp_table_t *table, int slot,
                             const dogpile_digest_t *key, uint64_t source)
{
    uint32_t index = table->free_head;
    dp_flight_t *flight;

    if (index == DP_NONE) {
        return DP_NONE;
    }
    flight = dp_flights(table) + index;
    table->free_head = flight->next;
    flight->key = *key;
    flight->source = source;
    flight->leader = slot;
    flight->is_led = 1;
    flight->is_fetching = 0;
    flight->line_number = 0;
    flight->waiters = 0;
    flight->takes_parts = 1;
    flight->parts = 0;
    dp_set_state(flight, DP_FLIGHT_AIRBORNE);
    dp_link_locked(table, index);
    return index;
}

static int adopt_locked(dp_flight_t *flight, int slot)
{
    if (flight->state != DP_FLIGHT_ORPHAN) {
        return 0;
    }
    flight->leader = slot;
    flight->is_led = 1;
    flight->takes_parts = flight->parts == 0;
    dp_set_state(flight, DP_FLIGHT_AIRBORNE);
    return 1;
}

dp_join_e dp_table_join(dp_table_t *table, int slot,
                        const dogpile_digest_t *key, uint64_t source,
                        dp_ticket_t *ticket)
{
    dp_join_e result = DP_JOIN_WAITER;
    uint32_t index;

    dp_table_lock(table);
    index = find_locked(table, key);
    if (index == DP_NONE) {
        index = start_locked(table, slot, key, source);
        result = index == DP_NONE ? DP_JOIN_FULL : DP_JOIN_LEADER;
    }
    else if (adopt_locked(dp_flights(table) + index, slot)) {
        result = DP_JOIN_ADOPTED;
    }
    if (result != DP_JOIN_FULL) {
        dp_flights(table)[index].waiters++;
        dp_counts_of(table, index)[slot]++;
        ticket->index = index;
        ticket->generation = dp_flights(table)[index].generation;
    }
    dp_table_unlock(table);
    return result;
}

int dp_table_is_led(dp_table_t *table, const dogpile_digest_t *key)
{
    uint32_t index;
    int is_led;

    dp_table_lock(table);
    index = find_locked(table, key);
    is_led =
        index != DP_NONE && dp_flights(table)[index].state != DP_FLIGHT_ORPHAN;
    dp_table_unlock(table);
    return is_led;
}

dp_flight_t *dp_flight_of_locked(dp_table_t *table, const dp_ticket_t *ticket)
{
    dp_flight_t *flight = dp_flights(table) + ticket->index;

    return flight->generation == ticket->generation ? flight : NULL;
}

dp_flight_state_e dp_table_look(dp_table_t *table, const dp_ticket_t *ticket,
                                dp_view_t *view)
{
    dp_flight_state_e state = DP_FLIGHT_FREE;
    const dp_flight_t *flight;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state != DP_STATE_CLEARING) {
        state = (dp_flight_state_e)flight->state;
        if (view != NULL) {
            view->parts = flight->parts;
            view->outcome = flight->outcome;
        }
    }
    dp_table_unlock(table);
    return state;
}

int dp_table_leave(dp_table_t *table, int slot, const dp_ticket_t *ticket)
{
    dp_flight_t *flight;
    int must_clear = 0;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && dp_counts_of(table, ticket->index)[slot] > 0) {
        dp_counts_of(table, ticket->index)[slot]--;
        flight->waiters--;
        must_clear = dp_free_if_over_locked(table, ticket->index, slot);
    }
    dp_table_unlock(table);
    return must_clear;
}

void dp_table_cleared(dp_table_t *table, const dp_ticket_t *ticket)
{
    dp_flight_t *flight;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_STATE_CLEARING) {
        dp_free_locked(table, ticket->index);
    }
    dp_table_unlock(table);
}

int dp_table_waiters(dp_table_t *table, const dp_ticket_t *ticket)
{
    const dp_flight_t *flight;
    int waiters;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    waiters = flight ? (int)flight->waiters : 0;
    dp_table_unlock(table);
    return waiters;
}

int dp_table_leader(dp_table_t *table, const dp_ticket_t *ticket)
{
    const dp_flight_t *flight;
    int leader;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    leader = flight ? flight->leader : -1;
    dp_table_unlock(table);
    return leader;
}

int dp_table_adopt(dp_table_t *table, int slot, const dp_ticket_t *ticket)
{
    dp_flight_t *flight;
    int adopted;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    adopted = flight != NULL && adopt_locked(flight, slot);
    dp_table_unlock(table);
    return adopted;
}

/* --- the leader -------------------------------------------------------- */

int dp_table_land(dp_table_t *table, const dp_ticket_t *ticket,
                  const dp_outcome_t *outcome, unsigned char *wake)
{
    dp_flight_t *flight;
    int landed = 0;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_FLIGHT_AIRBORNE) {
        flight->outcome = *outcome;
        dp_set_state(flight, DP_FLIGHT_LANDED);
        if (outcome->kind != DP_OUTCOME_RECORD) {
            dp_unlink_locked(table, ticket->index);
        }
        dp_mark_waiters_locked(table, ticket->index, wake);
        landed = 1;
    }
    dp_table_unlock(table);
    return landed;
}

int dp_table_takes_parts(dp_table_t *table, const dp_ticket_t *ticket)
{
    const dp_flight_t *flight;
    int takes;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    takes = flight != NULL && flight->state == DP_FLIGHT_AIRBORNE
            && flight->takes_parts && flight->waiters > 0;
    dp_table_unlock(table);
    return takes;
}

void dp_table_add_part(dp_table_t *table, const dp_ticket_t *ticket, int part,
                       const dp_outcome_t *outcome, unsigned char *wake)
{
    dp_flight_t *flight;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_FLIGHT_AIRBORNE) {
        flight->outcome = *outcome;
        flight->parts |= (uint64_t)1 << part;
        dp_mark_waiters_locked(table, ticket->index, wake);
    }
    dp_table_unlock(table);
}

int dp_table_finish(dp_table_t *table, const dp_ticket_t *ticket)
{
    dp_flight_t *flight;
    int must_clear = 0;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_FLIGHT_LANDED) {
        flight->is_led = 0;
        dp_unlink_locked(table, ticket->index);
        must_clear =
            dp_free_if_over_locked(table, ticket->index, flight->leader);
    }
    dp_table_unlock(table);
    return must_clear;
}

void dp_table_resign(dp_table_t *table, const dp_ticket_t *ticket,
                     unsigned char *wake)
{
    const dp_flight_t *flight;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_FLIGHT_AIRBORNE) {
        dp_orphan_locked(table, ticket->index, wake);
        dp_free_if_over_locked(table, ticket->index, -1);
    }
    dp_table_unlock(table);
}

void dp_table_counts(dp_table_t *table, dp_table_counts_t *counts)
{
    const dp_flight_t *all = dp_flights(table);
    uint32_t i;

    memset(counts, 0, sizeof(*counts));
    dp_table_lock(table);
    for (i = 0; i < table->nflights; i++) {
        counts->flights +=
            all[i].state != DP_FLIGHT_FREE && all[i].state != DP_STATE_CLEARING;
        if (all[i].state == DP_FLIGHT_AIRBORNE
            || all[i].state == DP_FLIGHT_ORPHAN) {
            counts->waiters += (int)all[i].waiters;
        }
    }
    counts->blocked = dp_blocked_locked(table);
    counts->fetching = dp_fetching_locked(table, NULL);
    counts->capacity = (int)table->nflights;
    dp_table_unlock(table);
}
