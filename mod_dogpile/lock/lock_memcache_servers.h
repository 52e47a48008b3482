/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcached servers of one locker or store: which of them has a key, how
 * healthy each is, and calls to them. Used by lock_memcache*.c and by
 * store_memcache*.c, on libmemcached, and the only place that knows it.
 *
 * All servers form one ring: a key belongs to one of them by its digest and
 * their names, on every host that lists the same names in whatever order. A
 * server that is down takes its keys with it; they never move to another one,
 * where another host would not look for them.
 *
 * A call is made of commands to one server over one connection. It begins
 * with a deadline that holds for all of them, and after the first command that
 * fails no other is sent: a cas number is never used on another connection
 * than the one that it came from, where it may mean something else.
 */
#ifndef DP_LOCK_LOCK_MEMCACHE_SERVERS_H
#define DP_LOCK_LOCK_MEMCACHE_SERVERS_H

#include <apr_thread_mutex.h>
#include <libmemcached/memcached.h>
#include <libmemcached/util.h>
#include <netinet/in.h>

#include "dogpile_types.h"
#include "lock/lock_net.h"

#define DP_MC_PORT 11211

/* Connections to one server from one process; whoever finds all of them busy
 * waits until its deadline. Made when needed. */
#define DP_MC_CONNECTIONS 64

/* Longest time that memcached takes for a relative one. */
#define DP_MC_EXPIRE_MAX_SEC (30 * 24 * 3600)

/* What a server is known to be like. */
typedef struct dp_mc_health_t {
    apr_status_t failure; /* why it is down; APR_SUCCESS while it is up */
    const char *reason;   /* the same in words, constant */
    apr_time_t since;     /* time of day; 0: it was never used */
    apr_time_t retry_at;  /* monotonic: while down, nobody asks before */
    int version[3];       /* as it says itself */
} dp_mc_health_t;

typedef struct dp_mc_server_t {
    dp_net_server_t net;
    memcached_pool_st *pool; /* of connections */
    /* Guarded by the mutex of its dp_mc_t: */
    char address[INET6_ADDRSTRLEN]; /* numeric; "" while unknown */
    unsigned generation;            /* connections of another are made anew */
    dp_mc_health_t health;
} dp_mc_server_t;

typedef struct dp_mc_t {
    const char *owner; /* whose they are, for messages: "locker tiles" */
    const dogpile_log_t *log;
    apr_interval_time_t timeout_usec; /* of a call */
    dp_mc_server_t *servers;
    int nservers;
    apr_thread_mutex_t *mutex;
} dp_mc_t;

/*
 * Read the list of servers; contacts nothing. What is passed in must live as
 * long as the result. NULL, or what is wrong and what is allowed.
 */
const char *dp_mc_create(dp_mc_t **mc, const char *owner,
                         const apr_array_header_t *texts,
                         apr_interval_time_t timeout_usec,
                         const dogpile_log_t *log, apr_pool_t *result_pool);

/* In each child, once. Connections are made later and closed with the pool.
 * Where servers have names, waits for their addresses, timeout_usec at most. */
apr_status_t dp_mc_child_init(dp_mc_t *mc, apr_pool_t *child_pool);

/* The server that has the key. */
dp_mc_server_t *dp_mc_server_of(const dp_mc_t *mc,
                                const dogpile_digest_t *digest);

/* A row a server for the status page. */
void dp_mc_describe(dp_mc_t *mc, dogpile_row_fn *row, void *baton,
                    apr_pool_t *scratch_pool);

/* ---- calls: lock_memcache_call.c ---- */

typedef struct dp_mc_call_t {
    dp_mc_t *mc;
    dp_mc_server_t *server;
    memcached_st *connection; /* or NULL */
    apr_time_t deadline;      /* monotonic */
    apr_status_t failed;      /* the first failure; nothing is sent after it */
    int is_used;              /* the connection was used before this call */
    int is_lost;              /* and the server had closed it meanwhile */
} dp_mc_call_t;

/* An item as it was read. */
typedef struct dp_mc_item_t {
    const unsigned char *bytes; /* NULL where it is larger than asked for */
    apr_size_t size;
    apr_uint32_t flags;
    apr_uint64_t cas; /* the number of this version on this connection */
} dp_mc_item_t;

