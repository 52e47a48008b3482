/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetcher threads of a child and the queue before them.
 *
 * A thread is started when more flights wait than threads are idle, and stays
 * until the child stops. (apr_thread_pool of APR-util 1.6 would lose a wake-up
 * between a thread's getting idle and its waiting, and keep the memory of every
 * thread that it ever started.) Everything here is guarded by the mutex of
 * dp_flights_t; the invariant: while a flight is in the queue, every thread is
 * busy or one was signalled and hasn't looked yet.
 */
#include "flight/flight_priv.h"

#include "base/thread.h"

static dp_local_t *take_locked(dp_flights_t *flights)
{
    dp_local_t *local = flights->queue;

    if (local != NULL) {
        flights->queue = local->next_queued;
        if (flights->queue == NULL) {
            flights->queue_end = &flights->queue;
        }
        flights->nqueued--;
        local->phase = DP_PHASE_RUNNING;
        dp_local_use_locked(local);
        dp_busy_locked(flights, 1);
    }
    return local;
}

static void *APR_THREAD_FUNC fetcher_main(apr_thread_t *thread, void *baton)
{
    dp_flights_t *flights = baton;
    dp_local_t *local;

    dp_flights_lock(flights);
    while (!flights->is_stopping) {
        local = take_locked(flights);
        if (local == NULL) {
            flights->nidle++;
            dp_cond_wait(&flights->queued, &flights->mutex,
                         DP_LOOK_ANYWAY_USEC);
            flights->nidle--;
            continue;
        }
        dp_flights_unlock(flights);
        dp_run(thread, local);
        dp_flights_lock(flights);
        dp_busy_locked(flights, -1);
    }
    dp_flights_unlock(flights);
    return NULL;
}

apr_status_t dp_fetcher_start_locked(dp_flights_t *flights)
{
    apr_status_t rv =
        dp_apr_thread_start(&flights->fetchers[flights->nfetchers],
                            fetcher_main, flights, flights->pool);

    if (rv == APR_SUCCESS) {
        flights->nfetchers++;
    }
    return rv;
}

void dp_dispatch_locked(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;

    if (!dp_local_leads(local)) {
        flights->leading++;
    }
    local->phase = DP_PHASE_QUEUED;
    local->next_queued = NULL;
    *flights->queue_end = local;
    flights->queue_end = &local->next_queued;
    flights->nqueued++;
    if (flights->nqueued > flights->nidle
        && flights->nfetchers < flights->conf->fetch_threads) {
        /* There is one at least; where there can't be more, that must do. */
        (void)dp_fetcher_start_locked(flights);
    }
    pthread_cond_signal(&flights->queued);
}

void dp_fetchers_join(dp_flights_t *flights)
{
    apr_status_t rv;
    int i;

    for (i = 0; i < flights->nfetchers; i++) {
        apr_thread_join(&rv, flights->fetchers[i]);
    }
}
