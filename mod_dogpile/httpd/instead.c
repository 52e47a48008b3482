/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instead of a tile that can't be had in time: the first thing of
 * DogpileOnTimeout that there is, and in the end an error. On request threads;
 * what is made here is bounded by the size of a tile.
 *
 * The invariant: what isn't the tile is no-store, says in Cache-Status what it
 * is, and in Retry-After when to ask again.
 */
#include "httpd/instead.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <stdlib.h>

#include "httpd/fetch.h"
#include "httpd/handler.h"
#include "httpd/reply.h"
#include "httpd/start.h"

#define WHITE 0xFFFFFFu

/* Of 16 x 16 pixels of a tile of 256 one still sees where one is. */
#define OVERZOOM_LEVELS 4

static const char *say(const dp_lack_t *lack, const char *what,
                       apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s; detail=\"%s%s\"", lack->how, lack->why,
                        what);
}

/* A picture for the moment. */
typedef struct interim_t {
    const char *what; /* of Cache-Status */
    const char *media_type;
    const dp_record_t *record; /* whose headers go with it, or NULL: an empty
                                  tile has no source to say who may read it */
    dp_piece_t piece;
} interim_t;

static void set_headers(request_rec *r, const dp_task_t *task,
                        const dp_lack_t *lack, const interim_t *interim)
{
    const dp_record_t *record = interim->record;
    int i;

    for (i = 0; record != NULL && i < record->nheaders; i++) {
        apr_table_addn(r->headers_out, record->headers[i].name,
                       record->headers[i].value);
    }
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (lack->retry_after_sec > 0) {
        apr_table_setn(r->headers_out, "Retry-After",
                       apr_itoa(r->pool, lack->retry_after_sec));
    }
    if (task->dir.says_status) {
        apr_table_setn(r->err_headers_out, "Cache-Status",
                       apr_pstrcat(r->pool, "mod_dogpile; ",
                                   say(lack, interim->what, r->pool), NULL));
    }
    ap_set_content_type(r, interim->media_type);
    ap_set_content_length(r, (apr_off_t)interim->piece.size);
}

static int send_interim(request_rec *r, const dp_task_t *task,
                        const dp_lack_t *lack, const interim_t *interim)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, list);
    const char *bytes = (const char *)interim->piece.bytes;

    set_headers(r, task, lack, interim);
    APR_BRIGADE_INSERT_TAIL(
        bb, apr_bucket_pool_create(bytes, interim->piece.size, r->pool, list));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS
                   || r->connection->aborted
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

/* The size of what the client asked for itself. */
static void asked_size(const dp_request_t *request, int *width, int *height)
{
    *width = request->tile_px > 0 ? request->tile_px : request->width_px;
    *height = request->tile_px > 0 ? request->tile_px : request->height_px;
}

/* --- blank ------------------------------------------------------------- */

static int answer_blank(request_rec *r, const dp_task_t *task,
                        const dp_lack_t *lack)
{
    const dp_request_t *request = &task->request;
    dp_image_kind_e kind = dp_image_kind_of(request->format);
    unsigned int rgb = request->bgcolor[0] != '\0'
                           ? (unsigned int)strtoul(request->bgcolor, NULL, 16)
                           : WHITE;
    interim_t interim = {.what = ", blank",
                         .media_type = dp_image_media_type(kind)};
    int width;
    int height;

    asked_size(request, &width, &height);
    if (dp_image_blank(&interim.piece, kind, width, height, rgb,
                       request->transparent, r->pool)
        != APR_SUCCESS) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_blank);
    dp_reply_note(r, "blank");
    return send_interim(r, task, lack, &interim);
}

/* --- overzoom ---------------------------------------------------------- */

/* The task of the tile of a lower level in which this one lies. Returns 0
 * where there is none. */
static int make_parent(dp_task_t *parent, const dp_task_t *task, int z,
                       dp_part_t *part, apr_pool_t *pool)
{
    const dp_request_t *request = &task->request;
    int px = request->tile_px;
    dp_place_t place;
    dp_cell_t cell;

    if (!dp_grid_parent(request->grid, &request->cell, z, &cell, &place)) {
        return 0;
    }
    *parent = *task;
    parent->request.cell = cell;
    dp_metatile_of(&parent->request.metatile, request->grid, &cell,
                   &request->metatile.rule, px);
    dp_key_make(&parent->key, &parent->request, task->source_name,
                dp_global->lock_namespace, pool);
    part->x = place.x * px;
    part->y = place.y * px;
    part->side = place.side * px;
    return 1;
}

static int answer_enlarged(request_rec *r, const dp_task_t *task,
                           const dp_lack_t *lack, int z)
{
    interim_t interim = {.what = ", overzoom"};
    const unsigned char *bytes;
    const dp_record_t *record;
    const char *why;
    dp_task_t parent;
    dp_part_t part;

    if (!make_parent(&parent, task, z, &part, r->pool)) {
        return DECLINED;
    }
    record = dp_look_anyway(r, &parent, &bytes);
    if (record == NULL
        || dp_image_enlarge(&interim.piece, bytes,
                            record->tiles[dp_task_index(&parent)].length,
                            task->request.tile_px, &part, &why, r->pool)
               != APR_SUCCESS) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_overzoomed);
    dp_reply_note(r, "overzoom");
    interim.record = record;
    interim.media_type = record->media_type;
    return send_interim(r, task, lack, &interim);
}

/* Of the nearest level that has it. */
static int answer_overzoom(request_rec *r, const dp_task_t *task,
                           const dp_lack_t *lack)
{
    int status = DECLINED;
    int up;

    if (task->store == NULL) {
        return DECLINED;
    }
    for (up = 1; up <= OVERZOOM_LEVELS && up <= task->request.cell.z
                 && status == DECLINED;
         up++) {
        status = answer_enlarged(r, task, lack, task->request.cell.z - up);
    }
    return status;
}

/* --- the list ---------------------------------------------------------- */

static int answer_one(request_rec *r, const dp_task_t *task,
                      const dp_lack_t *lack, dp_instead_e what)
{
    switch (what) {
    case DP_INSTEAD_STALE:
        return dp_answer_anyway(r, task, say(lack, "", r->pool));
    case DP_INSTEAD_OVERZOOM:
        return answer_overzoom(r, task, lack);
    case DP_INSTEAD_BLANK:
        return answer_blank(r, task, lack);
    case DP_INSTEAD_503:
        break;
    }
    return DECLINED;
}

int dp_answer_instead(request_rec *r, const dp_task_t *task,
                      const dp_lack_t *lack)
{
    const dp_instead_t *list = task->dir.on_timeout;
    int n = lack->is_final ? 0 : list->n;
    int status = DECLINED;
    int i;

    if (lack->is_failure) {
        status = answer_one(r, task, lack, DP_INSTEAD_STALE);
    }
    for (i = 0; i < n && status == DECLINED; i++) {
        status = answer_one(r, task, lack, list->what[i]);
    }
    if (status != DECLINED) {
        return status;
    }
    dp_count(&dp_child.area->counters, lack->counter);
    return dp_reply_failure(r, &task->dir, lack->status, lack->retry_after_sec,
                            say(lack, "", r->pool));
}
