/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places of a child where requests park. Used by worker threads, by whoever
 * lands a flight, and by the thread that watches them (lot_thread.c).
 *
 * Those whose wait is over are answered by the lot's thread, where that can be
 * done promptly, and then brought back a few at a time (window.c), each that is
 * done letting the next one go, so that a landing with thousands of waiters
 * doesn't take every thread of the child from everyone else. One that isn't
 * done soon, as its client reads slowly or its request is passed on, counts no
 * longer: it must not keep the others.
 *
 * The invariant: a parking is in exactly one ring while its state is ASLEEP,
 * CALLED or DUE, while it is counted, or while it is bridged, and in none
 * otherwise.
 */
#include "httpd/park_priv.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* How long one that was brought back counts: many times what an answer takes
 * whose client reads it at once. */
#define COUNTED_USEC apr_time_from_msec(100)

dp_lot_t *dp_lot;

void dp_lot_lock(void)
{
    pthread_mutex_lock(&dp_lot->mutex);
}

void dp_lot_unlock(void)
{
    pthread_mutex_unlock(&dp_lot->mutex);
}

static void call_thread(void)
{
    (void)eventfd_write(dp_lot->call_fd, 1);
}

/* --- rings ------------------------------------------------------------- */

/* Most have the same time to wait, so the place is near the end. */
static void insert_by_time(struct dp_parking_ring_t *ring,
                           dp_parking_t *parking)
{
    dp_parking_t *before = APR_RING_LAST(ring);

    while (before != APR_RING_SENTINEL(ring, dp_parking_t, link)
           && before->until > parking->until) {
        before = APR_RING_PREV(before, link);
    }
    if (before == APR_RING_SENTINEL(ring, dp_parking_t, link)) {
        APR_RING_INSERT_HEAD(ring, parking, dp_parking_t, link);
    }
    else {
        APR_RING_INSERT_AFTER(before, parking, link);
    }
    if (APR_RING_FIRST(ring) == parking) {
        call_thread(); /* its time comes before all others' */
    }
}

/* Those who are due come back as the window allows. */
void dp_lot_let_go_locked(void)
{
    while (!APR_RING_EMPTY(&dp_lot->due, dp_parking_t, link)
           && (dp_lot->nawake == 0
               || dp_lot->nawake < dp_window(dp_lot->nawake))) {
        dp_parking_t *first = APR_RING_FIRST(&dp_lot->due);

        APR_RING_REMOVE(first, link);
        first->state = DP_PARKED_AWAKE;
        first->is_counted = 1;
        first->until = dp_clock_now(&dp_clock_monotonic) + COUNTED_USEC;
        APR_RING_INSERT_TAIL(&dp_lot->awake, first, dp_parking_t, link);
        dp_lot->nawake++;
        (void)eventfd_write(dp_lot->places[first->place].wake_fd, 1);
    }
}

void dp_lot_uncount_locked(dp_parking_t *parking)
{
    APR_RING_REMOVE(parking, link);
    parking->is_counted = 0;
    dp_lot->nawake--;
    dp_lot_let_go_locked();
}

void dp_lot_queue_locked(dp_parking_t *parking)
{
    parking->state = DP_PARKED_DUE;
    APR_RING_INSERT_TAIL(&dp_lot->due, parking, dp_parking_t, link);
}

/* Its thread may still be about to park it, and then needs no other one. */
static int may_be_prompt(const dp_parking_t *parking)
{
    return parking->is_lent && !parking->is_gone;
}

void dp_lot_call_locked(dp_parking_t *parking)
{
    if (parking->state != DP_PARKED_ASLEEP) {
        return;
    }
    APR_RING_REMOVE(parking, link);
    if (may_be_prompt(parking)) {
        parking->state = DP_PARKED_CALLED;
        APR_RING_INSERT_TAIL(&dp_lot->called, parking, dp_parking_t, link);
        if (APR_RING_FIRST(&dp_lot->called) == parking) {
            call_thread();
        }
        return;
    }
    dp_lot_queue_locked(parking);
    dp_lot_let_go_locked();
    if (APR_RING_FIRST(&dp_lot->due) == parking) {
        call_thread(); /* whom it waits for may take long */
    }
}

/* --- places ------------------------------------------------------------ */

