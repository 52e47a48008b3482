/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a flight, on a fetcher thread.
 *
 * dp_run() is called when this child leads a flight, and again whenever the
 * flight can go on: the keeper found the lock free, or the flight was given a
 * place at its source. It never waits itself; where it can't go on it says what
 * for (the phase) and gives the thread back. The invariant: a flight is in one
 * phase, and while that is RUNNING only the thread here moves it on.
 */
#include "flight/flight_priv.h"

#include <string.h>

#include "base/digest.h"
#include "base/log.h"

/* The first pause between two looks at someone else's lock. */
#define FIRST_PAUSE_USEC (10 * 1000)

/* When to ask again where DogpileFailOpen is Off. */
#define CLOSED_RETRY_SEC 5

/* What a step says of the flight. */
typedef enum step_e {
    STEP_GO_ON,
    STEP_WAIT, /* the phase says what for; let the thread go */
    STEP_DONE  /* it has landed */
} step_e;

static apr_time_t now_of(const dp_local_t *local)
{
    return dp_clock_now(local->flights->conf->clock);
}

/* It waits, and this thread doesn't. Whoever settles needs to know. */
static void rest_locked(dp_local_t *local, dp_phase_e phase)
{
    local->phase = phase;
    pthread_cond_broadcast(&local->flights->settled);
}

/* Give the place at the source on, if the flight has one. */
static void leave_place(dp_local_t *local)
{
    const dp_shared_t *shared = local->flights->shared;
    int nslots = dp_table_nslots(shared->table);
    unsigned char wake[nslots];

    memset(wake, 0, sizeof(wake));
    dp_table_end_fetch(shared->table, &local->ticket, wake);
    dp_wake_children(shared, wake);
}

/* --- a. the lock ------------------------------------------------------- */

static void took_lock(dp_local_t *local, const dogpile_id_t *token)
{
    dp_flights_t *flights = local->flights;
    const dogpile_locker_conf_t *conf = local->job->locker->conf;

    dp_flights_lock(flights);
    local->has_lock = 1;
    local->token = *token;
    local->renew_at = now_of(local) + conf->lease_usec / 3;
    if (flights->is_lock_down) {
        flights->is_lock_down = 0;
        dp_log(flights->conf->log, DOGPILE_LOG_NOTICE, 503, APR_SUCCESS,
               "locker %s works again", conf->name);
    }
    dp_keeper_call_locked(flights);
    dp_flights_unlock(flights);
}

int dp_is_foreign(const dp_local_t *local, const dogpile_holder_t *holder)
{
    const dogpile_id_t *mine = &local->job->lock_key.store_id;

    return !dp_id_is_none(mine) && !dp_id_is_none(&holder->store_id)
           && !dp_id_equal(&holder->store_id, mine);
}

/* The holder will write to a store that we don't read: waiting for it would
 * give us nothing. */
static void go_without(dp_local_t *local, const dogpile_holder_t *holder)
{
    dp_flights_t *flights = local->flights;
    int is_first;

    dp_count(flights->shared->counters, DP_COUNT_lock_foreign);
    dp_flights_lock(flights);
    is_first = !flights->is_foreign_said;
    flights->is_foreign_said = 1;
    dp_flights_unlock(flights);
    if (is_first) {
        dp_log(flights->conf->log, DOGPILE_LOG_WARNING, 504, APR_SUCCESS,
               "host %s shares locker %s but not the store: its metatiles "
               "aren't waited for; give both one store, or each a locker of "
               "its own",
               holder->host, local->job->locker->conf->name);
    }
    local->goes_without_lock = 1;
}

static step_e watch(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;

    leave_place(local); /* where the lock was lost in the line */
    dp_flights_lock(flights);
    if (local->pause_usec == 0) {
        dp_count(flights->shared->counters, DP_COUNT_lock_waits);
        local->pause_usec = FIRST_PAUSE_USEC;
    }
    local->probe_at = now_of(local) + local->pause_usec;
    rest_locked(local, DP_PHASE_WATCHING);
    dp_keeper_call_locked(flights);
    dp_flights_unlock(flights);
    return STEP_WAIT;
}

