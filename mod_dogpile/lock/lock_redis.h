/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the redis locker share: lock_redis.c is the provider,
 * lock_redis_step.c takes, renews, releases and looks, lock_redis_call.c is
 * what all of these begin with, lock_redis_script.c has the scripts that redis
 * runs, lock_redis_lease.c a lease as text, and lock_redis_listen.c hears of
 * releases.
 *
 * The extension point for other modules is dp_lock_redis alone.
 */
#ifndef DP_LOCK_LOCK_REDIS_H
#define DP_LOCK_LOCK_REDIS_H

#include <apr_thread_mutex.h>

#include "lock/lease.h"
#include "lock/redis_pool.h"

extern const dogpile_locker_provider_t dp_lock_redis;

/* ---- lock_redis_script.c ---- */

typedef enum dp_lock_script_e {
    DP_SCRIPT_ACQUIRE,
    DP_SCRIPT_RENEW,
    DP_SCRIPT_RELEASE,
    DP_SCRIPT_LOOK,
    DP_SCRIPT_BREAK,
    DP_SCRIPT_LIST,
    DP_SCRIPTS
} dp_lock_script_e;

void dp_lock_scripts_make(dp_redis_script_t scripts[DP_SCRIPTS]);

/* Most leases that an answer about one lock shows, and that a shared lock may
 * have. */
#define DP_REDIS_SHOWN_MAX 32
#define DP_REDIS_SHARED_MAX 1024

/* Where a release is told: this and the number of the database, as a redis
 * has channels in common for all; the message is the lock's digest. */
#define DP_REDIS_CHANNEL "dogpile:released:"

/* ---- lock_redis_lease.c ---- */

/* The part of a lease that its holder writes: store, owner, label. */
const char *dp_redis_lease_text(const dogpile_lock_key_t *key,
                                const dp_owner_t *owner, apr_pool_t *pool);

/*
 * What a script tells of leases on `digest`: the time by redis' clock, then a
 * line each. `leases` becomes an array of dp_lease_t. 1, or 0 for a text that
 * no script of this version has made of records of this version.
 */
int dp_redis_leases_read(apr_array_header_t **leases, apr_time_t *now,
                         const char *text, const dogpile_digest_t *digest,
                         apr_pool_t *result_pool);

/* ---- the locker ---- */

/* Leases that we may hold without knowing: an acquisition was sent and its
 * answer lost. Given back as soon as redis answers. */
#define DP_REDIS_DEBTS_MAX 64

typedef struct dp_redis_debt_t {
    dogpile_digest_t digest;
    dogpile_id_t token;
    apr_time_t until; /* monotonic; then it has ended by itself */
} dp_redis_debt_t;

typedef struct dp_redis_listener_t dp_redis_listener_t;

/* Constant after child_init and listen but for the debts. */
typedef struct dp_lock_redis_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    const dp_redis_server_t *server;
    dp_redis_script_t scripts[DP_SCRIPTS];
    const char *channel; /* of releases */
    dp_owner_t self;
    dp_redis_pool_t *pool;         /* NULL before child_init */
    dp_redis_listener_t *listener; /* NULL before listen */
    apr_thread_mutex_t *mutex;     /* guards the debts */
    int ndebts;
    dp_redis_debt_t debts[DP_REDIS_DEBTS_MAX];
} dp_lock_redis_t;

static inline dp_lock_redis_t *dp_lock_redis_of(dogpile_locker_t *locker)
{
    return (dp_lock_redis_t *)locker;
}

/* How a call ended, for log and status. Returns `status`. */
apr_status_t dp_lock_redis_note(dp_lock_redis_t *redis,
                                const dp_redis_call_t *call,
                                apr_status_t status);

/* ---- lock_redis_call.c ---- */

/* One call. */
typedef struct dp_redis_step_t {
    dp_lock_redis_t *redis;
    dp_redis_call_t call;
    dogpile_digest_t digest;
    const char *hex;  /* the digest */
    const char *lock; /* keys in redis */
    const char *wish;
    apr_pool_t *pool; /* scratch, of this step alone */
} dp_redis_step_t;

/* Every begin() has its finish(), which ends what the step has allocated.
 * Debts are paid within the call's time. */
void dp_lock_redis_begin(dp_redis_step_t *step, dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key, apr_pool_t *pool);
apr_status_t dp_lock_redis_finish(dp_redis_step_t *step, apr_status_t status);

/* Run a script on the lock, with so many arguments. */
apr_status_t dp_lock_redis_run(const redisReply **reply, dp_redis_step_t *step,
                               dp_lock_script_e which, int argc,
                               const char *const *argv);

/* One whose answer is a number; 0 on failure. */
apr_status_t dp_lock_redis_count(apr_int64_t *count, dp_redis_step_t *step,
                                 dp_lock_script_e which, int argc,
                                 const char *const *argv);

/* End those leases (at most DP_REDIS_SHOWN_MAX) of the lock. */
apr_status_t dp_lock_redis_end(apr_int64_t *ended, dp_redis_step_t *step,
                               const dogpile_id_t *const *tokens, int ntokens);

void dp_lock_redis_owe(dp_lock_redis_t *redis, const dp_redis_debt_t *debt);

/* Numbers and tokens as arguments. */
const char *dp_lock_redis_number(apr_int64_t value, apr_pool_t *pool);
const char *dp_lock_redis_token(const dogpile_id_t *token, apr_pool_t *pool);

/* ---- lock_redis_step.c: members of the provider ---- */

apr_status_t dp_lock_redis_acquire(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   dogpile_lock_mode_e mode,
                                   dogpile_id_t *token,
                                   dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_lock_redis_renew(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool);
apr_status_t dp_lock_redis_release(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   const dogpile_id_t *token,
                                   apr_pool_t *scratch_pool);
apr_status_t dp_lock_redis_probe(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode,
                                 dogpile_lock_state_e *state,
                                 dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_lock_redis_break(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 apr_pool_t *scratch_pool);

/* ---- lock_redis_listen.c ---- */

apr_status_t dp_lock_redis_listen(dogpile_locker_t *locker,
                                  dogpile_released_fn *released, void *baton,
                                  apr_pool_t *child_pool);
void dp_lock_redis_listen_describe(dp_lock_redis_t *redis, dogpile_row_fn *row,
                                   void *baton, apr_pool_t *scratch_pool);

#endif
