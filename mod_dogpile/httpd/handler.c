/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a tile request, top down: is it ours, which tile is it, is the
 * tile in the store, and if not, wait for the flight that brings it.
 *
 * A content handler, so authentication and authorisation have run; it stands
 * before mod_proxy's and CGI's, and what isn't ours goes on to them untouched.
 * Runs on request threads. Under prefork the process that leads a flight
 * serves nobody until the flight is over (settle).
 */
#include "httpd/handler.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <signal.h>

#include "base/digest.h"
#include "httpd/internal.h"
#include "httpd/reply.h"
#include "httpd/start.h"
#include "httpd/status.h"
#include "httpd/task.h"

/* How long a client that had to be turned away should wait. */
#define SHED_RETRY_SEC 2

/* --- what isn't ours --------------------------------------------------- */

/* The first time that this reason is met for this source (and, where it is a
 * parameter's or a coordinate system's fault, for that one). */
static int is_new_reason(const dp_task_t *task, dp_reason_e reason,
                         const char *detail, apr_pool_t *pool)
{
    int says_detail = reason == DP_REASON_PARAM || reason == DP_REASON_CRS;
    const char *text = apr_psprintf(pool, "%s\n%d\n%s", task->source_name,
                                    (int)reason, says_detail ? detail : "");
    dogpile_digest_t digest;
    uint64_t hash;
    uint64_t seen;
    int i;

    dp_digest(&digest, text, strlen(text));
    memcpy(&hash, digest.bytes, sizeof(hash));
    for (i = 0; i < DP_SAID_MAX; i++) {
        uint64_t *place = &dp_child.area->said[i];

        seen = 0;
        if (__atomic_compare_exchange_n(place, &seen, hash, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return 1;
        }
        if (seen == hash) {
            return 0;
        }
    }
    return 0;
}

static int pass(request_rec *r, const dp_task_t *task, dp_reason_e reason)
{
    const char *detail = task->request.detail && task->request.reason == reason
                             ? task->request.detail
                             : dp_reason_name(reason);
    const char *remedy =
        task->request.reason == reason ? task->request.remedy : NULL;

    dp_count(&dp_child.area->counters, DP_COUNT_passed);
    __atomic_fetch_add(&dp_child.area->passes[reason], 1, __ATOMIC_RELAXED);
    dp_reply_pass(r, &task->dir, detail);
    if (is_new_reason(task, reason, detail, r->pool)) {
        dp_rlog(r, APLOG_NOTICE, 0, 201,
                "source %s: passed through (%s)%s%s; said once",
                task->source_name, detail, remedy ? "; to coalesce, add " : "",
                remedy ? remedy : "");
    }
    return DECLINED;
}

static int refuse(request_rec *r, const dp_task_t *task)
{
    int status =
        task->verdict == DP_VERDICT_DENY ? HTTP_FORBIDDEN : HTTP_BAD_REQUEST;
    const char *detail = task->request.detail
                             ? task->request.detail
                             : dp_reason_name(task->request.reason);

    dp_count(&dp_child.area->counters, DP_COUNT_denied);
    dp_rlog(r, APLOG_INFO, 0, 202, "source %s: refused with %d (%s)",
            task->source_name, status, detail);
    return dp_reply_failure(
        r, &task->dir, status, 0,
        apr_pstrcat(r->pool, "detail=\"", detail, "\"", NULL));
}

/* --- answers ----------------------------------------------------------- */

/* A bucket of the tile's bytes: of the file where httpd may send files itself,
 * else of memory; NULL where they can't be read. */
static apr_bucket *bucket_of(request_rec *r, const dp_found_t *found,
                             const dp_record_tile_t *tile)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const dogpile_blob_t *blob = &found->blob;
    const unsigned char *bytes;

    if (core->enable_sendfile == ENABLE_SENDFILE_ON && blob->file != NULL
        && tile->offset + tile->length > blob->have) {
        return apr_bucket_file_create(blob->file, tile->offset, tile->length,
                                      r->pool, r->connection->bucket_alloc);
    }
    if (dp_blob_bytes(&bytes, blob, tile->offset, tile->length, r->pool)
        != APR_SUCCESS) {
        return NULL;
    }
    return apr_bucket_pool_create((const char *)bytes, tile->length, r->pool,
                                  r->connection->bucket_alloc);
}

/* From the store. Returns DECLINED where there is nothing fresh. */
static int answer_from_store(request_rec *r, const dp_task_t *task)
{
    int index = dp_task_index(task);
    apr_bucket *body = NULL;
    dp_found_t found;

    if (task->store == NULL
        || dp_store_look(task->store, &task->key, &found, r->pool)
               != APR_SUCCESS
        || found.record.expires <= r->request_time
        || index >= found.record.ntiles) {
        return DECLINED;
    }
    body = bucket_of(r, &found, &found.record.tiles[index]);
    if (body == NULL) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_hits);
    dp_reply_note(r, "hit");
    return dp_reply_tile(r, &task->dir, &found.record, index, "hit", body);
}

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
    int index = dp_task_index(task);
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
    dp_count(&dp_child.area->counters, DP_COUNT_failed);
    return dp_reply_failure(
        r, &task->dir, outcome->status, outcome->retry_after_sec,
        apr_psprintf(r->pool, "%s; detail=\"%s\"", how, outcome->why));
}

static int shed(request_rec *r, const dp_task_t *task, const char *why)
{
    dp_count(&dp_child.area->counters, DP_COUNT_shed);
    return dp_reply_failure(
        r, &task->dir, HTTP_SERVICE_UNAVAILABLE, SHED_RETRY_SEC,
        apr_pstrcat(r->pool, "fwd=uri-miss; detail=\"", why, "\"", NULL));
}

