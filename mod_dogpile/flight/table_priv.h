/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the flight table: its layout, its mutex, its links.
 *
 * One block of memory: the head, the slots, the flights, the buckets, the
 * waiter counts (a row of slots for each flight). Everything but the head's
 * constants is guarded by the mutex. The invariant from which a crash is
 * repaired: a flight's state, its leader, what the leader does and its row of
 * counts are the truth; buckets, free list and sums only follow from them. The
 * state is written last when a flight gets into it and first when it gets out
 * of it (dp_set_state()), so a child may die between any two stores.
 */
#ifndef DP_FLIGHT_TABLE_PRIV_H
#define DP_FLIGHT_TABLE_PRIV_H

#include <pthread.h>

#include "flight/table.h"

#define DP_TABLE_MAGIC 0x64706674u /* "dpft" */
#define DP_TABLE_VERSION 2u
#define DP_NONE UINT32_MAX

/* One more dp_flight_state_e: over, and its place is being cleared by the
 * child in `leader`. */
#define DP_STATE_CLEARING 100

typedef struct dp_slot_t {
    apr_int64_t pid; /* 0: free */
    apr_int64_t started;
    int32_t blocked; /* waiters of this child that hold a thread */
} dp_slot_t;

typedef struct dp_flight_t {
    dogpile_digest_t key;
    uint64_t source;
    uint32_t generation;
    int32_t state;     /* dp_flight_state_e */
    int32_t leader;    /* slot, -1 for none */
    int32_t is_linked; /* found by its key */
    int32_t is_led;    /* the leader hasn't finished */
    int32_t is_fetching;
    int32_t limit;        /* places of its source, as its leader said */
    uint64_t line_number; /* in the line for a place, 0 where it isn't */
    uint32_t waiters;     /* sum of its row of counts */
    uint32_t next;        /* in its bucket or in the free list */
    int32_t takes_parts;  /* its leader is its first one */
    uint64_t parts;       /* those that were laid down */
    dp_outcome_t outcome; /* when it has landed, or has parts */
} dp_flight_t;

struct dp_table_t {
    uint32_t magic;
    uint32_t version;
    uint32_t flight_bytes; /* catches a change of layout without a version */
    uint32_t nslots;
    uint32_t nflights;
    uint32_t nbuckets;
    pthread_mutex_t mutex;
    uint32_t free_head;
    uint64_t last_number; /* given out in the lines for places */
};

/* Every part begins where malloc() would let it begin. */
static inline apr_size_t dp_aligned(apr_size_t bytes)
{
    return (bytes + 15) & ~(apr_size_t)15;
}

static inline dp_slot_t *dp_slots(dp_table_t *table)
{
    return (dp_slot_t *)((char *)table + dp_aligned(sizeof(*table)));
}

static inline dp_flight_t *dp_flights(dp_table_t *table)
{
    return (dp_flight_t *)((char *)dp_slots(table)
                           + dp_aligned(table->nslots * sizeof(dp_slot_t)));
}

static inline uint32_t *dp_buckets(dp_table_t *table)
{
    return (uint32_t *)((char *)dp_flights(table)
                        + dp_aligned(table->nflights * sizeof(dp_flight_t)));
}

static inline uint32_t *dp_counts_of(dp_table_t *table, uint32_t index)
{
    uint32_t *all =
        (uint32_t *)((char *)dp_buckets(table)
                     + dp_aligned(table->nbuckets * sizeof(uint32_t)));

    return all + (apr_size_t)index * table->nslots;
}

/* The compiler keeps what is written before and after where it is. */
static inline void dp_set_state(dp_flight_t *flight, int32_t state)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    flight->state = state;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* --- table.c --- */

void dp_table_lock(dp_table_t *table);
void dp_table_unlock(dp_table_t *table);
uint32_t dp_bucket_of(const dp_table_t *table, const dogpile_digest_t *key);
void dp_link_locked(dp_table_t *table, uint32_t index);
void dp_unlink_locked(dp_table_t *table, uint32_t index);
void dp_free_locked(dp_table_t *table, uint32_t index);
int dp_free_if_over_locked(dp_table_t *table, uint32_t index, int slot);

/* --- table_child.c --- */

/* Mark the children that wait for a flight. */
void dp_mark_waiters_locked(dp_table_t *table, uint32_t index,
                            unsigned char *wake);
void dp_orphan_locked(dp_table_t *table, uint32_t index, unsigned char *wake);
int dp_blocked_locked(dp_table_t *table);

/* --- table_flight.c --- */

/* The flight of a ticket, or NULL where it is over. */
dp_flight_t *dp_flight_of_locked(dp_table_t *table, const dp_ticket_t *ticket);

/* --- table_source.c --- */

/* Fetches under way, of a source or (NULL) of all. */
int dp_fetching_locked(dp_table_t *table, const uint64_t *source);

/* Give the free places of a source to the first in its line. */
void dp_grant_locked(dp_table_t *table, uint64_t source, unsigned char *wake);

#endif
