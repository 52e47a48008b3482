/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a source's good answer to a record: its tiles, and what head.c makes of
 * its headers. On a fetcher thread, the cutting on others as well (cut.c); each
 * tile is handed to those who wait for it as soon as it is cut, as a record of
 * its own. An answer that says "not modified" makes a record of the tiles that
 * are known.
 *
 * Everything lives in the flight's pool. The invariant: the records of the
 * tiles and that of the whole say the same of the same tile.
 */
#include "httpd/fetch.h"

#include "httpd/cut.h"
#include "httpd/head.h"

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

static int is_storable(const dp_task_t *task, const dp_record_t *record)
{
    return task->store != NULL && dp_head_is_worth_keeping(record);
}

/* Returns NULL, or what is wrong. */
static const char *write_record(dp_catch_t *made, dp_record_t *record,
                                const dp_record_body_t *bodies, int n,
                                apr_pool_t *pool)
{
    unsigned char *bytes;

    if (dp_record_write(&bytes, record, bodies, n, pool) != APR_SUCCESS) {
        return "its metatile is larger than a record may be";
    }
    made->outcome.length = record->length;
    made->bytes = bytes;
    return NULL;
}

const char *dp_make_record(dp_catch_t *made, const dp_task_t *task,
                           const dp_answer_t *answer, dp_image_kind_e kind,
                           apr_time_t created, dp_early_t *early,
                           apr_pool_t *pool)
{
    dp_record_body_t *bodies;
    dp_record_t record;
    tiles_t tiles = {&record, &made->outcome, early};
    const char *wrong;
    int n;

    if (!dp_head_make(&record, task, answer, kind, created, pool)) {
        made->outcome.kind = DP_OUTCOME_PASS;
        return NULL;
    }
    made->outcome.kind = DP_OUTCOME_RECORD;
    made->outcome.is_fetched = 1;
    made->outcome.is_storable = is_storable(task, &record);
    if (record.media_type == NULL) {
        return "it has no media type";
    }
    wrong = get_bodies(&bodies, &n, answer, task, &tiles, pool);
    return wrong ? wrong : write_record(made, &record, bodies, n, pool);
}

/* --- a record that is still good --------------------------------------- */

int dp_is_renewable(const dp_known_t *known, const dp_task_t *task)
{
    const dp_record_t *record = &known->record;
    int n = is_cut(task) ? dp_metatile_count(&task->request.metatile) : 1;

    /* Bodies that were damaged would be renewed for ever. */
    return task->dir.honours_upstream
           && (record->source_etag || record->source_last_modified)
           && record->ntiles == n && dp_record_is_whole(record, known->bytes);
}

/* RFC 9111 section 4.3.4: what a 304 with another strong validator is about
 * isn't what is known here. */
static int is_of_another(const dp_record_t *known, const dp_answer_t *answer)
{
    const char *etag = apr_table_get(answer->headers, "ETag");

    return etag && known->source_etag && strncmp(etag, "W/", 2) != 0
           && strncmp(known->source_etag, "W/", 2) != 0
           && strcmp(etag, known->source_etag) != 0;
}

const char *dp_renew_record(dp_catch_t *made, const dp_task_t *task,
                            const dp_known_t *known, const dp_answer_t *answer,
                            apr_time_t created, apr_pool_t *pool)
{
    const dp_record_t *before = &known->record;
    dp_record_body_t *bodies =
        apr_palloc(pool, (apr_size_t)before->ntiles * sizeof(*bodies));
    dp_record_t record;
    int i;

    if (is_of_another(before, answer)) {
        return "it answered HTTP status 304 about another version";
    }
    if (!dp_head_renew(&record, task, before, answer, created, pool)) {
        made->outcome.kind = DP_OUTCOME_PASS;
        return NULL;
    }
    for (i = 0; i < before->ntiles; i++) {
        bodies[i].bytes = known->bytes + before->tiles[i].offset;
        bodies[i].size = before->tiles[i].length;
    }
    made->outcome.kind = DP_OUTCOME_RECORD;
    made->outcome.is_fetched = 1;
    made->outcome.is_storable = is_storable(task, &record);
    return write_record(made, &record, bodies, before->ntiles, pool);
}
