/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a flight, and what comes of it.
 *
 * A request joins the flight of its metatile and waits: parked, where its
 * connection can be given back to the MPM (park.h), else on its thread, under
 * DogpileMaxBlocked. In both cases it is answered by finish(), on a request
 * thread. Under prefork the process that leads a flight serves nobody until
 * the flight is over (settle). The invariant: every join is followed by one
 * leave, at the latest when the request's pool goes.
 */
#include "httpd/wait.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <signal.h>

#include "httpd/answer.h"
#include "httpd/instead.h"
#include "httpd/internal.h"
#include "httpd/park.h"
#include "httpd/pass.h"
#include "httpd/reply.h"
#include "httpd/start.h"

/* How long a client that had to be turned away should wait. */
#define SHED_RETRY_SEC 2

/* A request in its flight; in the request's pool. */
typedef struct dp_wait_t {
    dp_task_t task;
    dp_join_e join;
    dp_waiter_t *waiter; /* NULL when it has left */
    apr_time_t begun;    /* monotonic */
    apr_time_t until;
} dp_wait_t;

/* --- answers ----------------------------------------------------------- */

static int shed(request_rec *r, const dp_task_t *task, const char *why)
{
    const dp_lack_t lack = {
        .how = apr_pstrcat(r->pool, "fwd=", task->fwd, NULL),
        .why = why,
        .status = HTTP_SERVICE_UNAVAILABLE,
        .retry_after_sec = SHED_RETRY_SEC,
        .counter = DP_COUNT_shed,
    };

    return dp_answer_instead(r, task, &lack);
}

/* --- waiting ----------------------------------------------------------- */

static apr_status_t leave(void *baton)
{
    dp_wait_t *wait = baton;
    dp_waiter_t *waiter = wait->waiter;

    wait->waiter = NULL;
    if (waiter != NULL && dp_child.flights != NULL) {
        dp_flight_leave(waiter);
    }
    return APR_SUCCESS;
}

static void note_wait(request_rec *r, const dp_wait_t *wait, apr_time_t now)
{
    apr_table_setn(r->subprocess_env, "DOGPILE_WAIT_MS",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT,
                                apr_time_as_msec(now - wait->begun)));
}

/* The wait is over: answer with what has landed, or with an error. */
static int finish(request_rec *r, void *baton)
{
    dp_wait_t *wait = baton;
    const dp_task_t *task = &wait->task;
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    dp_outcome_t outcome;
    int status;

    note_wait(r, wait, now);
    if (dp_flight_outcome(wait->waiter, &outcome)) {
        status =
            dp_answer_outcome(r, task, wait->waiter, &outcome,
                              dp_way_of(task, wait->join, &outcome, r->pool));
    }
    else {
        status = shed(r, task,
                      now < wait->until ? "too many requests wait"
                                        : "no answer in time");
    }
    leave(wait);
    return status;
}

/* The same with a tile that is at hand and small; else DECLINED. */
static int finish_promptly(request_rec *r, void *baton, dp_scratch_t *scratch)
{
    dp_wait_t *wait = baton;
    const dp_task_t *task = &wait->task;
    dp_outcome_t outcome;
    int status;

    if (!dp_flight_outcome(wait->waiter, &outcome)) {
        return DECLINED;
    }
    note_wait(r, wait, dp_clock_now(&dp_clock_monotonic));
    status = dp_answer_in(scratch, r, task, wait->waiter, &outcome,
                          dp_way_of(task, wait->join, &outcome, r->pool));
    if (status != DECLINED) {
        dp_count(&dp_child.area->counters, DP_COUNT_prompt);
        leave(wait);
    }
    return status;
}

/* Before httpd's own Timeout, which would close a parked connection without an
 * answer. */
static apr_time_t deadline(const request_rec *r, const dp_wait_t *wait)
{
    apr_interval_time_t timeout = dp_park_server(r)->timeout;
    apr_interval_time_t margin = timeout / 4;
    apr_interval_time_t longest;

    if (margin > apr_time_from_sec(1)) {
        margin = apr_time_from_sec(1);
    }
    longest = timeout - margin;
    return wait->begun
           + (wait->task.dir.wait_usec < longest ? wait->task.dir.wait_usec
                                                 : longest);
}

static int wait_for_landing(request_rec *r, dp_wait_t *wait)
{
    static const dp_answers_t answers = {finish, finish_promptly};
    dp_parking_t *parking;

    switch (dp_park_take(r, wait->until, &answers, wait, &parking)) {
    case DP_PARK_READY:
        if (!dp_flight_notify(wait->waiter, dp_park_wake, parking)) {
            return SUSPENDED;
        }
        dp_park_cancel(parking);
        break;
    case DP_PARK_CANT:
        dp_flight_wait(wait->waiter, wait->until, dp_child.max_blocked);
        break;
    }
    return finish(r, wait);
}

/*
 * prefork ends a child within a signal handler, on this very thread: that
 * must not happen in the middle of a wait, for the end of the child's pool
 * waits for those who wait. The child ends when this is over.
 */
static apr_status_t settle(void *flights)
{
    sigset_t ends;
    sigset_t before;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    dp_flights_settle(flights);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return APR_SUCCESS;
}

