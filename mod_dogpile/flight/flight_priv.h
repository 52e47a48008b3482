/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of this room: the child's side of a flight.
 *
 * Threads: request threads (flight.c), fetcher threads (fetchers.c, run.c,
 * holds.c), one keeper (keeper.c, holds.c), one waker (waker.c). One mutex, dp_flights_t.mutex, guards
 * the list of locals, the queue and every local's members but `job` and `pool`,
 * which are set when the local is made; `pool` is used by the fetcher thread
 * that runs the flight and by nobody else after that. The table's mutex may be
 * taken inside it, never the other way round. No call to a locker, the store or
 * a source is made with a mutex held.
 */
#ifndef DP_FLIGHT_FLIGHT_PRIV_H
#define DP_FLIGHT_FLIGHT_PRIV_H

#include <apr_ring.h>
#include <apr_thread_proc.h>
#include <pthread.h>

#include "flight/flight.h"

/* No wait is longer, for whatever went unseen. */
#define DP_LOOK_ANYWAY_USEC apr_time_from_sec(60)

/* Where the child's part in a flight is. */
typedef enum dp_phase_e {
    DP_PHASE_AWAY,      /* another child leads, or nobody */
    DP_PHASE_QUEUED,    /* for a fetcher thread */
    DP_PHASE_RUNNING,   /* on a fetcher thread */
    DP_PHASE_WATCHING,  /* someone else has the lock; the keeper looks */
    DP_PHASE_UPSTREAM,  /* in the line for a place at its source */
    DP_PHASE_RESIGNING, /* being left to another child */
    DP_PHASE_OVER       /* finished; waiters may still read */
} dp_phase_e;

/* What a step says of the flight. */
typedef enum dp_step_e {
    DP_STEP_GO_ON,
    DP_STEP_WAIT, /* the phase says what for; let the thread go */
    DP_STEP_DONE  /* it has landed */
} dp_step_e;

/* One of the flight's locks (dp_job_t.locks). */
typedef struct dp_held_t {
    int is_held;
    int is_waived; /* go without: unavailable, or of another store */
    int is_lost;   /* its lease ended while it was held */
    dogpile_id_t token;
    apr_time_t renew_at; /* while is_held */
    apr_time_t until;    /* it is certain that nobody else has had it */
} dp_held_t;

APR_RING_HEAD(dp_waiter_ring_t, dp_waiter_t);

/* A flight that this child leads or waits for. */
typedef struct dp_local_t dp_local_t;
struct dp_local_t {
    dp_local_t *next;
    dp_local_t *previous;
    dp_local_t *next_queued; /* or next of the dead */
    dp_flights_t *flights;
    apr_pool_t *pool;
    dp_job_t *job;
    dp_ticket_t ticket;
    dp_phase_e phase;
    struct dp_waiter_ring_t waiters; /* of this child, in the order in which
                                        they came */
    int users; /* threads that hold it without the mutex */

    dp_held_t held[DP_HOLD_COUNT];
    dp_hold_e watched;              /* while watching: which lock */
    apr_time_t probe_at;            /* while watching: when to look */
    apr_interval_time_t pause_usec; /* 0 until it has had to watch */
    apr_time_t fetch_until;         /* while fetching, else 0 */
    int is_source_back;             /* it was down before this flight */
    int is_learned;                 /* that the source works */
    apr_size_t part_bytes; /* of parts laid down; the producing threads' */
};

struct dp_waiter_t {
    dp_local_t *local;
    APR_RING_ENTRY(dp_waiter_t) link;
    int part;          /* what it wants, -1 for the whole */
    apr_size_t offset; /* of its record in the landing place */
    int is_woken;
    dp_wake_fn *wake; /* NULL for one that blocks on `cond` */
    void *baton;
    pthread_cond_t cond;
};

/* The life of a sibling, as the waker watches it. */
typedef struct dp_watch_t {
    int pidfd; /* -1 where it isn't watched */
    apr_int64_t pid;
    apr_int64_t started;
} dp_watch_t;

struct dp_flights_t {
    const dp_flights_conf_t *conf;
    const dp_shared_t *shared;
    int slot;
    apr_pool_t *pool; /* has an allocator of its own, with a mutex */
    pthread_mutex_t mutex;
    dp_local_t *locals;
    dp_local_t **by_index; /* the local of each flight of the table, or NULL */
    dp_local_t *dead;      /* out of the list; the next unlock frees them */
    int is_started;
    int is_stopping;
    int is_hurried;         /* stopping, and httpd kills who takes too long */
    apr_time_t hurry_at;    /* the keeper's: when it gives up; 0, not yet */
    int is_lock_down;       /* said in the log */
    int is_foreign_said;    /* said in the log */
    int leading;            /* locals that this child leads */
    int busy;               /* threads that are at a local, or free one */
    pthread_cond_t settled; /* one of both has become 0, or a flight rests */

    apr_thread_t **fetchers; /* conf->fetch_threads of them at most */
    int nfetchers;
    int nidle;
    dp_local_t *queue; /* first come, first served */
    dp_local_t **queue_end;
    int nqueued;
    pthread_cond_t queued;

    apr_thread_t *keeper;
    int is_keeper_called;       /* since its last round */
    apr_time_t keeper_looks_at; /* next, if it isn't called */
    unsigned int seed;          /* of the keeper's pauses */
    pthread_cond_t keeper_cond;

