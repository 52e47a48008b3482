/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where memcached servers with names live: one thread of each child that has
 * such servers looks them up, at start, now and then, and often while one is
 * down. getaddrinfo(3) knows no deadline, so no thread that has one may call
 * it; callers use the address that was found last.
 *
 * A name may have several addresses of which some don't answer ("localhost"
 * is ::1 and 127.0.0.1): the first one that accepts a connection is taken. An
 * address that the name still has is kept while its server is up.
 *
 * The thread owns what it works on and outlives the pool if it must: whoever
 * ends the child doesn't wait for a name server. The invariant: it touches a
 * dp_mc_t only under its own mutex and only while it isn't told to stop.
 */
#include "lock/lock_memcache_servers.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

/* Between two rounds: while all is well, and while a server is down. */
#define PERIOD_SEC 30
#define PERIOD_DOWN_SEC 2

/* How long one address may take to accept, and how many a name may have. */
#define ACCEPT_MSEC 1000
#define ADDRESSES_MAX 8

/* How long the end of a child may take because of a slow name server. */
#define STOP_SEC 1

typedef struct names_t {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    dp_mc_t *mc; /* NULL: stop */
    int rounds;  /* completed */
    int users;   /* the thread, and the pool; the last one frees */
} names_t;

/* What one look-up needs, and what it found. */
typedef struct lookup_t {
    char host[DP_NET_HOST_MAX + 1];
    char port[8];
    char address[INET6_ADDRSTRLEN]; /* the present one, or "" */
    int keep;                       /* stay with it if the name does */
} lookup_t;

static int accepts(const struct addrinfo *info)
{
    struct pollfd wait = {.events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);

    wait.fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wait.fd < 0) {
        return 0;
    }
    if (connect(wait.fd, info->ai_addr, info->ai_addrlen) != 0) {
        error = errno;
        if (error == EINPROGRESS && poll(&wait, 1, ACCEPT_MSEC) == 1) {
            getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        }
    }
    close(wait.fd);
    return error == 0;
}

/* In figures: libmemcached then has nothing to look up. */
static int write_address(char text[INET6_ADDRSTRLEN],
                         const struct addrinfo *info)
{
    return getnameinfo(info->ai_addr, info->ai_addrlen, text, INET6_ADDRSTRLEN,
                       NULL, 0, NI_NUMERICHOST)
           == 0;
}

/* The best of them into lookup->address. */
static void choose(lookup_t *lookup, const struct addrinfo *all)
{
    char first[INET6_ADDRSTRLEN] = "";
    char text[INET6_ADDRSTRLEN];
    const struct addrinfo *info;
    int n = 0;

    for (info = all; lookup->keep && info; info = info->ai_next) {
        if (write_address(text, info) && strcmp(text, lookup->address) == 0) {
            return;
        }
    }
    for (info = all; info && n < ADDRESSES_MAX; info = info->ai_next, n++) {
        if (!write_address(text, info)) {
            continue;
        }
        if (first[0] == '\0') {
            memcpy(first, text, sizeof(first));
        }
        if (accepts(info)) {
            memcpy(lookup->address, text, sizeof(text));
            return;
        }
    }
    if (first[0]) {
        memcpy(lookup->address, first, sizeof(first));
    }
}

static void look_up(lookup_t *lookup)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all;

    if (getaddrinfo(lookup->host, lookup->port, &hints, &all) == 0) {
        choose(lookup, all);
        freeaddrinfo(all);
    }
}

/* ---- the thread ---- */

/* What is asked of server `i`; 0 where there is nothing to look up. */
static int prepare(lookup_t *lookup, dp_mc_t *mc, int i)
{
    dp_mc_server_t *server = &mc->servers[i];
    struct in_addr ipv4;
    unsigned generation;

    if (server->net.host == NULL || server->net.is_ipv6
        || inet_pton(AF_INET, server->net.host, &ipv4) == 1) {
        return 0;
    }
    apr_cpystrn(lookup->host, server->net.host, sizeof(lookup->host));
    apr_snprintf(lookup->port, sizeof(lookup->port), "%d", server->net.port);
    dp_mc_where(mc, server, lookup->address, &generation);
    apr_thread_mutex_lock(mc->mutex);
    lookup->keep =
        lookup->address[0] != '\0' && server->health.failure == APR_SUCCESS;
    apr_thread_mutex_unlock(mc->mutex);
    return 1;
}

