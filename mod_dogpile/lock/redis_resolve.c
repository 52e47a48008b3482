/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks names up. Called by any thread of a child that opens a connection,
 * which is seldom: connections last.
 *
 * Addresses are read directly. For names glibc's getaddrinfo_a(3) asks in a
 * thread of the C library's own, so nothing of ours runs when a module is
 * unloaded, and we wait for it no longer than our caller does. Where the C
 * library has no such thing, getaddrinfo(3) takes as long as it takes.
 *
 * The invariant: a request that was given up stays allocated until the C
 * library has done with it, and there are at most DP_REDIS_LOOKUPS_MAX of them.
 */
#include "lock/redis_resolve.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PORT_BYTES 8

static const struct addrinfo numeric = {
    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
static const struct addrinfo named = {.ai_socktype = SOCK_STREAM,
                                      .ai_flags = AI_NUMERICSERV};

apr_status_t dp_redis_resolver_make(dp_redis_resolver_t *resolver,
                                    apr_pool_t *pool)
{
    memset(resolver, 0, sizeof(*resolver));
    return apr_thread_mutex_create(&resolver->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   pool);
}

#ifdef __GLIBC__

/* One request, with what it points to. */
typedef struct request_t {
    struct gaicb query; /* first, so that one is the other */
    char host[NI_MAXHOST];
    char port[PORT_BYTES];
} request_t;

static void request_free(struct gaicb *query)
{
    if (query->ar_result) {
        freeaddrinfo(query->ar_result);
    }
    free(query);
}

/* Free what has come in after it was given up. */
static void reap_locked(dp_redis_resolver_t *resolver)
{
    int kept = 0;
    int i;

    for (i = 0; i < resolver->nlost; i++) {
        if (gai_error(resolver->lost[i]) == EAI_INPROGRESS) {
            resolver->lost[kept++] = resolver->lost[i];
        }
        else {
            request_free(resolver->lost[i]);
        }
    }
    resolver->nlost = kept;
}

/* A place for one more, which then is ours until leave(). */
static int enter(dp_redis_resolver_t *resolver)
{
    int is_in;

    apr_thread_mutex_lock(resolver->mutex);
    reap_locked(resolver);
    is_in = resolver->asking + resolver->nlost < DP_REDIS_LOOKUPS_MAX;
    resolver->asking += is_in;
    apr_thread_mutex_unlock(resolver->mutex);
    return is_in;
}

/* `lost`: a request that the C library couldn't be told to drop, or NULL. */
static void leave(dp_redis_resolver_t *resolver, struct gaicb *lost)
{
    apr_thread_mutex_lock(resolver->mutex);
    resolver->asking--;
    if (lost) {
        resolver->lost[resolver->nlost++] = lost;
    }
    apr_thread_mutex_unlock(resolver->mutex);
}

static int wait_for(struct gaicb *query, apr_time_t deadline)
{
    const struct gaicb *const list[] = {query};
    int error = EAI_INPROGRESS;

    while (error == EAI_INPROGRESS) {
        apr_interval_time_t left = deadline - dp_clock_now(&dp_clock_monotonic);
        struct timespec time = {.tv_sec = left / APR_USEC_PER_SEC,
                                .tv_nsec = left % APR_USEC_PER_SEC * 1000};

        if (left <= 0) {
            return EAI_INPROGRESS;
        }
        (void)gai_suspend(list, 1, &time);
        error = gai_error(query);
    }
    return error;
}

static request_t *make_request(const char *host, const char *port)
{
    request_t *request = calloc(1, sizeof(*request));

    if (request) {
        snprintf(request->host, sizeof(request->host), "%s", host);
        snprintf(request->port, sizeof(request->port), "%s", port);
        request->query.ar_name = request->host;
        request->query.ar_service = request->port;
        request->query.ar_request = &named;
    }
    return request;
}

/* The answer to a request, which is freed, or set to NULL where the C library
 * keeps it. */
static int answer_to(struct addrinfo **found, struct gaicb **query,
                     apr_time_t deadline)
{
    int error = getaddrinfo_a(GAI_NOWAIT, query, 1, NULL);

    if (error == 0) {
        error = wait_for(*query, deadline);
        if (error == EAI_INPROGRESS && gai_cancel(*query) == EAI_NOTCANCELED) {
            return error;
        }
        *found = error ? NULL : (*query)->ar_result;
        (*query)->ar_result = error ? (*query)->ar_result : NULL;
    }
    request_free(*query);
    *query = NULL;
    return error;
}

static int ask(struct addrinfo **found, dp_redis_resolver_t *resolver,
               const char *host, const char *port, apr_time_t deadline)
{
    struct gaicb *query;
    request_t *request;
    int error;

    if (!enter(resolver)) {
        return EAI_AGAIN;
    }
    request = make_request(host, port);
    query = request ? &request->query : NULL;
    error = query ? answer_to(found, &query, deadline) : EAI_MEMORY;
    leave(resolver, query);
    return error;
}

#else

#define EAI_INPROGRESS INT_MIN /* never */

static int ask(struct addrinfo **found, dp_redis_resolver_t *resolver,
               const char *host, const char *port, apr_time_t deadline)
{
    (void)resolver;
    (void)deadline;
    return getaddrinfo(host, port, &named, found);
}

#endif

apr_status_t dp_redis_resolve(struct addrinfo **found, const char **why,
                              dp_redis_resolver_t *resolver, const char *host,
                              int port, apr_time_t deadline)
{
    char text[PORT_BYTES];
    int error;

    *found = NULL;
    snprintf(text, sizeof(text), "%u", (unsigned)port & 0xffff);
    error = getaddrinfo(host, text, &numeric, found);
    if (error == EAI_NONAME) {
        error = ask(found, resolver, host, text, deadline);
    }
    if (error == EAI_INPROGRESS) {
        return APR_TIMEUP;
    }
    *why = error ? gai_strerror(error) : NULL;
    return error ? APR_EGENERAL : APR_SUCCESS;
}
