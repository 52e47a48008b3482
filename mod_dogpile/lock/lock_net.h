/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of lock servers, as DogpileLockServer and DogpileStore write them:
 *
 *     cache1:11211   10.0.0.7   [2001:db8::7]:11211   unix:/run/cache.sock
 *
 * Pure reading, for every back end that has servers: no name is looked up and
 * nothing is contacted. What a server type adds to that (a scheme, a user, a
 * chroot), its back end takes off before.
 */
#ifndef DP_LOCK_LOCK_NET_H
#define DP_LOCK_LOCK_NET_H

#include <apr_pools.h>
#include <apr_tables.h>

/* One locker has at most so many; more is a slip of the pen. */
#define DP_NET_SERVERS_MAX 64

/* Longest host name (RFC 1035, section 2.3.4), and longest path of a socket
 * (sun_path of unix(7), with its final zero). */
#define DP_NET_HOST_MAX 253
#define DP_NET_PATH_BYTES 108

typedef struct dp_net_server_t {
    const char *name; /* canonical: "host:port", "[::1]:port", "unix:/path";
                         lower case, port always there: equal names are equal
                         servers */
    const char *host; /* name or address without brackets; NULL for a socket */
    int port;         /* 1 to 65535; 0 for a socket */
    const char *path; /* of a unix socket, absolute; else NULL */
    int is_ipv6;      /* `host` is an IPv6 address */
} dp_net_server_t;

/*
 * Read one address. `default_port` is used where it names none; 0: it must
 * name one. Texts are allocated from the pool. NULL, or what is wrong and what
 * is allowed.
 */
const char *dp_net_server(dp_net_server_t *server, const char *text,
                          int default_port, apr_pool_t *result_pool);

/*
 * Read a list: `texts`, of const char *, each one address or several with
 * commas between. `servers` becomes an array of dp_net_server_t in that order.
 * None, one twice, and more than DP_NET_SERVERS_MAX are refused. NULL, or what
 * is wrong and what is allowed.
 */
const char *dp_net_servers(apr_array_header_t **servers,
                           const apr_array_header_t *texts, int default_port,
                           apr_pool_t *result_pool);

#endif
