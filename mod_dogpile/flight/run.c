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

#include "base/log.h"

apr_time_t dp_local_now(const dp_local_t *local)
{
    return dp_clock_now(local->flights->conf->clock);
}

void dp_rest_locked(dp_local_t *local, dp_phase_e phase)
{
    local->phase = phase;
    /* Whoever settles needs to know. */
    pthread_cond_broadcast(&local->flights->settled);
}

void dp_leave_place(dp_local_t *local)
{
    const dp_shared_t *shared = local->flights->shared;
    int nslots = dp_table_nslots(shared->table);
    unsigned char wake[nslots];

    memset(wake, 0, sizeof(wake));
    dp_table_end_fetch(shared->table, &local->ticket, wake);
    dp_wake_children(shared, wake);
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

static dp_step_e look_again(dp_local_t *local, dogpile_id_t *base)
{
    dp_job_t *job = local->job;
    dp_catch_t found;

    memset(&found, 0, sizeof(found));
    if (job->work->look(job->baton, &found, base, local->pool) != APR_SUCCESS) {
        return DP_STEP_GO_ON;
    }
    dp_count(local->flights->shared->counters, DP_COUNT_found);
    land(local, &found);
    return DP_STEP_DONE;
}

/* --- c. to f. ---------------------------------------------------------- */

static dp_step_e take_place(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;
    int has_place;

    /* With the mutex held, so that a wake-up meets the phase it is for. */
    dp_flights_lock(flights);
    has_place = dp_table_begin_fetch(flights->shared->table, &local->ticket,
                                     local->job->upstream_limit);
    if (!has_place) {
        dp_rest_locked(local, DP_PHASE_UPSTREAM);
        dp_kick(flights->shared, flights->slot); /* watch those before it */
    }
    dp_flights_unlock(flights);
    return has_place ? DP_STEP_GO_ON : DP_STEP_WAIT;
}

/* The process of a trial is given so much longer than its deadline. */
#define TRIAL_MARGIN_USEC apr_time_from_sec(5)

/* A source that is down is asked once a period. */
static dp_step_e may_ask(dp_local_t *local)
{
    const dp_job_t *job = local->job;
    dp_recall_t *recall = local->flights->shared->recall;
    dp_outcome_t remembered;
    int is_trial;

    if (dp_recall_ask(recall, &job->subject, dp_local_now(local),
                      job->fetch_timeout_usec + TRIAL_MARGIN_USEC, &remembered,
                      &is_trial)) {
        if (!is_trial || dp_hold_down(local)) {
            return DP_STEP_GO_ON;
        }
        dp_recall_wait(recall, &job->subject, dp_local_now(local), &remembered);
    }
    dp_local_land(local, &remembered);
    return DP_STEP_DONE;
}

void dp_learn(dp_local_t *local, dp_outcome_t *outcome)
{
    dp_flights_t *flights = local->flights;
    const dp_subject_t *subject = &local->job->subject;

    switch (dp_recall_learn(flights->shared->recall, subject,
                            dp_local_now(local), outcome)) {
    case DP_NEWS_DOWN:
        dp_log(flights->conf->log, DOGPILE_LOG_NOTICE, 506, APR_SUCCESS,
               "source %s is asked once in %d s or more until it works again",
               subject->source_name, outcome->retry_after_sec);
        break;
    case DP_NEWS_UP:
        __atomic_store_n(&local->is_source_back, 1, __ATOMIC_RELAXED);
        dp_log(flights->conf->log, DOGPILE_LOG_NOTICE, 507, APR_SUCCESS,
               "source %s works again", subject->source_name);
        break;
    case DP_NEWS_NONE:
        break;
    }
}

/* It was given up at its deadline, and what failed then fails no second time.
 */
static int has_failed_before(const dp_local_t *local,
                             const dp_outcome_t *outcome)
{
    return outcome->kind == DP_OUTCOME_FAILED
           && dp_table_look(local->flights->shared->table, &local->ticket, NULL)
                  == DP_FLIGHT_LANDED;
}

static void set_deadline(dp_local_t *local, apr_time_t until)
{
    dp_flights_lock(local->flights);
    local->fetch_until = until;
    if (until != 0) {
        dp_keeper_expect_locked(local->flights, until);
    }
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
    if (local->pause_usec > 0 && local->held[DP_HOLD_METATILE].is_held) {
        dp_count(counters, DP_COUNT_lock_takeovers);
    }
    set_deadline(local, dp_local_now(local) + job->fetch_timeout_usec);
    job->work->produce(job->baton, thread, &made, local, local->pool);
    set_deadline(local, 0);
    made.outcome.is_fetched = 1;
    if (made.outcome.kind == DP_OUTCOME_FAILED) {
        dp_count(counters, DP_COUNT_fetch_errors);
    }
    if (!has_failed_before(local, &made.outcome)) {
        dp_learn(local, &made.outcome);
    }
    land(local, &made);
    dp_leave_place(local);
    dp_hold_release(local, DP_HOLD_SOURCE, local->pool);
    if (local->is_source_back) {
        dp_hold_end_down(local);
    }
    /* Even where the flight was given up at its deadline: the next request
     * finds a late metatile in the store. Not where the data may have changed
     * in the middle of the picture. */
    if (made.outcome.kind == DP_OUTCOME_RECORD && made.outcome.is_storable
        && !local->held[DP_HOLD_SOURCE].is_lost) {
        job->work->keep(job->baton, &made, base, local->pool);
    }
}

static dp_step_e fly(dp_local_t *local, apr_thread_t *thread)
{
    dogpile_id_t base;
    dp_step_e step = dp_hold_take(local, DP_HOLD_METATILE);

    memset(&base, 0, sizeof(base));
    if (step == DP_STEP_GO_ON) {
        step = look_again(local, &base);
    }
    if (step == DP_STEP_GO_ON) {
        step = take_place(local);
    }
    if (step == DP_STEP_GO_ON) {
        step = dp_hold_take(local, DP_HOLD_SOURCE);
    }
    if (step == DP_STEP_GO_ON) {
        step = may_ask(local);
    }
    if (step == DP_STEP_GO_ON) {
        fetch(local, thread, &base);
        step = DP_STEP_DONE;
    }
    return step;
}

void dp_run(apr_thread_t *thread, dp_local_t *local)
{
    dp_flights_t *flights = local->flights;
    dp_ticket_t ticket = local->ticket;
    dp_step_e step = fly(local, thread);
    int must_clear = 0;

    if (step == DP_STEP_DONE) {
        dp_leave_place(local);
        dp_hold_release_all(local, local->pool);
    }
    dp_flights_lock(flights);
    if (step == DP_STEP_DONE) {
        must_clear = dp_table_finish(flights->shared->table, &ticket);
        dp_local_led_locked(local, DP_PHASE_OVER);
    }
    dp_local_drop_locked(local);
    dp_flights_unlock(flights);
    if (must_clear) {
        dp_clear_place(flights, &ticket);
    }
}
