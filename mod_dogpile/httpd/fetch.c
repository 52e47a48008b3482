/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of a flight, on a fetcher thread: the three callbacks of
 * dp_work_t. Nothing here belongs to any client; everything lives in the
 * flight's pool.
 */
#include "httpd/fetch.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "base/text.h"
#include "httpd/start.h"
#include "policy/freshness.h"
#include "store/blob.h"

/* When a client should ask again after a failure. */
#define RETRY_AFTER_SEC 5
#define RETRY_AFTER_MAX_SEC 3600

/* A metatile is never longer than its pixels with 16 bits for each of four
 * channels, and a service exception never longer than this. */
#define ANSWER_SLACK_BYTES (1024 * 1024)

/* --- b. look ----------------------------------------------------------- */

static apr_status_t look(void *baton, dp_catch_t *found, dogpile_id_t *base,
                         apr_pool_t *pool)
{
    dp_task_t *task = baton;
    dp_found_t *in_store = apr_palloc(pool, sizeof(*in_store));
    const unsigned char *bytes;
    apr_status_t rv;

    task->found = NULL;
    if (task->store == NULL) {
        return APR_NOTFOUND;
    }
    rv = dp_store_look(task->store, &task->key, in_store, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *base = in_store->record.write_id;
    if (in_store->record.expires <= apr_time_now()
        || in_store->record.created < task->newer_than) {
        task->found = in_store;
        return APR_NOTFOUND;
    }
    rv = dp_blob_bytes(&bytes, &in_store->blob, 0, in_store->record.length,
                       pool);
    if (rv == APR_SUCCESS) {
        found->outcome.kind = DP_OUTCOME_RECORD;
        found->outcome.length = in_store->record.length;
        found->bytes = bytes;
    }
    return rv;
}

/* --- c. fetch ---------------------------------------------------------- */

/* What the source may be asked about, or NULL. */
static const dp_known_t *known_of(const dp_task_t *task, apr_pool_t *pool)
{
    const dp_found_t *found = task->found;
    dp_known_t *known = apr_palloc(pool, sizeof(*known));

    if (found == NULL
        || dp_blob_bytes(&known->bytes, &found->blob, 0, found->record.length,
                         pool)
               != APR_SUCCESS) {
        return NULL;
    }
    known->record = found->record;
    return dp_is_renewable(known, task) ? known : NULL;
}

/*
 * Ask; once more where the connection ended before a byte of an answer came. A
 * backend may close a connection that it has kept open at the very moment when
 * the next request is sent on it.
 */
static void ask_twice(dp_answer_t *answer, dp_ask_t *ask, const dp_task_t *task,
                      apr_thread_t *thread, apr_pool_t *pool)
{
    dp_internal_get(answer, ask, thread, pool);
    if (answer->is_unanswered) {
        dp_slog(task->server, APLOG_DEBUG, 0, 603,
                "source %s: the connection ended without an answer; asked "
                "again",
                task->source_name);
        dp_count(&dp_child.area->counters, DP_COUNT_retries);
        ask->is_repeated = 1;
        dp_internal_get(answer, ask, thread, pool);
    }
}

static void ask_source(dp_answer_t *answer, const dp_task_t *task,
                       const dp_known_t *known, apr_thread_t *thread,
                       apr_pool_t *pool)
{
    const dp_source_t *source = task->dir.source;
    dp_ask_t ask;
    int width;
    int height;

    dp_picture_size(task, &width, &height);
    ask.server = task->server;
    ask.is_tls = task->is_tls;
    ask.headers = task->dir.source_headers;
    ask.etag = known ? known->record.source_etag : NULL;
    ask.last_modified = known ? known->record.source_last_modified : NULL;
    ask.max_bytes =
        (apr_size_t)width * (apr_size_t)height * 8 + ANSWER_SLACK_BYTES;
    ask.target = apr_pstrcat(
        pool, source ? source->path : task->path, "?",
        dp_wms_query(&task->request, source ? source->query : NULL, pool),
        NULL);
    ask.is_repeated = 0;
    ask_twice(answer, &ask, task, thread, pool);
    dp_slog(task->server, APLOG_DEBUG, 0, 602,
            "source %s: %s: status %d, %" APR_SIZE_T_FMT " bytes",
            task->source_name, ask.target, answer->status, answer->size);
}

/* The source's own word, 0 for none. */
static int retry_after(const dp_answer_t *answer)
{
    const char *value = apr_table_get(answer->headers, "Retry-After");
    apr_int64_t seconds;

    return value && dp_text_int(value, 1, RETRY_AFTER_MAX_SEC, &seconds)
               ? (int)seconds
               : 0;
}

/* What answers works, unless it says itself that it doesn't. */
static dp_blame_e blame_of(const dp_answer_t *answer)
{
    if (answer->is_broken
        || (!answer->is_complete && !answer->is_too_long
            && answer->status == HTTP_OK)) {
        return DP_BLAME_EITHER;
    }
    switch (answer->status) {
    case 0:
    case HTTP_TOO_MANY_REQUESTS:
    case HTTP_BAD_GATEWAY:
    case HTTP_SERVICE_UNAVAILABLE:
    case HTTP_GATEWAY_TIME_OUT:
        return DP_BLAME_SOURCE;
    default:
        return ap_is_HTTP_SERVER_ERROR(answer->status) ? DP_BLAME_EITHER
                                                       : DP_BLAME_PICTURE;
    }
}

static void fail(dp_catch_t *made, const dp_task_t *task, int status,
                 const dp_answer_t *answer, const char *wrong)
{
    int wanted_sec = retry_after(answer);

    dp_slog(task->server, APLOG_WARNING, 0, 601, "source %s: %s (%s/%d/%u/%u)",
            task->source_name, wrong, task->key.grid, task->key.z, task->key.x,
            task->key.y);
    dp_outcome_fail(&made->outcome, status,
                    wanted_sec > 0 ? wanted_sec : RETRY_AFTER_SEC,
                    "the source failed");
    made->outcome.source_retry_sec = wanted_sec;
    made->outcome.blame = blame_of(answer);
    apr_cpystrn(made->outcome.fault, wrong, sizeof(made->outcome.fault));
}

/* Returns NULL, or what is wrong; `status` is then for the clients. */
static const char *take_answer(dp_catch_t *made, const dp_task_t *task,
                               const dp_known_t *known,
                               const dp_answer_t *answer, apr_time_t created,
                               dp_early_t *early, int *status, apr_pool_t *pool)
{
    dp_image_kind_e kind = DP_IMAGE_UNKNOWN;
    const char *wrong;

    if (known != NULL && answer->status == HTTP_NOT_MODIFIED) {
        dp_count(&dp_child.area->counters, DP_COUNT_renewed);
        return dp_renew_record(made, task, known, answer, created, pool);
    }
    wrong = dp_validate(answer, task, &kind, status, pool);
    return wrong
               ? wrong
               : dp_make_record(made, task, answer, kind, created, early, pool);
}

static void produce(void *baton, apr_thread_t *thread, dp_catch_t *made,
                    dp_early_t *early, apr_pool_t *pool)
{
    const dp_task_t *task = baton;
    const dp_known_t *known = known_of(task, pool);
    apr_time_t created = apr_time_now();
    int status = HTTP_BAD_GATEWAY;
    dp_answer_t answer;
    const char *wrong;
    uint32_t fetch_ms;

    ask_source(&answer, task, known, thread, pool);
    fetch_ms = (uint32_t)apr_time_as_msec(apr_time_now() - created);
    made->outcome.fetch_ms = fetch_ms;           /* which parts tell, too */
    made->outcome.source_status = answer.status; /* of the parts, too */
    wrong =
        take_answer(made, task, known, &answer, created, early, &status, pool);
    if (wrong) {
        fail(made, task, status, &answer, wrong);
        made->outcome.source_status = answer.status;
    }
    made->outcome.fetch_ms = fetch_ms;
}

/* --- e. store ---------------------------------------------------------- */

static void keep(void *baton, const dp_catch_t *made, const dogpile_id_t *base,
                 apr_pool_t *pool)
{
    const dp_task_t *task = baton;
    dp_counters_t *counters = &dp_child.area->counters;
    apr_status_t rv = dp_store_put(task->store, &task->key, base, made->bytes,
                                   made->outcome.length, pool);

    dp_hot_forget(dp_child.hot, task->store, &task->key);
    if (rv == APR_EEXIST) {
        dp_count(counters, DP_COUNT_store_refused);
        return;
    }
    dp_count(counters,
             rv == APR_SUCCESS ? DP_COUNT_stored : DP_COUNT_store_errors);
}

static int is_own(void *baton, const dogpile_holder_t *holder, apr_pool_t *pool)
{
    const dp_task_t *task = baton;
    const char *host = dp_task_locker(task)->conf.host;

    return strcmp(holder->host, host ? host : dp_lock_this_host(pool)) == 0
           && dp_table_find_slot(dp_child.shared->table, holder->pid) >= 0;
}

const dp_work_t dp_fetch_work = {
    .look = look,
    .produce = produce,
    .keep = keep,
    .is_own = is_own,
};