/* --- waiting ----------------------------------------------------------- */

/* How a request came to its tile, for Cache-Status (RFC 9211). */
static const char *way_of(const dp_task_t *task, dp_join_e join,
                          const dp_outcome_t *outcome, apr_pool_t *pool)
{
    int is_off_grid = task->verdict == DP_VERDICT_OFF_GRID
                      && outcome->kind == DP_OUTCOME_RECORD;

    return apr_pstrcat(pool, "fwd=uri-miss",
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
        return pass(r, task, DP_REASON_UNSHAREABLE);
    case DP_OUTCOME_FAILED:
        break;
    }
    return answer_failure(r, task, outcome, how);
}

/* Wait, and note in the environment how long. Returns 1 when it has landed. */
static int wait_for_landing(request_rec *r, const dp_task_t *task,
                            dp_waiter_t *waiter, dp_outcome_t *outcome)
{
    apr_time_t begun = dp_clock_now(&dp_clock_monotonic);
    apr_time_t waited;

    dp_flight_wait(waiter, begun + task->dir.wait_usec, dp_child.max_blocked);
    waited = dp_clock_now(&dp_clock_monotonic) - begun;
    apr_table_setn(
        r->subprocess_env, "DOGPILE_WAIT_MS",
        apr_psprintf(r->pool, "%" APR_TIME_T_FMT, apr_time_as_msec(waited)));
    if (dp_flight_outcome(waiter, outcome)) {
        return 1;
    }
    dp_outcome_fail(outcome, HTTP_SERVICE_UNAVAILABLE, SHED_RETRY_SEC,
                    waited < task->dir.wait_usec ? "too many requests wait"
                                                 : "no answer in time");
    return 0;
}

static int wait_and_answer(request_rec *r, const dp_task_t *task,
                           dp_waiter_t *waiter, dp_join_e join)
{
    dp_counters_t *counters = &dp_child.area->counters;
    dp_outcome_t outcome;

    if (dp_flight_outcome(waiter, &outcome)
        && outcome.kind == DP_OUTCOME_RECORD) {
        /* It has landed and is about to be stored. */
        dp_count(counters, DP_COUNT_hits);
        return answer_outcome(r, task, waiter, &outcome, "hit");
    }
    dp_count(counters, DP_COUNT_misses);
    if (join == DP_JOIN_WAITER) {
        dp_count(counters, DP_COUNT_collapsed);
    }
    if (!wait_for_landing(r, task, waiter, &outcome)) {
        return shed(r, task, outcome.why);
    }
    return answer_outcome(r, task, waiter, &outcome,
                          way_of(task, join, &outcome, r->pool));
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

static int join_flight(request_rec *r, dp_task_t *task)
{
    dp_flights_t *flights = dp_child.flights;
    dp_waiter_t *waiter;
    dp_join_e join;
    int status;

    if (dp_internal_bootstrap(r->connection) != APR_SUCCESS) {
        return shed(r, task, "no internal connection");
    }
    join = dp_flight_join(flights, &task->key.digest, dp_task_source(task),
                          dp_task_job, task, &waiter, r->pool);
    if (join == DP_JOIN_FULL) {
        return shed(r, task, "no room for another flight");
    }
    if (!dp_child.is_threaded) {
        /* When the answer has been sent and before the next request. */
        apr_pool_cleanup_register(r->pool, flights, settle,
                                  apr_pool_cleanup_null);
    }
    status = wait_and_answer(r, task, waiter, join);
    dp_flight_leave(waiter);
    return status;
}

/* --- the handler ------------------------------------------------------- */

static void note_key(request_rec *r, const dp_task_t *task)
{
    char *hex = apr_palloc(r->pool, DP_DIGEST_HEX_BYTES);

    apr_table_setn(r->subprocess_env, "DOGPILE_KEY",
                   dp_hex(hex, task->key.digest.bytes, DOGPILE_DIGEST_BYTES));
}

static int answer(request_rec *r, dp_task_t *task)
{
    int status;

    if (r->method_number != M_GET) {
        return pass(r, task, DP_REASON_METHOD);
    }
    switch (task->verdict) {
    case DP_VERDICT_PASS:
        return pass(r, task, task->request.reason);
    case DP_VERDICT_DENY:
    case DP_VERDICT_BAD:
        return refuse(r, task);
    case DP_VERDICT_TILE:
    case DP_VERDICT_OFF_GRID:
        break;
    }
    if (!task->dir.shares_credentials
        && apr_table_get(r->headers_in, "Authorization")) {
        return pass(r, task, DP_REASON_AUTHORIZATION);
    }
    note_key(r, task);
    status = answer_from_store(r, task);
    return status != DECLINED ? status : join_flight(r, task);
}

/* An ErrorDocument of this site, found by an internal redirect: what the
 * client asked has its answer already. */
static int is_error_page(const request_rec *r)
{
    return r->prev != NULL && r->status != HTTP_OK;
}

int dp_handler(request_rec *r)
{
    const dp_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &dogpile_module);
    dp_dir_t resolved;
    dp_task_t task;

    if (dir->enable != 1 || r->main != NULL || is_error_page(r)
        || dp_child.flights == NULL || dp_is_internal(r->connection)
        || dp_status_is(r)) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_requests);
    dp_dir_resolve(&resolved, dir);
    dp_task_read(&task, r, &resolved);
    return answer(r, &task);
}
