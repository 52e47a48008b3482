/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locker contract: leases on names, for whoever wants to do a piece of
 * work that nobody else should do at the same time.
 *
 * The model. A lock is named by a digest. A lease on it is held by whoever
 * knows its token, a fresh random number for each acquisition, so that "mine"
 * is never a question of process ids or memory. A lease that isn't renewed for
 * `lease_usec` is over. The holder renews it at a third of that, so the work
 * may take longer than the lease. Locks serve efficiency only: the store
 * refuses a write over a version that its writer didn't see (dogpile_store.h),
 * so a lost lock costs a second fetch and never an older tile over a newer one.
 *
 * The promises, tested for every back end by tests/contract/locker_contract.c:
 *
 *  1. acquire says mine, someone else's, or unavailable. Unavailable (down,
 *     timed out, unwritable, unknown outcome) never looks like free.
 *  2. The token is unique per acquisition. release and renew act only for the
 *     holder of the token; a late one is told "no longer yours" and harms
 *     nobody.
 *  3. A lease that isn't renewed is over after lease_usec, and exactly one
 *     contender takes it over.
 *  4. A holder that died on this host is recognised at once, but only where
 *     boot id and pid namespace are equal; then pid and start time decide.
 *     Everyone else's death is noticed by the end of the lease.
 *  5. Shared locks admit each other and exclude exclusive ones; a waiting
 *     exclusive lock is not starved.
 *  6. Nothing in a lock server is needed for safety.
 *  7. Waiting is cheap: looking (probe) never takes and never writes a lease,
 *     and where the back end can tell of a release (listen), it does.
 *
 * Threads. create and prepare run once in the parent, at configuration and
 * at start, and contact no server. child_init runs once in each child before
 * any other call. The rest may be called from any thread of the child at any
 * time; a back end serialises what it must. No call may take longer than the
 * locker's own deadline (socket_usec, or 250 ms for a lock file on a local
 * file system).
 */
#ifndef DOGPILE_LOCKER_H
#define DOGPILE_LOCKER_H

#include <apr_tables.h>

#include "dogpile_types.h"

#define DOGPILE_LOCKER_GROUP "dogpile_locker" /* of ap_register_provider() */
#define DOGPILE_LOCKER_VERSION 1

typedef enum dogpile_lock_mode_e {
    DOGPILE_EXCLUSIVE,
    DOGPILE_SHARED
} dogpile_lock_mode_e;

/* Longest label kept in a lock record, bytes without the final zero. */
#define DOGPILE_LABEL_MAX 200

/* What is locked. */
typedef struct dogpile_lock_key_t {
    dogpile_digest_t digest; /* its identity */
    dogpile_id_t store_id;   /* the store the holder will write, or zero */
    const char *label;       /* for people: printable, no line ends; a back
                                end cuts it at DOGPILE_LABEL_MAX */
} dogpile_lock_key_t;

/* Who holds a lock. Texts are allocated from the call's pool. */
typedef struct dogpile_holder_t {
    dogpile_digest_t digest; /* of the lock; all zero where unknown */
    dogpile_id_t token;
    dogpile_id_t store_id;
    dogpile_lock_mode_e mode;
    const char *host;              /* host id, "" where unknown */
    const char *label;             /* what for, "" where unknown */
    apr_int64_t pid;               /* on that host; 0 where unknown */
    apr_interval_time_t age_usec;  /* since it was acquired */
    apr_interval_time_t left_usec; /* until it ends if not renewed */
} dogpile_holder_t;

/* What a probe saw. */
typedef enum dogpile_lock_state_e {
    DOGPILE_FREE, /* an acquire in that mode would have succeeded */
    DOGPILE_HELD  /* someone else's; the holder is filled in */
} dogpile_lock_state_e;

/*
 * What the configuration says of one locker. Filled in by the caller, owned by
 * it, alive as long as the locker.
 */
typedef struct dogpile_locker_conf_t {
    const char *name;                  /* for messages and status */
    apr_interval_time_t lease_usec;    /* DogpileLockTimeout */
    apr_interval_time_t retry_usec;    /* DogpileLockRetry: the longest pause
                                          between two looks of a waiter */
    apr_interval_time_t socket_usec;   /* DogpileLockSocketTimeout */
    const char *host;                  /* DogpileLockHost: this host's id */
    const char *directory;             /* DogpileLockDirectory, or NULL */
    const char *group;                 /* its group=, or NULL */
    const apr_array_header_t *servers; /* of const char *: DogpileLockServer */
    const char *secret_file;           /* DogpileLockSecretFile, or NULL: a
                                          file whose first line is the secret */
    const apr_array_header_t *members; /* of dogpile_locker_t *: the lockers of
                                          a fallback, in order; else empty */
    apr_uid_t uid;                     /* who will use it, for prepare */
    apr_gid_t gid;
    const dogpile_log_t *log;
} dogpile_locker_conf_t;

