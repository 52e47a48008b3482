/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses before a deadline. getaddrinfo(3) has none: a resolver
 * that doesn't answer holds its caller for half a minute.
 */
#ifndef DP_LOCK_REDIS_RESOLVE_H
#define DP_LOCK_REDIS_RESOLVE_H

#include <apr_thread_mutex.h>
#include <netdb.h>

/* Look-ups at once, with those that were given up and whose answer is still to
 * come. More than a pool has connections. */
#define DP_REDIS_LOOKUPS_MAX 64

struct gaicb;

typedef struct dp_redis_resolver_t {
    apr_thread_mutex_t *mutex; /* guards the rest */
    int asking;                /* threads that wait for one */
    int nlost;                 /* given up; the C library still has them */
    struct gaicb *lost[DP_REDIS_LOOKUPS_MAX];
} dp_redis_resolver_t;

apr_status_t dp_redis_resolver_make(dp_redis_resolver_t *resolver,
                                    apr_pool_t *pool);

/*
 * The addresses of `host` for a stream to `port`, by `deadline` (monotonic
 * clock). APR_SUCCESS: `found` is to be given to freeaddrinfo(). APR_TIMEUP;
 * or APR_EGENERAL with the reason in `why`.
 */
apr_status_t dp_redis_resolve(struct addrinfo **found, const char **why,
                              dp_redis_resolver_t *resolver, const char *host,
                              int port, apr_time_t deadline);

#endif
