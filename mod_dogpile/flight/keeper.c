/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: one thread of a child that renews the locks it holds, looks at
 * the locks it waits for, and fails fetches that take too long.
 *
 * Each round takes the most urgent thing that is due, does it without the
 * mutex, and looks again; then the thread sleeps until the next thing is due or
 * somebody calls it for an earlier one. A deadline or a renewal therefore waits
 * for one look at a lock at most, even where a lock server hangs. Time is the clock of the configuration, so that a test can
 * play a whole lease in no time.
 */
#include "flight/flight_priv.h"

#include <stdlib.h>

#include "base/digest.h"

/* The more urgent, the greater. */
typedef enum duty_e { DUTY_NONE, DUTY_PROBE, DUTY_RENEW, DUTY_DEADLINE } duty_e;

void dp_keeper_call_locked(dp_flights_t *flights)
{
    flights->is_keeper_called = 1;
    pthread_cond_signal(&flights->keeper_cond);
}

static void earlier(apr_time_t *next, apr_time_t at)
{
    if (at < *next) {
        *next = at;
    }
}

/* What is due for a flight; otherwise when something will be. */
static duty_e duty_of(const dp_local_t *local, apr_time_t now, apr_time_t *next)
{
    if (local->fetch_until != 0) {
        if (local->fetch_until <= now) {
            return DUTY_DEADLINE;
        }
        earlier(next, local->fetch_until);
    }
    if (local->has_lock) {
        if (local->renew_at <= now) {
            return DUTY_RENEW;
        }
        earlier(next, local->renew_at);
    }
    if (local->phase == DP_PHASE_WATCHING) {
        if (local->probe_at <= now) {
            return DUTY_PROBE;
        }
        earlier(next, local->probe_at);
    }
    return DUTY_NONE;
}

static void renew(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    dogpile_locker_t *locker = local->job->locker;
    dogpile_id_t token;
    apr_status_t rv;

    dp_flights_lock(flights);
    token = local->token;
    dp_flights_unlock(flights);
    rv = locker->provider->renew(locker, &local->job->lock_key, &token,
                                 scratch_pool);
    if (rv != APR_NOTFOUND) {
        return;
    }
    /* Lost, unless it was given back meanwhile. The fetch goes on; the store
     * refuses the metatile if somebody was faster. */
    dp_flights_lock(flights);
    if (local->has_lock && dp_id_equal(&local->token, &token)) {
        local->has_lock = 0;
        dp_count(flights->shared->counters, DP_COUNT_lock_lost);
    }
    dp_flights_unlock(flights);
}

/* Longer pauses each time, up to DogpileLockRetry, never quite the same, so
 * that hosts don't look in step. */
static void pause_longer_locked(dp_local_t *local, apr_time_t now)
{
    apr_interval_time_t longest = local->job->locker->conf->retry_usec;
    apr_interval_time_t pause = 2 * local->pause_usec;
    int chance = rand_r(&local->flights->seed);

    local->pause_usec = pause < longest ? pause : longest;
    local->probe_at =
        now + local->pause_usec / 2 + chance % (local->pause_usec / 2 + 1);
}

static void probe(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    dogpile_locker_t *locker = local->job->locker;
    dogpile_lock_state_e state;
    dogpile_holder_t holder;
    apr_status_t rv = locker->provider->probe(locker, &local->job->lock_key,
                                              DOGPILE_EXCLUSIVE, &state,
                                              &holder, scratch_pool);

    dp_flights_lock(flights);
    if (local->phase == DP_PHASE_WATCHING) {
        if (rv == APR_SUCCESS && state == DOGPILE_HELD
            && !dp_is_foreign(local, &holder)) {
            pause_longer_locked(local, dp_clock_now(flights->conf->clock));
        }
        else if (!flights->is_stopping) {
            dp_dispatch_locked(local); /* nothing to wait for any more */
        }
    }
    dp_flights_unlock(flights);
}

