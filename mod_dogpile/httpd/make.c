/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a source's good answer to a record: its tiles, its freshness, the
 * headers that are kept. On a fetcher thread, the cutting on others as well
 * (cut.c); each tile is handed to those who wait for it as soon as it is cut,
 * as a record of its own.
 *
 * Everything lives in the flight's pool. The invariant: the records of the
 * tiles and that of the whole say the same of the same tile.
 */
#include "httpd/fetch.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "httpd/cut.h"
#include "policy/freshness.h"

/* Of headers that are kept with a metatile. */
#define KEPT_MAX 32
#define KEPT_VALUE_MAX 1024

/* --- headers and freshness --------------------------------------------- */

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

/* --- tiles ------------------------------------------------------------- */

/* What is the same for the records of all tiles. */
typedef struct tiles_t {
    const dp_record_t *head;
    const dp_outcome_t *outcome;
    dp_early_t *early;
} tiles_t;

/* A dp_cut_fn. */
static void hand_out(void *baton, int i, const dp_piece_t *piece,
                     apr_pool_t *pool)
{
    const tiles_t *tiles = baton;
    dp_record_body_t body = {piece->bytes, piece->size};
    dp_record_t record = *tiles->head;
    dp_catch_t part = {.outcome = *tiles->outcome};
    unsigned char *bytes;

    if (!dp_flight_wants_parts(tiles->early)
        || dp_record_write(&bytes, &record, &body, 1, pool) != APR_SUCCESS) {
        return; /* it comes with the whole */
    }
    part.bytes = bytes;
    part.outcome.length = record.length;
    dp_flight_add_part(tiles->early, i, &part);
}

static int is_cut(const dp_task_t *task)
{
    return task->verdict == DP_VERDICT_TILE
           && !dp_metatile_is_plain(&task->request.metatile);
}

/* Returns NULL or what is wrong with the picture. */
static const char *cut(dp_record_body_t *bodies, int n,
                       const dp_answer_t *answer, const dp_task_t *task,
                       tiles_t *tiles, apr_pool_t *pool)
{
    const dp_metatile_t *metatile = &task->request.metatile;
    dp_window_t *windows = apr_palloc(pool, (apr_size_t)n * sizeof(*windows));
    dp_piece_t *pieces = apr_pcalloc(pool, (apr_size_t)n * sizeof(*pieces));
    dp_cut_t work = {
        .n = n, .first = dp_task_index(task), .done = hand_out, .baton = tiles};
    const char *why = NULL;
    int i;

    for (i = 0; i < n; i++) {
        windows[i] = dp_metatile_window(metatile, i);
    }
    if (dp_split_open(&work.split, answer->body, answer->size,
                      metatile->width_px, metatile->height_px, windows, n, &why,
                      pool)
            != APR_SUCCESS
        || dp_cut(pieces, &work, &why, pool) != APR_SUCCESS) {
        return why;
    }
    for (i = 0; i < n; i++) {
        bodies[i].bytes = pieces[i].bytes;
        bodies[i].size = pieces[i].size;
    }
    return NULL;
}

static const char *get_bodies(dp_record_body_t **bodies, int *n,
                              const dp_answer_t *answer, const dp_task_t *task,
                              tiles_t *tiles, apr_pool_t *pool)
{
    *n = is_cut(task) ? dp_metatile_count(&task->request.metatile) : 1;
    *bodies = apr_pcalloc(pool, (apr_size_t)*n * sizeof(**bodies));
    if (is_cut(task)) {
        return cut(*bodies, *n, answer, task, tiles, pool);
    }
    (*bodies)[0].bytes = answer->body;
    (*bodies)[0].size = answer->size;
    return NULL;
}

/* --- the record -------------------------------------------------------- */

/* All of it but the tiles. */
static void fill_head(dp_record_t *record, const dp_task_t *task,
                      const dp_answer_t *answer, dp_image_kind_e kind,
                      apr_time_t created, apr_pool_t *pool)
{
    memset(record, 0, sizeof(*record));
    record->key = task->key.digest;
    dp_id_make(&record->write_id);
    record->created = created;
    record->media_type = answer->media_type && strlen(answer->media_type) < 128
                             ? answer->media_type
                             : dp_image_media_type(kind);
    record->source_etag = apr_table_get(answer->headers, "ETag");
    record->source_last_modified =
        apr_table_get(answer->headers, "Last-Modified");
    keep_headers(record, answer, task, pool);
}

const char *dp_make_record(dp_catch_t *made, const dp_task_t *task,
                           const dp_answer_t *answer, dp_image_kind_e kind,
                           apr_time_t created, dp_early_t *early,
                           apr_pool_t *pool)
{
    dp_freshness_t freshness;
    dp_record_body_t *bodies;
    dp_record_t record;
    tiles_t tiles = {&record, &made->outcome, early};
    unsigned char *bytes;
    const char *wrong;
    int n;

    read_freshness(&freshness, answer, task, pool);
    if (!freshness.is_shareable) {
        made->outcome.kind = DP_OUTCOME_PASS;
        return NULL;
    }
    fill_head(&record, task, answer, kind, created, pool);
    record.expires = created + freshness.lifetime_usec;
    made->outcome.kind = DP_OUTCOME_RECORD;
    made->outcome.is_fetched = 1;
    made->outcome.is_storable = task->store && freshness.lifetime_usec > 0;
    if (record.media_type == NULL) {
        return "it has no media type";
    }
    wrong = get_bodies(&bodies, &n, answer, task, &tiles, pool);
    if (wrong) {
        return wrong;
    }
    if (dp_record_write(&bytes, &record, bodies, n, pool) != APR_SUCCESS) {
        return "its metatile is larger than a record may be";
    }
    made->outcome.length = record.length;
    made->bytes = bytes;
    return NULL;
}
