/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places of a child where requests park, and the thread that watches them.
 *
 * The thread notices clients that go away, ends waits at their deadline, and
 * closes answered connections on which no further request comes. Everything
 * else happens on the thread of whoever calls. Those who are woken together
 * come back a few at a time (window.c), each that was answered letting the
 * next one go, so that a landing with thousands of waiters doesn't take every
 * thread of the child from everyone else. One that isn't answered soon, as its
 * client reads slowly or its request is passed on, counts no longer: it must
 * not keep the others.
 *
 * The invariant: a parking is in exactly one ring while its state is ASLEEP or
 * CALLED, while it is counted, or while it is bridged, and in none otherwise.
 */
#include "httpd/park_priv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Of the lot's own eventfd; places have their index and generation. */
#define CALL UINT64_MAX

/* How long one that was brought back counts: many times what an answer takes
 * whose client reads it at once. */
#define COUNTED_USEC apr_time_from_msec(100)

/* The thread looks that often in any case. */
#define LOOK_ANYWAY_USEC apr_time_from_sec(60)

dp_lot_t *dp_lot;

static void write_to(int fd)
{
    uint64_t one = 1;
    ssize_t n;

    /* Fails only where the counter is full, which says the same. */
    do {
        n = write(fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

static void drain(int fd)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
}

static void lock(void)
{
    pthread_mutex_lock(&dp_lot->mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&dp_lot->mutex);
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
        write_to(dp_lot->call_fd); /* due before all others */
    }
}

/* Those who were called come back as the window allows. */
static void let_go_locked(void)
{
    while (!APR_RING_EMPTY(&dp_lot->called, dp_parking_t, link)
           && (dp_lot->nawake == 0
               || dp_lot->nawake < dp_window(dp_lot->nawake))) {
        dp_parking_t *first = APR_RING_FIRST(&dp_lot->called);

        APR_RING_REMOVE(first, link);
        first->state = DP_PARKED_AWAKE;
        first->is_counted = 1;
        first->until = dp_clock_now(&dp_clock_monotonic) + COUNTED_USEC;
        APR_RING_INSERT_TAIL(&dp_lot->awake, first, dp_parking_t, link);
        dp_lot->nawake++;
        write_to(dp_lot->places[first->place].wake_fd);
    }
}

static void uncount_locked(dp_parking_t *parking)
{
    APR_RING_REMOVE(parking, link);
    parking->is_counted = 0;
    dp_lot->nawake--;
    let_go_locked();
}

static void call_locked(dp_parking_t *parking)
{
    if (parking->state != DP_PARKED_ASLEEP) {
        return;
    }
    APR_RING_REMOVE(parking, link);
    parking->state = DP_PARKED_CALLED;
    APR_RING_INSERT_TAIL(&dp_lot->called, parking, dp_parking_t, link);
    let_go_locked();
    if (APR_RING_FIRST(&dp_lot->called) == parking) {
        write_to(dp_lot->call_fd); /* whom it waits for may take long */
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

    lock();
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
    unlock();
    return has_one;
}

int dp_lot_wake_fd(const dp_parking_t *parking)
{
    return dp_lot->places[parking->place].wake_fd;
}

void dp_lot_watch(dp_parking_t *parking)
{
    struct epoll_event event = {.events = EPOLLONESHOT};
    dp_place_t *place = &dp_lot->places[parking->place];

    /* No event is asked for: an error and a connection that is closed in both
     * directions are told anyway. A client that only won't send more still
     * wants its answer. */
    event.data.u64 =
        (uint64_t)place->generation << 32 | (uint32_t)parking->place;
    epoll_ctl(dp_lot->epoll_fd, EPOLL_CTL_ADD, parking->client_fd, &event);
}

void dp_lot_unwatch(dp_parking_t *parking)
{
    epoll_ctl(dp_lot->epoll_fd, EPOLL_CTL_DEL, parking->client_fd, NULL);
}

static void leave_place_locked(dp_parking_t *parking)
{
    dp_place_t *place = &dp_lot->places[parking->place];

    if (parking->state == DP_PARKED_AWAKE) {
        drain(place->wake_fd);
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
    lock();
    if (parking->place >= 0) {
        leave_place_locked(parking);
    }
    unlock();
}

void dp_lot_answered(dp_parking_t *parking)
{
    lock();
    if (parking->is_counted) {
        uncount_locked(parking);
    }
    unlock();
}

void dp_park_wake(void *parking)
{
    lock();
    call_locked(parking);
    unlock();
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

    lock();
    is_bridged = !dp_lot->is_stopping;
    if (is_bridged) {
        parking->is_bridged = 1;
        parking->until = until;
        insert_by_time(&dp_lot->bridged, parking);
    }
    unlock();
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
    lock();
    unbridge_locked(parking);
    unlock();
}

/* The MPM reads the end of the connection, and closes it. */
static void end_reading_locked(dp_parking_t *parking)
{
    int fd = parking->client_fd;

    unbridge_locked(parking);
    shutdown(fd, SHUT_RD);
}

void dp_lot_stop(void)
{
    lock();
    dp_lot->is_stopping = 1;
    while (!APR_RING_EMPTY(&dp_lot->bridged, dp_parking_t, link)) {
        end_reading_locked(APR_RING_FIRST(&dp_lot->bridged));
    }
    unlock();
}

/* --- the thread -------------------------------------------------------- */

/* Do to each that is due; returns when the next one is, or `next`. */
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

    next = end_waits_locked(&dp_lot->asleep, call_locked, now, next);
    next = end_waits_locked(&dp_lot->bridged, end_reading_locked, now, next);
    if (!APR_RING_EMPTY(&dp_lot->called, dp_parking_t, link)) {
        next = end_waits_locked(&dp_lot->awake, uncount_locked, now, next);
    }
    return next;
}

static void client_went_locked(uint64_t name)
{
    dp_place_t *place = &dp_lot->places[(uint32_t)name];

    if (place->parking != NULL && place->generation == name >> 32) {
        place->parking->is_gone = 1;
        call_locked(place->parking);
    }
}

static void *APR_THREAD_FUNC watch_lot(apr_thread_t *thread, void *baton)
{
    struct epoll_event events[64];
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
        lock();
        for (i = 0; i < n; i++) {
            if (events[i].data.u64 == CALL) {
                drain(dp_lot->call_fd);
            }
            else {
                client_went_locked(events[i].data.u64);
            }
        }
        next = end_all_waits_locked(now);
        is_over = dp_lot->is_over;
        unlock();
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
    lock();
    dp_lot->is_over = 1;
    unlock();
    write_to(dp_lot->call_fd);
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
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = CALL};
    apr_status_t rv;

    dp_lot = apr_pcalloc(pchild, sizeof(*dp_lot));
    pthread_mutex_init(&dp_lot->mutex, NULL);
    APR_RING_INIT(&dp_lot->asleep, dp_parking_t, link);
    APR_RING_INIT(&dp_lot->called, dp_parking_t, link);
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
    rv = apr_thread_create(&dp_lot->thread, NULL, watch_lot, NULL, pchild);
    if (rv != APR_SUCCESS) {
        dp_lot = NULL;
        return rv;
    }
    /* Before the flights end: nothing is woken any more. */
    apr_pool_pre_cleanup_register(pchild, NULL, end_lot);
    return APR_SUCCESS;
}
