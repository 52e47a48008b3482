/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locals: the child's view of one flight of the shared table. Used by every
 * thread of the child.
 *
 * A local lives while a request of this child waits for the flight, while this
 * child leads it, or while a thread holds it; whoever ends the last of these
 * takes it out of the list, and its memory goes when the mutex is released, as
 * the cleanups of a job's pool may do anything. The invariant: `leading` counts
 * the locals in a phase that dp_local_leads() says is one of leading.
 */
#include "flight/flight_priv.h"

#include <string.h>
#include <time.h>

void dp_flights_lock(dp_flights_t *flights)
{
    pthread_mutex_lock(&flights->mutex);
}

void dp_flights_unlock(dp_flights_t *flights)
{
    dp_local_t *dead = flights->dead;
    dp_local_t *next;

    flights->dead = NULL;
    pthread_mutex_unlock(&flights->mutex);
    for (; dead != NULL; dead = next) {
        next = dead->next_queued;
        apr_pool_destroy(dead->pool);
    }
}

void dp_cond_make(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

void dp_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                  apr_interval_time_t usec)
{
    apr_interval_time_t most = DP_LOOK_ANYWAY_USEC;
    apr_time_t until =
        dp_clock_now(&dp_clock_monotonic) + (usec < most ? usec : most);
    struct timespec at;

    at.tv_sec = apr_time_sec(until);
    at.tv_nsec = apr_time_usec(until) * 1000;
    pthread_cond_timedwait(cond, mutex, &at);
}

/* --- the list ---------------------------------------------------------- */

dp_local_t *dp_local_find_locked(dp_flights_t *flights,
                                 const dp_ticket_t *ticket)
{
    dp_local_t *local = flights->by_index[ticket->index];

    return local != NULL && local->ticket.generation == ticket->generation
               ? local
               : NULL;
}

/* With an allocator of its own, as it goes from thread to thread. */
static apr_pool_t *make_pool(dp_flights_t *flights)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, flights->pool, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    apr_pool_tag(pool, "dogpile_flight");
    return pool;
}

dp_local_t *dp_local_make_locked(dp_flights_t *flights,
                                 const dp_ticket_t *ticket,
                                 dp_make_job_fn *make_job, void *baton)
{
    apr_pool_t *pool = make_pool(flights);
    dp_local_t *local = apr_pcalloc(pool, sizeof(*local));

    local->flights = flights;
    local->pool = pool;
    local->ticket = *ticket;
    local->phase = DP_PHASE_AWAY;
    APR_RING_INIT(&local->waiters, dp_waiter_t, link);
    local->job = make_job(baton, pool);
    local->next = flights->locals;
    if (local->next != NULL) {
        local->next->previous = local;
    }
    flights->locals = local;
    flights->by_index[ticket->index] = local;
    return local;
}

int dp_local_leads(const dp_local_t *local)
{
    return local->phase != DP_PHASE_AWAY && local->phase != DP_PHASE_OVER;
}

void dp_local_free_if_unused_locked(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;

    if (!APR_RING_EMPTY(&local->waiters, dp_waiter_t, link) || local->users > 0
        || dp_local_leads(local)) {
        return;
    }
    if (local->previous != NULL) {
        local->previous->next = local->next;
    }
    else {
        flights->locals = local->next;
    }
    if (local->next != NULL) {
        local->next->previous = local->previous;
    }
    if (flights->by_index[local->ticket.index] == local) {
        flights->by_index[local->ticket.index] = NULL;
    }
    local->next_queued = flights->dead;
    flights->dead = local;
}

void dp_local_use_locked(dp_local_t *local)
{
    local->users++;
}

void dp_local_drop_locked(dp_local_t *local)
{
    local->users--;
    dp_local_free_if_unused_locked(local);
}

void dp_busy_locked(dp_flights_t *flights, int change)
{
    flights->busy += change;
    if (flights->busy == 0) {
        pthread_cond_broadcast(&flights->settled);
    }
}

/* --- the end of leading ------------------------------------------------ */

void dp_local_led_locked(dp_local_t *local, dp_phase_e phase)
{
    dp_flights_t *flights = local->flights;

    local->phase = phase;
    if (--flights->leading == 0) {
        pthread_cond_broadcast(&flights->settled);
        if (flights->is_stopping) {
            dp_keeper_call_locked(flights); /* for the last time */
        }
    }
}

