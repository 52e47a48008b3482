/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of a flight: taken on a fetcher thread, renewed and looked at on
 * the keeper's, given back on either.
 *
 * A flight never waits for a lock while it holds one, nor a place at its
 * source, so no two flights can wait for each other: whoever finds a lock to be
 * someone else's gives everything back, and begins anew when it is free. The
 * keeper renews what is held; a lease that is lost is noted and no more,
 * since the store refuses what came too late.
 */
#include "flight/flight_priv.h"

#include <string.h>

#include "base/digest.h"
#include "base/log.h"

/* The first pause between two looks at someone else's lock. */
#define FIRST_PAUSE_USEC (10 * 1000)

/* When to ask again where DogpileFailOpen is Off. */
#define CLOSED_RETRY_SEC 5

static const dogpile_lock_mode_e modes[DP_HOLD_COUNT] = {
    [DP_HOLD_METATILE] = DOGPILE_EXCLUSIVE,
    [DP_HOLD_SOURCE] = DOGPILE_SHARED,
};

static const char *name_of(const dp_lock_t *lock)
{
    return lock->locker->conf->name;
}

/* --- taking ------------------------------------------------------------ */

static void took(dp_local_t *local, dp_hold_e which, const dogpile_id_t *token,
                 apr_time_t asked)
{
    dp_flights_t *flights = local->flights;
    const dp_lock_t *lock = &local->job->locks[which];
    dp_held_t *held = &local->held[which];

    dp_flights_lock(flights);
    held->is_held = 1;
    held->is_lost = 0;
    held->token = *token;
    held->until = asked + lock->locker->conf->lease_usec;
    held->renew_at = dp_local_now(local) + lock->locker->conf->lease_usec / 3;
    if (flights->is_lock_down) {
        flights->is_lock_down = 0;
        dp_log(flights->conf->log, DOGPILE_LOG_NOTICE, 503, APR_SUCCESS,
               "locker %s works again", name_of(lock));
    }
    dp_keeper_expect_locked(flights, held->renew_at);
    dp_flights_unlock(flights);
}

/* The holder will write to a store that this flight doesn't read: waiting for
 * it would bring nothing. */
static int is_foreign(const dp_lock_t *lock, const dogpile_holder_t *holder)
{
    const dogpile_id_t *mine = &lock->key.store_id;

    return !dp_id_is_none(mine) && !dp_id_is_none(&holder->store_id)
           && !dp_id_equal(&holder->store_id, mine);
}

static dp_step_e go_without(dp_local_t *local, dp_hold_e which,
                            const dogpile_holder_t *holder)
{
    dp_flights_t *flights = local->flights;
    int is_first;

    dp_count(flights->shared->counters, DP_COUNT_lock_foreign);
    dp_flights_lock(flights);
    is_first = !flights->is_foreign_said;
    flights->is_foreign_said = 1;
    local->held[which].is_waived = 1;
    dp_flights_unlock(flights);
    if (is_first) {
        dp_log(flights->conf->log, DOGPILE_LOG_WARNING, 504, APR_SUCCESS,
               "host %s shares locker %s but not the store: its metatiles "
               "aren't waited for; give both one store, or each a locker of "
               "its own",
               holder->host, name_of(&local->job->locks[which]));
    }
    return DP_STEP_GO_ON;
}

static dp_step_e watch(dp_local_t *local, dp_hold_e which)
{
    dp_flights_t *flights = local->flights;

    dp_flights_lock(flights);
    if (local->pause_usec == 0) {
        dp_count(flights->shared->counters, DP_COUNT_lock_waits);
        local->pause_usec = FIRST_PAUSE_USEC;
    }
    local->watched = which;
    local->probe_at = dp_local_now(local) + local->pause_usec;
    dp_rest_locked(local, DP_PHASE_WATCHING);
    dp_keeper_expect_locked(flights, local->probe_at);
    dp_flights_unlock(flights);
    return DP_STEP_WAIT;
}

/* No locker answers: coalesce within this httpd, or fail. */
static dp_step_e without_locker(dp_local_t *local, dp_hold_e which,
                                apr_status_t rv)
{
    dp_flights_t *flights = local->flights;
    int fails_open = local->job->fails_open;
    dp_outcome_t outcome;
    int is_first;

    dp_count(flights->shared->counters, DP_COUNT_lock_unavailable);
    dp_flights_lock(flights);
    is_first = !flights->is_lock_down;
    flights->is_lock_down = 1;
    local->held[which].is_waived = fails_open;
    dp_flights_unlock(flights);
    if (is_first) {
        dp_log(flights->conf->log, DOGPILE_LOG_WARNING, 502, rv,
               "locker %s is unavailable: %s until it works again",
               name_of(&local->job->locks[which]),
               fails_open ? "only this httpd coalesces" : "nothing is fetched");
    }
    if (fails_open) {
        return DP_STEP_GO_ON;
    }
    dp_outcome_fail(&outcome, 503, CLOSED_RETRY_SEC, "no locker answers");
    dp_local_land(local, &outcome);
    return DP_STEP_DONE;
}

static int needs(dp_local_t *local, dp_hold_e which)
{
    const dp_held_t *held = &local->held[which];
    int needed;

    dp_flights_lock(local->flights);
    needed = local->job->locks[which].locker != NULL && !held->is_held
             && !held->is_waived;
    dp_flights_unlock(local->flights);
    return needed;
}

