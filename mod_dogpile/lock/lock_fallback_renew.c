/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the fallback: renew, which is also how a lock comes back to
 * members that were away or have lost their memory.
 *
 * Called by the keeper thread of a child for each lock that it holds, at a
 * third of the lease, perhaps while another thread gives the same lock back.
 * First those members are asked whose leases may be saved, then those that may
 * hang.
 *
 * The invariant: a lease that ended is not revived. What is missing is taken
 * only while some member holds the lock, or may hold it and can't be asked;
 * when all have said "no longer yours", the lock is lost.
 */
#include "lock/lock_fallback.h"

#include <string.h>

#include "lock/lock.h"

/* One renewal, while it is under way. */
typedef struct renewal_t {
    dp_set_t set;
    int is_asked[DP_MEMBERS_MAX];
    int nheld;            /* members that said: yours */
    apr_status_t failure; /* of one that didn't answer */
} renewal_t;

static apr_status_t renew_one(dp_fallback_t *fallback, dp_set_t *set, int index,
                              dp_turn_e turn, const dogpile_lock_key_t *key,
                              apr_pool_t *pool)
{
    dp_member_t *member = &fallback->members[index];
    dp_hold_t *hold = &set->holds[index];
    apr_time_t began = dp_fallback_now(fallback);
    apr_status_t status =
        dp_lock_renew(member->locker, key, &hold->token, pool);

    dp_member_told(fallback, index, turn, status);
    if (status == APR_SUCCESS) {
        hold->until = began + member->locker->conf->lease_usec;
    }
    else if (status == APR_NOTFOUND) {
        memset(hold, 0, sizeof(*hold));
        __atomic_fetch_add(&member->health->lost, 1, __ATOMIC_RELAXED);
    }
    return status;
}

/* Ask the members whose leases we have and that weren't asked yet. */
static void renew_each(dp_fallback_t *fallback, renewal_t *renewal,
                       dp_ask_e ask, const dogpile_lock_key_t *key,
                       apr_pool_t *pool)
{
    apr_status_t status;
    dp_turn_e turn;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        if (!dp_set_has(&renewal->set, i) || renewal->is_asked[i]) {
            continue;
        }
        turn = dp_member_turn(fallback, i, ask);
        if (turn == DP_TURN_NO) {
            renewal->failure = dp_member_failure(&fallback->members[i]);
            continue;
        }
        renewal->is_asked[i] = 1;
        status = renew_one(fallback, &renewal->set, i, turn, key, pool);
        if (status == APR_SUCCESS) {
            renewal->nheld++;
        }
        else if (status != APR_NOTFOUND) {
            renewal->failure = status;
        }
    }
}

/* Leases whose time is up whatever was said of them: of members that can't be
 * asked, or while others hung. */
static void drop_over(dp_fallback_t *fallback, dp_set_t *set)
{
    apr_time_t now = dp_fallback_now(fallback);
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        if (set->holds[i].until <= now) {
            memset(&set->holds[i], 0, sizeof(set->holds[i]));
        }
    }
}

/* Take what is missing: of members that were away or have lost their memory.
 * One that is someone else's stays so until the next renewal. */
static void take_back(dp_fallback_t *fallback, renewal_t *renewal,
                      const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    apr_status_t status;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        if (dp_set_has(&renewal->set, i)) {
            continue;
        }
        status = dp_fallback_take_one(fallback, &renewal->set, i, DP_ASK_DUE,
                                      key, NULL, pool);
        if (status == APR_SUCCESS) {
            renewal->nheld++;
        }
        else if (status == APR_EEXIST) {
            __atomic_fetch_add(&fallback->members[i].health->contested, 1,
                               __ATOMIC_RELAXED);
        }
    }
}

apr_status_t dp_fallback_renew(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               const dogpile_id_t *token,
                               apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    renewal_t renewal = {.failure = APR_EGENERAL};
    dp_set_t before;
    dp_set_t spare;
    int is_kept;

    if (!dp_sets_find(fallback->sets, &before, token, &key->digest)) {
        return APR_NOTFOUND;
    }
    renewal.set = before;
    /* Nothing that hangs comes before a lease that can be renewed. */
    renew_each(fallback, &renewal, DP_ASK_UP, key, scratch_pool);
    renew_each(fallback, &renewal, DP_ASK_DUE, key, scratch_pool);
    drop_over(fallback, &renewal.set);
    if (dp_set_is_held(&renewal.set)) {
        take_back(fallback, &renewal, key, scratch_pool);
    }
    is_kept = dp_sets_update(fallback->sets, &before, &renewal.set,
                             dp_fallback_over_at(fallback), &spare);
    dp_fallback_release_all(fallback, &spare, key, scratch_pool);
    if (!is_kept || !dp_set_is_held(&renewal.set)) {
        return APR_NOTFOUND;
    }
    return renewal.nheld > 0 ? APR_SUCCESS : renewal.failure;
}