/* Look each name up, once; 1 if all of them are well. The mutex is held, but
 * not while waiting. */
static int round_locked(names_t *names)
{
    int all_well = 1;
    int i;

    for (i = 0; names->mc && i < names->mc->nservers; i++) {
        char before[INET6_ADDRSTRLEN];
        lookup_t lookup;

        if (!prepare(&lookup, names->mc, i)) {
            continue;
        }
        all_well = all_well && lookup.keep;
        memcpy(before, lookup.address, sizeof(before));
        pthread_mutex_unlock(&names->mutex);
        look_up(&lookup);
        pthread_mutex_lock(&names->mutex);
        if (names->mc && strcmp(before, lookup.address) != 0) {
            dp_mc_renew(names->mc, &names->mc->servers[i], lookup.address);
        }
    }
    return all_well;
}

static void wait_locked(names_t *names, apr_interval_time_t usec)
{
    struct timespec until;
    apr_int64_t nsec;

    clock_gettime(CLOCK_MONOTONIC, &until);
    nsec = until.tv_nsec + (usec % APR_USEC_PER_SEC) * 1000;
    until.tv_sec += usec / APR_USEC_PER_SEC + nsec / 1000000000;
    until.tv_nsec = nsec % 1000000000;
    pthread_cond_timedwait(&names->changed, &names->mutex, &until);
}

/* The mutex is held; the last user frees it. */
static void leave_locked(names_t *names)
{
    int is_last = --names->users == 0;

    pthread_cond_broadcast(&names->changed);
    pthread_mutex_unlock(&names->mutex);
    if (is_last) {
        pthread_cond_destroy(&names->changed);
        pthread_mutex_destroy(&names->mutex);
        free(names);
    }
}

static void *keep_names(void *baton)
{
    names_t *names = baton;

    pthread_mutex_lock(&names->mutex);
    while (names->mc) {
        int all_well = round_locked(names);

        names->rounds++;
        pthread_cond_broadcast(&names->changed);
        if (names->mc) {
            wait_locked(names, apr_time_from_sec(all_well ? PERIOD_SEC
                                                          : PERIOD_DOWN_SEC));
        }
    }
    leave_locked(names);
    return NULL;
}

static apr_status_t start(names_t *names)
{
    pthread_t thread;
    apr_status_t status;

    status = dp_thread_start(&thread, keep_names, names);
    if (status == APR_SUCCESS) {
        pthread_detach(thread);
        names->users++;
    }
    return status;
}

static apr_status_t stop(void *data)
{
    names_t *names = data;

    pthread_mutex_lock(&names->mutex);
    names->mc = NULL;
    pthread_cond_broadcast(&names->changed);
    if (names->users > 1) {
        wait_locked(names, apr_time_from_sec(STOP_SEC));
    }
    leave_locked(names);
    return APR_SUCCESS;
}

static apr_status_t make_names(names_t **result, dp_mc_t *mc)
{
    names_t *names = calloc(1, sizeof(*names));
    pthread_condattr_t attributes;

    if (names == NULL) {
        return APR_ENOMEM;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&names->mutex, NULL);
    pthread_cond_init(&names->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    names->mc = mc;
    names->users = 1;
    *result = names;
    return APR_SUCCESS;
}

apr_status_t dp_mc_names_start(dp_mc_t *mc, apr_interval_time_t wait_usec,
                               apr_pool_t *child_pool)
{
    lookup_t unused;
    names_t *names;
    apr_status_t status;
    int i = 0;

    while (i < mc->nservers && !prepare(&unused, mc, i)) {
        i++;
    }
    if (i == mc->nservers) {
        return APR_SUCCESS;
    }
    status = make_names(&names, mc);
    if (status != APR_SUCCESS) {
        return status;
    }
    apr_pool_cleanup_register(child_pool, names, stop, apr_pool_cleanup_null);
    pthread_mutex_lock(&names->mutex);
    status = start(names);
    if (status == APR_SUCCESS) {
        wait_locked(names, wait_usec);
    }
    pthread_mutex_unlock(&names->mutex);
    return status;
}
