/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the fallback locker share: lock_fallback.c is the provider,
 * lock_fallback_step.c takes and releases, lock_fallback_renew.c renews,
 * lock_fallback_look.c looks, lock_fallback_health.c knows which members
 * answer, lock_fallback_sets.c keeps the members' tokens, and
 * lock_fallback_show.c is for people.
 *
 * A fallback is a list of lockers, its members, and one rule: hold every member
 * that answers, in list order, always (docs/design/fallback.md). Its own token
 * is a name for the set of tokens that the members gave.
 *
 * Threads: everything may be called by any thread of any child. A member's
 * health is memory shared by all children, changed by atomic operations only.
 * The sets are this process's, behind a mutex that is never held across a call
 * to a member.
 */
#ifndef DP_LOCK_LOCK_FALLBACK_H
#define DP_LOCK_LOCK_FALLBACK_H

#include "base/clock.h"
#include "dogpile_locker.h"
#include "policy/backoff.h"

extern const dogpile_locker_provider_t dp_lock_fallback;

/* More would only slow each flight: one that is reached by all is enough. */
#define DP_MEMBERS_MAX 8

/* --- which members answer ----------------------------------------------- */

/* The first pause after a failure, where the member's own deadline is shorter:
 * a blip is over by then, and a dead server isn't asked all the time. */
#define DP_MEMBER_PAUSE_USEC apr_time_from_msec(100)

/*
 * The health of one member, seen by all children. Times are of the fallback's
 * clock. A member is up while `left_until` is zero; everything else is a note
 * beside that one word.
 */
typedef struct dp_health_t {
    apr_int64_t left_until;   /* 0: up; else left out until then */
    apr_int64_t trying_until; /* somebody is trying it; believed until then */
    apr_int64_t failed_at;    /* the last failure */
    apr_int64_t changed_at;   /* went down or came up; 0: never */
    apr_uint32_t failures;    /* in a row */
    apr_uint32_t last_status; /* apr_status_t of the last failure */
    apr_uint32_t unavailable; /* failures in all */
    apr_uint32_t contested;   /* renewals that met someone else's lease */
    apr_uint32_t lost;        /* leases it no longer knew at a renewal */
} dp_health_t;

typedef struct dp_member_t {
    dogpile_locker_t *locker;
    const char *name;
    dp_health_t *health;
    dp_backoff_t backoff;
    int is_unusable; /* its child_init failed in this process */
} dp_member_t;

/* The members whose last refusal of a key is remembered: a hint, so that a
 * waiter asks first where it was refused. */
#define DP_REFUSALS 1024

typedef struct dp_sets_t dp_sets_t;

/* The locker. Constant after child_init but for what members point to. */
typedef struct dp_fallback_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    const dp_clock_t *clock; /* monotonic; a test sets its own */
    const char *name;
    apr_pool_t *pool; /* it lives as long */
    dp_member_t members[DP_MEMBERS_MAX];
    int nmembers;
    apr_interval_time_t third_usec; /* of the lease */
    dp_sets_t *sets;
    apr_uint64_t refusals[DP_REFUSALS];
} dp_fallback_t;

static inline dp_fallback_t *dp_fallback_of(dogpile_locker_t *locker)
{
    return (dp_fallback_t *)locker;
}

/* Which members a call is willing to ask. */
typedef enum dp_ask_e {
    DP_ASK_UP,    /* those that are up */
    DP_ASK_DUE,   /* and those whose pause is over, if nobody tries them */
    DP_ASK_ANYWAY /* and those that haven't failed just now */
} dp_ask_e;

/* Whether it may. */
typedef enum dp_turn_e {
    DP_TURN_NO,
    DP_TURN_ASK,
    DP_TURN_TRY /* and for its time nobody else may */
} dp_turn_e;

/* Every call to a member is between these two: `status` is its answer. What
 * changes is logged once, by whoever was first. */
dp_turn_e dp_member_turn(dp_fallback_t *fallback, int index, dp_ask_e ask);
void dp_member_told(dp_fallback_t *fallback, int index, dp_turn_e turn,
                    apr_status_t status);

/* Why it isn't asked: a status that says "unavailable". */
apr_status_t dp_member_failure(const dp_member_t *member);

/* --- the members' tokens ------------------------------------------------ */

/* A lease of one member; the token is none where there is no lease. */
typedef struct dp_hold_t {
    dogpile_id_t token;
    apr_time_t until; /* over by then at the latest, if not renewed */
} dp_hold_t;

