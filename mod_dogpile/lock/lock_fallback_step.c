/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the fallback: take and release.
 *
 * Called by any thread of any child. Members are asked one after the other, in
 * list order, so hosts that see the same members meet at the first of them, and
 * given back in the opposite order, so that whoever then finds the first one
 * free finds all of them free. Every member's own deadline bounds its call; the
 * health (lock_fallback_health.c) keeps one that hangs from being waited for
 * again and again.
 *
 * The invariant: whatever a call took is in the table of sets when it returns,
 * or has been given back. The reasons are in docs/design/fallback.md.
 */
#include "lock/lock_fallback.h"

#include <string.h>

#include "base/digest.h"
#include "lock/lock.h"

/* An acquisition that took so long that its first lease may be over before its
 * holder renews it is begun anew. By the second time those that hang are left
 * out; after the third, this machine has no time for us. */
#define TRIES 3

/* --- one member -------------------------------------------------------- */

apr_status_t dp_fallback_take_one(dp_fallback_t *fallback, dp_set_t *set,
                                  int index, dp_ask_e ask,
                                  const dogpile_lock_key_t *key,
                                  dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_member_t *member = &fallback->members[index];
    dp_hold_t *hold = &set->holds[index];
    apr_time_t began = dp_fallback_now(fallback);
    dp_turn_e turn = dp_member_turn(fallback, index, ask);
    apr_status_t status;

    if (turn == DP_TURN_NO) {
        return dp_member_failure(member);
    }
    status = dp_lock_acquire(member->locker, key, set->mode, &hold->token,
                             holder, pool);
    dp_member_told(fallback, index, turn, status);
    hold->until = began + member->locker->conf->lease_usec;
    return status;
}

static apr_status_t release_one(dp_fallback_t *fallback, const dp_set_t *set,
                                int index, const dogpile_lock_key_t *key,
                                apr_pool_t *pool)
{
    dp_member_t *member = &fallback->members[index];
    dp_turn_e turn = dp_member_turn(fallback, index, DP_ASK_DUE);
    apr_status_t status;

    if (turn == DP_TURN_NO) {
        return dp_member_failure(member);
    }
    status =
        dp_lock_release(member->locker, key, &set->holds[index].token, pool);
    dp_member_told(fallback, index, turn, status);
    return status;
}

apr_status_t dp_fallback_release_all(dp_fallback_t *fallback,
                                     const dp_set_t *set,
                                     const dogpile_lock_key_t *key,
                                     apr_pool_t *pool)
{
    apr_status_t result = APR_NOTFOUND;
    apr_status_t status;
    int i;

    for (i = fallback->nmembers - 1; i >= 0; i--) {
        if (!dp_set_has(set, i)) {
            continue;
        }
        status = release_one(fallback, set, i, key, pool);
        if (status == APR_SUCCESS || result == APR_NOTFOUND) {
            result = status;
        }
    }
    return result;
}

/* --- acquire ----------------------------------------------------------- */

/* Everyone who can be asked, until one refuses. APR_EEXIST, or the last
 * "unavailable", or APR_SUCCESS where all answered. */
static apr_status_t take_each(dp_fallback_t *fallback, dp_set_t *set,
                              dp_ask_e ask, const dogpile_lock_key_t *key,
                              dogpile_holder_t *holder, apr_pool_t *pool)
{
    apr_status_t result = APR_SUCCESS;
    apr_status_t status;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        status = dp_fallback_take_one(fallback, set, i, ask, key, holder, pool);
        if (status == APR_EEXIST) {
            dp_fallback_refused(fallback, key, i);
            return status;
        }
        result = status == APR_SUCCESS ? result : status;
    }
    return result;
}

static apr_status_t take_all(dp_fallback_t *fallback, dp_set_t *set,
                             const dogpile_lock_key_t *key,
                             dogpile_holder_t *holder, apr_pool_t *pool)
{
    apr_status_t status;

    memset(set->holds, 0, sizeof(set->holds));
    status = take_each(fallback, set, DP_ASK_DUE, key, holder, pool);
    if (status != APR_EEXIST && !dp_set_is_held(set)) {
        /* The last of those believed well is gone, but another may be back. */
        status = take_each(fallback, set, DP_ASK_ANYWAY, key, holder, pool);
    }
    return status != APR_EEXIST && dp_set_is_held(set) ? APR_SUCCESS : status;
}

apr_status_t dp_fallback_acquire(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode, dogpile_id_t *token,
                                 dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    dp_set_t set = {.digest = key->digest, .mode = mode};
    apr_status_t status;
    apr_time_t began;
    int tries;

    dp_id_make(&set.name);
    for (tries = 0; tries < TRIES; tries++) {
        began = dp_fallback_now(fallback);
        status = take_all(fallback, &set, key, holder, pool);
        if (status == APR_SUCCESS
            && dp_fallback_now(fallback) - began <= fallback->third_usec) {
            status = dp_sets_add(fallback->sets, &set, began,
                                 dp_fallback_over_at(fallback));
            if (status == APR_SUCCESS) {
                *token = set.name;
                return APR_SUCCESS;
            }
        }
        dp_fallback_release_all(fallback, &set, key, pool);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return APR_TIMEUP;
}

/* --- release ----------------------------------------------------------- */

apr_status_t dp_fallback_release(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    dp_set_t set;

    if (!dp_sets_take(fallback->sets, &set, token, &key->digest)) {
        return APR_NOTFOUND;
    }
    return dp_fallback_release_all(fallback, &set, key, scratch_pool);
}
