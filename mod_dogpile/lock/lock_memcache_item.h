/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The item in which the leases on one key stand, in the hands of one step.
 * Only for lock_memcache_*.c.
 *
 * An item is read together with its cas number and written only over the
 * version that was read, on the same connection. It is as it was written, or
 * gone; nothing stands between reading and writing but that comparison.
 */
#ifndef DP_LOCK_LOCK_MEMCACHE_ITEM_H
#define DP_LOCK_LOCK_MEMCACHE_ITEM_H

#include "lock/lock_memcache.h"

/* Prefix, digest and final zero. */
#define DP_MEMCACHE_KEY_BYTES                                                  \
    (sizeof(DP_MEMCACHE_KEY_PREFIX) + 2 * DOGPILE_DIGEST_BYTES)

typedef struct dp_lockitem_t {
    dp_memcache_t *memcache;
    dp_mc_call_t *call;
    const dogpile_digest_t *digest;
    char name[DP_MEMCACHE_KEY_BYTES];
    int shows_owed;             /* don't leave out leases that are owed */
    int exists;                 /* it was there when it was read */
    apr_uint64_t cas;           /* that version */
    apr_array_header_t *leases; /* of dp_lease_t */
    apr_time_t now;             /* by the clock that judges them; 0: none */
    int is_servers_now;         /* and that is the server's */
    apr_pool_t *pool;           /* for one reading */
} dp_lockitem_t;

void dp_lockitem_init(dp_lockitem_t *item, dp_memcache_t *memcache,
                      dp_mc_call_t *call, const dogpile_digest_t *digest,
                      apr_pool_t *pool);

/*
 * Read leases and `now`. Nothing there is no leases. Leases that are owed or
 * over are left out. APR_SUCCESS or unavailable: APR_ENOTIMPL where another
 * version wrote it; APR_EINVAL where it is damaged or foreign: then it is
 * reported and removed, and free from the next call on.
 */
apr_status_t dp_lockitem_read(dp_lockitem_t *item);

/* Make `now` the server's clock, for leases that are counted by it. */
apr_status_t dp_lockitem_need_time(dp_lockitem_t *item);

/* A new lease of this process in `leases`. */
dp_lease_t *dp_lockitem_add(dp_lockitem_t *item, const dogpile_lock_key_t *key,
                            dp_lease_kind_e kind, const dogpile_id_t *token,
                            apr_interval_time_t lease_usec);

/* Let it last for `lease_usec` from now. */
void dp_lockitem_extend(const dp_lockitem_t *item, dp_lease_t *lease,
                        apr_interval_time_t lease_usec);

/*
 * Write `leases` over what was read; none: remove it. APR_SUCCESS; APR_EAGAIN:
 * overtaken, read again; or unavailable.
 */
apr_status_t dp_lockitem_save(dp_lockitem_t *item);

/* Leave a wish for the exclusive lock, unless there is one that lasts until
 * its owner looks again. If it can't be written, shared locks go before us
 * once more: no reason to change an answer. */
void dp_lockitem_wish(dp_lockitem_t *item, const dogpile_lock_key_t *key);

#endif