/*
 * Begin a call to the server that has the key, until `deadline` (monotonic; 0:
 * timeout_usec from now). APR_SUCCESS, or unavailable: down, no answer, not
 * memcached. dp_mc_end() in any case. Unavailable is never APR_EEXIST or
 * APR_NOTFOUND, here and in all commands.
 */
apr_status_t dp_mc_begin(dp_mc_call_t *call, dp_mc_t *mc,
                         const dogpile_digest_t *digest, apr_time_t deadline);

/*
 * After a failure: may the call start anew? So it may when the server had
 * closed a connection that lay idle, as after its restart; then there is a new
 * one, and what was read on the other is void. Commands of the failed try may
 * have been carried out.
 */
int dp_mc_again(dp_mc_call_t *call);

void dp_mc_end(dp_mc_call_t *call);

/* Whether there is time for one more command. */
int dp_mc_has_time(const dp_mc_call_t *call);

/* For commands. Before one: is it still that connection, and is there time?
 * The results are those of the call. */
apr_status_t dp_mc_ready(dp_mc_call_t *call);
/* After one that came to nothing that can be told from no answer at all. */
apr_status_t dp_mc_fail(dp_mc_call_t *call, memcached_return_t rc);
/* After one that the server can't carry out, this once. */
apr_status_t dp_mc_refused(dp_mc_call_t *call, apr_status_t status);

/* ---- commands: lock_memcache_command.c ---- */

/* APR_SUCCESS; APR_NOTFOUND, which is sure; or unavailable. Of items larger
 * than `max` only the size is told. */
apr_status_t dp_mc_get(dp_mc_call_t *call, const char *key, apr_size_t max,
                       dp_mc_item_t *item, apr_pool_t *result_pool);

/* `n` items at once; missing ones have no bytes and no size. */
apr_status_t dp_mc_get_all(dp_mc_call_t *call, const char *const *keys, int n,
                           apr_size_t max, dp_mc_item_t *items,
                           apr_pool_t *result_pool);

/* What is written: size bytes and flags, for that many seconds, 0 for ever. */
typedef struct dp_mc_value_t {
    const void *bytes;
    apr_size_t size;
    apr_uint32_t flags;
    apr_int64_t expire_sec;
} dp_mc_value_t;

/* APR_SUCCESS; APR_EEXIST: there is one; APR_ENOSPC: too large or no memory;
 * or unavailable. */
apr_status_t dp_mc_add(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value);
/* As add. APR_EEXIST: not that version any more; APR_NOTFOUND: gone. */
apr_status_t dp_mc_cas(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value, apr_uint64_t cas);
/* As add, over whatever is there. */
apr_status_t dp_mc_set(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value);
/* Remove whatever is there. APR_SUCCESS, APR_NOTFOUND or unavailable. */
apr_status_t dp_mc_drop(dp_mc_call_t *call, const char *key);
/* Remove that version, or nothing: as cas. */
apr_status_t dp_mc_remove(dp_mc_call_t *call, const char *key,
                          apr_uint64_t cas);

/* The server's clock: whole seconds, since 1970 by its own opinion. It runs
 * evenly, and items expire by it. */
apr_status_t dp_mc_time(dp_mc_call_t *call, apr_time_t *now);

/* ---- health, for calls: lock_memcache_servers.c ---- */

/* May the server be asked now? If not, why. */
apr_status_t dp_mc_admit(dp_mc_t *mc, dp_mc_server_t *server);
/* It has answered. */
void dp_mc_note_up(dp_mc_t *mc, dp_mc_server_t *server, const int version[3]);
/* It has not, in time or at all. */
void dp_mc_note_down(dp_mc_t *mc, dp_mc_server_t *server, apr_status_t failure,
                     const char *reason);
/* Its connections were closed, or it lives elsewhere (`address`, or NULL for
 * where it is): they are made anew when next used. */
void dp_mc_renew(dp_mc_t *mc, dp_mc_server_t *server, const char *address);
/* Where it is, as of now; 0 where that isn't known yet. */
int dp_mc_where(dp_mc_t *mc, dp_mc_server_t *server,
                char address[INET6_ADDRSTRLEN], unsigned *generation);

/* ---- names: lock_memcache_names.c ---- */

/* Keep the addresses of servers that have names up to date, until the pool
 * ends. Returns when each was looked up once, or after `wait_usec`. */
apr_status_t dp_mc_names_start(dp_mc_t *mc, apr_interval_time_t wait_usec,
                               apr_pool_t *child_pool);

#endif