/*
 * A back end says that a lease on that name may have ended. Called from its
 * own thread; does little and never calls back into the locker.
 */
typedef void dogpile_released_fn(void *baton, const dogpile_digest_t *digest);

typedef struct dogpile_locker_provider_t dogpile_locker_provider_t;

/*
 * A configured locker. A back end embeds it as the first member of its own
 * structure; callers use the three fields and the functions of lock/lock.h.
 */
typedef struct dogpile_locker_t {
    const dogpile_locker_provider_t *provider;
    const dogpile_locker_conf_t *conf;
} dogpile_locker_t;

/*
 * A back end. One const structure each, registered under its type ("disk")
 * in DOGPILE_LOCKER_GROUP with version DOGPILE_LOCKER_VERSION_TEXT.
 * Members that may be NULL say so.
 */
#define DOGPILE_LOCKER_VERSION_TEXT "1"
struct dogpile_locker_provider_t {
    int version;      /* DOGPILE_LOCKER_VERSION; always the first member */
    const char *type; /* "disk" */

    /*
     * Check the configuration and make the locker. Contacts and creates
     * nothing. Returns NULL, or what is wrong and what is allowed.
     */
    const char *(*create)(dogpile_locker_t **locker,
                          const dogpile_locker_conf_t *conf,
                          apr_pool_t *result_pool);

    /*
     * Once when the server really starts, still as root and before the
     * children are forked: make what the children need and share, and give it
     * to conf->uid. May be NULL, and isn't called by command-line tools.
     * Returns NULL or what is wrong. A lock server that can't be reached is
     * not an error.
     */
    const char *(*prepare)(dogpile_locker_t *locker, apr_pool_t *scratch_pool);

    /* In each child: client threads and connections are born here. May be
     * NULL. Undone by a cleanup of child_pool. */
    apr_status_t (*child_init)(dogpile_locker_t *locker,
                               apr_pool_t *child_pool);

    /*
     * Try once. APR_SUCCESS: mine, `token` is set.  APR_EEXIST: someone
     * else's, `holder` is set. Anything else: unavailable; if a lease may have
     * been taken nevertheless, the back end tries to give it back.
     */
    apr_status_t (*acquire)(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            dogpile_lock_mode_e mode, dogpile_id_t *token,
                            dogpile_holder_t *holder, apr_pool_t *pool);

    /* APR_SUCCESS: extended by lease_usec from now. APR_NOTFOUND: no longer
     * yours. Anything else: unavailable, nothing is known. */
    apr_status_t (*renew)(dogpile_locker_t *locker,
                          const dogpile_lock_key_t *key,
                          const dogpile_id_t *token, apr_pool_t *scratch_pool);

    /* APR_SUCCESS: free. APR_NOTFOUND: was no longer yours. Anything else:
     * unavailable; the lease ends by itself. */
    apr_status_t (*release)(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            const dogpile_id_t *token,
                            apr_pool_t *scratch_pool);

    /* Look without taking. APR_SUCCESS: `state` is set, and `holder` where it
     * is DOGPILE_HELD. Anything else: unavailable. */
    apr_status_t (*probe)(dogpile_locker_t *locker,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                          dogpile_holder_t *holder, apr_pool_t *pool);

    /* An operator's order: end every lease on the key, whoever holds it.
     * APR_SUCCESS, or APR_NOTFOUND when there was none. */
    apr_status_t (*break_lock)(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               apr_pool_t *scratch_pool);

    /* Call `visit` for every lease that can be seen. May be NULL. */
    apr_status_t (*list)(dogpile_locker_t *locker,
                         void (*visit)(void *baton,
                                       const dogpile_holder_t *holder),
                         void *baton, apr_pool_t *scratch_pool);

    /*
     * Once in a child, after child_init: call `released` when a lease ends, as
     * well as that can be known. It may come late, for nothing or not at all:
     * whoever waits looks every retry_usec anyway, and this only spares him
     * the pause. Ends with child_pool. NULL where a back end can't know. A
     * server that can't be reached is not an error; it is tried again.
     */
    apr_status_t (*listen)(dogpile_locker_t *locker,
                           dogpile_released_fn *released, void *baton,
                           apr_pool_t *child_pool);

    /* Rows for the status page: where, how healthy. May be NULL. */
    void (*describe)(dogpile_locker_t *locker, dogpile_row_fn *row, void *baton,
                     apr_pool_t *scratch_pool);
};

#endif
