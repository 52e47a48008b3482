/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table: its making, its mutex, and the links that follow from the
 * flights. See table_priv.h for the layout.
 */
#include "flight/table_priv.h"

#include <errno.h>
#include <string.h>

apr_size_t dp_table_size(int nslots, int nflights)
{
    return dp_aligned(sizeof(dp_table_t))
           + dp_aligned(nslots * sizeof(dp_slot_t))
           + dp_aligned(nflights * sizeof(dp_flight_t))
           + dp_aligned(2 * (apr_size_t)nflights * sizeof(uint32_t))
           + (apr_size_t)nflights * nslots * sizeof(uint32_t);
}

/* --- links ------------------------------------------------------------- */

uint32_t dp_bucket_of(const dp_table_t *table, const dogpile_digest_t *key)
{
    uint32_t hash;

    memcpy(&hash, key->bytes, sizeof(hash));
    return hash % table->nbuckets;
}

void dp_link_locked(dp_table_t *table, uint32_t index)
{
    dp_flight_t *flight = dp_flights(table) + index;
    uint32_t *head = dp_buckets(table) + dp_bucket_of(table, &flight->key);

    flight->is_linked = 1;
    flight->next = *head;
    *head = index;
}

void dp_unlink_locked(dp_table_t *table, uint32_t index)
{
    dp_flight_t *all = dp_flights(table);
    uint32_t *at = dp_buckets(table) + dp_bucket_of(table, &all[index].key);

    if (!all[index].is_linked) {
        return;
    }
    while (*at != index) {
        at = &all[*at].next;
    }
    *at = all[index].next;
    all[index].is_linked = 0;
    all[index].next = DP_NONE;
}

void dp_free_locked(dp_table_t *table, uint32_t index)
{
    dp_flight_t *flight = dp_flights(table) + index;

    dp_unlink_locked(table, index);
    flight->generation++;
    flight->leader = -1;
    memset(dp_counts_of(table, index), 0, table->nslots * sizeof(uint32_t));
    dp_set_state(flight, DP_FLIGHT_FREE);
    flight->next = table->free_head;
    table->free_head = index;
}

/*
 * Nobody needs the flight any more: free it, unless its record still lies in
 * the landing area. That is cleared without the mutex, by `slot`, before
 * another flight may have the place. Returns 1 if so.
 */
int dp_free_if_over_locked(dp_table_t *table, uint32_t index, int slot)
{
    dp_flight_t *flight = dp_flights(table) + index;

    if (flight->waiters > 0 || flight->is_led) {
        return 0;
    }
    if (flight->state == DP_FLIGHT_LANDED && flight->outcome.length > 0) {
        dp_unlink_locked(table, index);
        flight->leader = slot;
        dp_set_state(flight, DP_STATE_CLEARING);
        return 1;
    }
    if (flight->state != DP_STATE_CLEARING) {
        dp_free_locked(table, index);
    }
    return 0;
}

/* --- repair ------------------------------------------------------------ */

/* It may be joined. */
static int is_findable(const dp_flight_t *flight)
{
    return flight->state == DP_FLIGHT_AIRBORNE
           || flight->state == DP_FLIGHT_ORPHAN
           || (flight->state == DP_FLIGHT_LANDED && flight->is_led
               && flight->outcome.kind == DP_OUTCOME_RECORD);
}

/* Whatever a child had half done: make it a flight that could be. */
static void repair_locked(dp_table_t *table, uint32_t index)
{
    dp_flight_t *flight = dp_flights(table) + index;
    const uint32_t *counts = dp_counts_of(table, index);
    uint32_t s;

    flight->waiters = 0;
    for (s = 0; s < table->nslots; s++) {
        flight->waiters += counts[s];
    }
    if (flight->state == DP_FLIGHT_AIRBORNE
        && (flight->leader < 0 || !flight->is_led)) {
        flight->state = DP_FLIGHT_ORPHAN;
    }
    if (flight->state == DP_FLIGHT_ORPHAN) {
        flight->leader = -1;
        flight->is_led = 0;
        flight->is_fetching = 0;
        flight->line_number = 0;
    }
}

/* A child died while it held the mutex. */
static void rebuild_locked(dp_table_t *table)
{
    dp_flight_t *all = dp_flights(table);
    uint32_t i;

    memset(dp_buckets(table), 0xff, table->nbuckets * sizeof(uint32_t));
    table->free_head = DP_NONE;
    for (i = 0; i < table->nflights; i++) {
        all[i].is_linked = 0;
        if (all[i].state == DP_FLIGHT_FREE) {
            all[i].next = table->free_head;
            table->free_head = i;
            continue;
        }
        repair_locked(table, i);
        if (is_findable(all + i)) {
            dp_link_locked(table, i);
        }
        if (all[i].waiters == 0 && !all[i].is_led
            && (all[i].state != DP_STATE_CLEARING || all[i].leader < 0)) {
            dp_free_locked(table, i);
        }
    }
}

/* --- the mutex --------------------------------------------------------- */

void dp_table_lock(dp_table_t *table)
{
    if (pthread_mutex_lock(&table->mutex) == EOWNERDEAD) {
        rebuild_locked(table);
        pthread_mutex_consistent(&table->mutex);
    }
}

void dp_table_unlock(dp_table_t *table)
{
    pthread_mutex_unlock(&table->mutex);
}

static apr_status_t make_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);

    if (rc == 0) {
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        rc = pthread_mutex_init(mutex, &attr);
        pthread_mutexattr_destroy(&attr);
    }
    return rc;
}

apr_status_t dp_table_init(void *memory, int nslots, int nflights,
                           dp_table_t **table)
{
    dp_table_t *made = memory;
    apr_status_t rv = make_mutex(&made->mutex);
    uint32_t i;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->nslots = (uint32_t)nslots;
    made->nflights = (uint32_t)nflights;
    made->nbuckets = 2 * made->nflights;
    for (i = 0; i < made->nflights; i++) {
        dp_flights(made)[i].generation = 1;
        dp_flights(made)[i].leader = -1;
    }
    rebuild_locked(made);
    made->flight_bytes = sizeof(dp_flight_t);
    made->version = DP_TABLE_VERSION;
    made->magic = DP_TABLE_MAGIC;
    *table = made;
    return APR_SUCCESS;
}

int dp_table_is(const void *memory, int nslots, int nflights)
{
    const dp_table_t *table = memory;

    return table->magic == DP_TABLE_MAGIC && table->version == DP_TABLE_VERSION
           && table->flight_bytes == sizeof(dp_flight_t)
           && table->nslots == (uint32_t)nslots
           && table->nflights == (uint32_t)nflights;
}

int dp_table_nslots(const dp_table_t *table)
{
    return (int)table->nslots;
}

int dp_table_capacity(const dp_table_t *table)
{
    return (int)table->nflights;
}
