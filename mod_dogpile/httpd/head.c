/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the headers of a source's good answer to the head of a record. Called
 * on fetcher threads; everything lives in the flight's pool, and texts of a
 * known record in that of its look, which is the same.
 *
 * The invariant: a head says of times only what the source has said, or else
 * that it has said nothing, so that directives that change later hold for what
 * is in the store already. Lifetimes alone are fixed when a record is made.
 */
#include "httpd/head.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "policy/freshness.h"

/* Of headers that are kept with a metatile. */
#define KEPT_MAX 32
#define KEPT_VALUE_MAX 1024

/* --- headers ----------------------------------------------------------- */

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

/* Room for all that may be kept. */
static dp_record_header_t *no_headers(dp_record_t *record, apr_pool_t *pool)
{
    dp_record_header_t *kept = apr_palloc(pool, KEPT_MAX * sizeof(*kept));

    record->headers = kept;
    record->nheaders = 0;
    return kept;
}

static void keep_headers(dp_record_t *record, dp_record_header_t *kept,
                         const dp_answer_t *answer, const dp_task_t *task)
{
    const apr_array_header_t *all = apr_table_elts(answer->headers);
    int i;

    for (i = 0; i < all->nelts && record->nheaders < KEPT_MAX; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(all, i, apr_table_entry_t);

        if (is_kept(task, e->key) && strlen(e->val) <= KEPT_VALUE_MAX) {
            kept[record->nheaders].name = e->key;
            kept[record->nheaders++].value = e->val;
        }
    }
}

/* Those of a known record that the answer doesn't name. */
static void keep_known(dp_record_t *record, dp_record_header_t *kept,
                       const dp_record_t *known, const dp_answer_t *answer,
                       const dp_task_t *task)
{
    int i;

    for (i = 0; i < known->nheaders && record->nheaders < KEPT_MAX; i++) {
        const char *name = known->headers[i].name;

        if (is_kept(task, name)
            && apr_table_get(answer->headers, name) == NULL) {
            kept[record->nheaders++] = known->headers[i];
        }
    }
}

/* --- freshness --------------------------------------------------------- */

static void use_directive(dp_freshness_t *freshness, const dp_task_t *task)
{
    unsigned int dice;
    dogpile_id_t id;

    dp_id_make(&id);
    memcpy(&dice, id.bytes, sizeof(dice));
    freshness->lifetime_usec = dp_freshness_jitter(
        task->dir.expire_usec, task->dir.jitter_percent, dice);
}

static void set_aside(dp_freshness_t *freshness)
{
    memset(freshness, 0, sizeof(*freshness));
    freshness->is_shareable = 1;
    freshness->stale_usec = DP_WINDOW_UNSET;
    freshness->stale_on_error_usec = DP_WINDOW_UNSET;
}

static void read_freshness(dp_freshness_t *freshness, const dp_answer_t *answer,
                           const dp_task_t *task, apr_pool_t *pool)
{
    const apr_table_t *headers = answer->headers;
    dp_answer_fields_t fields;

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
        set_aside(freshness);
    }
    if (!freshness->is_explicit) {
        use_directive(freshness, task);
    }
}

/* A 304 has the headers of freshness that a 200 would have had (RFC 9110
 * section 15.4.5); from a source that leaves all of them out, those of the
 * known record hold. */
static void read_renewed(dp_freshness_t *freshness, const dp_answer_t *answer,
                         const dp_record_t *known, const dp_task_t *task,
                         apr_pool_t *pool)
{
    const apr_table_t *headers = answer->headers;
    apr_interval_time_t lifetime =
        known->expires - known->created + known->age_usec;

    read_freshness(freshness, answer, task, pool);
    if (apr_table_get(headers, "Cache-Control")
        || apr_table_get(headers, "CDN-Cache-Control")
        || apr_table_get(headers, "Expires")) {
        return;
    }
    freshness->stale_usec = known->stale_usec;
    freshness->stale_on_error_usec = known->stale_on_error_usec;
    freshness->must_revalidate = known->must_revalidate;
    if (known->is_explicit) {
        lifetime -= freshness->age_usec;
        freshness->is_explicit = 1;
        freshness->lifetime_usec = lifetime > 0 ? lifetime : 0;
    }
}

static void set_times(dp_record_t *record, const dp_freshness_t *freshness,
                      apr_time_t created)
{
    record->created = created;
    record->expires = created + freshness->lifetime_usec;
    record->age_usec = freshness->age_usec;
    record->stale_usec = freshness->stale_usec;
    record->stale_on_error_usec = freshness->stale_on_error_usec;
    record->is_explicit = freshness->is_explicit;
    record->must_revalidate = freshness->must_revalidate;
}

int dp_head_is_worth_keeping(const dp_record_t *record)
{
    return record->expires > record->created || record->stale_usec > 0
           || record->stale_on_error_usec > 0
           /* The source can be asked whether it is still good. */
           || (record->is_explicit
               && (record->source_etag || record->source_last_modified));
}

/* --- heads ------------------------------------------------------------- */

static void begin(dp_record_t *record, const dp_task_t *task,
                  const dp_answer_t *answer)
{
    memset(record, 0, sizeof(*record));
    record->key = task->key.digest;
    dp_id_make(&record->write_id);
    record->source_etag = apr_table_get(answer->headers, "ETag");
    record->source_last_modified =
        apr_table_get(answer->headers, "Last-Modified");
}

int dp_head_make(dp_record_t *record, const dp_task_t *task,
                 const dp_answer_t *answer, dp_image_kind_e kind,
                 apr_time_t created, apr_pool_t *pool)
{
    dp_freshness_t freshness;

    begin(record, task, answer);
    read_freshness(&freshness, answer, task, pool);
    set_times(record, &freshness, created);
    record->media_type = answer->media_type && strlen(answer->media_type) < 128
                             ? answer->media_type
                             : dp_image_media_type(kind);
    keep_headers(record, no_headers(record, pool), answer, task);
    return freshness.is_shareable;
}

int dp_head_renew(dp_record_t *record, const dp_task_t *task,
                  const dp_record_t *known, const dp_answer_t *answer,
                  apr_time_t created, apr_pool_t *pool)
{
    dp_record_header_t *kept;
    dp_freshness_t freshness;

    begin(record, task, answer);
    if (record->source_etag == NULL) {
        record->source_etag = known->source_etag;
    }
    if (record->source_last_modified == NULL) {
        record->source_last_modified = known->source_last_modified;
    }
    read_renewed(&freshness, answer, known, task, pool);
    set_times(record, &freshness, created);
    record->media_type = known->media_type;
    kept = no_headers(record, pool);
    keep_headers(record, kept, answer, task);
    keep_known(record, kept, known, answer, task);
    return freshness.is_shareable;
}