/* Another one's flight has landed and is about to be stored. */
static int is_as_good_as_stored(const dp_wait_t *wait, dp_outcome_t *outcome)
{
    return wait->join == DP_JOIN_WAITER
           && dp_flight_outcome(wait->waiter, outcome)
           && outcome->kind == DP_OUTCOME_RECORD;
}

static int wait_and_answer(request_rec *r, dp_wait_t *wait)
{
    dp_counters_t *counters = &dp_child.area->counters;
    dp_outcome_t outcome;
    int status;

    if (is_as_good_as_stored(wait, &outcome)) {
        dp_count(counters, DP_COUNT_hits);
        status =
            dp_answer_outcome(r, &wait->task, wait->waiter, &outcome, "hit");
        leave(wait);
        return status;
    }
    dp_count(counters, DP_COUNT_misses);
    if (wait->join == DP_JOIN_WAITER) {
        dp_count(counters, DP_COUNT_collapsed);
    }
    return wait_for_landing(r, wait);
}

/* Under prefork, when the answer has been sent and before the next request. */
static void settle_after(request_rec *r)
{
    if (!dp_child.is_threaded) {
        apr_pool_cleanup_register(r->pool, dp_child.flights, settle,
                                  apr_pool_cleanup_null);
    }
}

static void make_wish(dp_wish_t *wish, dp_task_t *task)
{
    wish->key = &task->key.digest;
    wish->source = dp_task_source(task);
    wish->part = dp_task_index(task);
    wish->make_job = dp_task_job;
    wish->baton = task;
}

/* With what the last flight came to, while that is remembered. */
static int answer_remembered(request_rec *r, const dp_task_t *task,
                             const dp_outcome_t *outcome)
{
    if (outcome->kind == DP_OUTCOME_PASS) {
        dp_count(&dp_child.area->counters, DP_COUNT_passed_at_once);
        return dp_pass_through(r, task, DP_REASON_UNSHAREABLE);
    }
    dp_count(&dp_child.area->counters, DP_COUNT_remembered);
    return dp_answer_failure(r, task, outcome,
                             apr_pstrcat(r->pool, "fwd=", task->fwd, NULL));
}

int dp_wait_for_tile(request_rec *r, const dp_task_t *task)
{
    dp_wait_t *wait = apr_pcalloc(r->pool, sizeof(*wait));
    dp_outcome_t remembered;
    dp_wish_t wish;

    wait->task = *task;
    make_wish(&wish, &wait->task);
    if (dp_flight_recall(dp_child.flights, &wish, &remembered)) {
        return answer_remembered(r, task, &remembered);
    }
    if (dp_internal_bootstrap(r->connection) != APR_SUCCESS) {
        return shed(r, task, "no internal connection");
    }
    wait->begun = dp_clock_now(&dp_clock_monotonic);
    wait->until = deadline(r, wait);
    wait->join =
        dp_flight_join(dp_child.flights, &wish, &wait->waiter, r->pool);
    if (wait->join == DP_JOIN_FULL) {
        return shed(r, task, "no room for another flight");
    }
    settle_after(r);
    apr_pool_cleanup_register(r->pool, wait, leave, apr_pool_cleanup_null);
    return wait_and_answer(r, wait);
}

/* --- refreshing -------------------------------------------------------- */

/* Returns 1 where this request began the flight, or joined one that just
 * began. */
static int begin_refresh(dp_task_t *task, apr_pool_t *pool)
{
    dp_outcome_t remembered;
    dp_waiter_t *waiter;
    dp_wish_t wish;

    make_wish(&wish, task);
    if (dp_flight_recall(dp_child.flights, &wish, &remembered)
        || dp_flight_join(dp_child.flights, &wish, &waiter, pool)
               == DP_JOIN_FULL) {
        return 0;
    }
    dp_flight_leave(waiter);
    return 1;
}

/* A request and what it would have refreshed; in the request's pool. */
typedef struct dp_refresh_t {
    dp_task_t task;
    apr_pool_t *pool;
} dp_refresh_t;

/* The request is over: its answer is on its way, and logged. */
static apr_status_t refresh_after(void *baton)
{
    dp_refresh_t *refresh = baton;

    if (dp_child.flights != NULL
        && !dp_flight_is_under_way(dp_child.flights,
                                   &refresh->task.key.digest)) {
        begin_refresh(&refresh->task, refresh->pool);
    }
    return APR_SUCCESS;
}

void dp_refresh(request_rec *r, const dp_task_t *task)
{
    dp_refresh_t *refresh;

    if (dp_flight_is_under_way(dp_child.flights, &task->key.digest)
        || dp_internal_bootstrap(r->connection) != APR_SUCCESS) {
        return;
    }
    refresh = apr_palloc(r->pool, sizeof(*refresh));
    refresh->task = *task;
    refresh->pool = r->pool;
    if (dp_child.is_threaded) {
        apr_pool_cleanup_register(r->pool, refresh, refresh_after,
                                  apr_pool_cleanup_null);
    }
    else if (begin_refresh(&refresh->task, r->pool)) {
        /* The next request of this client would wait for the fetch. */
        r->connection->keepalive = AP_CONN_CLOSE;
        settle_after(r);
    }
}
