/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flights of one httpd, in memory that all its children share.
 *
 * A flight is the work for one key. It is found by its key until it fails or
 * is over, so that at most one is in the air for a key in all children. It has
 * a leader, the child whose threads do the work, and waiters, counted for each
 * child, so that what a dead child held can be taken back:
 *
 *     free -> airborne -> landed -> free
 *               |  ^
 *      (leader  v  | adopted by a child that has a waiter)
 *       died)  orphan
 *
 * A landed flight stays, with its outcome and its place in the landing area,
 * until every waiter has left and the leader has finished with it.
 *
 * Every function takes the table's robust mutex for a few instructions, may be
 * called from any thread of any child, and never blocks on anything else. A
 * child that dies inside leaves the mutex to the next one, which repairs the
 * flights and rebuilds the links from them. There are no pointers in the table, as it
 * may lie elsewhere in each process.
 */
#ifndef DP_FLIGHT_TABLE_H
#define DP_FLIGHT_TABLE_H

#include <apr_time.h>

#include "dogpile_types.h"
#include "flight/outcome.h"

typedef struct dp_table_t dp_table_t;

/* Names a flight; the generation tells it from a later one in its place. */
typedef struct dp_ticket_t {
    uint32_t index;
    uint32_t generation;
} dp_ticket_t;

typedef enum dp_flight_state_e {
    DP_FLIGHT_FREE,     /* there is no such flight, any more */
    DP_FLIGHT_ORPHAN,   /* its leader died; whoever waits should adopt it */
    DP_FLIGHT_AIRBORNE, /* its leader works on it */
    DP_FLIGHT_LANDED    /* its outcome is known */
} dp_flight_state_e;

typedef enum dp_join_e {
    DP_JOIN_LEADER,  /* the flight is new: do the work */
    DP_JOIN_ADOPTED, /* the flight was an orphan: do the work */
    DP_JOIN_WAITER,  /* another request, maybe of another child, leads */
    DP_JOIN_FULL     /* there is no room */
} dp_join_e;

/* Bytes of memory that a table needs. */
apr_size_t dp_table_size(int nslots, int nflights);

/*
 * Make a table in zeroed, shared memory of that size, aligned as malloc()
 * does. `nslots` bounds the children alive at once, `nflights` the flights.
 * APR_SUCCESS, or why there can be no mutex.
 */
apr_status_t dp_table_init(void *memory, int nslots, int nflights,
                           dp_table_t **table);

int dp_table_nslots(const dp_table_t *table);
int dp_table_capacity(const dp_table_t *table);

/* Whether memory left by an earlier start holds such a table, made by this
 * version of the code. */
int dp_table_is(const void *memory, int nslots, int nflights);

/* --- children ---------------------------------------------------------- */

/* A free slot for the child with that pid and start time, or -1. */
int dp_table_claim(dp_table_t *table, apr_int64_t pid, apr_int64_t started);

/* Who has the slot; pid 0 for nobody. */
void dp_table_slot(dp_table_t *table, int slot, apr_int64_t *pid,
                   apr_int64_t *started);

/* The slot of that child, or -1. */
int dp_table_find_slot(dp_table_t *table, apr_int64_t pid);

/*
 * The child of a slot is gone: forget its waiters, orphan its flights, free
 * the slot. Does nothing unless `pid` and `started` still have it, so everyone
 * who notices may call it. Sets wake[i] for the slot of every other child, as
 * the dead one may have died before it woke those it should (`wake` has nslots
 * bytes and isn't cleared).
 */
void dp_table_bury(dp_table_t *table, int slot, apr_int64_t pid,
                   apr_int64_t started, unsigned char *wake);

/* --- waiters ----------------------------------------------------------- */

/*
 * Join the flight of `key`, as a waiter, from the child in `slot`; start one
 * where there is none. `source` is any number that stands for the key's
 * source.
 */
dp_join_e dp_table_join(dp_table_t *table, int slot,
                        const dogpile_digest_t *key, uint64_t source,
                        dp_ticket_t *ticket);

