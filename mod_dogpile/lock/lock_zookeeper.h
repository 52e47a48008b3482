/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper locker: what its files share. The provider is registered by
 * modules/mod_dogpile_lock_zookeeper.c. Why it is as it is:
 * docs/design/zookeeper.md.
 */
#ifndef DP_LOCK_ZOOKEEPER_H
#define DP_LOCK_ZOOKEEPER_H

#include "dogpile_locker.h"
#include "lock/failures.h"
#include "lock/lock_zookeeper_node.h"
#include "lock/lock_zookeeper_session.h"
#include "lock/owner.h"

extern const dogpile_locker_provider_t dp_lock_zookeeper;

/* Where the locks are unless a server names another folder. */
#define DP_ZK_ROOT "/dogpile"

/* The locker. Constant after child_init but for the counters. */
typedef struct dp_zk_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    dp_zk_where_t where;
    dp_owner_t self;
    dp_zk_session_t *session; /* NULL before child_init */
    dp_failures_t failures;
    volatile apr_uint32_t is_reported; /* it can't be used since */
} dp_zk_t;

static inline dp_zk_t *dp_zk_of(dogpile_locker_t *locker)
{
    return (dp_zk_t *)locker;
}

/* Read servers, folder and secret of a configuration. NULL or what is wrong. */
const char *dp_zk_configure(dp_zk_where_t *where,
                            const dogpile_locker_conf_t *conf,
                            apr_pool_t *result_pool);

/* One call of the contract: what it is about and how long it may take. */
typedef struct dp_zk_step_t {
    dp_zk_t *zk;
    const dogpile_lock_key_t *key;
    const char *folder;
    apr_time_t deadline;       /* monotonic */
    apr_array_header_t *nodes; /* of dp_zk_node_t: as last looked */
    apr_time_t now;            /* the server's, as of that */
    int is_wished;             /* one of them is a wish */
    int watches;               /* what is read: its end will be told */
    apr_pool_t *pool;
} dp_zk_step_t;

/* Begin one: APR_SUCCESS when there is a connection. `key` may be NULL. */
apr_status_t dp_zk_step_begin(dp_zk_step_t *step, dp_zk_t *zk,
                              const dogpile_lock_key_t *key, apr_pool_t *pool);

/* End one that failed: counts an answer "unavailable", and says so now and
 * then. Returns `status`. */
apr_status_t dp_zk_unavailable(dp_zk_t *zk, apr_status_t status);

/* End one that didn't: says so if it was said that it can't be used. */
void dp_zk_available(dp_zk_t *zk);

/* Set step->nodes to all of the key, the first made first. */
apr_status_t dp_zk_step_look(dp_zk_step_t *step);

/* The same from a list that was asked for together with something else. */
apr_status_t dp_zk_step_take_list(dp_zk_step_t *step, apr_status_t status,
                                  const dp_zk_reply_t *listed);

/* Set step->now to the server's time. */
apr_status_t dp_zk_step_tell_time(dp_zk_step_t *step);

/* The lease of a node; `version` may be NULL. APR_NOTFOUND: gone meanwhile. */
apr_status_t dp_zk_step_read(const dp_zk_step_t *step, dp_lease_t *lease,
                             const dp_zk_node_t *node, int *version);

/* The same from a call that was begun together with others. */
apr_status_t dp_zk_step_take_read(const dp_zk_step_t *step, dp_zk_call_t *get,
                                  dp_lease_t *lease, const dp_zk_node_t *node,
                                  int *version);

/*
 * What is in the way of a lock in `mode`, of the nodes before `own` (NULL:
 * of all)? APR_EEXIST: `blocker` is. APR_SUCCESS: nothing; the leases that
 * were in the way and are over have been deleted if there is an `own`.
 */
apr_status_t dp_zk_step_judge(dp_zk_step_t *step, dogpile_lock_mode_e mode,
                              const dp_zk_node_t *own, dp_lease_t *blocker);

/* A lease of this process; `lease_usec` from now. */
dp_lease_t dp_zk_step_lease(const dp_zk_step_t *step, dp_lease_kind_e kind,
                            apr_interval_time_t lease_usec);

/* Leave or keep up a wish for the exclusive lock. */
void dp_zk_step_wish(dp_zk_step_t *step);

/* Is it the turn of someone else? */
int dp_zk_lease_counts(const dp_zk_t *zk, const dp_lease_t *lease,
                       apr_time_t now);

/* Make a folder and what is missing above it. */
apr_status_t dp_zk_step_make_folder(const dp_zk_step_t *step, const char *path);

/* Members of the provider. */
apr_status_t dp_zk_show(dogpile_locker_t *locker,
                        void (*visit)(void *baton,
                                      const dogpile_holder_t *holder),
                        void *baton, apr_pool_t *scratch_pool);
apr_status_t dp_zk_acquire(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode, dogpile_id_t *token,
                           dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_zk_renew(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         const dogpile_id_t *token, apr_pool_t *scratch_pool);
apr_status_t dp_zk_release(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool);
apr_status_t dp_zk_probe(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                         dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_zk_break(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         apr_pool_t *scratch_pool);

#endif
