/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the redis locker: its keys, its time, its scripts, and the
 * debts that it pays first. Called by any thread of any child.
 *
 * An acquisition whose answer got lost may have been carried out. It is
 * "unavailable", and its token is a debt: whichever call gets through next
 * gives it back first, so that we don't wait for ourselves.
 *
 * The mutex guards the list of debts and is never held while redis is asked:
 * who pays one takes it off the list, and puts it back if that fails.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "lock/lock_redis.h"

_Static_assert(DP_REDIS_SHOWN_MAX * 2048 <= DP_REDIS_ANSWER_MAX,
               "a line of a lease is shorter than 2 KiB");

/* Debts paid by one call. */
#define DEBTS_AT_ONCE 4

static void dp_lock_redis_aim(dp_redis_step_t *step,
                              const dogpile_digest_t *digest)
{
    char *hex = apr_palloc(step->pool, DP_DIGEST_HEX_BYTES);

    step->digest = *digest;
    step->hex = dp_hex(hex, digest->bytes, DOGPILE_DIGEST_BYTES);
    /* Braces, so that a cluster would keep the two together. */
    step->lock = apr_pstrcat(step->pool, "dogpile:{", hex, "}:lock", NULL);
    step->wish = apr_pstrcat(step->pool, "dogpile:{", hex, "}:wish", NULL);
}

const char *dp_lock_redis_number(apr_int64_t value, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, value);
}

const char *dp_lock_redis_token(const dogpile_id_t *token, apr_pool_t *pool)
{
    return dp_hex(apr_palloc(pool, DP_ID_HEX_BYTES), token->bytes,
                  DOGPILE_ID_BYTES);
}

/* Run a script on the lock, with that many arguments. */
apr_status_t dp_lock_redis_run(const redisReply **reply, dp_redis_step_t *step,
                               dp_lock_script_e which, int argc,
                               const char *const *argv)
{
    const dp_redis_script_t *script = &step->redis->scripts[which];
    dp_redis_command_t command;
    int i;

    dp_redis_run(&command, script);
    dp_redis_add_text(&command, step->lock);
    dp_redis_add_text(&command, step->wish);
    for (i = 0; i < argc; i++) {
        dp_redis_add_text(&command, argv[i]);
    }
    return dp_redis_eval(reply, step->redis->pool, &step->call, &command,
                         script, step->pool);
}

/* A script whose answer is a number. */
apr_status_t dp_lock_redis_count(apr_int64_t *count, dp_redis_step_t *step,
                                 dp_lock_script_e which, int argc,
                                 const char *const *argv)
{
    const redisReply *reply;
    apr_status_t status = dp_lock_redis_run(&reply, step, which, argc, argv);

    if (status == APR_SUCCESS && reply->type != REDIS_REPLY_INTEGER) {
        status = dp_redis_fail(&step->call, APR_EINVAL, "a strange answer");
    }
    *count = status == APR_SUCCESS ? reply->integer : 0;
    return status;
}

apr_status_t dp_lock_redis_end(apr_int64_t *ended, dp_redis_step_t *step,
                               const dogpile_id_t *const *tokens, int ntokens)
{
    const char *argv[2 + DP_REDIS_SHOWN_MAX] = {step->redis->channel,
                                                step->hex};
    int i;

    for (i = 0; i < ntokens && i < DP_REDIS_SHOWN_MAX; i++) {
        argv[2 + i] = dp_lock_redis_token(tokens[i], step->pool);
    }
    return dp_lock_redis_count(ended, step, DP_SCRIPT_RELEASE, 2 + i, argv);
}

void dp_lock_redis_owe(dp_lock_redis_t *redis, const dp_redis_debt_t *debt)
{
    apr_thread_mutex_lock(redis->mutex);
    if (redis->ndebts == DP_REDIS_DEBTS_MAX) {
        /* The oldest ends first by itself. */
        memmove(&redis->debts[0], &redis->debts[1],
                sizeof(redis->debts) - sizeof(redis->debts[0]));
        redis->ndebts--;
    }
    redis->debts[redis->ndebts++] = *debt;
    apr_thread_mutex_unlock(redis->mutex);
}

/* A debt that is worth paying, taken off the list, or 0. */
static int take_debt(dp_lock_redis_t *redis, dp_redis_debt_t *debt)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    int found = 0;

    apr_thread_mutex_lock(redis->mutex);
    while (!found && redis->ndebts > 0) {
        *debt = redis->debts[--redis->ndebts];
        found = debt->until > now;
    }
    apr_thread_mutex_unlock(redis->mutex);
    return found;
}

static void pay_debts(dp_redis_step_t *step)
{
    dp_redis_debt_t debt;
    apr_int64_t ended;
    int i;

    for (i = 0; i < DEBTS_AT_ONCE && take_debt(step->redis, &debt); i++) {
        const dogpile_id_t *token = &debt.token;

        dp_lock_redis_aim(step, &debt.digest);
        if (dp_lock_redis_end(&ended, step, &token, 1) != APR_SUCCESS) {
            dp_lock_redis_owe(step->redis, &debt);
            return;
        }
    }
}

void dp_lock_redis_begin(dp_redis_step_t *step, dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    step->redis = dp_lock_redis_of(locker);
    apr_pool_create(&step->pool, pool);
    dp_redis_begin(&step->call, locker->conf->socket_usec, DP_REDIS_ANSWER_MAX);
    pay_debts(step);
    dp_lock_redis_aim(step, &key->digest);
}

apr_status_t dp_lock_redis_finish(dp_redis_step_t *step, apr_status_t status)
{
    status = dp_lock_redis_note(step->redis, &step->call, status);
    apr_pool_destroy(step->pool);
    return status;
}