dp_step_e dp_hold_take(dp_local_t *local, dp_hold_e which)
{
    const dp_lock_t *lock = &local->job->locks[which];
    apr_pool_t *scratch_pool;
    dogpile_holder_t holder;
    dogpile_id_t token;
    apr_status_t rv;
    dp_step_e step = DP_STEP_GO_ON;
    apr_time_t asked;

    if (!needs(local, which)) {
        return DP_STEP_GO_ON;
    }
    apr_pool_create(&scratch_pool, local->pool);
    asked = dp_local_now(local);
    rv = lock->locker->provider->acquire(lock->locker, &lock->key, modes[which],
                                         &token, &holder, scratch_pool);
    if (rv == APR_SUCCESS) {
        took(local, which, &token, asked);
    }
    else if (rv != APR_EEXIST) {
        step = without_locker(local, which, rv);
    }
    else if (is_foreign(lock, &holder)) {
        step = go_without(local, which, &holder);
    }
    else {
        dp_leave_place(local);
        dp_hold_release_all(local, scratch_pool);
        step = DP_STEP_WAIT;
    }
    apr_pool_destroy(scratch_pool);
    return step == DP_STEP_WAIT ? watch(local, which) : step;
}

/* --- looking, renewing ------------------------------------------------- */

int dp_hold_is_free(dp_local_t *local, apr_pool_t *scratch_pool)
{
    const dp_lock_t *lock = &local->job->locks[local->watched];
    dogpile_lock_state_e state;
    dogpile_holder_t holder;
    apr_status_t rv = lock->locker->provider->probe(
        lock->locker, &lock->key, modes[local->watched], &state, &holder,
        scratch_pool);

    return rv != APR_SUCCESS || state != DOGPILE_HELD
           || is_foreign(lock, &holder);
}

void dp_hold_renew(dp_local_t *local, dp_hold_e which, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    const dp_lock_t *lock = &local->job->locks[which];
    dp_held_t *held = &local->held[which];
    apr_time_t asked = dp_local_now(local);
    dogpile_id_t token;
    apr_status_t rv;

    dp_flights_lock(flights);
    token = held->token;
    dp_flights_unlock(flights);
    rv = lock->locker->provider->renew(lock->locker, &lock->key, &token,
                                       scratch_pool);
    /* Unless it was given back meanwhile. */
    dp_flights_lock(flights);
    if (!held->is_held || !dp_id_equal(&held->token, &token)) {
        rv = APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        held->until = asked + lock->locker->conf->lease_usec;
    }
    else if (rv == APR_NOTFOUND) {
        held->is_held = 0;
        held->is_lost = 1;
        dp_count(flights->shared->counters, DP_COUNT_lock_lost);
    }
    dp_flights_unlock(flights);
}

/* --- giving back ------------------------------------------------------- */

void dp_hold_release(dp_local_t *local, dp_hold_e which,
                     apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    const dp_lock_t *lock = &local->job->locks[which];
    dp_held_t *held = &local->held[which];
    apr_status_t rv;
    int had;

    dp_flights_lock(flights);
    had = held->is_held;
    held->is_held = 0; /* the keeper renews it no more */
    dp_flights_unlock(flights);
    if (!had) {
        return;
    }
    rv = lock->locker->provider->release(lock->locker, &lock->key, &held->token,
                                         scratch_pool);
    /* No answer for a whole lease: others may have had it. */
    if (rv == APR_NOTFOUND
        || (rv != APR_SUCCESS && dp_local_now(local) >= held->until)) {
        dp_count(flights->shared->counters, DP_COUNT_lock_lost);
        dp_flights_lock(flights);
        held->is_lost = 1;
        dp_flights_unlock(flights);
    }
}

void dp_hold_release_all(dp_local_t *local, apr_pool_t *scratch_pool)
{
    int which;

    for (which = DP_HOLD_COUNT - 1; which >= 0; which--) {
        dp_hold_release(local, (dp_hold_e)which, scratch_pool);
    }
}

/* --- a source that is down --------------------------------------------- */

/* It isn't given back: who tries a source, and fails, does so for all hosts
 * until its lease is over. */
int dp_hold_down(dp_local_t *local)
{
    const dp_job_t *job = local->job;
    const dp_lock_t *lock = &job->down_lock;
    apr_pool_t *scratch_pool;
    dogpile_holder_t holder;
    dogpile_id_t token;
    int is_ours = 1;

    if (lock->locker == NULL) {
        return 1;
    }
    apr_pool_create(&scratch_pool, local->pool);
    if (lock->locker->provider->acquire(lock->locker, &lock->key,
                                        DOGPILE_EXCLUSIVE, &token, &holder,
                                        scratch_pool)
        == APR_EEXIST) {
        is_ours = job->work->is_own(job->baton, &holder, scratch_pool);
    }
    apr_pool_destroy(scratch_pool);
    return is_ours;
}

void dp_hold_end_down(dp_local_t *local)
{
    const dp_lock_t *lock = &local->job->down_lock;

    if (lock->locker != NULL) {
        lock->locker->provider->break_lock(lock->locker, &lock->key,
                                           local->pool);
    }
}