/* No locker answers: coalesce within this httpd, or fail. */
static step_e without_locker(dp_local_t *local, apr_status_t rv)
{
    dp_flights_t *flights = local->flights;
    dp_outcome_t outcome;
    int is_first;

    dp_count(flights->shared->counters, DP_COUNT_lock_unavailable);
    dp_flights_lock(flights);
    is_first = !flights->is_lock_down;
    flights->is_lock_down = 1;
    dp_flights_unlock(flights);
    if (is_first) {
        dp_log(flights->conf->log, DOGPILE_LOG_WARNING, 502, rv,
               "locker %s is unavailable: %s until it works again",
               local->job->locker->conf->name,
               local->job->fails_open ? "only this httpd coalesces"
                                      : "nothing is fetched");
    }
    if (local->job->fails_open) {
        local->goes_without_lock = 1;
        return STEP_GO_ON;
    }
    dp_outcome_fail(&outcome, 503, CLOSED_RETRY_SEC, "no locker answers");
    dp_local_land(local, &outcome);
    return STEP_DONE;
}

static int needs_lock(dp_local_t *local)
{
    int needs;

    dp_flights_lock(local->flights);
    needs = local->job->locker != NULL && !local->has_lock
            && !local->goes_without_lock;
    dp_flights_unlock(local->flights);
    return needs;
}

static step_e take_lock(dp_local_t *local)
{
    dp_job_t *job = local->job;
    apr_pool_t *scratch_pool;
    dogpile_holder_t holder;
    dogpile_id_t token;
    apr_status_t rv;
    step_e step = STEP_GO_ON;
    int must_wait;

    if (!needs_lock(local)) {
        return STEP_GO_ON;
    }
    apr_pool_create(&scratch_pool, local->pool);
    rv = job->locker->provider->acquire(job->locker, &job->lock_key,
                                        DOGPILE_EXCLUSIVE, &token, &holder,
                                        scratch_pool);
    must_wait = rv == APR_EEXIST && !dp_is_foreign(local, &holder);
    if (rv == APR_SUCCESS) {
        took_lock(local, &token);
    }
    else if (rv != APR_EEXIST) {
        step = without_locker(local, rv);
    }
    else if (!must_wait) {
        go_without(local, &holder);
    }
    apr_pool_destroy(scratch_pool);
    return must_wait ? watch(local) : step;
}

void dp_release_lock(dp_local_t *local, apr_pool_t *scratch_pool)
{
    dp_flights_t *flights = local->flights;
    dogpile_locker_t *locker = local->job->locker;
    apr_status_t rv;
    int had;

    dp_flights_lock(flights);
    had = local->has_lock;
    local->has_lock = 0; /* the keeper renews it no more */
    dp_flights_unlock(flights);
    if (!had) {
        return;
    }
    rv = locker->provider->release(locker, &local->job->lock_key, &local->token,
                                   scratch_pool);
    if (rv == APR_NOTFOUND) {
        dp_count(flights->shared->counters, DP_COUNT_lock_lost);
    }
}

/* --- b. look again ----------------------------------------------------- */

/* Lay the record down and wake everybody. Where the flight was given up at its
 * deadline, take it away again: the place is this flight's until it finishes. */
static void land(dp_local_t *local, dp_catch_t *caught)
{
    const dp_landing_t *landing = &local->flights->shared->landing;
    dp_outcome_t *outcome = &caught->outcome;
    dp_outcome_t failure;
    apr_status_t rv;

    if (outcome->kind != DP_OUTCOME_RECORD) {
        dp_local_land(local, outcome);
        return;
    }
    rv = dp_landing_write(landing, local->ticket.index, caught->bytes,
                          outcome->length);
    if (rv == APR_SUCCESS && dp_local_land(local, outcome)) {
        return;
    }
    dp_landing_clear(landing, local->ticket.index);
    if (rv != APR_SUCCESS) {
        dp_log(local->flights->conf->log, DOGPILE_LOG_ERROR, 505, rv,
               "can't hand a metatile of %u bytes to its waiters",
               outcome->length);
        dp_outcome_fail(&failure, 500, 0, "no memory for the metatile");
        dp_local_land(local, &failure);
    }
}

