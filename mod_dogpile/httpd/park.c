/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parking: what makes the event MPM take a connection away and bring it back.
 *
 *   handler              takes a place, returns SUSPENDED; httpd core leaves
 *                        the request as it is
 *   process_connection   ours runs the others inside of itself, and turns
 *                        "suspended" into "wait until readable"
 *   suspend_connection   the MPM is about to poll: the socket shows it the
 *                        eventfd of the place
 *   (most are answered now, prompt.c; a wake-up writes to the eventfd)
 *   resume_connection    the socket is the client's again
 *   process_connection   ours again: the request is answered, if it isn't yet,
 *                        and ended, as httpd's core would have
 *
 * Every hook runs on the worker thread that has the connection, and only public
 * calls of httpd and APR are used. After the answer a connection waits for its
 * next request in the MPM's queue of write completion, "bridged", as the MPM
 * closes those of its keep-alive queue when all threads are busy, which they
 * are after a large landing.
 */
#include "httpd/park_priv.h"

#include <ap_mpm.h>
#include <apr_portable.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <scoreboard.h>

#include "base/clock.h"

/* What access logs show where a client didn't wait for its answer. */
#define STATUS_CLIENT_CLOSED 499

/* --- which may --------------------------------------------------------- */

const char *dp_park_obstacle(void)
{
#ifdef AP_MPMQ_CAN_WAITIO
    int can = 0;

    if (ap_mpm_query(AP_MPMQ_CAN_WAITIO, &can) == APR_SUCCESS && can) {
        return NULL;
    }
    return "the MPM can't wait for a connection without a thread (event can, "
           "from httpd 2.4.63)";
#else
    return "the module was built for an httpd before 2.4.63";
#endif
}

static dp_parking_t *parking_of(conn_rec *c)
{
    const dp_conn_t *conn =
        ap_get_module_config(c->conn_config, &dogpile_module);

    return conn ? conn->parking : NULL;
}

/* A child that stops may have no listener any more to bring a connection back:
 * event's ends when it sees no connection, and one that was just accepted isn't
 * counted yet. Once it is, as here, a stop that hasn't begun waits for it. */
static int is_stopping(void)
{
    int state = 0;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS
           && state == AP_MPMQ_STOPPING;
}

/* A request that httpd itself holds the end of can't be suspended: an internal
 * redirect, a subrequest, a stream of HTTP/2. */
static int can_park(const request_rec *r, const dp_parking_t *parking)
{
    return parking != NULL && parking->is_inside && parking->r == NULL
           && r->prev == NULL && r->main == NULL
           && !r->connection->clogging_input_filters && !is_stopping();
}

const server_rec *dp_park_server(const request_rec *r)
{
    return r->server->keep_alive_timeout_set ? r->server
                                             : r->connection->base_server;
}

/* --- a request parks --------------------------------------------------- */

static apr_status_t leave(void *parking)
{
    if (dp_lot != NULL) {
        dp_lot_leave(parking);
        dp_lot_answered(parking);
    }
    return APR_SUCCESS;
}

dp_park_e dp_park_take(request_rec *r, apr_time_t until,
                       const dp_answers_t *answers, void *baton,
                       dp_parking_t **taken)
{
    dp_parking_t *parking = parking_of(r->connection);

    if (!can_park(r, parking)) {
        return DP_PARK_CANT;
    }
    parking->until = until;
    if (!dp_lot_take(parking)) {
        return DP_PARK_CANT;
    }
    parking->r = r;
    parking->answers = answers;
    parking->baton = baton;
    parking->is_answered = 0;
    apr_pool_cleanup_register(r->pool, parking, leave, apr_pool_cleanup_null);
    *taken = parking;
    return DP_PARK_READY;
}

void dp_park_cancel(dp_parking_t *parking)
{
    apr_pool_cleanup_run(parking->r->pool, parking, leave);
    parking->r = NULL;
}

/* --- it is answered ---------------------------------------------------- */

/* As ap_invoke_handler() would go on after ours has declined. */
static int next_handler(request_rec *r)
{
    int status;

    if (r->handler == NULL) {
        r->handler =
            r->content_type ? r->content_type : AP_DEFAULT_HANDLER_NAME;
    }
    status = ap_run_handler(r);
    return status == DECLINED ? HTTP_INTERNAL_SERVER_ERROR : status;
}

static void answer(dp_parking_t *parking, request_rec *r)
{
    int status;

    ap_update_child_status(r->connection->sbh, SERVER_BUSY_WRITE, r);
    if (parking->is_answered) {
        ap_die(parking->status, r); /* its end; or an error that remains */
        return;
    }
    if (parking->is_gone || r->connection->aborted) {
        r->connection->aborted = 1;
        r->status = STATUS_CLIENT_CLOSED;
        return;
    }
    status = parking->answers->at_length(r, parking->baton);
    if (status == DECLINED) {
        status = next_handler(r);
    }
    ap_die(status, r);
}

/* Send what is left and have the MPM wait for the next request without its
 * keep-alive queue. */
