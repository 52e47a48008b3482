/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting without a thread: a parked request costs its connection and nothing
 * else.
 *
 * httpd's event MPM can wait for a connection to become readable and then hand
 * it back (CONN_STATE_ASYNC_WAITIO, httpd 2.4.63). While a request is parked,
 * the MPM is lent an eventfd in the place of the client's socket; a write to
 * that from any thread brings the request back on a worker thread, where it is
 * answered. Most have got their answer by then, from the thread that watches
 * the parked (prompt.c). docs/design/park.md says how, and what else it takes.
 *
 * Where this can't be done (another MPM, a stream of HTTP/2, an internal
 * redirect) a request blocks, under DogpileMaxBlocked.
 */
#ifndef DP_HTTPD_PARK_H
#define DP_HTTPD_PARK_H

#include "httpd/httpd_priv.h"

typedef struct dp_parking_t dp_parking_t; /* of a connection */

/* Answer a request that was parked; both return as a handler does. */
typedef struct dp_answers_t {
    /* On a worker thread, with all that httpd offers. */
    int (*at_length)(request_rec *r, void *baton);
    /* On the lot's thread, which others need: at once and with no more memory
     * than is lent, or DECLINED, and nothing was done. */
    int (*promptly)(request_rec *r, void *baton, dp_scratch_t *scratch);
} dp_answers_t;

typedef enum dp_park_e {
    DP_PARK_READY, /* there is a place: dp_park_wake() may be called */
    DP_PARK_CANT   /* this request can't, or DogpileMaxWaiters are parked:
                    block */
} dp_park_e;

/*
 * Take a place for a request. When its handler then returns SUSPENDED, it is
 * parked, and answered (`promptly` first, where that may do) when it was woken,
 * when it is `until` (monotonic), or when httpd closes the connection. It isn't
 * where the client goes away; whatever must be given back in any case belongs
 * in a cleanup of the request's pool.
 */
dp_park_e dp_park_take(request_rec *r, apr_time_t until,
                       const dp_answers_t *answers, void *baton,
                       dp_parking_t **parking);

/* A dp_wake_fn: bring it back. From any thread, also before its handler has
 * returned. */
void dp_park_wake(void *parking);

/* Give the place back without having parked. */
void dp_park_cancel(dp_parking_t *parking);

/* The server whose Timeout and KeepAliveTimeout the MPM applies to the
 * connection. */
const server_rec *dp_park_server(const request_rec *r);

/* How many are parked in this child, and how many may be. */
int dp_park_count(void);
int dp_park_max(void);

/* post_config: why nothing can park in this httpd, or NULL. */
const char *dp_park_obstacle(void);

/* child_init, after the flights' beginning: a child may park `max` requests,
 * none where it is 0. */
void dp_park_child_init(int max, apr_pool_t *pchild, server_rec *s);

/* The child stops, gracefully or not: idle connections are closed. */
void dp_park_child_stopping(void);

/* The child has ended: what comes now has nothing to give back. */
void dp_park_forget(void);

void dp_park_register(void);

#endif