static int has_eventfd(dp_place_t *place)
{
    if (place->wake_fd < 0) {
        place->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return place->wake_fd >= 0;
}

int dp_lot_take(dp_parking_t *parking)
{
    dp_place_t *place;
    int has_one;

    dp_lot_lock();
    has_one = dp_lot->first_free >= 0
              && has_eventfd(&dp_lot->places[dp_lot->first_free]);
    if (has_one) {
        parking->place = dp_lot->first_free;
        place = &dp_lot->places[parking->place];
        dp_lot->first_free = place->next_free;
        dp_lot->ntaken++;
        place->generation++;
        place->parking = parking;
        parking->state = DP_PARKED_ASLEEP;
        parking->is_gone = 0;
        insert_by_time(&dp_lot->asleep, parking);
    }
    dp_lot_unlock();
    return has_one;
}

int dp_lot_wake_fd(const dp_parking_t *parking)
{
    return dp_lot->places[parking->place].wake_fd;
}

/* No event is asked for: an error and a connection that is closed in both
 * directions are told anyway. A client that only won't send more still wants
 * its answer. */
static void watch(const dp_parking_t *parking)
{
    struct epoll_event event = {.events = EPOLLONESHOT};
    const dp_place_t *place = &dp_lot->places[parking->place];

    event.data.u64 =
        (uint64_t)place->generation << 32 | (uint32_t)parking->place;
    epoll_ctl(dp_lot->epoll_fd, EPOLL_CTL_ADD, parking->client_fd, &event);
}

void dp_lot_lend(dp_parking_t *parking)
{
    watch(parking);
    dp_lot_lock();
    parking->is_lent = 1;
    dp_lot_unlock();
}

/* What the lot's thread does with a connection waits for nobody. */
static void wait_for_return_locked(const dp_parking_t *parking)
{
    while (parking->state == DP_PARKED_ANSWERING) {
        pthread_cond_wait(&dp_lot->returned, &dp_lot->mutex);
    }
}

void dp_lot_take_back(dp_parking_t *parking)
{
    epoll_ctl(dp_lot->epoll_fd, EPOLL_CTL_DEL, parking->client_fd, NULL);
    dp_lot_lock();
    wait_for_return_locked(parking);
    parking->is_lent = 0;
    if (parking->state == DP_PARKED_CALLED) {
        APR_RING_REMOVE(parking, link);
        dp_lot_queue_locked(parking);
    }
    dp_lot_unlock();
}

static void leave_place_locked(dp_parking_t *parking)
{
    eventfd_t count;
    dp_place_t *place = &dp_lot->places[parking->place];

    if (parking->state == DP_PARKED_AWAKE) {
        (void)eventfd_read(place->wake_fd, &count);
    }
    else {
        APR_RING_REMOVE(parking, link);
    }
    parking->state = DP_PARKED_NOT;
    place->parking = NULL;
    place->next_free = dp_lot->first_free;
    dp_lot->first_free = parking->place;
    dp_lot->ntaken--;
    parking->place = -1;
}

void dp_lot_leave(dp_parking_t *parking)
{
    dp_lot_lock();
    if (parking->place >= 0) {
        leave_place_locked(parking);
    }
    dp_lot_unlock();
}

void dp_lot_answered(dp_parking_t *parking)
{
    dp_lot_lock();
    if (parking->is_counted) {
        dp_lot_uncount_locked(parking);
    }
    dp_lot_unlock();
}

void dp_park_wake(void *parking)
{
    dp_lot_lock();
    dp_lot_call_locked(parking);
    dp_lot_unlock();
}

int dp_park_count(void)
{
    return dp_lot ? __atomic_load_n(&dp_lot->ntaken, __ATOMIC_RELAXED) : 0;
}

int dp_park_max(void)
{
    return dp_lot ? dp_lot->nplaces : 0;
}

/* --- answered connections ---------------------------------------------- */

int dp_lot_bridge(dp_parking_t *parking, apr_time_t until)
{
    int is_bridged;

    dp_lot_lock();
    is_bridged = !dp_lot->is_stopping;
    if (is_bridged) {
        parking->is_bridged = 1;
        parking->until = until;
        insert_by_time(&dp_lot->bridged, parking);
    }
    dp_lot_unlock();
    return is_bridged;
}

static void unbridge_locked(dp_parking_t *parking)
{
    if (parking->is_bridged) {
        parking->is_bridged = 0;
        APR_RING_REMOVE(parking, link);
    }
}

void dp_lot_unbridge(dp_parking_t *parking)
{
    dp_lot_lock();
    unbridge_locked(parking);
    dp_lot_unlock();
}

/* The MPM reads the end of the connection, and closes it. */
void dp_lot_end_reading_locked(dp_parking_t *parking)
{
    int fd = parking->client_fd;

    unbridge_locked(parking);
    shutdown(fd, SHUT_RD);
}

void dp_lot_stop(void)
{
    dp_lot_lock();
    dp_lot->is_stopping = 1;
    while (!APR_RING_EMPTY(&dp_lot->bridged, dp_parking_t, link)) {
        dp_lot_end_reading_locked(APR_RING_FIRST(&dp_lot->bridged));
    }
    dp_lot_unlock();
}
