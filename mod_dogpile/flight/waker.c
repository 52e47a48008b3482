/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waker: one thread of a child that sleeps on the child's eventfd and on
 * the lives of the children that lead flights it waits for, or hold a place
 * that it waits for.
 *
 * The eventfd says only "look": dp_waker_step() goes over this child's flights
 * and does what their states ask for, so a wake-up that comes twice or for
 * nothing does no harm. A sibling's death is seen through its pidfd, in a
 * fraction of a millisecond, by every child that waits for it; each may bury
 * it, and one of those with a waiter adopts what it led.
 */
#include "flight/flight_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"

/* Of the eventfd; pidfds have their slot's number. */
#define OWN_EVENT UINT32_MAX

void dp_kick(const dp_shared_t *shared, int slot)
{
    uint64_t one = 1;
    ssize_t n;

    /* Fails only where the counter is full, when a wake-up is due anyway. */
    do {
        n = write(shared->eventfds[slot], &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

static apr_status_t add_fd(dp_flights_t *flights, int fd, uint32_t name)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = name};

    return epoll_ctl(flights->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? errno : 0;
}

apr_status_t dp_waker_make(dp_flights_t *flights)
{
    int nslots = dp_table_nslots(flights->shared->table);
    int i;

    flights->watches = apr_pcalloc(
        flights->pool, (apr_size_t)nslots * sizeof(*flights->watches));
    for (i = 0; i < nslots; i++) {
        flights->watches[i].pidfd = -1;
    }
    flights->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (flights->epoll_fd < 0) {
        return errno;
    }
    return add_fd(flights, flights->shared->eventfds[flights->slot], OWN_EVENT);
}

void dp_waker_close(dp_flights_t *flights)
{
    int nslots = dp_table_nslots(flights->shared->table);
    int i;

    if (flights->epoll_fd < 0) {
        return;
    }
    for (i = 0; i < nslots; i++) {
        if (flights->watches[i].pidfd >= 0) {
            close(flights->watches[i].pidfd);
        }
    }
    close(flights->epoll_fd);
}

/* --- siblings ---------------------------------------------------------- */

static void bury(dp_flights_t *flights, int slot, const dp_watch_t *watch)
{
    int nslots = dp_table_nslots(flights->shared->table);
    unsigned char wake[nslots];

    memset(wake, 0, sizeof(wake));
    dp_table_bury(flights->shared->table, slot, watch->pid, watch->started,
                  wake);
    dp_wake_children(flights->shared, wake);
}

static void unwatch(dp_watch_t *watch)
{
    close(watch->pidfd); /* which takes it out of the epoll set */
    watch->pidfd = -1;
}

/* The pid has come round: the descriptor is of another process. */
static int is_another(const dp_watch_t *watch)
{
    apr_int64_t started = dp_process_started((pid_t)watch->pid);

    return started != 0 && started != watch->started;
}

/* Where a child can't be watched, the parent will tell. */
static void watch_child(dp_flights_t *flights, int slot)
{
    dp_watch_t *watch = &flights->watches[slot];

    if (slot == flights->slot || watch->pidfd >= 0) {
        return;
    }
    dp_table_slot(flights->shared->table, slot, &watch->pid, &watch->started);
    if (watch->pid == 0) {
        return;
    }
    /* By its number, as the C library has had a name for it only since 2.36. */
    watch->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)watch->pid, 0);
    if (watch->pidfd < 0) {
        if (errno == ESRCH) {
            bury(flights, slot, watch);
        }
        return;
    }
    if (is_another(watch)) {
        unwatch(watch);
        bury(flights, slot, watch);
    }
    else if (add_fd(flights, watch->pidfd, (uint32_t)slot) != APR_SUCCESS) {
        unwatch(watch);
    }
}

/* The slot may have a new child by now, which isn't buried: it has another
 * pid or start time. */