/* Nobody waits for a flight that hasn't begun to fetch. */
static int is_unwanted_locked(const dp_local_t *local)
{
    return local->waiters == NULL
           && dp_table_waiters(local->flights->shared->table, &local->ticket)
                  == 0;
}

static void look_at_lock(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    int is_wanted;

    dp_flights_lock(flights);
    is_wanted = !is_unwanted_locked(local);
    if (!is_wanted && local->phase == DP_PHASE_WATCHING) {
        dp_local_resign_locked(local, scratch_pool);
    }
    dp_flights_unlock(flights);
    if (is_wanted) {
        probe(local, scratch_pool);
    }
}

static void fail_at_deadline(dp_local_t *local)
{
    dp_outcome_t outcome;

    dp_outcome_fail(&outcome, 504, 1, "the source took too long");
    outcome.is_fetched = 1;
    dp_local_land(local, &outcome);
}

static void do_duty(dp_local_t *local, duty_e duty, apr_pool_t *scratch_pool)
{
    switch (duty) {
    case DUTY_RENEW:
        renew(local, scratch_pool);
        break;
    case DUTY_PROBE:
        look_at_lock(local, scratch_pool);
        break;
    case DUTY_DEADLINE:
        fail_at_deadline(local);
        break;
    case DUTY_NONE:
        break;
    }
}

/* The most urgent thing that is due, or NULL and when something will be. Its
 * time moves on, so that it is done once. */
static dp_local_t *next_duty_locked(dp_flights_t *flights, apr_time_t now,
                                    apr_time_t *next, duty_e *duty)
{
    dp_local_t *found = NULL;
    dp_local_t *local;

    *duty = DUTY_NONE;
    *next = now + DP_LOOK_ANYWAY_USEC;
    for (local = flights->locals; local != NULL; local = local->next) {
        duty_e its = duty_of(local, now, next);

        if (its > *duty) {
            *duty = its;
            found = local;
        }
    }
    if (*duty == DUTY_DEADLINE) {
        found->fetch_until = 0;
    }
    else if (*duty == DUTY_RENEW) {
        found->renew_at = now + found->job->locker->conf->lease_usec / 3;
    }
    else if (*duty == DUTY_PROBE) {
        found->probe_at = now + found->job->locker->conf->retry_usec;
    }
    return found;
}

apr_interval_time_t dp_keeper_step(dp_flights_t *flights,
                                   apr_pool_t *scratch_pool)
{
    apr_time_t now;
    apr_time_t next;
    dp_local_t *local;
    duty_e duty;

    dp_flights_lock(flights);
    flights->is_keeper_called = 0;
    for (;;) {
        now = dp_clock_now(flights->conf->clock);
        local = next_duty_locked(flights, now, &next, &duty);
        if (local == NULL) {
            break;
        }
        dp_local_use_locked(local);
        dp_busy_locked(flights, 1);
        dp_flights_unlock(flights);
        do_duty(local, duty, scratch_pool);
        apr_pool_clear(scratch_pool);
        dp_flights_lock(flights);
        dp_local_drop_locked(local);
        dp_flights_unlock(flights); /* which may free it */
        dp_flights_lock(flights);
        dp_busy_locked(flights, -1);
    }
    dp_flights_unlock(flights);
    return next - now;
}

static int is_over_locked(const dp_flights_t *flights)
{
    return flights->is_stopping && flights->leading == 0;
}

void *APR_THREAD_FUNC dp_keeper_main(apr_thread_t *thread, void *baton)
{
    dp_flights_t *flights = baton;
    apr_interval_time_t left;
    apr_pool_t *scratch_pool;

    apr_pool_create(&scratch_pool, apr_thread_pool_get(thread));
    dp_flights_lock(flights);
    while (!is_over_locked(flights)) {
        dp_flights_unlock(flights);
        left = dp_keeper_step(flights, scratch_pool);
        dp_flights_lock(flights);
        if (!flights->is_keeper_called && !is_over_locked(flights)) {
            dp_cond_wait(&flights->keeper_cond, &flights->mutex, left);
        }
    }
    dp_flights_unlock(flights);
    return NULL;
}