void dp_local_resign_locked(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    unsigned char *wake = apr_pcalloc(
        scratch_pool, (apr_size_t)dp_table_nslots(flights->shared->table));

    /* The table names this child the leader until the lock is back, so nobody
     * adopts the flight before that, this child included. */
    local->phase = DP_PHASE_RESIGNING;
    dp_local_use_locked(local);
    dp_flights_unlock(flights);
    dp_hold_release_all(local, scratch_pool);
    dp_flights_lock(flights);
    dp_table_resign(flights->shared->table, &local->ticket, wake);
    memset(local->held, 0, sizeof(local->held));
    local->pause_usec = 0;
    dp_local_led_locked(local, DP_PHASE_AWAY);
    dp_local_drop_locked(local);
    dp_flights_unlock(flights);
    dp_wake_children(flights->shared, wake);
    dp_flights_lock(flights);
}

void dp_clear_place(dp_flights_t *flights, const dp_ticket_t *ticket)
{
    dp_landing_clear(&flights->shared->landing, ticket->index);
    dp_table_cleared(flights->shared->table, ticket);
}

/* --- waking ------------------------------------------------------------ */

static int wants(const dp_waiter_t *waiter, uint64_t parts)
{
    return parts == DP_ALL_PARTS
           || (waiter->part >= 0 && waiter->part < DP_LANDING_PARTS
               && (parts >> waiter->part & 1));
}

void dp_wake_locked(dp_local_t *local, uint64_t parts)
{
    dp_waiter_t *waiter;

    APR_RING_FOREACH(waiter, &local->waiters, dp_waiter_t, link)
    {
        if (waiter->is_woken || !wants(waiter, parts)) {
            continue;
        }
        waiter->is_woken = 1;
        if (waiter->wake != NULL) {
            waiter->wake(waiter->baton);
        }
        pthread_cond_signal(&waiter->cond);
    }
}

void dp_wake_children(const dp_shared_t *shared, const unsigned char *wake)
{
    int nslots = dp_table_nslots(shared->table);
    int i;

    for (i = 0; i < nslots; i++) {
        if (wake[i]) {
            dp_kick(shared, i);
        }
    }
}

/* Wake the children that wait, this one without a detour; but the others first,
 * so that all of them set to work at once. */
static void tell(dp_local_t *local, unsigned char *wake, uint64_t parts)
{
    dp_flights_t *flights = local->flights;
    int is_own = wake[flights->slot];

    wake[flights->slot] = 0;
    dp_wake_children(flights->shared, wake);
    if (is_own) {
        dp_flights_lock(flights);
        dp_wake_locked(local, parts);
        dp_flights_unlock(flights);
    }
}

int dp_local_land(dp_local_t *local, const dp_outcome_t *outcome)
{
    dp_flights_t *flights = local->flights;
    int nslots = dp_table_nslots(flights->shared->table);
    unsigned char wake[nslots];
    int landed;

    memset(wake, 0, sizeof(wake));
    landed =
        dp_table_land(flights->shared->table, &local->ticket, outcome, wake);
    tell(local, wake, DP_ALL_PARTS);
    return landed;
}

int dp_flight_wants_parts(dp_early_t *early)
{
    return dp_table_takes_parts(early->flights->shared->table, &early->ticket);
}

/* Whoever has got a part may ask for another metatile before this one is
 * whole: the source works. */
static void learn_early(dp_early_t *early, const dp_catch_t *made)
{
    dp_outcome_t outcome = made->outcome;

    if (!__atomic_exchange_n(&early->is_learned, 1, __ATOMIC_RELAXED)) {
        dp_learn(early, &outcome);
    }
}

void dp_flight_add_part(dp_early_t *early, int part, const dp_catch_t *made)
{
    const dp_shared_t *shared = early->flights->shared;
    int nslots = dp_table_nslots(shared->table);
    unsigned char wake[nslots];

    if (part >= DP_LANDING_PARTS
        || dp_landing_write_part(&shared->landing, early->ticket.index, part,
                                 &early->part_bytes, made->bytes,
                                 made->outcome.length)
               != APR_SUCCESS) {
        return; /* it comes with the whole */
    }
    learn_early(early, made);
    memset(wake, 0, sizeof(wake));
    dp_table_add_part(shared->table, &early->ticket, part, &made->outcome,
                      wake);
    tell(early, wake, (uint64_t)1 << part);
}
