/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flights: at most one piece of work for a key at a time, for all who want its
 * result, in all processes and, through a locker, on all hosts.
 *
 * A request that finds nothing fresh in the store joins the flight of its key,
 * waits, reads the outcome and leaves:
 *
 * (dp_flight_recall() first: what its last flight came to may be its answer.)
 *
 *     dp_flight_join()  ->  dp_flight_wait()  ->  dp_flight_outcome()
 *                   or  dp_flight_notify()    ->  dp_flight_read()
 *                                             ->  dp_flight_leave()
 *
 * Whoever joins first leads, which gives it no other duty than having
 * described the work (dp_job_t): the child's own threads do it, so it goes on
 * when any client leaves. The steps of a flight, in run.c:
 *
 *     a. take the locker's exclusive lock; while it is someone else's, the
 *        keeper thread looks now and then, and no other thread is held;
 *     b. look in the store again: another host may just have finished;
 *     c. when the source has a place free, nobody changes its data and it
 *        isn't known to be down, fetch;
 *     d. validate and split;
 *     e. land: wake every waiter; f. store; release the locks.
 *
 * Waiters are answered from the landing area, so a slow or full store delays
 * nobody.
 *
 * This room knows lockers by their contract, the store and the source as three
 * callbacks, and time as a clock. All functions may be called from any thread
 * of the child.
 */
#ifndef DP_FLIGHT_FLIGHT_H
#define DP_FLIGHT_FLIGHT_H

#include <apr_pools.h>
#include <apr_thread_proc.h>

#include "base/clock.h"
#include "dogpile_locker.h"
#include "flight/counters.h"
#include "flight/landing.h"
#include "flight/recall.h"
#include "flight/table.h"

typedef struct dp_flights_t dp_flights_t; /* of one child */
typedef struct dp_waiter_t dp_waiter_t;   /* a request in a flight */

/* What a look in the store or a fetch brought. */
typedef struct dp_catch_t {
    dp_outcome_t outcome;
    const void *bytes; /* the record, outcome.length bytes, of an outcome
                          DP_OUTCOME_RECORD */
} dp_catch_t;

/* A flight whose parts come before the whole. */
typedef struct dp_local_t dp_early_t;

/* Somebody waits, and parts can be handed out. */
int dp_flight_wants_parts(dp_early_t *early);

/*
 * Hand a part of a record out before the whole is there: a record of its own,
 * with one tile, of an outcome that is the same for all parts. From any
 * threads, while it produces. Parts beyond DP_LANDING_PARTS come with the
 * whole.
 */
void dp_flight_add_part(dp_early_t *early, int part, const dp_catch_t *made);

/*
 * What a flight has others do. Called on a fetcher thread, one at a time for
 * a job, with the job's baton; results live in the pool given.
 */
typedef struct dp_work_t {
    /* Step b. APR_SUCCESS: a fresh record. APR_NOTFOUND: none. In both cases
     * `base` is the write id that was seen, or none. */
    apr_status_t (*look)(void *baton, dp_catch_t *found, dogpile_id_t *base,
                         apr_pool_t *pool);
    /* Steps c and d. Always sets the outcome. What is made in parts may be
     * handed out part by part before, by dp_flight_add_part(early, ...). */
    void (*produce)(void *baton, apr_thread_t *thread, dp_catch_t *made,
                    dp_early_t *early, apr_pool_t *pool);
    /* Step f, over the version `base`. */
    void (*keep)(void *baton, const dp_catch_t *made, const dogpile_id_t *base,
                 apr_pool_t *pool);
    /* Whether a lock is held by this httpd. */
    int (*is_own)(void *baton, const dogpile_holder_t *holder,
                  apr_pool_t *pool);
} dp_work_t;

/* The locks of a flight, in the order in which it takes them. */
typedef enum dp_hold_e {
    DP_HOLD_METATILE, /* exclusive: who fetches this metatile */
    DP_HOLD_SOURCE,   /* shared: whoever changes the source's data has it
                         exclusively */
    DP_HOLD_COUNT
} dp_hold_e;

typedef struct dp_lock_t {
    dogpile_locker_t *locker; /* or NULL: it isn't taken */
    dogpile_lock_key_t key;
} dp_lock_t;

/* The work for one key, described by the first request of this child that
 * wants it. */