typedef struct dp_set_t {
    dogpile_id_t name; /* the fallback's token */
    dogpile_digest_t digest;
    dogpile_lock_mode_e mode;
    dp_hold_t holds[DP_MEMBERS_MAX]; /* by index of the member */
} dp_set_t;

int dp_set_has(const dp_set_t *set, int index);
int dp_set_is_held(const dp_set_t *set);

/* Locks held at once by one process. The sets take 300 bytes each. */
#define DP_SETS_MAX 65536

/*
 * The sets of this process: one table for all fallbacks made from the same
 * pool, as a token may be given back through any locker on the same servers.
 */
apr_status_t dp_sets_of(dp_sets_t **sets, apr_pool_t *pool);

/* Keep a set at least until `over_at`. APR_SUCCESS or APR_ENOSPC. */
apr_status_t dp_sets_add(dp_sets_t *sets, const dp_set_t *set, apr_time_t now,
                         apr_time_t over_at);

/* Copy the set of that name on that key; `take` removes it as well. Returns 1,
 * or 0 where there is none. */
int dp_sets_find(dp_sets_t *sets, dp_set_t *set, const dogpile_id_t *name,
                 const dogpile_digest_t *digest);
int dp_sets_take(dp_sets_t *sets, dp_set_t *set, const dogpile_id_t *name,
                 const dogpile_digest_t *digest);

/*
 * What has become of a set while nobody kept others from it: each hold that is
 * still as in `before` becomes that of `after`; a set without holds goes.
 * New tokens for which there is no place are put into `spare`, for the caller
 * to give back. Returns 1, or 0 where the set is gone.
 */
int dp_sets_update(dp_sets_t *sets, const dp_set_t *before,
                   const dp_set_t *after, apr_time_t over_at, dp_set_t *spare);

/* How many there are. */
int dp_sets_count(dp_sets_t *sets);

/* --- the rules ---------------------------------------------------------- */

/* A set that wasn't renewed for so many leases is forgotten. */
#define DP_SETS_LEASES 2

static inline apr_time_t dp_fallback_now(const dp_fallback_t *fallback)
{
    return dp_clock_now(fallback->clock);
}

/* When a set that is renewed now may be forgotten. */
static inline apr_time_t dp_fallback_over_at(const dp_fallback_t *fallback)
{
    return dp_fallback_now(fallback)
           + DP_SETS_LEASES * fallback->locker.conf->lease_usec;
}

/* Take one member's lease into the set. Results as of acquire; a member that
 * isn't asked is unavailable. `holder` may be NULL. */
apr_status_t dp_fallback_take_one(dp_fallback_t *fallback, dp_set_t *set,
                                  int index, dp_ask_e ask,
                                  const dogpile_lock_key_t *key,
                                  dogpile_holder_t *holder, apr_pool_t *pool);

/* Give a set back. APR_SUCCESS: at least one member freed it. APR_NOTFOUND: no
 * member knew it. Else unavailable: what can't be reached ends by itself. */
apr_status_t dp_fallback_release_all(dp_fallback_t *fallback,
                                     const dp_set_t *set,
                                     const dogpile_lock_key_t *key,
                                     apr_pool_t *scratch_pool);

/* Remember where a key was refused. */
void dp_fallback_refused(dp_fallback_t *fallback, const dogpile_lock_key_t *key,
                         int index);

/* --- members of the provider -------------------------------------------- */

apr_status_t dp_fallback_acquire(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode, dogpile_id_t *token,
                                 dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_fallback_renew(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               const dogpile_id_t *token,
                               apr_pool_t *scratch_pool);
apr_status_t dp_fallback_release(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool);
apr_status_t dp_fallback_probe(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               dogpile_lock_mode_e mode,
                               dogpile_lock_state_e *state,
                               dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_fallback_list(dogpile_locker_t *locker,
                              void (*visit)(void *baton,
                                            const dogpile_holder_t *holder),
                              void *baton, apr_pool_t *scratch_pool);
void dp_fallback_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool);

/* --- for whoever shows the members one by one --------------------------- */

/* The rows that are the fallback's own; and what it thinks of its member
 * conf->members[index], which all children share. */
void dp_fallback_describe_itself(dogpile_locker_t *locker, dogpile_row_fn *row,
                                 void *baton, apr_pool_t *scratch_pool);
void dp_fallback_describe_health(dogpile_locker_t *locker, int index,
                                 dogpile_row_fn *row, void *baton,
                                 apr_pool_t *scratch_pool);

#endif
