/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal connections, and the requests on them (internal_hooks.c has the
 * rest of what makes them special).
 *
 * httpd expects of every connection what its MPM and the modules have hung on
 * it. A connection with a master is taken for one of HTTP/2's streams: no
 * module touches its socket, mod_ssl leaves it alone, and event copies its own
 * state from the master's. So each child keeps one master, which is initialised
 * once beside a real connection and then loses everything that modules put
 * there but the MPM's part, and every fetch gets a connection under it. No
 * private layout is relied on.
 *
 * The filters at the bottom give end of file and swallow what is written; the
 * answer is caught above all other output filters (capture.c). Runs on
 * fetcher threads, the bootstrap on a request thread under master_mutex.
 */
#include "httpd/internal.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "httpd/capture.h"
#include "httpd/start.h"

/* RFC 5737: no real host has it, so no Require ip, no Require local and no
 * list of trusted proxies does either. */
#define INTERNAL_ADDRESS "192.0.2.1"

#define USER_AGENT "mod_dogpile"

#define BOTTOM_IN "DOGPILE_BOTTOM_IN"
#define BOTTOM_OUT "DOGPILE_BOTTOM_OUT"

dp_internal_t *dp_internal_of(const conn_rec *c)
{
    const dp_conn_t *conn =
        ap_get_module_config(c->conn_config, &dogpile_module);

    return conn ? conn->internal : NULL;
}

int dp_is_internal(const conn_rec *c)
{
    return dp_internal_of(c) != NULL;
}

/* --- the connection ---------------------------------------------------- */

static apr_sockaddr_t *address(apr_pool_t *pool)
{
    apr_sockaddr_t *sa = NULL;

    /* A number: nothing is looked up. */
    apr_sockaddr_info_get(&sa, INTERNAL_ADDRESS, APR_INET, 0, 0, pool);
    return sa;
}

static conn_rec *make_connection(server_rec *s, apr_pool_t *pool)
{
    conn_rec *c = apr_pcalloc(pool, sizeof(*c));

    c->pool = pool;
    c->bucket_alloc = apr_bucket_alloc_create(pool);
    c->conn_config = ap_create_conn_config(pool);
    c->notes = apr_table_make(pool, 5);
    c->base_server = s;
    c->client_addr = address(pool);
    c->client_ip = INTERNAL_ADDRESS;
    c->remote_host = ""; /* nobody looks for its name */
    c->local_addr = address(pool);
    c->local_ip = INTERNAL_ADDRESS;
    c->keepalive = AP_CONN_CLOSE;
    c->clogging_input_filters = 1; /* event must not poll a socket */
    return c;
}

/* Some modules set time-outs on the socket of a connection, so there is one
 * that leads nowhere. */
static apr_socket_t *dummy_socket(apr_pool_t *pool)
{
    apr_socket_t *socket = NULL;

    apr_socket_create(&socket, APR_INET, SOCK_STREAM, APR_PROTO_TCP, pool);
    return socket;
}

static void forget_modules(conn_rec *c)
{
    const char *mpm_file = apr_pstrcat(c->pool, ap_show_mpm(), ".c", NULL);
    int i;

    for (i = 0; ap_loaded_modules[i] != NULL; i++) {
        if (strcmp(ap_loaded_modules[i]->name, mpm_file) != 0) {
            ap_set_module_config(c->conn_config, ap_loaded_modules[i], NULL);
        }
    }
}

static apr_status_t make_master(conn_rec *real)
{
    apr_socket_t *socket = dummy_socket(dp_child.pool);
    conn_rec *master = make_connection(real->base_server, dp_child.pool);

    if (socket == NULL) {
        return APR_EGENERAL;
    }
    master->master = real;
    master->id = real->id;
    ap_run_pre_connection(master, socket);
    master->master = NULL;
    master->input_filters = NULL;
    master->output_filters = NULL;
    forget_modules(master);
    ap_set_core_module_config(master->conn_config, socket);
    dp_child.master = master;
    return APR_SUCCESS;
}

apr_status_t dp_internal_bootstrap(conn_rec *real)
{
    apr_status_t rv = APR_SUCCESS;

    apr_thread_mutex_lock(dp_child.master_mutex);
    if (dp_child.master == NULL) {
        rv = make_master(real->master ? real->master : real);
    }
    apr_thread_mutex_unlock(dp_child.master_mutex);
    return rv;
}

static conn_rec *connect_internally(const dp_ask_t *ask, dp_answer_t *answer,
                                    apr_thread_t *thread, apr_pool_t *pool)
{
    void *socket = ap_get_core_module_config(dp_child.master->conn_config);
    conn_rec *c = make_connection(ask->server, pool);
    dp_internal_t *internal = apr_pcalloc(pool, sizeof(*internal));
    dp_conn_t *conn = apr_pcalloc(pool, sizeof(*conn));

    conn->internal = internal;
    internal->is_tls = ask->is_tls;
    internal->answer = answer;
    internal->max_bytes = ask->max_bytes;
    c->master = dp_child.master;
    c->id = dp_child.master->id;
    c->current_thread = thread;
    ap_set_module_config(c->conn_config, &dogpile_module, conn);
    ap_set_core_module_config(c->conn_config, socket);
    ap_run_pre_connection(c, socket);
    ap_add_input_filter(BOTTOM_IN, NULL, NULL, c);
    ap_add_output_filter(BOTTOM_OUT, NULL, NULL, c);
    return c;
}

