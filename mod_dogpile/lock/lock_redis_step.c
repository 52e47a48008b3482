/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the redis locker: take, renew, release, look, break.
 *
 * Called by any thread of any child. Each step is one script, or a few where
 * a holder proves dead: redis can't know that, so we are told who stands in
 * the way, judge here, and end exactly those leases by their tokens. All that
 * has one deadline.
 *
 * The invariant: what isn't an answer of our scripts is "unavailable", never
 * "mine" or "free".
 */
#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "lock/lock_redis.h"

/* Rounds of ending the leases of the dead: enough for all that one lock may
 * have. */
#define ROUNDS_MAX (DP_REDIS_SHARED_MAX / DP_REDIS_SHOWN_MAX + 4)

static int is_word(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, word) == 0;
}

/* What a script said of the lock: who of them stands in the way of `mode`?
 * NULL: nobody; those who seemed to are over or dead. */
static apr_status_t judge(const dp_lease_t **blocker,
                          apr_array_header_t **leases, apr_time_t *now,
                          dp_redis_step_t *step, const redisReply *reply,
                          dogpile_lock_mode_e mode)
{
    if (reply->type != REDIS_REPLY_STRING
        || strlen(reply->str) != (apr_size_t)reply->len
        || !dp_redis_leases_read(leases, now, reply->str, &step->digest,
                                 step->pool)) {
        return dp_redis_fail(&step->call, APR_EINVAL,
                             "%s isn't a lock of this version", step->lock);
    }
    *blocker = dp_lease_blocker(apr_array_copy(step->pool, *leases),
                                &step->digest, mode, *now, &step->redis->self);
    return APR_SUCCESS;
}

/* End what is over or dead. */
static apr_status_t clear_away(dp_redis_step_t *step,
                               const apr_array_header_t *leases)
{
    const dogpile_id_t *tokens[DP_REDIS_SHOWN_MAX];
    apr_int64_t ended;
    int i;

    for (i = 0; i < leases->nelts && i < DP_REDIS_SHOWN_MAX; i++) {
        tokens[i] = &APR_ARRAY_IDX(leases, i, dp_lease_t).token;
    }
    return dp_lock_redis_end(&ended, step, tokens, i);
}

static const char *kind_of(dogpile_lock_mode_e mode)
{
    return mode == DOGPILE_SHARED ? "s" : "x";
}

static const char *wish_text(const dp_redis_step_t *step)
{
    return dp_lock_redis_number(dp_lease_wish_usec(step->redis->locker.conf),
                                step->pool);
}

static void log_takeover(const dp_redis_step_t *step, const dp_lease_t *before)
{
    const dogpile_locker_conf_t *conf = step->redis->locker.conf;

    dp_log(conf->log, DOGPILE_LOG_INFO, 742, APR_SUCCESS,
           "locker %s: took a lock over from pid %" APR_INT64_T_FMT
           " of host %s, which has died or hasn't renewed it: %s",
           conf->name, before->owner.pid, before->owner.host, before->label);
}

/* One try, whose answer may be lost. */
static apr_status_t try_once(const redisReply **reply, dp_redis_step_t *step,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, const dogpile_id_t *id)
{
    apr_interval_time_t lease = step->redis->locker.conf->lease_usec;
    const char *argv[] = {
        dp_lock_redis_token(id, step->pool), kind_of(mode),
        dp_lock_redis_number(lease, step->pool),
        dp_redis_lease_text(key, &step->redis->self, step->pool),
        wish_text(step)};
    apr_status_t status =
        dp_lock_redis_run(reply, step, DP_SCRIPT_ACQUIRE, 5, argv);

    if (status != APR_SUCCESS && step->call.was_sent) {
        dp_redis_debt_t debt = {.digest = key->digest, .token = *id};

        debt.until = dp_clock_now(&dp_clock_monotonic) + lease;
        dp_lock_redis_owe(step->redis, &debt);
    }
    return status;
}

