/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining, waiting, leaving: what request threads do with a flight.
 *
 * The first join of a child starts its threads: a child that never has to wait
 * has none. A waiter belongs to its request; all of its members are guarded by
 * the mutex but `local`, which doesn't change. The invariant: a waiter looks at
 * the table with the mutex held before it sleeps, and whoever lands a flight
 * takes the mutex afterwards, so no landing is missed.
 */
#include "flight/flight_priv.h"

#include "base/log.h"
#include "base/thread.h"

static dp_waiter_t *add_waiter_locked(dp_local_t *local, int part,
                                      apr_pool_t *pool)
{
    dp_waiter_t *waiter = apr_pcalloc(pool, sizeof(*waiter));

    waiter->local = local;
    waiter->part = part;
    dp_cond_make(&waiter->cond);
    APR_RING_INSERT_TAIL(&local->waiters, waiter, dp_waiter_t, link);
    return waiter;
}

static void remove_waiter_locked(dp_waiter_t *waiter)
{
    APR_RING_REMOVE(waiter, link);
    pthread_cond_destroy(&waiter->cond);
}

static dp_join_e join_locked(dp_flights_t *flights, const dp_wish_t *wish,
                             dp_waiter_t **waiter, apr_pool_t *pool)
{
    dp_ticket_t ticket;
    dp_local_t *local;
    dp_join_e how = dp_table_join(flights->shared->table, flights->slot,
                                  wish->key, wish->source, &ticket);

    if (how == DP_JOIN_FULL) {
        return how;
    }
    local = dp_local_find_locked(flights, &ticket);
    if (local == NULL) {
        local =
            dp_local_make_locked(flights, &ticket, wish->make_job, wish->baton);
    }
    *waiter = add_waiter_locked(local, wish->part, pool);
    if (how != DP_JOIN_WAITER) {
        dp_count(flights->shared->counters, how == DP_JOIN_LEADER
                                                ? DP_COUNT_flights_begun
                                                : DP_COUNT_takeovers);
        dp_dispatch_locked(local);
        return DP_JOIN_LEADER;
    }
    if (!dp_local_leads(local) && APR_RING_FIRST(&local->waiters) == *waiter) {
        /* The first here to wait for another child: watch its life. */
        dp_kick(flights->shared, flights->slot);
    }
    return DP_JOIN_WAITER;
}

static void start_locked(dp_flights_t *flights)
{
    apr_status_t rv = dp_waker_make(flights);

    if (rv == APR_SUCCESS) {
        rv = dp_fetcher_start_locked(flights);
    }
    if (rv == APR_SUCCESS) {
        rv = dp_apr_thread_start(&flights->keeper, dp_keeper_main, flights,
                                 flights->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = dp_apr_thread_start(&flights->waker, dp_waker_main, flights,
                                 flights->pool);
    }
    flights->is_started = 1;
    if (rv != APR_SUCCESS) {
        flights->is_stopping = 1;
        dp_log(flights->conf->log, DOGPILE_LOG_ERROR, 501, rv,
               "can't start the module's threads: this child answers 503 to "
               "whoever would have to wait");
    }
}

dp_join_e dp_flight_join(dp_flights_t *flights, const dp_wish_t *wish,
                         dp_waiter_t **waiter, apr_pool_t *pool)
{
    dp_join_e how = DP_JOIN_FULL;

    *waiter = NULL;
    dp_flights_lock(flights);
    if (!flights->is_started) {
        start_locked(flights);
    }
    if (!flights->is_stopping) {
        how = join_locked(flights, wish, waiter, pool);
    }
    dp_flights_unlock(flights);
    return how;
}

int dp_flight_is_under_way(dp_flights_t *flights, const dogpile_digest_t *key)
{
    return dp_table_is_led(flights->shared->table, key);
}

int dp_flight_recall(dp_flights_t *flights, const dp_wish_t *wish,
                     dp_outcome_t *outcome)
{
    dp_subject_t subject = {.key = *wish->key, .source = wish->source};

    return dp_recall_find(flights->shared->recall, &subject,
                          dp_clock_now(flights->conf->clock), outcome);
}

/* What this waiter wants has landed. */
static int has_landed(const dp_waiter_t *waiter, dp_view_t *view, int *is_part)
{
    dp_flight_state_e state = dp_table_look(
        waiter->local->flights->shared->table, &waiter->local->ticket, view);

    *is_part = state != DP_FLIGHT_LANDED;
    return state == DP_FLIGHT_LANDED
           || (state != DP_FLIGHT_FREE && waiter->part >= 0
               && waiter->part < DP_LANDING_PARTS
               && (view->parts >> waiter->part & 1));
}

static int is_answerable(const dp_waiter_t *waiter)
{
    dp_view_t view;
    int is_part;

    return has_landed(waiter, &view, &is_part);
}

int dp_flight_wait(dp_waiter_t *waiter, apr_time_t until, int max_blocked)
{
    dp_flights_t *flights = waiter->local->flights;
    int landed;

    if (is_answerable(waiter)) {
        return 1;
    }
    if (!dp_table_block(flights->shared->table, flights->slot, max_blocked)) {
        return 0;
    }
    dp_flights_lock(flights);
    while (!waiter->is_woken && !is_answerable(waiter)) {
        apr_interval_time_t left = until - dp_clock_now(flights->conf->clock);

        if (left <= 0) {
            break;
        }
        dp_cond_wait(&waiter->cond, &flights->mutex, left);
    }
    dp_flights_unlock(flights);
    landed = is_answerable(waiter);
    dp_table_unblock(flights->shared->table, flights->slot);
    return landed;
}

int dp_flight_notify(dp_waiter_t *waiter, dp_wake_fn *wake, void *baton)
{
    dp_flights_t *flights = waiter->local->flights;
    int landed;

    dp_flights_lock(flights);
    landed = waiter->is_woken || is_answerable(waiter);
    if (!landed) {
        waiter->wake = wake;
        waiter->baton = baton;
    }
    dp_flights_unlock(flights);
    return landed;
}

int dp_flight_outcome(dp_waiter_t *waiter, dp_outcome_t *outcome)
{
    const dp_local_t *local = waiter->local;
    dp_view_t view;
    apr_size_t length;
    int is_part;

    if (!has_landed(waiter, &view, &is_part)) {
        return 0;
    }
    *outcome = view.outcome;
    outcome->is_part = is_part;
    waiter->offset = 0;
    if (!is_part) {
        return 1;
    }
    if (dp_landing_find_part(&local->flights->shared->landing,
                             local->ticket.index, waiter->part, &waiter->offset,
                             &length)
        != APR_SUCCESS) {
        return 0;
    }
    outcome->length = (uint32_t)length;
    return 1;
}

apr_status_t dp_flight_read(dp_waiter_t *waiter, apr_size_t offset, void *bytes,
                            apr_size_t size)
{
    return dp_landing_read(&waiter->local->flights->shared->landing,
                           waiter->local->ticket.index, waiter->offset + offset,
                           bytes, size);
}

void dp_flight_leave(dp_waiter_t *waiter)
{
    dp_local_t *local = waiter->local;
    dp_flights_t *flights = local->flights;
    dp_ticket_t ticket = local->ticket;
    int must_clear;

    dp_flights_lock(flights);
    remove_waiter_locked(waiter);
    must_clear = dp_table_leave(flights->shared->table, flights->slot, &ticket);
    dp_local_free_if_unused_locked(local);
    dp_flights_unlock(flights);
    if (must_clear) {
        dp_clear_place(flights, &ticket);
    }
}
