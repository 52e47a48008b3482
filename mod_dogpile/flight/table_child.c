/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table: children, their slots, and what becomes of a dead one's
 * flights. Called at a child's start and end, by siblings that see its death,
 * and by the parent.
 */
#include "flight/table_priv.h"

#include <string.h>

int dp_table_claim(dp_table_t *table, apr_int64_t pid, apr_int64_t started)
{
    int found = -1;
    uint32_t i;

    dp_table_lock(table);
    for (i = 0; i < table->nslots; i++) {
        dp_slot_t *slot = dp_slots(table) + i;

        if (slot->pid == 0) {
            memset(slot, 0, sizeof(*slot));
            slot->pid = pid;
            slot->started = started;
            found = (int)i;
            break;
        }
    }
    dp_table_unlock(table);
    return found;
}

void dp_table_slot(dp_table_t *table, int slot, apr_int64_t *pid,
                   apr_int64_t *started)
{
    dp_table_lock(table);
    *pid = dp_slots(table)[slot].pid;
    *started = dp_slots(table)[slot].started;
    dp_table_unlock(table);
}

int dp_table_find_slot(dp_table_t *table, apr_int64_t pid)
{
    int found = -1;
    uint32_t i;

    dp_table_lock(table);
    for (i = 0; i < table->nslots && found < 0; i++) {
        if (dp_slots(table)[i].pid == pid) {
            found = (int)i;
        }
    }
    dp_table_unlock(table);
    return found;
}

void dp_mark_waiters_locked(dp_table_t *table, uint32_t index,
                            unsigned char *wake)
{
    const uint32_t *counts = dp_counts_of(table, index);
    uint32_t s;

    for (s = 0; s < table->nslots; s++) {
        wake[s] |= counts[s] != 0;
    }
}

/* Its leader is gone; what it held is given on. */
void dp_orphan_locked(dp_table_t *table, uint32_t index, unsigned char *wake)
{
    dp_flight_t *flight = dp_flights(table) + index;
    int had_place = flight->is_fetching;

    if (flight->state == DP_FLIGHT_AIRBORNE) {
        dp_set_state(flight, DP_FLIGHT_ORPHAN);
        dp_mark_waiters_locked(table, index, wake);
    }
    else {
        dp_unlink_locked(table, index); /* as if it had finished */
    }
    flight->is_led = 0;
    flight->leader = -1;
    flight->is_fetching = 0;
    flight->line_number = 0;
    if (had_place) {
        dp_grant_locked(table, flight->source, wake);
    }
}

static void bury_flight_locked(dp_table_t *table, uint32_t index, int slot,
                               unsigned char *wake)
{
    dp_flight_t *flight = dp_flights(table) + index;
    uint32_t *counts = dp_counts_of(table, index);

    flight->waiters -= counts[slot];
    counts[slot] = 0;
    if (flight->state == DP_STATE_CLEARING && flight->leader != slot) {
        return; /* a living child is about to clear the place */
    }
    if (flight->leader == slot) {
        dp_orphan_locked(table, index, wake);
    }
    /* A place that isn't cleared costs memory until it is used again. */
    if (flight->waiters == 0 && !flight->is_led) {
        dp_free_locked(table, index);
    }
}

/* The dead child may have died before it gave on a place or woke someone. */
static void make_up_locked(dp_table_t *table, unsigned char *wake)
{
    dp_flight_t *all = dp_flights(table);
    uint64_t last = 0;
    int has_last = 0;
    uint32_t i;

    /* A source's neighbours in the table are often of the same one, and each
     * grant goes over the whole of it. */
    for (i = 0; i < table->nflights; i++) {
        if (all[i].state == DP_FLIGHT_AIRBORNE && all[i].line_number != 0
            && (!has_last || all[i].source != last)) {
            last = all[i].source;
            has_last = 1;
            dp_grant_locked(table, last, wake);
        }
    }
    for (i = 0; i < table->nslots; i++) {
        wake[i] |= dp_slots(table)[i].pid != 0;
    }
}

void dp_table_bury(dp_table_t *table, int slot, apr_int64_t pid,
                   apr_int64_t started, unsigned char *wake)
{
    dp_slot_t *dead = dp_slots(table) + slot;
    uint32_t i;

    dp_table_lock(table);
    if (dead->pid == pid && dead->started == started) {
        for (i = 0; i < table->nflights; i++) {
            if (dp_flights(table)[i].state != DP_FLIGHT_FREE) {
                bury_flight_locked(table, i, slot, wake);
            }
        }
        memset(dead, 0, sizeof(*dead));
        make_up_locked(table, wake);
    }
    dp_table_unlock(table);
}

int dp_blocked_locked(dp_table_t *table)
{
    int blocked = 0;
    uint32_t s;

    for (s = 0; s < table->nslots; s++) {
        blocked += dp_slots(table)[s].blocked;
    }
    return blocked;
}

int dp_table_block(dp_table_t *table, int slot, int max)
{
    int may;

    dp_table_lock(table);
    may = dp_blocked_locked(table) < max;
    if (may) {
        dp_slots(table)[slot].blocked++;
    }
    dp_table_unlock(table);
    return may;
}

void dp_table_unblock(dp_table_t *table, int slot)
{
    dp_table_lock(table);
    dp_slots(table)[slot].blocked--;
    dp_table_unlock(table);
}
