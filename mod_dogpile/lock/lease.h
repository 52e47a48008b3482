/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases and how they are judged: pure functions over a list, for back ends
 * whose record is a list of leases. No clock and no I/O but the question
 * whether a process is dead, which is asked only of those in the way.
 *
 * A wish isn't a lease. Whoever wants an exclusive lock and is refused by
 * shared ones leaves it, so that no further shared lock is given and the
 * wisher's turn comes. It ends by itself unless the wisher keeps asking.
 */
#ifndef DP_LOCK_LEASE_H
#define DP_LOCK_LEASE_H

#include <apr_tables.h>

#include "dogpile_locker.h"
#include "lock/owner.h"

typedef enum dp_lease_kind_e {
    DP_LEASE_EXCLUSIVE = 'x',
    DP_LEASE_SHARED = 's',
    DP_LEASE_WISH = 'w'
} dp_lease_kind_e;

typedef struct dp_lease_t {
    dogpile_id_t token;
    dogpile_id_t store_id;
    dogpile_digest_t digest;
    dp_lease_kind_e kind;
    dp_owner_t owner;               /* who holds it */
    apr_time_t since;               /* acquired; the record's clock */
    apr_time_t until;               /* ends, if not renewed */
    apr_interval_time_t lease_usec; /* as long as it was last given */
    const char *label;
} dp_lease_t;

/* A time that a record may hold, in microseconds: far beyond any clock, and
 * sums of two can't overflow. */
#define DP_LEASE_TIME_MAX APR_INT64_C(999999999999999999)

/* Its time is up, or it comes from a clock that was set back since. */
int dp_lease_is_over(const dp_lease_t *lease, apr_time_t now);

/*
 * What stands in the way of a lock in `mode`, or NULL. Leases in the way
 * whose holder is dead are removed from `leases`. The result is valid until
 * `leases` changes.
 */
const dp_lease_t *dp_lease_blocker(apr_array_header_t *leases,
                                   const dogpile_digest_t *digest,
                                   dogpile_lock_mode_e mode, apr_time_t now,
                                   const dp_owner_t *self);

/* The lease (not wish) of `token` on `digest` that isn't over, or NULL. */
dp_lease_t *dp_lease_find(apr_array_header_t *leases,
                          const dogpile_digest_t *digest,
                          const dogpile_id_t *token, apr_time_t now);

/* How long a wish lasts: two of its owner's longest pauses between looks, and
 * longer than a stalled machine's pause. */
apr_interval_time_t dp_lease_wish_usec(const dogpile_locker_conf_t *conf);

/* The wish on `digest` that isn't over, or NULL. */
dp_lease_t *dp_lease_find_wish(apr_array_header_t *leases,
                               const dogpile_digest_t *digest, apr_time_t now);

/* Remove every lease that is over. */
void dp_lease_drop_over(apr_array_header_t *leases, apr_time_t now);

/* Remove everything on `digest` of the kinds in `kinds`, such as "xs".
 * Returns how many there were that weren't over. */
int dp_lease_drop(apr_array_header_t *leases, const dogpile_digest_t *digest,
                  const char *kinds, apr_time_t now);

/* Remove one. */
void dp_lease_remove(apr_array_header_t *leases, const dp_lease_t *lease);

/* For the caller of a locker; texts are copied. */
void dp_lease_describe(dogpile_holder_t *holder, const dp_lease_t *lease,
                       apr_time_t now, apr_pool_t *result_pool);

#endif
