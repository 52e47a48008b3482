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

/* How long a child that is being stopped waits for its sources: httpd kills it
 * after 10 s. */
#define HURRY_USEC apr_time_from_sec(3)

/* It looks that often in any case: before the first renewal of a usual lease
 * (5 s), so that a flight that is over by then needn't wake it. */
#define LOOK_USEC apr_time_from_sec(4)

/* When to ask again after a deadline that isn't remembered. */
#define RETRY_SEC 1

/* The more urgent, the greater. */
typedef enum urgency_e {
    DUTY_NONE,
    DUTY_PROBE,
    DUTY_RENEW,
    DUTY_DEADLINE
} urgency_e;

typedef struct duty_t {
    urgency_e what;
    dp_hold_e which; /* the lock to renew */
} duty_t;

void dp_keeper_call_locked(dp_flights_t *flights)
{
    flights->is_keeper_called = 1;
    pthread_cond_signal(&flights->keeper_cond);
}

void dp_keeper_expect_locked(dp_flights_t *flights, apr_time_t at)
{
    if (at < flights->keeper_looks_at) {
        dp_keeper_call_locked(flights);
    }
}

static void earlier(apr_time_t *next, apr_time_t at)
{
    if (at < *next) {
        *next = at;
    }
}

/* What is due for a flight; otherwise when something will be. */
static duty_t duty_of(const dp_local_t *local, apr_time_t now, apr_time_t *next)
{
    duty_t duty = {DUTY_NONE, DP_HOLD_METATILE};
    int i;

    if (local->phase == DP_PHASE_WATCHING) {
        if (local->probe_at <= now) {
            duty.what = DUTY_PROBE;
        }
        earlier(next, local->probe_at);
    }
    for (i = 0; i < DP_HOLD_COUNT; i++) {
        if (local->held[i].is_held) {
            if (local->held[i].renew_at <= now) {
                duty = (duty_t){DUTY_RENEW, (dp_hold_e)i};
            }
            earlier(next, local->held[i].renew_at);
        }
    }
    if (local->fetch_until != 0) {
        if (local->fetch_until <= now) {
            duty.what = DUTY_DEADLINE;
        }
        earlier(next, local->fetch_until);
    }
    return duty;
}

/* Longer pauses each time, up to DogpileLockRetry, never quite the same, so
 * that hosts don't look in step. */
static void pause_longer_locked(dp_local_t *local, apr_time_t now)
{
    apr_interval_time_t longest =
        local->job->locks[local->watched].locker->conf->retry_usec;
    apr_interval_time_t pause = 2 * local->pause_usec;
    int chance = rand_r(&local->flights->seed);

    local->pause_usec = pause < longest ? pause : longest;
    local->probe_at =
        now + local->pause_usec / 2 + chance % (local->pause_usec / 2 + 1);
}

static void probe(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    int is_free = dp_hold_is_free(local, scratch_pool);

    dp_flights_lock(flights);
    if (local->phase == DP_PHASE_WATCHING) {
        if (!is_free && local->probe_at != 0) { /* 0: told meanwhile */
            pause_longer_locked(local, dp_local_now(local));
        }
        else if (is_free && !flights->is_stopping) {
            dp_dispatch_locked(local); /* nothing to wait for any more */
        }
    }
    dp_flights_unlock(flights);
}

/* Nobody waits for a flight that hasn't begun to fetch. */
static int is_unwanted_locked(const dp_local_t *local)
{
    return APR_RING_EMPTY(&local->waiters, dp_waiter_t, link)
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

    dp_outcome_fail(&outcome, 504, RETRY_SEC, "the source took too long");
    outcome.is_fetched = 1;
    outcome.blame = DP_BLAME_SOURCE;
    dp_learn(local, &outcome);
    dp_local_land(local, &outcome);
}