static step_e look_again(dp_local_t *local, dogpile_id_t *base)
{
    dp_job_t *job = local->job;
    dp_catch_t found;

    memset(&found, 0, sizeof(found));
    if (job->work->look(job->baton, &found, base, local->pool) != APR_SUCCESS) {
        return STEP_GO_ON;
    }
    dp_count(local->flights->shared->counters, DP_COUNT_found);
    land(local, &found);
    return STEP_DONE;
}

/* --- c. to f. ---------------------------------------------------------- */

static step_e take_place(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;
    int has_place;

    /* With the mutex held, so that a wake-up meets the phase it is for. */
    dp_flights_lock(flights);
    has_place = dp_table_begin_fetch(flights->shared->table, &local->ticket,
                                     local->job->upstream_limit);
    if (!has_place) {
        rest_locked(local, DP_PHASE_UPSTREAM);
        dp_kick(flights->shared, flights->slot); /* watch those before it */
    }
    dp_flights_unlock(flights);
    return has_place ? STEP_GO_ON : STEP_WAIT;
}

static void set_deadline(dp_local_t *local, apr_time_t until)
{
    dp_flights_lock(local->flights);
    local->fetch_until = until;
    dp_keeper_call_locked(local->flights);
    dp_flights_unlock(local->flights);
}

static void fetch(dp_local_t *local, apr_thread_t *thread,
                  const dogpile_id_t *base)
{
    dp_counters_t *counters = local->flights->shared->counters;
    dp_job_t *job = local->job;
    dp_catch_t made;

    memset(&made, 0, sizeof(made));
    dp_count(counters, DP_COUNT_fetches);
    set_deadline(local, now_of(local) + job->fetch_timeout_usec);
    job->work->produce(job->baton, thread, &made, local->pool);
    set_deadline(local, 0);
    made.outcome.is_fetched = 1;
    if (made.outcome.kind == DP_OUTCOME_FAILED) {
        dp_count(counters, DP_COUNT_fetch_errors);
    }
    land(local, &made);
    leave_place(local);
    /* Even where the flight was given up at its deadline: the next request
     * finds a late metatile in the store. */
    if (made.outcome.kind == DP_OUTCOME_RECORD && made.outcome.is_storable) {
        job->work->keep(job->baton, &made, base, local->pool);
    }
}

static step_e fly(dp_local_t *local, apr_thread_t *thread)
{
    dogpile_id_t base;
    step_e step = take_lock(local);

    memset(&base, 0, sizeof(base));
    if (step == STEP_GO_ON) {
        step = look_again(local, &base);
    }
    if (step == STEP_GO_ON) {
        step = take_place(local);
    }
    if (step == STEP_GO_ON) {
        fetch(local, thread, &base);
        step = STEP_DONE;
    }
    return step;
}

void dp_run(apr_thread_t *thread, dp_local_t *local)
{
    dp_flights_t *flights = local->flights;
    dp_ticket_t ticket = local->ticket;
    step_e step = fly(local, thread);
    int must_clear = 0;

    if (step == STEP_DONE) {
        leave_place(local);
        dp_release_lock(local, local->pool);
    }
    dp_flights_lock(flights);
    if (step == STEP_DONE) {
        must_clear = dp_table_finish(flights->shared->table, &ticket);
        dp_local_led_locked(local, DP_PHASE_OVER);
    }
    dp_local_drop_locked(local);
    dp_flights_unlock(flights);
    if (must_clear) {
        dp_clear_place(flights, &ticket);
    }
}
