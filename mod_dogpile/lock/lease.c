/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging leases. Used by the disk locker inside its short exclusive section,
 * by any thread; works on the caller's list and keeps nothing.
 *
 * The invariant: a lease that is over, by its own time or by its holder's
 * certain death, stands in nobody's way, and a lease that isn't over is
 * removed only by its token or by an operator.
 */
#include "lock/lease.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"

#define WISH_MIN_USEC apr_time_from_sec(1)

static dp_lease_t *at(const apr_array_header_t *leases, int i)
{
    return &APR_ARRAY_IDX(leases, i, dp_lease_t);
}

int dp_lease_is_over(const dp_lease_t *lease, apr_time_t now)
{
    /* A clock set back by hours would keep a dead holder's lock for hours. A
     * living holder's next renewal writes the new time. */
    return now >= lease->until || lease->until - now > 2 * lease->lease_usec;
}

/* Does a lease of this kind keep `mode` out? */
static int is_in_the_way(dp_lease_kind_e kind, dogpile_lock_mode_e mode)
{
    return mode == DOGPILE_SHARED ? kind != DP_LEASE_SHARED
                                  : kind != DP_LEASE_WISH;
}

const dp_lease_t *dp_lease_blocker(apr_array_header_t *leases,
                                   const dogpile_digest_t *digest,
                                   dogpile_lock_mode_e mode, apr_time_t now,
                                   const dp_owner_t *self)
{
    const dp_lease_t *lease;
    int i = 0;

    while (i < leases->nelts) {
        lease = at(leases, i);
        if (!is_in_the_way(lease->kind, mode) || dp_lease_is_over(lease, now)
            || !dp_digest_equal(&lease->digest, digest)) {
            i++;
        }
        else if (dp_owner_is_dead(self, &lease->owner)) {
            dp_lease_remove(leases, lease);
        }
        else {
            return lease;
        }
    }
    return NULL;
}

dp_lease_t *dp_lease_find(apr_array_header_t *leases,
                          const dogpile_digest_t *digest,
                          const dogpile_id_t *token, apr_time_t now)
{
    int i;

    for (i = 0; i < leases->nelts; i++) {
        dp_lease_t *lease = at(leases, i);

        if (lease->kind != DP_LEASE_WISH && dp_id_equal(&lease->token, token)
            && dp_digest_equal(&lease->digest, digest)
            && !dp_lease_is_over(lease, now)) {
            return lease;
        }
    }
    return NULL;
}

apr_interval_time_t dp_lease_wish_usec(const dogpile_locker_conf_t *conf)
{
    apr_interval_time_t two_looks = 2 * conf->retry_usec;

    return two_looks > WISH_MIN_USEC ? two_looks : WISH_MIN_USEC;
}

dp_lease_t *dp_lease_find_wish(apr_array_header_t *leases,
                               const dogpile_digest_t *digest, apr_time_t now)
{
    int i;

    for (i = 0; i < leases->nelts; i++) {
        dp_lease_t *lease = at(leases, i);

        if (lease->kind == DP_LEASE_WISH
            && dp_digest_equal(&lease->digest, digest)
            && !dp_lease_is_over(lease, now)) {
            return lease;
        }
    }
    return NULL;
}

void dp_lease_drop_over(apr_array_header_t *leases, apr_time_t now)
{
    int kept = 0;
    int i;

    for (i = 0; i < leases->nelts; i++) {
        if (!dp_lease_is_over(at(leases, i), now)) {
            *at(leases, kept++) = *at(leases, i);
        }
    }
    leases->nelts = kept;
}

int dp_lease_drop(apr_array_header_t *leases, const dogpile_digest_t *digest,
                  const char *kinds, apr_time_t now)
{
    int live = 0;
    int kept = 0;
    int i;

    for (i = 0; i < leases->nelts; i++) {
        const dp_lease_t *lease = at(leases, i);

        if (dp_digest_equal(&lease->digest, digest)
            && strchr(kinds, (int)lease->kind)) {
            live += !dp_lease_is_over(lease, now);
        }
        else {
            *at(leases, kept++) = *lease;
        }
    }
    leases->nelts = kept;
    return live;
}

void dp_lease_remove(apr_array_header_t *leases, const dp_lease_t *lease)
{
    int i = (int)(lease - at(leases, 0));

    for (leases->nelts--; i < leases->nelts; i++) {
        *at(leases, i) = *at(leases, i + 1);
    }
}

void dp_lease_describe(dogpile_holder_t *holder, const dp_lease_t *lease,
                       apr_time_t now, apr_pool_t *result_pool)
{
    apr_interval_time_t left = lease->until - now;

    holder->digest = lease->digest;
    holder->token = lease->token;
    holder->store_id = lease->store_id;
    holder->mode =
        lease->kind == DP_LEASE_SHARED ? DOGPILE_SHARED : DOGPILE_EXCLUSIVE;
    holder->host = apr_pstrdup(result_pool, lease->owner.host);
    holder->label = apr_pstrdup(result_pool, lease->label);
    holder->pid = lease->owner.pid;
    holder->age_usec = now > lease->since ? now - lease->since : 0;
    holder->left_usec = left < lease->lease_usec ? left : lease->lease_usec;
}
