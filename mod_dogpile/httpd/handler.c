/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a tile request, top down: is it ours, which tile is it, is the
 * tile in the store, and if not, wait for the flight that brings it (wait.c).
 *
 * A content handler, so authentication and authorisation have run; it stands
 * before mod_proxy's and CGI's, and what isn't ours goes on to them untouched.
 * Runs on request threads.
 */
#include "httpd/handler.h"

#include <apr_strings.h>
#include <http_core.h>

#include "base/digest.h"
#include "httpd/internal.h"
#include "httpd/known.h"
#include "httpd/pass.h"
#include "httpd/reply.h"
#include "httpd/start.h"
#include "httpd/status.h"
#include "httpd/usable.h"
#include "httpd/wait.h"

/* --- from the store ---------------------------------------------------- */

/* What a look in the store brought: shared by requests, or this one's. */
typedef struct look_t {
    const dp_hot_record_t *shared;
    dp_found_t found;
} look_t;

static const dp_record_t *record_of(const look_t *look)
{
    return look->shared ? &look->shared->record : &look->found.record;
}

/* A bucket of the tile's bytes: of memory, or of the file where httpd may send
 * files itself; NULL where they can't be read. */
static apr_bucket *bucket_of(request_rec *r, const look_t *look,
                             const dp_record_tile_t *tile)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const dogpile_blob_t *blob = &look->found.blob;
    const unsigned char *bytes;

    if (look->shared) {
        return dp_reply_bucket(r, look->shared->bytes + tile->offset,
                               tile->length);
    }
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

/* Why what was found can't be served now, or NULL. */
static const char *reason_to_forward(const request_rec *r,
                                     const dp_task_t *task,
                                     const dp_record_t *record)
{
    int is_too_old = record->created < task->newer_than;

    if (dp_is_fresh(r, record)) {
        return is_too_old ? "request" : NULL;
    }
    return is_too_old || dp_stale_until(&task->dir, record) <= r->request_time
               ? "stale"
               : NULL;
}

/* Returns 1 where the store has the tile. */
static int look_up(request_rec *r, const dp_task_t *task, look_t *look)
{
    return task->store != NULL
           && dp_hot_look(dp_child.hot, task->store, &task->key, &look->shared,
                          &look->found, r->pool)
                  == APR_SUCCESS
           && dp_task_index(task) < record_of(look)->ntiles;
}

/* From the store. Returns DECLINED where there is nothing to serve. */
static int answer_from_store(request_rec *r, dp_task_t *task)
{
    int index = dp_task_index(task);
    const char *fwd;
    apr_bucket *body;
    look_t look;
    int fresh;

    if (!look_up(r, task, &look)) {
        return DECLINED;
    }
    fwd = reason_to_forward(r, task, record_of(&look));
    if (fwd != NULL) {
        task->fwd = fwd;
        return DECLINED;
    }
    body = bucket_of(r, &look, &record_of(&look)->tiles[index]);
    if (body == NULL) {
        return DECLINED;
    }
    fresh = dp_is_fresh(r, record_of(&look));
    dp_reply_count(r, fresh);
    if (!fresh && !task->only_if_cached) {
        dp_refresh(r, task);
    }
    if (look.shared) {
        dp_known_keep(r, task);
    }
    return dp_reply_tile(r, &task->dir, record_of(&look), index, "hit", body);
}

const dp_record_t *dp_look_anyway(request_rec *r, const dp_task_t *task,
                                  const unsigned char **bytes)
{
    look_t *look = apr_palloc(r->pool, sizeof(*look));
    const dp_record_tile_t *tile;

    if (!look_up(r, task, look)
        || dp_usable_until(&task->dir, record_of(look)) <= apr_time_now()) {
        return NULL;
    }
    tile = &record_of(look)->tiles[dp_task_index(task)];
    if (look->shared) {
        *bytes = look->shared->bytes + tile->offset;
        return &look->shared->record;
    }
    return dp_blob_bytes(bytes, &look->found.blob, tile->offset, tile->length,
                         r->pool)
                   == APR_SUCCESS
               ? &look->found.record
               : NULL;
}

int dp_answer_anyway(request_rec *r, const dp_task_t *task, const char *how)
{
    int index = dp_task_index(task);
    const dp_record_t *record;
    apr_bucket *body;
    look_t look;

    if (!look_up(r, task, &look)) {
        return DECLINED;
    }
    record = record_of(&look);
    body = dp_usable_until(&task->dir, record) > apr_time_now()
               ? bucket_of(r, &look, &record->tiles[index])
               : NULL;
    if (body == NULL) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_stale_on_error);
    dp_reply_note(r, dp_is_fresh(r, record) ? "hit" : "stale");
    return dp_reply_tile(r, &task->dir, record, index, how, body);
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
        return dp_pass_through(r, task, DP_REASON_METHOD);
    }
    switch (task->verdict) {
    case DP_VERDICT_PASS:
        return dp_pass_through(r, task, task->request.reason);
    case DP_VERDICT_DENY:
    case DP_VERDICT_BAD:
        return dp_turn_away(r, task);
    case DP_VERDICT_TILE:
    case DP_VERDICT_OFF_GRID:
        break;
    }
    if (!task->dir.shares_credentials
        && apr_table_get(r->headers_in, "Authorization")) {
        return dp_pass_through(r, task, DP_REASON_AUTHORIZATION);
    }
    note_key(r, task);
    status = answer_from_store(r, task);
    if (status != DECLINED) {
        return status;
    }
    if (task->only_if_cached) {
        dp_count(&dp_child.area->counters, DP_COUNT_not_cached);
        return dp_reply_failure(r, &task->dir, HTTP_GATEWAY_TIME_OUT, 0,
                                "detail=\"only-if-cached\"");
    }
    return dp_wait_for_tile(r, task);
}

/* An ErrorDocument of this site, found by an internal redirect: what the
 * client asked has its answer already. */
static int is_error_page(const request_rec *r)
{
    return r->prev != NULL && r->status != HTTP_OK;
}

int dp_is_ours(const request_rec *r)
{
    return dp_dir_of(r)->enable == 1 && r->main == NULL && !is_error_page(r)
           && dp_child.flights != NULL && !dp_is_internal(r->connection)
           && !dp_status_is(r) && !dp_has_passed_through(r);
}

int dp_handler(request_rec *r)
{
    dp_dir_t resolved;
    dp_task_t task;
    int status;

    if (!dp_is_ours(r)) {
        return DECLINED;
    }
    dp_count(&dp_child.area->counters, DP_COUNT_requests);
    status = dp_known_answer(r);
    if (status != DECLINED) {
        return status;
    }
    dp_dir_resolve(&resolved, dp_dir_of(r));
    dp_task_read(&task, r, &resolved);
    return answer(r, &task);
}
