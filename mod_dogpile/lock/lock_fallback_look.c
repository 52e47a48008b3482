/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the fallback: wait by looking, without taking anything.
 *
 * Called by the keeper thread of a child for each lock that it waits for. It
 * asks members that are up and never waits for one that isn't known to be well,
 * as renewals come after it on the same thread. Where a key was refused last is
 * remembered in a word that any thread may overwrite: a hint, which saves a
 * question and decides nothing.
 */
#include "lock/lock_fallback.h"

#include <string.h>

#include "lock/lock.h"

/* One word a key: what is left of its digest beside the member's index. A key
 * that meets another's word begins at the first member. */
static apr_uint64_t *refusal_of(dp_fallback_t *fallback,
                                const dogpile_lock_key_t *key,
                                apr_uint64_t *tag)
{
    apr_uint64_t words[2];

    memcpy(words, key->digest.bytes, sizeof(words));
    *tag = words[1] & ~(apr_uint64_t)(DP_MEMBERS_MAX - 1);
    return &fallback->refusals[words[0] % DP_REFUSALS];
}

void dp_fallback_refused(dp_fallback_t *fallback, const dogpile_lock_key_t *key,
                         int index)
{
    apr_uint64_t tag;
    apr_uint64_t *word = refusal_of(fallback, key, &tag);

    __atomic_store_n(word, tag | (apr_uint64_t)index, __ATOMIC_RELAXED);
}

static int find_refusal(dp_fallback_t *fallback, const dogpile_lock_key_t *key)
{
    apr_uint64_t tag;
    apr_uint64_t *word = refusal_of(fallback, key, &tag);
    apr_uint64_t found = __atomic_load_n(word, __ATOMIC_RELAXED);
    int index = (int)(found & (DP_MEMBERS_MAX - 1));

    return (found ^ tag) < DP_MEMBERS_MAX && index < fallback->nmembers ? index
                                                                        : 0;
}

static apr_status_t look_at(dp_fallback_t *fallback, int index,
                            const dogpile_lock_key_t *key,
                            dogpile_lock_mode_e mode,
                            dogpile_lock_state_e *state,
                            dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_member_t *member = &fallback->members[index];
    dp_turn_e turn = dp_member_turn(fallback, index, DP_ASK_UP);
    apr_status_t status;

    if (turn == DP_TURN_NO) {
        return dp_member_failure(member);
    }
    status = dp_lock_probe(member->locker, key, mode, state, holder, pool);
    dp_member_told(fallback, index, turn, status);
    return status;
}

apr_status_t dp_fallback_probe(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               dogpile_lock_mode_e mode,
                               dogpile_lock_state_e *state,
                               dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    int first = find_refusal(fallback, key);
    apr_status_t result = APR_EGENERAL;
    apr_status_t status;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        /* The one that refused, then the others in order. */
        int index = i == 0 ? first : i <= first ? i - 1 : i;

        status = look_at(fallback, index, key, mode, state, holder, pool);
        if (status == APR_SUCCESS && *state == DOGPILE_HELD) {
            dp_fallback_refused(fallback, key, index);
            return APR_SUCCESS;
        }
        result = result == APR_SUCCESS ? result : status;
    }
    *state = result == APR_SUCCESS ? DOGPILE_FREE : DOGPILE_HELD;
    return result;
}
