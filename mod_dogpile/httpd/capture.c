/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An output filter that keeps the answer instead of passing it on.
 *
 * It stands before every other output filter, those of SetOutputFilter
 * included: the site's own filters run once, on the client's answer, and an
 * ExpiresByType of the site is never taken for the source's word. Inserted
 * into each request of an internal connection, as an internal redirect starts
 * with fresh filters; the last one that answers counts. Runs on the fetcher
 * thread of the fetch.
 */
#include "httpd/capture.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <util_filter.h>

#define CAPTURE "DOGPILE_CAPTURE"

/* What a metatile takes at most is known; bodies grow to it by doubling. */
#define FIRST_BYTES (64 * 1024)

typedef struct capture_t {
    dp_answer_t *answer;
    apr_size_t max_bytes;
    apr_size_t room;
    int has_begun;
} capture_t;

/* The result outlives the request: everything goes to the answer's pool. */
static apr_pool_t *pool_of(const dp_answer_t *answer)
{
    return apr_table_elts(answer->headers)->pool;
}

void dp_capture_head(dp_answer_t *answer, const request_rec *r)
{
    apr_pool_t *pool = pool_of(answer);
    const apr_table_t *tables[] = {r->headers_out, r->err_headers_out};
    const char *type = r->content_type
                           ? r->content_type
                           : apr_table_get(r->headers_out, "Content-Type");
    int i;
    int t;

    answer->status = r->status;
    answer->media_type = type ? apr_pstrdup(pool, type) : NULL;
    apr_table_clear(answer->headers);
    for (t = 0; t < 2; t++) {
        const apr_array_header_t *all = apr_table_elts(tables[t]);

        for (i = 0; i < all->nelts; i++) {
            const apr_table_entry_t *e =
                &APR_ARRAY_IDX(all, i, apr_table_entry_t);

            apr_table_add(answer->headers, e->key, e->val);
        }
    }
}

static void begin(capture_t *capture, request_rec *r)
{
    capture->has_begun = 1;
    capture->answer->size = 0;
    capture->answer->is_complete = 0;
    capture->answer->is_broken = 0;
    dp_capture_head(capture->answer, r);
}

static apr_status_t append(capture_t *capture, const char *data,
                           apr_size_t size)
{
    dp_answer_t *answer = capture->answer;
    apr_size_t needed = answer->size + size;

    if (needed > capture->max_bytes) {
        answer->is_too_long = 1;
        return APR_ENOSPC;
    }
    if (needed > capture->room) {
        apr_size_t room = capture->room ? 2 * capture->room : FIRST_BYTES;
        char *body;

        room = room < needed ? needed : room;
        body = apr_palloc(pool_of(answer), room);
        if (answer->size > 0) {
            memcpy(body, answer->body, answer->size);
        }
        answer->body = body;
        capture->room = room;
    }
    memcpy((char *)answer->body + answer->size, data, size);
    answer->size = needed;
    return APR_SUCCESS;
}

static apr_status_t take_bucket(capture_t *capture, apr_bucket *bucket)
{
    apr_status_t rv;
    const char *data;
    apr_size_t size;

    if (APR_BUCKET_IS_EOS(bucket)) {
        capture->answer->is_complete = 1;
        return APR_SUCCESS;
    }
    if (AP_BUCKET_IS_ERROR(bucket)) {
        /* mod_proxy: the backend went away in the middle. */
        capture->answer->status = ((ap_bucket_error *)bucket->data)->status;
        capture->answer->is_broken = 1;
        return APR_SUCCESS;
    }
    if (APR_BUCKET_IS_METADATA(bucket)) {
        return APR_SUCCESS;
    }
    rv = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ);
    return rv == APR_SUCCESS ? append(capture, data, size) : rv;
}

static apr_status_t capture_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    capture_t *capture = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    if (!capture->has_begun && !APR_BRIGADE_EMPTY(bb)) {
        begin(capture, f->r);
    }
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(bb);

        rv = take_bucket(capture, bucket);
        apr_bucket_delete(bucket);
    }
    apr_brigade_cleanup(bb);
    return rv;
}

void dp_capture_register(void)
{
    ap_register_output_filter(CAPTURE, capture_filter, NULL,
                              (ap_filter_type)(AP_FTYPE_RESOURCE - 1));
}

void dp_capture_insert(request_rec *r, dp_answer_t *answer,
                       apr_size_t max_bytes)
{
    capture_t *capture = apr_pcalloc(r->pool, sizeof(*capture));

    capture->answer = answer;
    capture->max_bytes = max_bytes;
    ap_add_output_filter(CAPTURE, capture, r, r->connection);
}
