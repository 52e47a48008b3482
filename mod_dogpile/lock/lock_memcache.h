/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the memcache locker share: lock_memcache.c is the
 * provider, lock_memcache_step.c takes, renews and releases, and
 * lock_memcache_debt.c remembers what has to be given back.
 */
#ifndef DP_LOCK_LOCK_MEMCACHE_H
#define DP_LOCK_LOCK_MEMCACHE_H

#include "lock/failures.h"
#include "lock/lease.h"
#include "lock/lock_memcache_servers.h"

extern const dogpile_locker_provider_t dp_lock_memcache;

/* Where the leases on a key are: this, and the digest in hexadecimal. */
#define DP_MEMCACHE_KEY_PREFIX "dogpile-lock-"

/*
 * A lease that nobody uses and that may be there nevertheless: the answer to
 * its acquisition or to its release was lost.
 */
typedef struct dp_debt_t {
    dogpile_digest_t digest;
    dogpile_id_t token;
    apr_time_t until;          /* monotonic: it has ended by itself */
    apr_time_t next;           /* monotonic: give it back not before */
    apr_interval_time_t pause; /* until the try after that */
} dp_debt_t;

/* More are forgotten, and end by themselves. */
#define DP_DEBTS_MAX 64

typedef struct dp_debts_t {
    apr_thread_mutex_t *mutex;
    dp_debt_t debts[DP_DEBTS_MAX];
    int n;
} dp_debts_t;

/* The locker. Constant after child_init but for debts, counters and what
 * guards itself. */
typedef struct dp_memcache_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    dp_mc_t *mc;
    const char *name;
    dp_owner_t self;
    dp_debts_t debts;
    dp_failures_t foreign; /* items that aren't ours, or damaged */
} dp_memcache_t;

static inline dp_memcache_t *dp_memcache_of(dogpile_locker_t *locker)
{
    return (dp_memcache_t *)locker;
}

apr_status_t dp_debts_init(dp_debts_t *debts, apr_pool_t *child_pool);

/* From now on that lease is owed, for at most `lease_usec` and some more. */
void dp_debts_owe(dp_debts_t *debts, const dogpile_digest_t *digest,
                  const dogpile_id_t *token, apr_interval_time_t lease_usec);

/* Is that lease owed? Then it is in nobody's way. */
int dp_debts_has(dp_debts_t *debts, const dogpile_id_t *token);

/* One that is due and has its key on that server, or 0. It is due again
 * later unless it is settled. */
int dp_debts_due(dp_debts_t *debts, const dp_mc_t *mc,
                 const dp_mc_server_t *server, dp_debt_t *debt);

/* It is given back, or ended. */
void dp_debts_settle(dp_debts_t *debts, const dogpile_id_t *token);

int dp_debts_count(dp_debts_t *debts);

/* Members of the provider. */
apr_status_t dp_memcache_acquire(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode, dogpile_id_t *token,
                                 dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_memcache_renew(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               const dogpile_id_t *token,
                               apr_pool_t *scratch_pool);
apr_status_t dp_memcache_release(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool);
apr_status_t dp_memcache_probe(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               dogpile_lock_mode_e mode,
                               dogpile_lock_state_e *state,
                               dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_memcache_break(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               apr_pool_t *scratch_pool);

#endif
