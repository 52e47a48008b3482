/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How leases are written into ZooKeeper's tree: names and records. Pure, no
 * I/O.
 *
 *     <root>/clock                                   to ask for the time
 *     <root>/<2 hex>/<64 hex>-<kind>-<24 hex>-<10>   a lease: digest, x or s,
 *                                                    nonce, sequence number
 *     <root>/<2 hex>/<64 hex>-w                      a wish, see lease.h
 *
 * Nonce and sequence number together are the token, so whoever has the token
 * knows the node, and whoever sees the node knows the token.
 */
#ifndef DP_LOCK_ZOOKEEPER_NODE_H
#define DP_LOCK_ZOOKEEPER_NODE_H

#include <zookeeper/zookeeper.h>

#include "lock/lease.h"

typedef struct dp_zk_node_t {
    const char *path;
    dogpile_digest_t digest;
    dogpile_id_t token; /* none of a wish */
    dp_lease_kind_e kind;
    apr_int32_t sequence; /* 0 of a wish */
} dp_zk_node_t;

/* The folder of a key's leases; what their names begin with. */
const char *dp_zk_folder(const char *root, const dogpile_digest_t *digest,
                         apr_pool_t *pool);
const char *dp_zk_prefix(const dogpile_digest_t *digest, apr_pool_t *pool);

/* A new lease, but for its sequence number. */
const char *dp_zk_new_path(const char *root, const dogpile_digest_t *digest,
                           dp_lease_kind_e kind, apr_pool_t *pool);

const char *dp_zk_token_path(const char *root, const dogpile_digest_t *digest,
                             const dogpile_id_t *token, apr_pool_t *pool);
const char *dp_zk_wish_path(const char *root, const dogpile_digest_t *digest,
                            apr_pool_t *pool);

/* Read a name. 1, or 0 when it isn't one that we give. */
int dp_zk_node_read(dp_zk_node_t *node, const char *folder, const char *name,
                    apr_pool_t *pool);

/* The digest that a node's name begins with. 1, or 0 when there is none. */
int dp_zk_path_digest(dogpile_digest_t *digest, const char *path);

/* Was `a` made before `b`? Sequence numbers come round after 2^32. */
int dp_zk_is_before(apr_int32_t a, apr_int32_t b);

/* A node's content. */
const char *dp_zk_record(const dp_lease_t *lease, apr_size_t *size,
                         apr_pool_t *pool);

/*
 * The lease of a node: who and what for by its content, when by ZooKeeper's
 * own records of it. A content that can't be read is a lease of nobody known,
 * as long as `lease_usec`: returns 0 then.
 */
int dp_zk_lease_read(dp_lease_t *lease, const dp_zk_node_t *node,
                     const char *bytes, apr_size_t size,
                     const struct Stat *stat, apr_interval_time_t lease_usec,
                     apr_pool_t *pool);

/* A time of a Stat, within what a lease may hold. */
apr_time_t dp_zk_time(apr_int64_t msec);

#endif
