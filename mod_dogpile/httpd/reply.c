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

/* How long others may keep a stale tile, seconds. */
#define STALE_LEFT_SEC 5

void dp_reply_note(request_rec *r, const char *status)
{
    apr_table_setn(r->subprocess_env, "DOGPILE_STATUS", status);
}

static const char *cache_status(request_rec *r, const char *how)
{
    return apr_pstrcat(r->pool, "mod_dogpile; ", how, NULL);
}

/* Caches behind us keep it for what is left of its life; a stale one for a
 * moment, in which it is refreshed, unless its source forbids that. */
static apr_time_t fresh_until(const dp_record_t *record, apr_time_t now)
{
    int grace = record->stale_usec == 0 ? 0 : STALE_LEFT_SEC;

    return record->expires > now ? record->expires
                                 : now + apr_time_from_sec(grace);
}

/* RFC 9111 section 4.2.3: Age counts as used, and so does what was over when
 * the source gave it. */
static void make_freshness(dp_lines_t *lines, const dp_record_t *record,
                           const char *how, apr_time_t now)
{
    apr_time_t born = record->created - record->age_usec;
    apr_time_t until = fresh_until(record, now);
    apr_int64_t age =
        apr_time_sec((now > record->created ? now : record->created) - born);

    apr_rfc822_date(lines->expires, until);
    apr_snprintf(lines->cache_control, sizeof(lines->cache_control),
                 "max-age=%" APR_INT64_T_FMT "%s", apr_time_sec(until - born),
                 record->must_revalidate ? ", must-revalidate" : "");
    apr_snprintf(lines->age, sizeof(lines->age), "%" APR_INT64_T_FMT, age);
    apr_snprintf(lines->cache_status, sizeof(lines->cache_status),
                 "mod_dogpile; %s; ttl=%" APR_INT64_T_FMT, how,
                 apr_time_sec(record->expires - born) - age);
}

void dp_lines_make(dp_lines_t *lines, const dp_record_t *record, int index,
                   const char *how, apr_time_t now)
{
    char *etag = lines->etag;

    *etag++ = '"';
    dp_hex(etag, record->tiles[index].etag, DP_ETAG_BYTES);
    etag += 2 * DP_ETAG_BYTES;
    *etag++ = '"';
    *etag = '\0';
    apr_rfc822_date(lines->last_modified, record->created);
    make_freshness(lines, record, how, now);
}

static void set_lines(request_rec *r, const dp_dir_t *dir,
                      const dp_lines_t *lines)
{
    apr_table_setn(r->headers_out, "ETag", lines->etag);
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

    dp_lines_make(lines, record, index, how, r->request_time);
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
