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

/* Of headers that are kept with a metatile. */
#define KEPT_MAX 32
#define KEPT_VALUE_MAX 1024

/* --- b. look ----------------------------------------------------------- */

static apr_status_t look(void *baton, dp_catch_t *found, dogpile_id_t *base,
                         apr_pool_t *pool)
{
    const dp_task_t *task = baton;
    const unsigned char *bytes;
    dp_found_t in_store;
    apr_status_t rv;

    if (task->store == NULL) {
        return APR_NOTFOUND;
    }
    rv = dp_store_look(task->store, &task->key, &in_store, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *base = in_store.record.write_id;
    if (in_store.record.expires <= apr_time_now()) {
        return APR_NOTFOUND;
    }
    rv = dp_blob_bytes(&bytes, &in_store.blob, 0, in_store.record.length, pool);
    if (rv == APR_SUCCESS) {
        found->outcome.kind = DP_OUTCOME_RECORD;
        found->outcome.length = in_store.record.length;
        found->bytes = bytes;
    }
    return rv;
}

/* --- c. fetch ---------------------------------------------------------- */

static void ask_source(dp_answer_t *answer, const dp_task_t *task,
                       apr_thread_t *thread, apr_pool_t *pool)
{
    const dp_source_t *source = task->dir.source;
    dp_ask_t ask;
    int width;
    int height;

    dp_picture_size(task, &width, &height);
    ask.server = task->server;
    ask.is_tls = task->is_tls;
    ask.headers = task->dir.source_headers;
    ask.max_bytes =
        (apr_size_t)width * (apr_size_t)height * 8 + ANSWER_SLACK_BYTES;
    ask.target = apr_pstrcat(
        pool, source ? source->path : task->path, "?",
        dp_wms_query(&task->request, source ? source->query : NULL, pool),
        NULL);
    dp_internal_get(answer, &ask, thread, pool);
    dp_slog(task->server, APLOG_DEBUG, 0, 602,
            "source %s: %s: status %d, %" APR_SIZE_T_FMT " bytes",
            task->source_name, ask.target, answer->status, answer->size);
}

static int retry_after(const dp_answer_t *answer)
{
    const char *value = apr_table_get(answer->headers, "Retry-After");
    apr_int64_t seconds;

    return value && dp_text_int(value, 1, RETRY_AFTER_MAX_SEC, &seconds)
               ? (int)seconds
               : RETRY_AFTER_SEC;
}

static void fail(dp_catch_t *made, const dp_task_t *task, int status,
                 int retry_after_sec, const char *wrong)
{
    dp_slog(task->server, APLOG_WARNING, 0, 601, "source %s: %s (%s/%d/%u/%u)",
            task->source_name, wrong, task->key.grid, task->key.z, task->key.x,
            task->key.y);
    dp_outcome_fail(&made->outcome, status, retry_after_sec,
                    "the source failed");
}

/* --- d. split, and make a record --------------------------------------- */

static const char *split(dp_record_body_t **bodies, int *nbodies,
                         const dp_answer_t *answer, const dp_task_t *task,
                         dp_image_kind_e kind, apr_pool_t *pool)
{
    const dp_metatile_t *metatile = &task->request.metatile;
    int n = task->verdict == DP_VERDICT_TILE ? dp_metatile_count(metatile) : 1;
    const char *why = NULL;
    dp_window_t *windows;
    dp_piece_t *pieces;
    int i;

    (void)kind;
    *bodies = apr_pcalloc(pool, (apr_size_t)n * sizeof(**bodies));
    *nbodies = n;
    if (task->verdict != DP_VERDICT_TILE || dp_metatile_is_plain(metatile)) {
        (*bodies)[0].bytes = answer->body;
        (*bodies)[0].size = answer->size;
        return NULL;
    }
    windows = apr_palloc(pool, (apr_size_t)n * sizeof(*windows));
    pieces = apr_palloc(pool, (apr_size_t)n * sizeof(*pieces));
    for (i = 0; i < n; i++) {
        windows[i] = dp_metatile_window(metatile, i);
    }
    if (dp_image_split(pieces, answer->body, answer->size, metatile->width_px,
                       metatile->height_px, windows, n, &why, pool)
        != APR_SUCCESS) {
        return why;
    }
    for (i = 0; i < n; i++) {
        (*bodies)[i].bytes = pieces[i].bytes;
        (*bodies)[i].size = pieces[i].size;
    }
    return NULL;
}

static int is_kept(const dp_task_t *task, const char *name)
{
    int i;

    if (strncasecmp(name, "Access-Control-", 15) == 0) {
        return 1; /* without them no canvas shows the tiles */
    }
    for (i = 0; i < task->dir.keep_headers->n; i++) {
        if (strcasecmp(name, task->dir.keep_headers->names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void keep_headers(dp_record_t *record, const dp_answer_t *answer,
                         const dp_task_t *task, apr_pool_t *pool)
{
    const apr_array_header_t *all = apr_table_elts(answer->headers);
    dp_record_header_t *kept = apr_palloc(pool, KEPT_MAX * sizeof(*kept));
    int n = 0;
    int i;

    for (i = 0; i < all->nelts && n < KEPT_MAX; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(all, i, apr_table_entry_t);

        if (is_kept(task, e->key) && strlen(e->val) <= KEPT_VALUE_MAX) {
            kept[n].name = e->key;
            kept[n].value = e->val;
            n++;
        }
    }
    record->headers = kept;
    record->nheaders = n;
}

static void read_freshness(dp_freshness_t *freshness, const dp_answer_t *answer,
                           const dp_task_t *task, apr_pool_t *pool)
{
    const apr_table_t *headers = answer->headers;
    dp_answer_fields_t fields;
    unsigned int dice;

    /* A list may come in several lines (RFC 9110 section 5.3). */
    fields.cache_control = apr_table_getm(pool, headers, "Cache-Control");
    fields.cdn_cache_control =
        apr_table_getm(pool, headers, "CDN-Cache-Control");
    fields.vary = apr_table_getm(pool, headers, "Vary");
    fields.expires = apr_table_get(headers, "Expires");
    fields.date = apr_table_get(headers, "Date");
    fields.age = apr_table_get(headers, "Age");
    dp_freshness_read(freshness, &fields);
    if (!task->dir.honours_upstream) {
        freshness->is_shareable = 1;
        freshness->is_explicit = 0;
    }
    if (!freshness->is_explicit) {
        dogpile_id_t id;

        dp_id_make(&id);
        memcpy(&dice, id.bytes, sizeof(dice));
        freshness->lifetime_usec = dp_freshness_jitter(
            task->dir.expire_usec, task->dir.jitter_percent, dice);
    }
}

static const char *make_record(dp_catch_t *made, const dp_task_t *task,
                               const dp_answer_t *answer, dp_image_kind_e kind,
                               apr_time_t created, apr_pool_t *pool)
{
    dp_freshness_t freshness;
    dp_record_body_t *bodies;
    dp_record_t record;
    unsigned char *bytes;
    const char *wrong;
    int n;

    read_freshness(&freshness, answer, task, pool);
    if (!freshness.is_shareable) {
        made->outcome.kind = DP_OUTCOME_PASS;
        return NULL;
    }
    wrong = split(&bodies, &n, answer, task, kind, pool);
    if (wrong) {
        return wrong;
    }
    memset(&record, 0, sizeof(record));
    record.key = task->key.digest;
    dp_id_make(&record.write_id);
    record.created = created;
    record.expires = created + freshness.lifetime_usec;
    record.media_type = answer->media_type && strlen(answer->media_type) < 128
                            ? answer->media_type
                            : dp_image_media_type(kind);
    record.source_etag = apr_table_get(answer->headers, "ETag");
    record.source_last_modified =
        apr_table_get(answer->headers, "Last-Modified");
    keep_headers(&record, answer, task, pool);
    if (record.media_type == NULL
        || dp_record_write(&bytes, &record, bodies, n, pool) != APR_SUCCESS) {
        return "its metatile is larger than a record may be";
    }
    made->outcome.kind = DP_OUTCOME_RECORD;
    made->outcome.length = record.length;
    made->bytes = bytes;
    made->outcome.is_storable = task->store && freshness.lifetime_usec > 0;
    return NULL;
}

static void produce(void *baton, apr_thread_t *thread, dp_catch_t *made,
                    dp_early_t *early, apr_pool_t *pool)
{
    const dp_task_t *task = baton;
    apr_time_t created = apr_time_now();
    dp_image_kind_e kind = DP_IMAGE_UNKNOWN;
    int status = HTTP_BAD_GATEWAY;
    dp_answer_t answer;
    const char *wrong;
    uint32_t fetch_ms;

    (void)early;
    ask_source(&answer, task, thread, pool);
    fetch_ms = (uint32_t)apr_time_as_msec(apr_time_now() - created);
    wrong = dp_validate(&answer, task, &kind, &status, pool);
    if (wrong == NULL) {
        wrong = make_record(made, task, &answer, kind, created, pool);
    }
    if (wrong) {
        fail(made, task, status, retry_after(&answer), wrong);
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

const dp_work_t dp_fetch_work = {
    .look = look,
    .produce = produce,
    .keep = keep,
};
