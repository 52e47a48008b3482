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

/* The header of a landed record; more of it is read where it is long. */
static apr_status_t read_landed(dp_waiter_t *waiter, dp_record_t *record,
                                apr_size_t length, apr_pool_t *pool)
{
    apr_size_t have = length < DOGPILE_BLOB_HEAD ? length : DOGPILE_BLOB_HEAD;
    apr_status_t rv = APR_INCOMPLETE;

    while (rv == APR_INCOMPLETE) {
        unsigned char *bytes = apr_palloc(pool, have);
        apr_size_t need = 0;

        rv = dp_flight_read(waiter, 0, bytes, have);
        if (rv == APR_SUCCESS) {
            rv = dp_record_read(record, bytes, have, length, NULL, &need, pool);
        }
        if (rv == APR_INCOMPLETE && need <= have) {
            rv = APR_EINVAL;
        }
        have = need;
    }
    return rv;
}

static int answer_landed(request_rec *r, const dp_task_t *task,
                         dp_waiter_t *waiter, const dp_outcome_t *outcome,
                         const char *how)
{
    int index = outcome->is_part ? 0 : dp_task_index(task);
    dp_record_t record;
    apr_status_t rv = read_landed(waiter, &record, outcome->length, r->pool);
    char *body = NULL;

    if (rv == APR_SUCCESS && index >= record.ntiles) {
        rv = APR_EINVAL;
    }
    if (rv == APR_SUCCESS) {
        body = apr_palloc(r->pool, record.tiles[index].length);
        rv = dp_flight_read(waiter, record.tiles[index].offset, body,
                            record.tiles[index].length);
    }
    if (rv != APR_SUCCESS) {
        dp_rlog(r, APLOG_ERR, rv, 203, "source %s: can't read a landed tile",
                task->source_name);
        return dp_reply_failure(r, &task->dir, HTTP_INTERNAL_SERVER_ERROR, 0,
                                how);
    }
    dp_reply_note(r, strcmp(how, "hit") == 0 ? "hit" : "miss");
    return dp_reply_tile(
        r, &task->dir, &record, index, how,
        apr_bucket_pool_create(body, record.tiles[index].length, r->pool,
                               r->connection->bucket_alloc));
}

static int answer_failure(request_rec *r, const dp_task_t *task,
                          const dp_outcome_t *outcome, const char *how)
{
    const dp_lack_t lack = {
        .how = how,
        .why = outcome->is_remembered
                   ? apr_pstrcat(r->pool, outcome->why, ", remembered", NULL)
                   : outcome->why,
        .status = outcome->status,
        .retry_after_sec = outcome->retry_after_sec,
        .is_failure = 1,
        .is_final = outcome->blame == DP_BLAME_PICTURE,
        .counter = DP_COUNT_failed,
    };

    return dp_answer_instead(r, task, &lack);
}

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

/* How a request came to its tile, for Cache-Status (RFC 9211). */
static const char *way_of(const dp_task_t *task, dp_join_e join,
                          const dp_outcome_t *outcome, apr_pool_t *pool)
{
    int is_off_grid = task->verdict == DP_VERDICT_OFF_GRID
                      && outcome->kind == DP_OUTCOME_RECORD;
    int is_other =
        outcome->source_status != 0 && outcome->source_status != HTTP_OK;

    return apr_pstrcat(
        pool, "fwd=", task->fwd,
        is_other ? apr_psprintf(pool, "; fwd-status=%d", outcome->source_status)
                 : "",
        outcome->is_storable ? "; stored" : "",
        join == DP_JOIN_WAITER ? "; collapsed" : "",
        is_off_grid ? "; detail=\"off-grid\"" : "", NULL);
}

static int answer_outcome(request_rec *r, const dp_task_t *task,
                          dp_waiter_t *waiter, const dp_outcome_t *outcome,
                          const char *how)
{
    apr_table_setn(r->subprocess_env, "DOGPILE_FETCH_MS",
                   apr_psprintf(r->pool, "%u", outcome->fetch_ms));
    switch (outcome->kind) {
    case DP_OUTCOME_RECORD:
        return answer_landed(r, task, waiter, outcome, how);
    case DP_OUTCOME_PASS:
        return dp_pass_through(r, task, DP_REASON_UNSHAREABLE);
    case DP_OUTCOME_FAILED:
        break;
    }
    return answer_failure(r, task, outcome, how);
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

/* The wait is over: answer with what has landed, or with an error. */
static int finish(request_rec *r, void *baton)
{
    dp_wait_t *wait = baton;
    const dp_task_t *task = &wait->task;
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    dp_outcome_t outcome;
    int status;

    apr_table_setn(r->subprocess_env, "DOGPILE_WAIT_MS",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT,
                                apr_time_as_msec(now - wait->begun)));
    if (dp_flight_outcome(wait->waiter, &outcome)) {
        status = answer_outcome(r, task, wait->waiter, &outcome,
                                way_of(task, wait->join, &outcome, r->pool));
    }
    else {
        status = shed(r, task,
                      now < wait->until ? "too many requests wait"
                                        : "no answer in time");
    }
    leave(wait);
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
    dp_parking_t *parking;

    switch (dp_park_take(r, wait->until, finish, wait, &parking)) {
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
        status = answer_outcome(r, &wait->task, wait->waiter, &outcome, "hit");
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
    return answer_failure(r, task, outcome,
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

void dp_refresh(request_rec *r, const dp_task_t *task)
{
    dp_task_t wanted = *task;
    dp_outcome_t remembered;
    dp_waiter_t *waiter;
    dp_wish_t wish;

    make_wish(&wish, &wanted);
    if (dp_flight_recall(dp_child.flights, &wish, &remembered)
        || dp_internal_bootstrap(r->connection) != APR_SUCCESS
        || dp_flight_join(dp_child.flights, &wish, &waiter, r->pool)
               == DP_JOIN_FULL) {
        return;
    }
    dp_flight_leave(waiter);
    if (!dp_child.is_threaded) {
        /* The next request of this client would wait for the fetch. */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    settle_after(r);
}