typedef struct dp_job_t {
    dp_lock_t locks[DP_HOLD_COUNT];
    dp_lock_t down_lock;  /* who tries the source while it is down */
    int fails_open;       /* go on where no locker answers */
    dp_subject_t subject; /* under which its outcome is remembered */
    int upstream_limit;   /* fetches of the source at once */
    apr_interval_time_t fetch_timeout_usec;
    const dp_work_t *work;
    void *baton;
} dp_job_t;

/* Copies what a job needs into the flight's pool; it outlives the request. */
typedef dp_job_t *dp_make_job_fn(void *baton, apr_pool_t *flight_pool);

/* What all children share; made before they are forked. */
typedef struct dp_shared_t {
    dp_table_t *table;
    dp_landing_t landing;
    dp_counters_t *counters;
    dp_recall_t *recall;
    const int *eventfds; /* one for each slot of the table */
} dp_shared_t;

typedef struct dp_flights_conf_t {
    const dp_shared_t *shared;
    apr_int64_t pid; /* of this child, with its start time */
    apr_int64_t started;
    int fetch_threads;       /* at most, at least 1 */
    int is_threaded;         /* the MPM's children have several request threads,
                               so that a fetch may go on beside them */
    const dp_clock_t *clock; /* monotonic */
    const dogpile_log_t *log;
} dp_flights_conf_t;

/*
 * The flights of this child, with a slot of the table. Threads are started by
 * the first join. A cleanup of the pool finishes what is under way, gives
 * locks and the slot back. APR_SUCCESS, or APR_ENOSPC when no slot is free.
 */
apr_status_t dp_flights_create(dp_flights_t **flights,
                               const dp_flights_conf_t *conf, apr_pool_t *pool);

/* What a request wants. */
typedef struct dp_wish_t {
    const dogpile_digest_t *key;
    uint64_t source;          /* any number that stands for the key's source */
    int part;                 /* of the record; -1: the whole */
    dp_make_job_fn *make_job; /* called at once, where the flight is new here */
    void *baton;
} dp_wish_t;

/* Whether a flight of the key is under way in this httpd. A look, which joins
 * nothing and costs next to nothing. */
int dp_flight_is_under_way(dp_flights_t *flights, const dogpile_digest_t *key);

/* Returns 1 where what an earlier flight came to is the answer: `outcome`.
 * Nothing need be joined then. */
int dp_flight_recall(dp_flights_t *flights, const dp_wish_t *wish,
                     dp_outcome_t *outcome);

/* Join the flight of a key. DP_JOIN_FULL: there is no room, or no thread could
 * be started; `waiter` is NULL then. */
dp_join_e dp_flight_join(dp_flights_t *flights, const dp_wish_t *wish,
                         dp_waiter_t **waiter, apr_pool_t *pool);

/* Block until the flight has landed (1) or it is `until` (0). Returns 0 at
 * once where `max_blocked` others of this httpd block already. */
int dp_flight_wait(dp_waiter_t *waiter, apr_time_t until, int max_blocked);

/*
 * Called once when a waiter's flight has landed: from any thread of the child,
 * with the mutex of its flights held, so it does little and calls nothing of
 * this file.
 */
typedef void dp_wake_fn(void *baton);

/* Instead of blocking, be told. Returns 1 if the flight has landed already, and
 * then doesn't tell. dp_flight_leave() ends the telling. */
int dp_flight_notify(dp_waiter_t *waiter, dp_wake_fn *wake, void *baton);

/* The outcome for this waiter, whose part or whole has landed. Returns 1, or 0
 * where it hasn't. */
int dp_flight_outcome(dp_waiter_t *waiter, dp_outcome_t *outcome);

/* Bytes of the record that the outcome told of. */
apr_status_t dp_flight_read(dp_waiter_t *waiter, apr_size_t offset, void *bytes,
                            apr_size_t size);

/* Must follow every join; the waiter is gone. */
void dp_flight_leave(dp_waiter_t *waiter);

/* Where only one thread serves requests, between two of them, when no waiter of
 * this child is left: wait until what it fetches is over and leave what still
 * waits, for a lock or its source, to others. The fetch and the next request
 * must not run side by side. */
void dp_flights_settle(dp_flights_t *flights);

/* The child is being stopped, not exchanged: after a moment locks are given back
 * and nobody waits any more, even if the source still hasn't answered. */
void dp_flights_hurry(dp_flights_t *flights);

/* A dogpile_released_fn, with the dp_flights_t as its baton: look at once
 * rather than after the pause. */
void dp_flights_released(void *flights, const dogpile_digest_t *digest);

/* The parent has seen a child die. */
void dp_flights_bury(const dp_shared_t *shared, apr_int64_t pid);

#endif