static void child_died(dp_flights_t *flights, int slot)
{
    unwatch(&flights->watches[slot]);
    bury(flights, slot, &flights->watches[slot]);
}

/* The children whose death concerns a flight of this one. */
static void mark_leaders(dp_flights_t *flights, unsigned char *slots)
{
    dp_table_t *table = flights->shared->table;
    const dp_local_t *local;
    int is_in_line = 0;
    int leader;

    dp_flights_lock(flights);
    for (local = flights->locals; local != NULL; local = local->next) {
        is_in_line |= local->phase == DP_PHASE_UPSTREAM;
        if (local->phase == DP_PHASE_AWAY) {
            leader = dp_table_leader(table, &local->ticket);
            if (leader >= 0) {
                slots[leader] = 1;
            }
        }
    }
    dp_flights_unlock(flights);
    if (is_in_line) {
        dp_table_rivals(table, slots);
    }
}

static void watch_leaders(dp_flights_t *flights)
{
    int nslots = dp_table_nslots(flights->shared->table);
    unsigned char wanted[nslots];
    int i;

    memset(wanted, 0, sizeof(wanted));
    mark_leaders(flights, wanted);
    for (i = 0; i < nslots; i++) {
        if (wanted[i]) {
            watch_child(flights, i);
        }
    }
}

/* --- the step ---------------------------------------------------------- */

static void look_locked(dp_local_t *local)
{
    dp_flights_t *flights = local->flights;
    dp_table_t *table = flights->shared->table;
    dp_view_t view = {.parts = 0};
    dp_flight_state_e state = dp_table_look(table, &local->ticket, &view);

    if (view.parts != 0) {
        dp_wake_locked(local, view.parts);
    }
    switch (state) {
    case DP_FLIGHT_LANDED:
    case DP_FLIGHT_FREE:
        dp_wake_locked(local, DP_ALL_PARTS);
        break;
    case DP_FLIGHT_ORPHAN:
        if (!APR_RING_EMPTY(&local->waiters, dp_waiter_t, link)
            && !flights->is_stopping
            && dp_table_adopt(table, flights->slot, &local->ticket)) {
            dp_count(flights->shared->counters, DP_COUNT_takeovers);
            dp_dispatch_locked(local);
        }
        break;
    case DP_FLIGHT_AIRBORNE:
        if (local->phase == DP_PHASE_UPSTREAM && !flights->is_stopping
            && dp_table_begin_fetch(table, &local->ticket,
                                    local->job->upstream_limit)) {
            dp_dispatch_locked(local);
        }
        break;
    }
}

void dp_waker_step(dp_flights_t *flights)
{
    dp_local_t *local;

    dp_flights_lock(flights);
    for (local = flights->locals; local != NULL; local = local->next) {
        look_locked(local);
    }
    if (__atomic_load_n(&flights->is_hurried, __ATOMIC_RELAXED)) {
        dp_keeper_call_locked(flights);
    }
    dp_flights_unlock(flights);
}

static void drain(int fd)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
}

static int is_over(dp_flights_t *flights)
{
    int over;

    dp_flights_lock(flights);
    over = flights->is_stopping && flights->leading == 0;
    dp_flights_unlock(flights);
    return over;
}

void *APR_THREAD_FUNC dp_waker_main(apr_thread_t *thread, void *baton)
{
    dp_flights_t *flights = baton;
    struct epoll_event events[16];
    int i;
    int n;

    (void)thread;
    while (!is_over(flights)) {
        n = epoll_wait(flights->epoll_fd, events, 16,
                       (int)apr_time_as_msec(DP_LOOK_ANYWAY_USEC));
        for (i = 0; i < n; i++) {
            if (events[i].data.u32 == OWN_EVENT) {
                drain(flights->shared->eventfds[flights->slot]);
            }
            else {
                child_died(flights, (int)events[i].data.u32);
            }
        }
        dp_waker_step(flights);
        watch_leaders(flights);
    }
    return NULL;
}