static apr_status_t take(dp_redis_step_t *step, const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_id_t *token,
                         dogpile_holder_t *holder, apr_pool_t *pool)
{
    const dp_lease_t *blocker = NULL;
    apr_array_header_t *leases = NULL;
    const redisReply *reply;
    dogpile_id_t id;
    apr_status_t status;
    apr_time_t now;
    int round;

    dp_id_make(&id);
    for (round = 0; round < ROUNDS_MAX; round++) {
        status = try_once(&reply, step, key, mode, &id);
        if (status == APR_SUCCESS && is_word(reply, "MINE")) {
            if (leases && mode == DOGPILE_EXCLUSIVE) {
                log_takeover(step, &APR_ARRAY_IDX(leases, 0, dp_lease_t));
            }
            *token = id;
            return APR_SUCCESS;
        }
        if (status == APR_SUCCESS) {
            status = judge(&blocker, &leases, &now, step, reply, mode);
        }
        if (status == APR_SUCCESS && blocker) {
            dp_lease_describe(holder, blocker, now, pool);
            return APR_EEXIST;
        }
        if (status == APR_SUCCESS) {
            status = clear_away(step, leases);
        }
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return dp_redis_fail(&step->call, APR_EBUSY, "too many dead holders");
}

apr_status_t dp_lock_redis_acquire(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   dogpile_lock_mode_e mode,
                                   dogpile_id_t *token,
                                   dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_redis_step_t step;

    dp_lock_redis_begin(&step, locker, key, pool);
    return dp_lock_redis_finish(&step,
                                take(&step, key, mode, token, holder, pool));
}

apr_status_t dp_lock_redis_renew(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool)
{
    apr_int64_t renewed = 0;
    const char *argv[2];
    apr_status_t status;
    dp_redis_step_t step;

    dp_lock_redis_begin(&step, locker, key, scratch_pool);
    argv[0] = dp_lock_redis_token(token, step.pool);
    argv[1] = dp_lock_redis_number(locker->conf->lease_usec, step.pool);
    status = dp_lock_redis_finish(
        &step, dp_lock_redis_count(&renewed, &step, DP_SCRIPT_RENEW, 2, argv));
    return status == APR_SUCCESS && renewed == 0 ? APR_NOTFOUND : status;
}

apr_status_t dp_lock_redis_release(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   const dogpile_id_t *token,
                                   apr_pool_t *scratch_pool)
{
    apr_int64_t ended = 0;
    apr_status_t status;
    dp_redis_step_t step;

    dp_lock_redis_begin(&step, locker, key, scratch_pool);
    status = dp_lock_redis_finish(&step,
                                  dp_lock_redis_end(&ended, &step, &token, 1));
    return status == APR_SUCCESS && ended == 0 ? APR_NOTFOUND : status;
}

apr_status_t dp_lock_redis_break(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 apr_pool_t *scratch_pool)
{
    const char *argv[2];
    apr_int64_t broken = 0;
    apr_status_t status;
    dp_redis_step_t step;

    dp_lock_redis_begin(&step, locker, key, scratch_pool);
    argv[0] = step.redis->channel;
    argv[1] = step.hex;
    status = dp_lock_redis_finish(
        &step, dp_lock_redis_count(&broken, &step, DP_SCRIPT_BREAK, 2, argv));
    return status == APR_SUCCESS && broken == 0 ? APR_NOTFOUND : status;
}

static apr_status_t look(dp_redis_step_t *step, const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                         dogpile_holder_t *holder, apr_pool_t *pool)
{
    const dp_lease_t *blocker = NULL;
    apr_array_header_t *leases;
    const redisReply *reply;
    const char *argv[4];
    apr_status_t status;
    dogpile_id_t id;
    apr_time_t now;

    dp_id_make(&id);
    argv[0] = kind_of(mode);
    argv[1] = dp_lock_redis_token(&id, step->pool);
    argv[2] = wish_text(step);
    argv[3] = dp_redis_lease_text(key, &step->redis->self, step->pool);
    status = dp_lock_redis_run(&reply, step, DP_SCRIPT_LOOK, 4, argv);
    if (status == APR_SUCCESS && !is_word(reply, "FREE")) {
        status = judge(&blocker, &leases, &now, step, reply, mode);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    *state = blocker ? DOGPILE_HELD : DOGPILE_FREE;
    if (blocker) {
        dp_lease_describe(holder, blocker, now, pool);
    }
    return APR_SUCCESS;
}

apr_status_t dp_lock_redis_probe(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode,
                                 dogpile_lock_state_e *state,
                                 dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_redis_step_t step;

    dp_lock_redis_begin(&step, locker, key, pool);
    return dp_lock_redis_finish(&step,
                                look(&step, key, mode, state, holder, pool));
}
