/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of landed flights. Called for a waiter on its request thread, or on
 * the thread that answers the parked promptly (prompt.c), which lends memory.
 *
 * A tile is read from the landing area, where the leader laid it down, so that
 * nobody waits for the store. The invariant: an answer that was given out of
 * lent memory keeps nothing of it; httpd's filters copy what they set aside.
 */
#include "httpd/answer.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include "httpd/instead.h"
#include "httpd/pass.h"
#include "httpd/reply.h"
#include "httpd/start.h"

/* A tile that has landed. */
typedef struct landed_t {
    dp_record_t record;
    int index; /* of the tile */
    char *body;
} landed_t;

/* --- reading ----------------------------------------------------------- */

/* Memory of what was lent, where something was, else of the pool. NULL: the
 * former is too little. */
static void *room_for(dp_scratch_t *scratch, apr_size_t size, apr_pool_t *pool)
{
    char *room;

    if (scratch == NULL) {
        return apr_palloc(pool, size);
    }
    if (size > scratch->left) {
        return NULL;
    }
    room = scratch->at;
    scratch->at += size;
    scratch->left -= size;
    return room;
}

/* The header of a landed record; more of it is read where it is long. */
static apr_status_t read_header(dp_record_t *record, dp_scratch_t *scratch,
                                dp_waiter_t *waiter, apr_size_t length,
                                apr_pool_t *pool)
{
    apr_size_t have = length < DOGPILE_BLOB_HEAD ? length : DOGPILE_BLOB_HEAD;
    apr_status_t rv = APR_INCOMPLETE;

    while (rv == APR_INCOMPLETE) {
        unsigned char *bytes = room_for(scratch, have, pool);
        apr_size_t need = 0;

        if (bytes == NULL) {
            return APR_ENOMEM;
        }
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

static apr_status_t read_tile(landed_t *landed, dp_scratch_t *scratch,
                              const dp_task_t *task, dp_waiter_t *waiter,
                              const dp_outcome_t *outcome, apr_pool_t *pool)
{
    const dp_record_tile_t *tile;
    apr_status_t rv =
        read_header(&landed->record, scratch, waiter, outcome->length, pool);

    landed->index = outcome->is_part ? 0 : dp_task_index(task);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (landed->index >= landed->record.ntiles) {
        return APR_EINVAL;
    }
    tile = &landed->record.tiles[landed->index];
    landed->body = room_for(scratch, tile->length, pool);
    return landed->body ? dp_flight_read(waiter, tile->offset, landed->body,
                                         tile->length)
                        : APR_ENOMEM;
}

/* --- answering --------------------------------------------------------- */

static void note_fetch(request_rec *r, const dp_outcome_t *outcome)
{
    apr_table_setn(r->subprocess_env, "DOGPILE_FETCH_MS",
                   apr_psprintf(r->pool, "%u", outcome->fetch_ms));
}

static int answer_tile(request_rec *r, const dp_task_t *task,
                       const landed_t *landed, const char *how,
                       apr_bucket *body)
{
    dp_reply_note(r, strcmp(how, "hit") == 0 ? "hit" : "miss");
    return dp_reply_tile(r, &task->dir, &landed->record, landed->index, how,
                         body);
}

static int answer_landed(request_rec *r, const dp_task_t *task,
                         dp_waiter_t *waiter, const dp_outcome_t *outcome,
                         const char *how)
{
    landed_t landed;
    apr_status_t rv = read_tile(&landed, NULL, task, waiter, outcome, r->pool);

    if (rv != APR_SUCCESS) {
        dp_rlog(r, APLOG_ERR, rv, 203, "source %s: can't read a landed tile",
                task->source_name);
        return dp_reply_failure(r, &task->dir, HTTP_INTERNAL_SERVER_ERROR, 0,
                                how);
    }
    return answer_tile(
        r, task, &landed, how,
        apr_bucket_pool_create(landed.body,
                               landed.record.tiles[landed.index].length,
                               r->pool, r->connection->bucket_alloc));
}

int dp_answer_in(dp_scratch_t *scratch, request_rec *r, const dp_task_t *task,
                 dp_waiter_t *waiter, const dp_outcome_t *outcome,
                 const char *how)
{
    landed_t landed;

    if (outcome->kind != DP_OUTCOME_RECORD
        || read_tile(&landed, scratch, task, waiter, outcome, r->pool)
               != APR_SUCCESS) {
        return DECLINED;
    }
    note_fetch(r, outcome);
    return answer_tile(
        r, task, &landed, how,
        apr_bucket_transient_create(landed.body,
                                    landed.record.tiles[landed.index].length,
                                    r->connection->bucket_alloc));
}

int dp_answer_failure(request_rec *r, const dp_task_t *task,
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

const char *dp_way_of(const dp_task_t *task, dp_join_e join,
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

int dp_answer_outcome(request_rec *r, const dp_task_t *task,
                      dp_waiter_t *waiter, const dp_outcome_t *outcome,
                      const char *how)
{
    note_fetch(r, outcome);
    switch (outcome->kind) {
    case DP_OUTCOME_RECORD:
        return answer_landed(r, task, waiter, outcome, how);
    case DP_OUTCOME_PASS:
        return dp_pass_through(r, task, DP_REASON_UNSHAREABLE);
    case DP_OUTCOME_FAILED:
        break;
    }
    return dp_answer_failure(r, task, outcome, how);
}
