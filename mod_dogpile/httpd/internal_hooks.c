/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes httpd treat an internal request as the module's own: the mark in
 * its environment, the way around authentication and authorisation, the
 * capture of its answer, and the looks of TLS.
 *
 * Called by httpd for every request, from any thread; those of clients are
 * left alone. The internal request is touched by its fetcher thread only.
 */
#include "httpd/internal.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>

#include "httpd/capture.h"

static int set_environment(request_rec *r)
{
    if (dp_is_internal(r->connection)) {
        apr_table_setn(r->subprocess_env, DP_INTERNAL_ENV, "1");
    }
    return DECLINED;
}

/*
 * httpd runs no authentication or authorisation for a request whose
 * predecessor in a chain of redirects has passed it under the same
 * configuration. Each internal request gets such a predecessor for as long as
 * that question is asked.
 */
static int skip_authorisation(request_rec *r)
{
    request_rec *passed;

    if (!dp_is_internal(r->connection)) {
        return DECLINED;
    }
    dp_req_make(r)->previous = r->prev;
    passed = apr_pmemdup(r->pool, r, sizeof(*r));
    r->prev = passed;
    return DECLINED;
}

static int end_skipping(request_rec *r)
{
    if (dp_is_internal(r->connection) && dp_req_of(r) != NULL) {
        r->prev = dp_req_of(r)->previous;
    }
    return DECLINED;
}

static void insert_capture(request_rec *r)
{
    dp_internal_t *internal = dp_internal_of(r->connection);

    if (internal != NULL && r->main == NULL) {
        dp_capture_insert(r, internal->answer, internal->max_bytes);
    }
}

/*
 * A host whose clients come over TLS often sends everyone else away by HTTPS,
 * SERVER_PORT or REQUEST_SCHEME. mod_ssl answers for connections of its own
 * only.
 */
static int is_tls(const conn_rec *c)
{
    const dp_internal_t *internal = dp_internal_of(c);

    return internal != NULL && internal->is_tls;
}

static int looks_like_tls(conn_rec *c)
{
    return is_tls(c) ? OK : DECLINED;
}

static const char *scheme(const request_rec *r)
{
    return is_tls(r->connection) ? "https" : NULL;
}

static apr_port_t default_port(const request_rec *r)
{
    return is_tls(r->connection) ? DEFAULT_HTTPS_PORT : 0;
}

void dp_internal_register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_post_read_request(set_environment, NULL, NULL,
                              APR_HOOK_REALLY_FIRST);
    ap_hook_post_perdir_config(skip_authorisation, NULL, NULL,
                               APR_HOOK_REALLY_LAST);
    ap_hook_type_checker(end_skipping, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_filter(insert_capture, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_ssl_conn_is_ssl(looks_like_tls, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_http_scheme(scheme, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_default_port(default_port, NULL, NULL, APR_HOOK_FIRST);
}