static void bridge(dp_parking_t *parking, apr_interval_time_t keep_alive)
{
    conn_rec *c = parking->c;
    ap_filter_t *last = c->output_filters;

    if (c->cs->state != CONN_STATE_WRITE_COMPLETION || c->aborted
        || c->keepalive != AP_CONN_KEEPALIVE || c->data_in_input_filters) {
        return;
    }
    while (last->next != NULL) {
        last = last->next;
    }
    if (last->frec->filter_func.out_func(last, NULL) == APR_SUCCESS
        && !c->data_in_output_filters) {
        parking->is_over_bridge = dp_lot_bridge(
            parking, dp_clock_now(&dp_clock_monotonic) + keep_alive);
        if (parking->is_over_bridge) {
            c->cs->sense = CONN_SENSE_WANT_READ;
        }
    }
}

static void resume(dp_parking_t *parking)
{
    request_rec *r = parking->r;
    apr_interval_time_t keep_alive = dp_park_server(r)->keep_alive_timeout;

    apr_pool_cleanup_kill(r->pool, parking, leave);
    dp_lot_leave(parking);
    parking->r = NULL;
    answer(parking, r);
    ap_process_request_after_handler(r); /* which is the end of r */
    dp_lot_answered(parking);
    bridge(parking, keep_alive);
}

/* --- hooks ------------------------------------------------------------- */

static apr_status_t forget(void *parking)
{
    if (dp_lot != NULL) {
        dp_lot_unbridge(parking);
    }
    return APR_SUCCESS;
}

static dp_parking_t *make_parking(conn_rec *c)
{
    dp_conn_t *conn = apr_pcalloc(c->pool, sizeof(*conn));
    dp_parking_t *parking = apr_pcalloc(c->pool, sizeof(*parking));

    parking->c = c;
    parking->place = -1;
    APR_RING_ELEM_INIT(parking, link);
    conn->parking = parking;
    ap_set_module_config(c->conn_config, &dogpile_module, conn);
    apr_pool_cleanup_register(c->pool, parking, forget, apr_pool_cleanup_null);
    return parking;
}

static int process_connection(conn_rec *c)
{
    dp_parking_t *parking;
    int status;

    if (c->master != NULL || c->cs == NULL || dp_lot == NULL) {
        return DECLINED;
    }
    parking = parking_of(c);
    if (parking == NULL) {
        parking = make_parking(c);
    }
    if (parking->is_inside) {
        return DECLINED;
    }
    if (parking->r != NULL) {
        resume(parking);
        return OK;
    }
    parking->is_inside = 1;
    status = ap_run_process_connection(c);
    parking->is_inside = 0;
    if (parking->r == NULL) {
        return status;
    }
    if (c->aborted) {
        resume(parking);
        return OK;
    }
#ifdef AP_MPMQ_CAN_WAITIO
    c->cs->state = CONN_STATE_ASYNC_WAITIO;
    c->cs->sense = CONN_SENSE_WANT_READ;
#endif
    return OK;
}

/* What the connection's socket is to the MPM and to httpd's filters. */
static void show_socket(dp_parking_t *parking, int fd)
{
    apr_socket_t *socket = ap_get_conn_socket(parking->c);

    apr_os_sock_put(&socket, &fd, parking->c->pool);
}

static void suspend_connection(conn_rec *c, request_rec *r)
{
    dp_parking_t *parking = parking_of(c);

    (void)r;
    if (parking == NULL || parking->r == NULL || parking->is_lent) {
        return;
    }
    apr_os_sock_get(&parking->client_fd, ap_get_conn_socket(c));
    show_socket(parking, dp_lot_wake_fd(parking));
    dp_lot_lend(parking);
}

static void resume_connection(conn_rec *c, request_rec *r)
{
    dp_parking_t *parking = parking_of(c);

    (void)r;
    if (parking == NULL || dp_lot == NULL) {
        return; /* not one of ours, or the child has ended */
    }
    if (parking->is_lent) {
        dp_lot_take_back(parking);
        show_socket(parking, parking->client_fd);
    }
    if (parking->is_over_bridge) {
        parking->is_over_bridge = 0;
        dp_lot_unbridge(parking);
        if (c->cs != NULL && c->cs->state == CONN_STATE_WRITE_COMPLETION) {
            c->data_in_input_filters = 1; /* read on */
        }
    }
}

/* The MPM closes a connection. Where a request is parked, its Timeout is over,
 * and the client is told so. */
static int before_close(conn_rec *c)
{
    dp_parking_t *parking = parking_of(c);
    conn_state_e state;

    if (parking == NULL) {
        return OK;
    }
    dp_lot_unbridge(parking); /* its descriptor will be someone else's */
    if (parking->r != NULL && !parking->is_inside) {
        state = c->cs->state;
        c->keepalive = AP_CONN_CLOSE;
        resume(parking);
        c->cs->state = state;
    }
    return OK;
}

void dp_park_child_stopping(void)
{
    if (dp_lot != NULL) {
        dp_lot_stop();
    }
}

void dp_park_child_init(int max, apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = max > 0 ? dp_lot_make(max, pchild) : APR_SUCCESS;

    if (rv != APR_SUCCESS) {
        dp_slog(s, APLOG_ERR, rv, 806,
                "this child can't park requests: those that wait hold threads");
    }
}

void dp_park_register(void)
{
    ap_hook_process_connection(process_connection, NULL, NULL,
                               APR_HOOK_REALLY_FIRST - 1);
    ap_hook_suspend_connection(suspend_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_resume_connection(resume_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_close_connection(before_close, NULL, NULL, APR_HOOK_MIDDLE);
}
