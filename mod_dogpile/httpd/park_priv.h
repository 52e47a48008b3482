/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of parking: park.c, which talks to the MPM, lot.c, which
 * keeps the places, lot_thread.c, which watches them, and prompt.c, which
 * answers on that thread.
 *
 * One mutex, dp_lot_t.mutex, guards the lot and every parking's members from
 * `is_lent` on; it is taken inside the mutex of the flights, never the other
 * way round. The members before are the connection's own: whichever thread has
 * the connection uses them. While a request is parked that is the MPM's,
 * except in the state ANSWERING, in which it is the lot's.
 */
#ifndef DP_HTTPD_PARK_PRIV_H
#define DP_HTTPD_PARK_PRIV_H

#include <apr_ring.h>
#include <apr_thread_proc.h>
#include <pthread.h>

#include "httpd/park.h"

/* Where a parked request is. */
typedef enum dp_parked_e {
    DP_PARKED_NOT,
    DP_PARKED_ASLEEP,    /* waits */
    DP_PARKED_CALLED,    /* its wait is over; may be answered at once */
    DP_PARKED_ANSWERING, /* by the lot's thread, which has the connection */
    DP_PARKED_DUE,       /* in the line of those to be brought back */
    DP_PARKED_AWAKE      /* its eventfd is written: the MPM brings it */
} dp_parked_e;

struct dp_parking_t {
    conn_rec *c;
    request_rec *r; /* parked, or NULL */
    const dp_answers_t *answers;
    void *baton;
    int is_inside;      /* in its process_connection hooks */
    int is_over_bridge; /* the MPM has it, after an answer */
    int is_answered;    /* while parked; as a handler, it returned `status` */
    int status;
    int client_fd;        /* the socket's own */
    apr_socket_t *client; /* shows it while the connection's shows another;
                             NULL until it is needed */

    int is_lent; /* the socket shows the MPM the eventfd */
    int place;   /* an index, or -1 */
    dp_parked_e state;
    int is_gone;    /* the client closed the connection */
    int is_bridged; /* waits for its next request, until `until` */
    int is_counted; /* among those awake */
    apr_time_t until;
    APR_RING_ENTRY(dp_parking_t)
    link; /* asleep, counted or bridged: by `until`;
             called or due: first come, first served */
};

APR_RING_HEAD(dp_parking_ring_t, dp_parking_t);

/* One request may park there. */
typedef struct dp_place_t {
    int wake_fd;         /* an eventfd, made at the first use and kept */
    uint32_t generation; /* tells who is there from who was */
    dp_parking_t *parking;
    int next_free;
} dp_place_t;

/* Where the requests of this child park. */
typedef struct dp_lot_t {
    pthread_mutex_t mutex;
    pthread_cond_t returned; /* a connection that was the lot's */
    dp_place_t *places;
    int nplaces;
    int first_free; /* -1: none */
    int ntaken;
    int nawake; /* counted: brought back a moment ago, not answered yet */
    struct dp_parking_ring_t asleep;
    struct dp_parking_ring_t called;
    struct dp_parking_ring_t due;
    struct dp_parking_ring_t awake; /* those that are counted */
    struct dp_parking_ring_t bridged;
    int epoll_fd; /* clients that may go, and the lot's own eventfd */
    int call_fd;
    int is_stopping;
    int is_over;
    apr_thread_t *thread;
    char *scratch; /* the thread's: DP_PROMPT_BYTES for an answer */
} dp_lot_t;

/* Of this child; NULL where nothing can park. */
extern dp_lot_t *dp_lot;

/* A place, with its eventfd. Returns 1, or 0 where there is none. */
int dp_lot_take(dp_parking_t *parking);

/* Out of whatever it is in; the place is free. */
void dp_lot_leave(dp_parking_t *parking);

/* From now on the MPM polls the eventfd: tell when the client goes, and answer
 * where that can be done at once; and no more. The latter waits for an answer
 * that is just being given. */
void dp_lot_lend(dp_parking_t *parking);
void dp_lot_take_back(dp_parking_t *parking);

int dp_lot_wake_fd(const dp_parking_t *parking);

/* It is answered: another one may be woken. */
void dp_lot_answered(dp_parking_t *parking);

/* Close the connection where nothing comes until then. Returns 0 where the
 * child stops; and no more. */
int dp_lot_bridge(dp_parking_t *parking, apr_time_t until);
void dp_lot_unbridge(dp_parking_t *parking);

/* Between lot.c and lot_thread.c. Epoll's name of the lot's own eventfd; places
 * have their index and generation. */
#define DP_LOT_CALL UINT64_MAX
void dp_lot_lock(void);
void dp_lot_unlock(void);
void dp_lot_call_locked(dp_parking_t *parking);
void dp_lot_queue_locked(dp_parking_t *parking);
void dp_lot_let_go_locked(void);
void dp_lot_uncount_locked(dp_parking_t *parking);
void dp_lot_end_reading_locked(dp_parking_t *parking);

/* What is idle is closed now, and nothing is bridged any more. */
void dp_lot_stop(void);

/* Make the lot; its thread is started. */
apr_status_t dp_lot_make(int nplaces, apr_pool_t *pchild);

/* A tile and the header of its record. What httpd's core takes without waiting
 * for the client is less than its FlushMaxThreshold, by default 64 KiB. */
#define DP_PROMPT_BYTES (48 * 1024)

/* prompt.c: answer a request whose connection is the lot's, where that takes
 * no waiting; else it is left as it is. */
void dp_prompt_answer(dp_parking_t *parking);

/* window.c: how many may be on their way back at once. */
int dp_window(int nawake);

#endif
