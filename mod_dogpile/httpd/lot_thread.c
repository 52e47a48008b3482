/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that watches the places of a child, and its beginning and end.
 *
 * It notices clients that go away, ends waits at their deadline, answers those
 * whose wait is over (prompt.c), lets the next ones go when those before take
 * long, and closes answered connections on which no further request comes. It
 * never waits for anything but that.
 */
#include "httpd/park_priv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/thread.h"

/* So many are answered between two looks. */
#define BATCH 512

/* It looks that often in any case. */
#define LOOK_ANYWAY_USEC apr_time_from_sec(60)

/* Do to each whose time has come; returns when the next one is, or `next`. */
static apr_time_t end_waits_locked(struct dp_parking_ring_t *ring,
                                   void (*end)(dp_parking_t *parking),
                                   apr_time_t now, apr_time_t next)
{
    while (!APR_RING_EMPTY(ring, dp_parking_t, link)) {
        dp_parking_t *first = APR_RING_FIRST(ring);

        if (first->until > now) {
            return first->until < next ? first->until : next;
        }
        end(first); /* which takes it out of the ring */
    }
    return next;
}

static apr_time_t end_all_waits_locked(apr_time_t now)
{
    apr_time_t next = now + LOOK_ANYWAY_USEC;

    next = end_waits_locked(&dp_lot->asleep, dp_lot_call_locked, now, next);
    next = end_waits_locked(&dp_lot->bridged, dp_lot_end_reading_locked, now,
                            next);
    if (!APR_RING_EMPTY(&dp_lot->due, dp_parking_t, link)) {
        next =
            end_waits_locked(&dp_lot->awake, dp_lot_uncount_locked, now, next);
    }
    return next;
}

static void client_went_locked(uint64_t name)
{
    dp_place_t *place = &dp_lot->places[(uint32_t)name];

    if (place->parking != NULL && place->generation == name >> 32) {
        place->parking->is_gone = 1;
        dp_lot_call_locked(place->parking);
    }
}

/* Answers go first, as clients wait for them and for nothing that follows; but
 * a connection isn't kept for long after its own. */
static void answer_called_locked(void)
{
    int n;

    for (n = 0;
         n < BATCH && !APR_RING_EMPTY(&dp_lot->called, dp_parking_t, link);
         n++) {
        dp_parking_t *first = APR_RING_FIRST(&dp_lot->called);

        APR_RING_REMOVE(first, link);
        if (!first->is_gone) {
            first->state = DP_PARKED_ANSWERING;
            dp_lot_unlock();
            dp_prompt_answer(first);
            dp_lot_lock();
            pthread_cond_broadcast(&dp_lot->returned);
        }
        dp_lot_queue_locked(first);
    }
    dp_lot_let_go_locked();
}

static void *APR_THREAD_FUNC watch_lot(apr_thread_t *thread, void *baton)
{
    struct epoll_event events[64];
    eventfd_t count;
    apr_time_t now;
    apr_time_t next = 0;
    int is_over = 0;
    int i;
    int n;

    (void)thread;
    (void)baton;
    while (!is_over) {
        now = dp_clock_now(&dp_clock_monotonic);
        /* Rounded up, or it would be a little early and turn round and round. */
        n = epoll_wait(dp_lot->epoll_fd, events, 64,
                       next > now ? (int)((next - now + 999) / 1000) : 0);
        now = dp_clock_now(&dp_clock_monotonic);
        dp_lot_lock();
        for (i = 0; i < n; i++) {
            if (events[i].data.u64 == DP_LOT_CALL) {
                (void)eventfd_read(dp_lot->call_fd, &count);
            }
            else {
                client_went_locked(events[i].data.u64);
            }
        }
        answer_called_locked();
        /* After the answers, as those who got them may stand in line now. */
        next = end_all_waits_locked(now);
        if (!APR_RING_EMPTY(&dp_lot->called, dp_parking_t, link)) {
            next = now; /* the next batch */
        }
        is_over = dp_lot->is_over;
        dp_lot_unlock();
    }
    return NULL;
}

void dp_park_forget(void)
{
    dp_lot = NULL;
}

static apr_status_t end_lot(void *baton)
{
    apr_status_t rv;

    (void)baton;
    dp_lot_stop();
    dp_lot_lock();
    dp_lot->is_over = 1;
    dp_lot_unlock();
    (void)eventfd_write(dp_lot->call_fd, 1);
    return apr_thread_join(&rv, dp_lot->thread);
}

static void make_places(int nplaces, apr_pool_t *pchild)
{
    int i;

    dp_lot->places =
        apr_palloc(pchild, (apr_size_t)nplaces * sizeof(*dp_lot->places));
    for (i = 0; i < nplaces; i++) {
        dp_lot->places[i].wake_fd = -1;
        dp_lot->places[i].generation = 0;
        dp_lot->places[i].parking = NULL;
        dp_lot->places[i].next_free = i + 1 < nplaces ? i + 1 : -1;
    }
    dp_lot->nplaces = nplaces;
}

apr_status_t dp_lot_make(int nplaces, apr_pool_t *pchild)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = DP_LOT_CALL};
    apr_status_t rv;

    dp_lot = apr_pcalloc(pchild, sizeof(*dp_lot));
    pthread_mutex_init(&dp_lot->mutex, NULL);
    pthread_cond_init(&dp_lot->returned, NULL);
    APR_RING_INIT(&dp_lot->asleep, dp_parking_t, link);
    APR_RING_INIT(&dp_lot->called, dp_parking_t, link);
    APR_RING_INIT(&dp_lot->due, dp_parking_t, link);
    APR_RING_INIT(&dp_lot->awake, dp_parking_t, link);
    APR_RING_INIT(&dp_lot->bridged, dp_parking_t, link);
    dp_lot->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    dp_lot->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (dp_lot->call_fd < 0 || dp_lot->epoll_fd < 0
        || epoll_ctl(dp_lot->epoll_fd, EPOLL_CTL_ADD, dp_lot->call_fd,
                     &event)) {
        dp_lot = NULL;
        return errno;
    }
    make_places(nplaces, pchild);
    dp_lot->scratch = apr_palloc(pchild, DP_PROMPT_BYTES);
    rv = dp_apr_thread_start(&dp_lot->thread, watch_lot, NULL, pchild);
    if (rv != APR_SUCCESS) {
        dp_lot = NULL;
        return rv;
    }
    /* Before the flights end: nothing is woken any more. */
    apr_pool_pre_cleanup_register(pchild, NULL, end_lot);
    return APR_SUCCESS;
}