static void do_duty(dp_local_t *local, duty_t duty, apr_pool_t *scratch_pool)
{
    switch (duty.what) {
    case DUTY_RENEW:
        dp_hold_renew(local, duty.which, scratch_pool);
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

/* Its time moves on, so that it is done once. */
static void begin_duty_locked(dp_local_t *local, duty_t duty, apr_time_t now)
{
    const dp_lock_t *locks = local->job->locks;

    switch (duty.what) {
    case DUTY_DEADLINE:
        local->fetch_until = 0;
        break;
    case DUTY_RENEW:
        local->held[duty.which].renew_at =
            now + locks[duty.which].locker->conf->lease_usec / 3;
        break;
    case DUTY_PROBE:
        local->probe_at = now + locks[local->watched].locker->conf->retry_usec;
        break;
    case DUTY_NONE:
        break;
    }
}

/* The most urgent thing that is due, or NULL and when something will be. */
static dp_local_t *next_duty_locked(dp_flights_t *flights, apr_time_t now,
                                    apr_time_t *next, duty_t *duty)
{
    dp_local_t *found = NULL;
    dp_local_t *local;

    duty->what = DUTY_NONE;
    *next = now + LOOK_USEC;
    for (local = flights->locals; local != NULL; local = local->next) {
        duty_t its = duty_of(local, now, next);

        if (its.what > duty->what) {
            *duty = its;
            found = local;
        }
    }
    if (found != NULL) {
        begin_duty_locked(found, *duty, now);
    }
    return found;
}

/* --- the end of a child ------------------------------------------------- */

static dp_local_t *holder_locked(dp_flights_t *flights)
{
    dp_local_t *local = flights->locals;
    int i;

    for (; local != NULL; local = local->next) {
        for (i = 0; i < DP_HOLD_COUNT; i++) {
            if (local->held[i].is_held) {
                return local;
            }
        }
    }
    return NULL;
}

/* Other hosts shouldn't have to wait until the leases of a killed process end;
 * the store refuses what comes late. Threads that wait keep the child alive. */
static void give_up_locked(dp_flights_t *flights, apr_pool_t *scratch_pool)
{
    dp_local_t *local;

    for (local = holder_locked(flights); local != NULL;
         local = holder_locked(flights)) {
        /* From here on the data may change under the picture. */
        local->held[DP_HOLD_SOURCE].is_lost |=
            local->held[DP_HOLD_SOURCE].is_held;
        dp_local_use_locked(local);
        dp_flights_unlock(flights);
        dp_hold_release_all(local, scratch_pool);
        apr_pool_clear(scratch_pool);
        dp_flights_lock(flights);
        dp_local_drop_locked(local);
    }
    for (local = flights->locals; local != NULL; local = local->next) {
        dp_wake_locked(local, DP_ALL_PARTS);
    }
}

static void hurry_locked(dp_flights_t *flights, apr_time_t now,
                         apr_time_t *next, apr_pool_t *scratch_pool)
{
    if (!__atomic_load_n(&flights->is_hurried, __ATOMIC_RELAXED)) {
        return;
    }
    if (flights->hurry_at == 0) {
        flights->hurry_at = now + HURRY_USEC;
    }
    if (flights->hurry_at <= now) {
        give_up_locked(flights, scratch_pool);
    }
    else {
        earlier(next, flights->hurry_at);
    }
}

apr_interval_time_t dp_keeper_step(dp_flights_t *flights,
                                   apr_pool_t *scratch_pool)
{
    apr_time_t now;
    apr_time_t next;
    dp_local_t *local;
    duty_t duty;

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
    hurry_locked(flights, now, &next, scratch_pool);
    flights->keeper_looks_at = next;
    dp_flights_unlock(flights);
    return next - now;
}

void dp_flights_released(void *baton, const dogpile_digest_t *digest)
{
    dp_flights_t *flights = baton;
    dp_local_t *local;

    dp_flights_lock(flights);
    for (local = flights->locals; local != NULL; local = local->next) {
        if (local->phase == DP_PHASE_WATCHING
            && dp_digest_equal(&local->job->locks[local->watched].key.digest,
                               digest)) {
            local->probe_at = 0;
            dp_keeper_call_locked(flights);
        }
    }
    dp_flights_unlock(flights);
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