    apr_thread_t *waker;
    int epoll_fd;
    dp_watch_t *watches; /* by slot; the waker's own */
};

/* --- local.c --- */

/* Unlocking frees the locals that nobody needs any more. */
void dp_flights_lock(dp_flights_t *flights);
void dp_flights_unlock(dp_flights_t *flights);

/* A condition variable that waits on the monotonic clock. */
void dp_cond_make(pthread_cond_t *cond);

/* Wait on it for at most `usec`, or less; the mutex is held. */
void dp_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                  apr_interval_time_t usec);

/* The local of a ticket, or NULL; a new one. */
dp_local_t *dp_local_find_locked(dp_flights_t *flights,
                                 const dp_ticket_t *ticket);
dp_local_t *dp_local_make_locked(dp_flights_t *flights,
                                 const dp_ticket_t *ticket,
                                 dp_make_job_fn *make_job, void *baton);

/* This child leads the flight. */
int dp_local_leads(const dp_local_t *local);

/* Hold a local without the mutex, and stop doing so, which may free it. */
void dp_local_use_locked(dp_local_t *local);
void dp_local_drop_locked(dp_local_t *local);
void dp_local_free_if_unused_locked(dp_local_t *local);

/* A thread begins (1) or ends (-1) to do something with a local that a client
 * of the source mustn't do beside it: settling waits for that. */
void dp_busy_locked(dp_flights_t *flights, int change);

/* This child leads a flight no longer: it is over, or away. */
void dp_local_led_locked(dp_local_t *local, dp_phase_e phase);

/* Leave a flight that doesn't run to whoever still wants it. The mutex is
 * released meanwhile; the local may be gone afterwards. */
void dp_local_resign_locked(dp_local_t *local, apr_pool_t *scratch_pool);

/* The flight is over and its place needs clearing (dp_table_leave()). */
void dp_clear_place(dp_flights_t *flights, const dp_ticket_t *ticket);

/* Wake the waiters of this child that want one of `parts`, or all. */
#define DP_ALL_PARTS UINT64_MAX
void dp_wake_locked(dp_local_t *local, uint64_t parts);

/* Wake the children marked in `wake`. */
void dp_wake_children(const dp_shared_t *shared, const unsigned char *wake);

/* Land, wake. Returns 0 where it had landed before. */
int dp_local_land(dp_local_t *local, const dp_outcome_t *outcome);

/* --- fetchers.c --- */

/* Start a fetcher thread more. */
apr_status_t dp_fetcher_start_locked(dp_flights_t *flights);

/* Hand a flight that this child leads to a fetcher thread. */
void dp_dispatch_locked(dp_local_t *local);

/* When `is_stopping`: wait for the threads to finish what they do. */
void dp_fetchers_join(dp_flights_t *flights);

/* --- run.c --- */

/* Take a flight as far as it can go. The mutex isn't held, the phase is
 * DP_PHASE_RUNNING and the local is in use, which ends. */
void dp_run(apr_thread_t *thread, dp_local_t *local);

/* Remember what asking the source has come to; its failure may be told what
 * to say of when to ask again. */
void dp_learn(dp_local_t *local, dp_outcome_t *outcome);

/* Give the place at the source on, if the flight has one. */
void dp_leave_place(dp_local_t *local);

/* Wait in that phase, without this thread. */
void dp_rest_locked(dp_local_t *local, dp_phase_e phase);

apr_time_t dp_local_now(const dp_local_t *local);

/* --- holds.c: called without the mutex --- */

/* Take a lock; or wait for it, holding nothing; or go without. */
dp_step_e dp_hold_take(dp_local_t *local, dp_hold_e which);

/* Renew a lock that is due. */
void dp_hold_renew(dp_local_t *local, dp_hold_e which,
                   apr_pool_t *scratch_pool);

/* Look at the lock that the flight waits for. Returns 1 where there is nothing
 * to wait for any more. */
int dp_hold_is_free(dp_local_t *local, apr_pool_t *scratch_pool);

/* Give back a lock, or both, where held. */
void dp_hold_release(dp_local_t *local, dp_hold_e which,
                     apr_pool_t *scratch_pool);
void dp_hold_release_all(dp_local_t *local, apr_pool_t *scratch_pool);

/* Of all hosts one tries a source that is down. Returns 1 where it is this
 * one: it has the lock now, until its lease ends, or had it before. */
int dp_hold_down(dp_local_t *local);

/* The source works: nobody need wait for whoever has that lock. */
void dp_hold_end_down(dp_local_t *local);

/* --- keeper.c --- */

void *APR_THREAD_FUNC dp_keeper_main(apr_thread_t *thread, void *flights);

/* Something may be due earlier than it thinks. */
void dp_keeper_call_locked(dp_flights_t *flights);

/* Something will be due then. */
void dp_keeper_expect_locked(dp_flights_t *flights, apr_time_t at);

/* Do what is due; returns how long until something else is. */
apr_interval_time_t dp_keeper_step(dp_flights_t *flights,
                                   apr_pool_t *scratch_pool);

/* --- waker.c --- */

apr_status_t dp_waker_make(dp_flights_t *flights);
void *APR_THREAD_FUNC dp_waker_main(apr_thread_t *thread, void *flights);
void dp_waker_close(dp_flights_t *flights);

/* Look at every flight of this child: wake, adopt, go on. */
void dp_waker_step(dp_flights_t *flights);

/* Write to a child's eventfd. */
void dp_kick(const dp_shared_t *shared, int slot);

#endif