static apr_status_t bottom_in(ap_filter_t *f, apr_bucket_brigade *bb,
                              ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t readbytes)
{
    (void)f;
    (void)bb;
    (void)mode;
    (void)block;
    (void)readbytes;
    return APR_EOF;
}

static apr_status_t bottom_out(ap_filter_t *f, apr_bucket_brigade *bb)
{
    (void)f;
    return apr_brigade_cleanup(bb);
}

/* --- the request ------------------------------------------------------- */

static void set_default(apr_table_t *headers, const char *name,
                        const char *value)
{
    if (apr_table_get(headers, name) == NULL) {
        apr_table_setn(headers, name, value);
    }
}

static request_rec *make_request(conn_rec *c, const dp_ask_t *ask)
{
    request_rec *r = ap_create_request(c);
    int i;

    r->request_time = apr_time_now();
    r->method = "GET";
    r->method_number = M_GET;
    r->protocol = "HTTP/1.1";
    r->proto_num = HTTP_VERSION(1, 1);
    r->the_request =
        apr_pstrcat(r->pool, "GET ", ask->target, " HTTP/1.1", NULL);
    r->hostname = ask->server->server_hostname;
    ap_parse_uri(r, apr_pstrdup(r->pool, ask->target));
    apr_table_setn(r->headers_in, "Host", r->hostname);
    for (i = 0; i < ask->headers->n; i++) {
        apr_table_addn(r->headers_in, ask->headers->headers[i].name,
                       ask->headers->headers[i].value);
    }
    if (ask->etag) {
        apr_table_setn(r->headers_in, "If-None-Match", ask->etag);
    }
    if (ask->last_modified) {
        apr_table_setn(r->headers_in, "If-Modified-Since", ask->last_modified);
    }
    set_default(r->headers_in, "User-Agent", USER_AGENT);
    set_default(r->headers_in, "Accept", "*/*");
    if (ask->is_repeated) {
        /* c->keepalives is 0: it is the first of its connection. */
        apr_table_setn(r->subprocess_env, "proxy-initial-not-pooled", "1");
    }
    ap_add_input_filter("HTTP_IN", NULL, r, c);
    return r;
}

/* As ap_process_async_request(), but for the quick handlers (no cache stands
 * before a cache) and for error documents (an error is an answer here). */
static int run_request(request_rec *r)
{
    int status = ap_post_read_request(r);

    apr_thread_mutex_create(&r->invoke_mtx, APR_THREAD_MUTEX_DEFAULT, r->pool);
    apr_thread_mutex_lock(r->invoke_mtx);
    if (status == OK || status == DECLINED) {
        status = ap_process_request_internal(r);
    }
    if (status == OK) {
        status = ap_invoke_handler(r);
    }
    apr_thread_mutex_unlock(r->invoke_mtx);
    return status;
}

/* A handler or a rule refused, or failed before or after it sent something. */
static void take_refusal(dp_answer_t *answer, request_rec *r, int status)
{
    const char *location = apr_table_get(r->headers_out, "Location");

    if (status == HTTP_NOT_MODIFIED) {
        /* A handler that compares by itself leaves the answer to httpd. */
        r->status = status;
        dp_capture_head(answer, r);
        return;
    }
    /* mod_proxy_http's word for a connection that it could make, but on which
     * nothing like an answer came; an answer that has begun was caught. */
    answer->is_unanswered =
        status == HTTP_BAD_GATEWAY && r->proxyreq != PROXYREQ_NONE
        && answer->status == 0
        && apr_table_get(r->notes, "proxy_timedout") == NULL;
    r->status = ap_is_HTTP_ERROR(status) ? status : HTTP_INTERNAL_SERVER_ERROR;
    answer->status = ap_is_HTTP_REDIRECT(status) ? status : r->status;
    if (location) {
        apr_table_set(answer->headers, "Location", location);
    }
}

void dp_internal_get(dp_answer_t *answer, const dp_ask_t *ask,
                     apr_thread_t *thread, apr_pool_t *result_pool)
{
    apr_pool_t *pool;
    request_rec *r;
    conn_rec *c;
    int status;

    memset(answer, 0, sizeof(*answer));
    answer->headers = apr_table_make(result_pool, 10);
    apr_pool_create(&pool, result_pool);
    apr_pool_tag(pool, "dogpile_internal");
    c = connect_internally(ask, answer, thread, pool);
    r = make_request(c, ask);
    status = run_request(r);
    if (status != OK && status != DONE) {
        take_refusal(answer, r, status);
    }
    else {
        ap_finalize_request_protocol(r);
    }
    ap_process_request_after_handler(r); /* logs it, and frees it */
    apr_pool_destroy(pool);
}

/* --- registration ------------------------------------------------------ */

void dp_internal_register(apr_pool_t *pool)
{
    ap_register_input_filter(BOTTOM_IN, bottom_in, NULL, AP_FTYPE_NETWORK);
    ap_register_output_filter(BOTTOM_OUT, bottom_out, NULL, AP_FTYPE_NETWORK);
    dp_capture_register();
    dp_internal_register_hooks(pool);
}