/* Whether somebody leads a flight of `key`, landed or not: who joined would be
 * a waiter. */
int dp_table_is_led(dp_table_t *table, const dogpile_digest_t *key);

/* What a look at a flight sees beside its state. */
typedef struct dp_view_t {
    uint64_t parts;       /* bit i: part i has been laid down */
    dp_outcome_t outcome; /* of a landed flight, or of its parts */
} dp_view_t;

/* The state; `view` may be NULL. */
dp_flight_state_e dp_table_look(dp_table_t *table, const dp_ticket_t *ticket,
                                dp_view_t *view);

/* A waiter leaves. Returns 1 when the flight is over and the caller must clear
 * its place in the landing area, then call dp_table_cleared(). */
int dp_table_leave(dp_table_t *table, int slot, const dp_ticket_t *ticket);

/* The place is clear: another flight may have it. */
void dp_table_cleared(dp_table_t *table, const dp_ticket_t *ticket);

/* How many wait in all children. */
int dp_table_waiters(dp_table_t *table, const dp_ticket_t *ticket);

/* The slot of the leader, -1 where there is none. */
int dp_table_leader(dp_table_t *table, const dp_ticket_t *ticket);

/* Take over an orphan. Returns 1 if this child leads it now. */
int dp_table_adopt(dp_table_t *table, int slot, const dp_ticket_t *ticket);

/* Count a waiter that holds a thread. Returns 1, or 0 where `max` are counted
 * already in all children. */
int dp_table_block(dp_table_t *table, int slot, int max);
void dp_table_unblock(dp_table_t *table, int slot);

/* --- the leader -------------------------------------------------------- */

/*
 * Ask for one of the `limit` places that the source of the flight has in this
 * httpd. Returns 1 if it has one, or 0: it is in the line now, first come,
 * first served; its leader is woken when it has a place, and asks again.
 */
int dp_table_begin_fetch(dp_table_t *table, const dp_ticket_t *ticket,
                         int limit);

/* Give the place, if it has one, to the first in the line of its source; sets
 * wake[i] for the leader of that. */
void dp_table_end_fetch(dp_table_t *table, const dp_ticket_t *ticket,
                        unsigned char *wake);

/* Sets slots[i] for each child that fetches or is in a line: whose death
 * concerns those who are in a line. */
void dp_table_rivals(dp_table_t *table, unsigned char *slots);

/* Somebody waits for the flight, and parts may be laid down: not in one that was
 * adopted after its first leader did, as waiters may still read those. */
int dp_table_takes_parts(dp_table_t *table, const dp_ticket_t *ticket);

/* A part has been laid down. `outcome` is the same for all parts. Sets wake[i]
 * for each child that has a waiter. */
void dp_table_add_part(dp_table_t *table, const dp_ticket_t *ticket, int part,
                       const dp_outcome_t *outcome, unsigned char *wake);

/*
 * The outcome is known. Sets wake[i] for each child that has a waiter. A
 * failed flight isn't found by its key any more. Returns 1, or 0 if the flight
 * had landed before.
 */
int dp_table_land(dp_table_t *table, const dp_ticket_t *ticket,
                  const dp_outcome_t *outcome, unsigned char *wake);

/* The leader has nothing more to do with a landed flight. Returns as
 * dp_table_leave(). */
int dp_table_finish(dp_table_t *table, const dp_ticket_t *ticket);

/* Lead no longer: a child that waits may adopt the flight, and is marked in
 * `wake`; where nobody waits the flight is over. */
void dp_table_resign(dp_table_t *table, const dp_ticket_t *ticket,
                     unsigned char *wake);

/* --- status ------------------------------------------------------------ */

typedef struct dp_table_counts_t {
    int flights;  /* not free */
    int waiters;  /* of flights that haven't landed */
    int blocked;  /* waiters that hold a thread */
    int fetching; /* fetches under way */
    int capacity; /* flights at most */
} dp_table_counts_t;

void dp_table_counts(dp_table_t *table, dp_table_counts_t *counts);

#endif
