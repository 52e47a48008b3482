/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompt answers: a parked request is answered while the MPM still has its
 * connection, by the lot's own thread. Only the end of the request (its line in
 * the log, the next request) waits until the MPM has brought it back.
 *
 * An answer on a worker thread takes a wake-up of the MPM's listener and one of
 * a worker. For a hundred who wait for one tile that was nearly half of what
 * they waited for after the source had answered (docs/design/park.md).
 *
 * The lot's thread serves all who wait, so it must not wait for one of them:
 * the answer is small enough for httpd's core to take it without a blocking
 * write, and goes through none but filters of httpd's own that only transform.
 * While the socket of the connection shows the MPM an eventfd, httpd's core
 * writes to a second one that shows the client's descriptor. The invariant:
 * in the state ANSWERING nobody else touches the connection.
 */
#include "httpd/park_priv.h"

#include <apr_portable.h>
#include <http_connection.h>
#include <http_core.h>

/* How long a flush, which none of these filters asks for, could wait. */
#define WRITE_USEC apr_time_from_sec(1)

/* Room for the headers that the site adds to an answer. */
#define HEADERS_BYTES (8 * 1024)

/* Filters through which an answer may go here, by the names that httpd gives
 * them (mod_filter in upper case). Others may sleep (mod_ratelimit), start
 * processes or run anything. */
static int is_known(const ap_filter_rec_t *filter)
{
    static const char *const known[] = {
        "content_length",    "http_header",
        "http_outerror",     "byterange",
        "fixup_headers_out", "fixup_headers_err",
        "mod_expires",       "bytype:deflate",
        "ssl/tls filter",    "ssl/tls coalescing filter",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (ap_cstr_casecmp(filter->name, known[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* httpd's last filter, when all before it are known; else NULL. */
static ap_filter_t *last_filter(const request_rec *r)
{
    ap_filter_t *filter = r->output_filters;

    while (filter != NULL && filter->next != NULL && is_known(filter->frec)) {
        filter = filter->next;
    }
    return filter != NULL && filter->frec == ap_core_output_filter_handle
               ? filter
               : NULL;
}

/* Beyond FlushMaxThreshold httpd's core waits for the client. */
static int may_wait_for_client(const conn_rec *c)
{
    const core_server_config *core =
        ap_get_core_module_config(c->base_server->module_config);

    return core->flush_max_threshold < DP_PROMPT_BYTES + HEADERS_BYTES;
}

/* Where no range can be met, httpd's filter runs the site's ErrorDocument on
 * this very thread; and many ranges make an answer longer. */
static int may_run_anything(const request_rec *r)
{
    return apr_table_get(r->headers_in, "Range") != NULL;
}

/* A socket that shows the client's descriptor. With a time-out from the
 * beginning, as to set none would make the descriptor block, which the
 * connection's own socket wouldn't know. */
static apr_socket_t *client_socket(dp_parking_t *parking)
{
    if (parking->client == NULL) {
        apr_os_sock_put(&parking->client, &parking->client_fd,
                        parking->c->pool);
        apr_socket_timeout_set(parking->client, WRITE_USEC);
    }
    return parking->client;
}

void dp_prompt_answer(dp_parking_t *parking)
{
    request_rec *r = parking->r;
    conn_rec *c = parking->c;
    ap_filter_t *last = last_filter(r);
    dp_scratch_t scratch = {dp_lot->scratch, DP_PROMPT_BYTES};
    apr_socket_t *lent;
    core_net_rec *net;

    if (last == NULL || c->aborted || c->data_in_output_filters
        || may_wait_for_client(c) || may_run_anything(r)) {
        return;
    }
    net = last->ctx;
    lent = net->client_socket;
    net->client_socket = client_socket(parking);
    parking->status = parking->answers->promptly(r, parking->baton, &scratch);
    parking->is_answered = parking->status != DECLINED;
    if (parking->status == OK) {
        /* Small answers too, which httpd's core likes to collect. */
        last->frec->filter_func.out_func(last, NULL);
    }
    net->client_socket = lent;
}
