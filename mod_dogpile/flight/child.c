/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Birth and end of a child's flights.
 *
 * Created by the child's initialisation, before it serves; ended by a cleanup
 * of the child's pool, when no request thread is left: what is on a fetcher
 * thread is finished, what only waits is given up, and the slot is buried as
 * if the child had died, so there is one way of giving back.
 */
#include "flight/flight_priv.h"

#include <string.h>

#include "base/digest.h"

/* A flight that no thread is at: it waits for a lock or for its source, or
 * nobody takes it from the queue any more. */
static dp_local_t *resting_locked(dp_flights_t *flights)
{
    dp_local_t *local = flights->locals;

    while (local != NULL && local->phase != DP_PHASE_WATCHING
           && local->phase != DP_PHASE_UPSTREAM
           && (local->phase != DP_PHASE_QUEUED || !flights->is_stopping)) {
        local = local->next;
    }
    return local;
}

static void resign_all_locked(dp_flights_t *flights)
{
    dp_local_t *local = resting_locked(flights);
    apr_pool_t *scratch_pool;

    if (local == NULL) {
        return;
    }
    apr_pool_create(&scratch_pool, flights->pool);
    while (local != NULL) {
        dp_local_resign_locked(local, scratch_pool);
        apr_pool_clear(scratch_pool);
        local = resting_locked(flights);
    }
    apr_pool_destroy(scratch_pool);
}

void dp_flights_settle(dp_flights_t *flights)
{
    if (flights->is_stopping) {
        return; /* prefork ends a child in the middle of its request */
    }
    dp_flights_lock(flights);
    resign_all_locked(flights);
    while (flights->leading > 0 || flights->busy > 0) {
        dp_cond_wait(&flights->settled, &flights->mutex, DP_LOOK_ANYWAY_USEC);
        resign_all_locked(flights);
    }
    dp_flights_unlock(flights);
}

/* --- the end ----------------------------------------------------------- */

static void bury_myself(dp_flights_t *flights)
{
    int nslots = dp_table_nslots(flights->shared->table);
    unsigned char wake[nslots];

    memset(wake, 0, sizeof(wake));
    dp_table_bury(flights->shared->table, flights->slot, flights->conf->pid,
                  flights->conf->started, wake);
    dp_wake_children(flights->shared, wake);
}

static void stop_threads(dp_flights_t *flights)
{
    apr_status_t rv;

    dp_fetchers_join(flights);
    dp_flights_lock(flights);
    resign_all_locked(flights); /* what came to rest meanwhile */
    dp_keeper_call_locked(flights);
    dp_flights_unlock(flights);
    if (flights->keeper != NULL) {
        apr_thread_join(&rv, flights->keeper);
    }
    if (flights->waker != NULL) {
        dp_kick(flights->shared, flights->slot);
        apr_thread_join(&rv, flights->waker);
    }
    dp_waker_close(flights);
}

void dp_flights_hurry(dp_flights_t *flights)
{
    /* Maybe in a signal handler of prefork: no mutex, and the waker calls the
     * keeper. */
    __atomic_store_n(&flights->is_hurried, 1, __ATOMIC_RELAXED);
    dp_kick(flights->shared, flights->slot);
}

static apr_status_t stop(void *baton)
{
    dp_flights_t *flights = baton;

    dp_flights_lock(flights);
    flights->is_stopping = 1;
    pthread_cond_broadcast(&flights->queued);
    resign_all_locked(flights);
    dp_flights_unlock(flights);
    if (flights->is_started) {
        stop_threads(flights);
    }
    bury_myself(flights);
    pthread_cond_destroy(&flights->queued);
    pthread_cond_destroy(&flights->settled);
    pthread_cond_destroy(&flights->keeper_cond);
    pthread_mutex_destroy(&flights->mutex);
    return APR_SUCCESS;
}

/* --- the beginning ----------------------------------------------------- */

/* Local pools are made and destroyed by any thread, so the allocator of their
 * parent, whose mutex guards its list of children, must have one. */
static apr_status_t make_pool(apr_pool_t **pool, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv == APR_SUCCESS) {
        rv = apr_pool_create_ex(pool, parent, NULL, allocator);
    }
    if (rv == APR_SUCCESS) {
        apr_allocator_owner_set(allocator, *pool);
        rv = apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, *pool);
    }
    if (rv == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, mutex);
        apr_pool_tag(*pool, "dogpile_flights");
    }
    return rv;
}

apr_status_t dp_flights_create(dp_flights_t **flights,
                               const dp_flights_conf_t *conf, apr_pool_t *pool)
{
    dp_flights_t *made = apr_pcalloc(pool, sizeof(*made));
    dogpile_id_t seed;
    apr_status_t rv = make_pool(&made->pool, pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->conf = conf;
    made->shared = conf->shared;
    made->epoll_fd = -1;
    made->by_index = apr_pcalloc(
        pool, sizeof(*made->by_index)
                  * (apr_size_t)dp_table_capacity(conf->shared->table));
    made->fetchers = apr_pcalloc(pool, sizeof(*made->fetchers)
                                           * (apr_size_t)conf->fetch_threads);
    made->queue_end = &made->queue;
    made->slot = dp_table_claim(conf->shared->table, conf->pid, conf->started);
    if (made->slot < 0) {
        return APR_ENOSPC;
    }
    pthread_mutex_init(&made->mutex, NULL);
    dp_id_make(&seed);
    memcpy(&made->seed, seed.bytes, sizeof(made->seed));
    dp_cond_make(&made->queued);
    dp_cond_make(&made->keeper_cond);
    dp_cond_make(&made->settled);
    apr_pool_pre_cleanup_register(pool, made, stop);
    *flights = made;
    return APR_SUCCESS;
}

void dp_flights_bury(const dp_shared_t *shared, apr_int64_t pid)
{
    int nslots = dp_table_nslots(shared->table);
    int slot = dp_table_find_slot(shared->table, pid);
    unsigned char wake[nslots];
    apr_int64_t found;
    apr_int64_t started;

    if (slot < 0) {
        return;
    }
    memset(wake, 0, sizeof(wake));
    dp_table_slot(shared->table, slot, &found, &started);
    if (found == pid) {
        dp_table_bury(shared->table, slot, pid, started, wake);
    }
    dp_wake_children(shared, wake);
}
