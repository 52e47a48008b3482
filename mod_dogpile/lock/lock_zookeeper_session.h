/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ZooKeeper session of one child process, and calls through it that end
 * by a deadline.
 *
 * ZooKeeper's client has calls that block until the session is over, which is
 * too long, and calls that report in a thread of its own. These are the
 * latter, with somebody who waits: begin one or several, then finish each by
 * the same deadline. They are done in the order in which they were begun, so
 * several cost one way there and back.
 */
#ifndef DP_LOCK_ZOOKEEPER_SESSION_H
#define DP_LOCK_ZOOKEEPER_SESSION_H

#include <apr_tables.h>
#include <zookeeper/zookeeper.h>

#include "dogpile_locker.h"

/* Most nodes of one folder that a reply may bring; more is not a lock tree of
 * ours, or an accident. */
#define DP_ZK_NAMES_MAX 4096

/* Most bytes of a node that are taken. A record of ours has below 2000. */
#define DP_ZK_BYTES_MAX 8192

/* Where to and how; the texts live as long as the session. */
typedef struct dp_zk_where_t {
    const char *name;                  /* of the locker, for messages */
    const char *root;                  /* the folder of all locks */
    const apr_array_header_t *servers; /* of dp_net_server_t */
    const char *secret;                /* "user:password", or NULL */
    apr_interval_time_t session_usec;  /* wanted; the server bounds it */
    apr_interval_time_t patience_usec; /* how long calls wait for a lost
                                          connection to come back */
    const dogpile_log_t *log;
} dp_zk_where_t;

typedef struct dp_zk_session_t dp_zk_session_t;
typedef struct dp_zk_call_t dp_zk_call_t;

/* Opens one in the background, and a new one whenever it is over, until
 * `pool` is cleared. */
apr_status_t dp_zk_session_start(dp_zk_session_t **session,
                                 const dp_zk_where_t *where, apr_pool_t *pool);

/* APR_SUCCESS when there is a connection now, perhaps after waiting for it;
 * else APR_ECONNREFUSED. APR_TIMEUP: nobody answers there, and others try. */
apr_status_t dp_zk_session_await(dp_zk_session_t *session, apr_time_t deadline);

/* Is the node with that Stat bound to the life of this session? */
int dp_zk_session_owns(dp_zk_session_t *session, const struct Stat *stat);

/*
 * The time of ZooKeeper's leader, by the last write of this session and the
 * time gone since: never ahead of it, behind by no more than that reply took.
 * 0 when the last write is too long ago or was through another connection.
 */
apr_time_t dp_zk_session_now(dp_zk_session_t *session);

/* Delete whatever sequential node begins with `path` as soon as the server
 * can be asked. For nodes that may be there and shouldn't. */
void dp_zk_session_sweep_later(dp_zk_session_t *session, const char *path);

/*
 * From now on, and until `pool` is cleared, tell when a node that was asked
 * for with `watches` is changed or gone, once. In the client's thread.
 */
void dp_zk_session_listen(dp_zk_session_t *session,
                          dogpile_released_fn *released, void *baton,
                          apr_pool_t *pool);

/* For the status page. */
const char *dp_zk_session_describe(dp_zk_session_t *session,
                                   apr_pool_t *result_pool);

/* What a call brought, in the pool of dp_zk_finish(). */
typedef struct dp_zk_reply_t {
    struct Stat stat;  /* of get, set, create, end (as of its end) */
    const char *path;  /* of create: with the sequence number */
    const char *bytes; /* of get; at most DP_ZK_BYTES_MAX */
    apr_size_t size;
    apr_array_header_t *names; /* of list: const char * */
} dp_zk_reply_t;

/* A node's content. With `watches`, if anybody listens, its next
 * change or its end is told. */
dp_zk_call_t *dp_zk_get(dp_zk_session_t *session, const char *path,
                        int watches);

/* Replace it, in any version. */
dp_zk_call_t *dp_zk_set(dp_zk_session_t *session, const char *path,
                        const char *bytes, apr_size_t size);

/* `mode` is one of ZOO_PERSISTENT, ZOO_CONTAINER, ZOO_EPHEMERAL and
 * ZOO_EPHEMERAL_SEQUENTIAL. Of the last: if it isn't known whether it was made,
 * or it was made too late, it is swept. */
dp_zk_call_t *dp_zk_create(dp_zk_session_t *session, const char *path,
                           const char *bytes, apr_size_t size, int mode);

/* Delete that version; -1 is any: that is made up for if it is dropped. */
dp_zk_call_t *dp_zk_delete(dp_zk_session_t *session, const char *path,
                           int version);

/* Delete it and learn the server's time of that, which becomes its mtime, in
 * one transaction. */
dp_zk_call_t *dp_zk_end(dp_zk_session_t *session, const char *path);

/* The names in a folder that begin with `prefix`. */
dp_zk_call_t *dp_zk_list(dp_zk_session_t *session, const char *path,
                         const char *prefix);

/* What follows in this session sees all that was written by now. */
dp_zk_call_t *dp_zk_sync(dp_zk_session_t *session, const char *path);

/*
 * Wait for the reply; every call is finished or dropped exactly once and is
 * gone then. APR_NOTFOUND: no such node, or no folder for it. APR_EEXIST:
 * there already. APR_EBUSY: another version. APR_TIMEUP: nothing by the
 * deadline, it may still happen. APR_EACCES: not allowed. APR_ENOSPC: more
 * than the bounds above. Others: the connection or session is gone, it may
 * have happened.
 */
apr_status_t dp_zk_finish(dp_zk_call_t *call, dp_zk_reply_t *reply,
                          apr_time_t deadline, apr_pool_t *pool);

/* Let it happen; nobody waits. */
void dp_zk_drop(dp_zk_call_t *call);

#endif
