/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to clients, on request threads.
 *
 * A tile gets every header that HTTP caches and browsers need to keep it well:
 * a strong ETag of its bytes, Last-Modified, Age, Expires, Cache-Control and
 * Cache-Status. Conditions, HEAD and Range are left to httpd.
 */
#include "httpd/reply.h"

#include <apr_date.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>

#include "base/digest.h"
#include "httpd/start.h"

void dp_reply_note(request_rec *r, const char *status)
{
    apr_table_setn(r->subprocess_env, "DOGPILE_STATUS", status);
}

void dp_reply_count(request_rec *r, int fresh)
{
    dp_reply_note(r, fresh ? "hit" : "stale");
    dp_count(&dp_child.area->counters, fresh ? DP_COUNT_hits : DP_COUNT_stale);
}

/* Streams of HTTP/2 are sent by another thread, maybe later. */
apr_bucket *dp_reply_bucket(request_rec *r, const unsigned char *bytes,
                            apr_size_t length)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;

    return r->connection->master
               ? apr_bucket_heap_create((const char *)bytes, length, NULL, list)
               : apr_bucket_immortal_create((const char *)bytes, length, list);
}

static const char *cache_status(request_rec *r, const char *how)
{
    return apr_pstrcat(r->pool, "mod_dogpile; ", how, NULL);
}

/* RFC 9110 section 8.8.3, strong: of the tile's bytes. */
static const char *etag(request_rec *r, const dp_record_tile_t *tile)
{
    char *text = apr_palloc(r->pool, 2 * DP_ETAG_BYTES + 3);

    text[0] = '"';
    dp_hex(text + 1, tile->etag, DP_ETAG_BYTES);
    text[2 * DP_ETAG_BYTES + 1] = '"';
    text[2 * DP_ETAG_BYTES + 2] = '\0';
    return text;
}

static void set_lines(request_rec *r, const dp_dir_t *dir,
                      const dp_lines_t *lines)
{
    apr_table_setn(r->headers_out, "Last-Modified", lines->last_modified);
    apr_table_setn(r->headers_out, "Accept-Ranges", "bytes");
    apr_table_setn(r->headers_out, "Expires", lines->expires);
    apr_table_setn(r->headers_out, "Cache-Control", lines->cache_control);
    apr_table_setn(r->headers_out, "Age", lines->age);
    if (dir->says_status) {
        /* Kept where httpd finds a range or a condition that isn't met. */
        apr_table_setn(r->err_headers_out, "Cache-Status", lines->cache_status);
    }
}

/* RFC 9110 section 13.2.2: where there is an ETag to compare, dates don't
 * count. httpd wants both to agree; a browser sends both, and a tile that was
 * rendered anew with the same pixels has a new date. */
static int meets_conditions(request_rec *r)
{
    if (apr_table_get(r->headers_in, "If-None-Match")) {
        apr_table_unset(r->headers_in, "If-Modified-Since");
    }
    if (apr_table_get(r->headers_in, "If-Match")) {
        apr_table_unset(r->headers_in, "If-Unmodified-Since");
    }
    return ap_meets_conditions(r);
}

int dp_reply_lines(request_rec *r, const dp_dir_t *dir,
                   const dp_record_t *record, int index,
                   const dp_lines_t *lines, apr_bucket *body)
{
    apr_bucket_brigade *bb;
    int status;
    int i;

    for (i = 0; i < record->nheaders; i++) {
        apr_table_addn(r->headers_out, record->headers[i].name,
                       record->headers[i].value);
    }
    ap_set_content_type(r, record->media_type);
    ap_set_content_length(r, record->tiles[index].length);
    ap_update_mtime(r, record->created);
    apr_table_setn(r->headers_out, "ETag", etag(r, &record->tiles[index]));
    set_lines(r, dir, lines);
    status = meets_conditions(r);
    if (status != OK) {
        apr_bucket_destroy(body);
        return status;
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(bb, body);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    /* A client that has gone is no error of ours; httpd logs it. Nor is one
     * that a filter has answered instead, as where no range can be met. */
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS
                   || r->status != HTTP_OK || r->connection->aborted
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

int dp_reply_tile(request_rec *r, const dp_dir_t *dir,
                  const dp_record_t *record, int index, const char *how,
                  apr_bucket *body)
{
    dp_lines_t *lines = apr_palloc(r->pool, sizeof(*lines));

    dp_lines_make(lines, record, how, r->request_time);
    return dp_reply_lines(r, dir, record, index, lines, body);
}

int dp_reply_failure(request_rec *r, const dp_dir_t *dir, int status,
                     int retry_after_sec, const char *how)
{
    dp_reply_note(r, "error");
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (retry_after_sec > 0) {
        apr_table_setn(r->err_headers_out, "Retry-After",
                       apr_itoa(r->pool, retry_after_sec));
    }
    if (dir->says_status) {
        apr_table_setn(r->err_headers_out, "Cache-Status",
                       cache_status(r, how));
    }
    return status;
}

void dp_reply_pass(request_rec *r, const dp_dir_t *dir, const char *detail)
{
    dp_reply_note(r, "pass");
    if (dir->says_status) {
        apr_table_addn(r->err_headers_out, "Cache-Status",
                       apr_pstrcat(r->pool,
                                   "mod_dogpile; fwd=bypass; detail=\"", detail,
                                   "\"", NULL));
    }
}
