/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the memcache locker: take, renew, release, look.
 *
 * Called by any thread of any child. A step reads the item of its key, judges
 * it, and writes it over the version that it read; whoever is overtaken reads
 * again. Which of several writers wins is decided by the server, in one
 * command: `add` where nothing was, `cas` where something was.
 *
 * A step whose connection was found closed starts anew on another one. It may
 * then find its own lease: an acquisition that was carried out, whose answer
 * was lost. Its token is fresh, so that is as good as the answer.
 *
 * The invariant: nothing is written that wasn't decided on the version which
 * it replaces.
 */
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lock_memcache_item.h"

/* Whoever is overtaken pauses a little, ever longer, and not like the others:
 * up to as many microseconds as the random number says. */
#define PAUSE_MIN_USEC 256
#define PAUSE_MAX_USEC 16384

/* One call of the locker. */
typedef struct step_t {
    dp_lockitem_t item;
    const dogpile_lock_key_t *key;
    dogpile_lock_mode_e mode;
    dogpile_id_t token; /* given, or the new one */
    int is_settling;    /* the token's lease is owed */
    int is_first;       /* nothing was tried before */
    int has_written;    /* a lease with the token may be there */
    int is_held;        /* what a look saw */
    dogpile_holder_t *holder;
    apr_pool_t *result_pool;
} step_t;

typedef apr_status_t step_fn(step_t *step);

/* ---- running a step ---- */

static void pause_a_little(int tries)
{
    dogpile_id_t random;
    apr_interval_time_t most = PAUSE_MIN_USEC;

    while (tries-- > 1 && most < PAUSE_MAX_USEC) {
        most *= 2;
    }
    dp_id_make(&random);
    apr_sleep((random.bytes[0] << 8 | random.bytes[1]) % most);
}

/* Until it isn't overtaken any more. */
static apr_status_t run_on(step_t *step, dp_memcache_t *memcache,
                           dp_mc_call_t *call, step_fn *body, apr_pool_t *pool)
{
    apr_status_t status;
    int tries = 0;

    do {
        if (tries++ > 0) {
            pause_a_little(tries);
            apr_pool_clear(pool);
        }
        dp_lockitem_init(&step->item, memcache, call, &step->key->digest, pool);
        step->item.shows_owed = step->is_settling;
        status = body(step);
        step->is_first = 0;
    } while ((status == APR_EAGAIN && dp_mc_has_time(call))
             || dp_mc_again(call));
    return status == APR_EAGAIN ? APR_TIMEUP : status;
}

/* The lease of the step's token, or APR_NOTFOUND. */
static apr_status_t find_own(dp_lease_t **lease, step_t *step)
{
    apr_status_t status = dp_lockitem_read(&step->item);

    if (status != APR_SUCCESS) {
        return status;
    }
    *lease = dp_lease_find(step->item.leases, &step->key->digest, &step->token,
                           step->item.now);
    return *lease ? APR_SUCCESS : APR_NOTFOUND;
}

static apr_status_t give_back(step_t *step)
{
    dp_lease_t *lease;
    apr_status_t status = find_own(&lease, step);

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_lease_remove(step->item.leases, lease);
    return dp_lockitem_save(&step->item);
}

/* Give back what is owed to the server that has just answered. */
static void settle_one(dp_memcache_t *memcache, dp_mc_call_t *call,
                       apr_pool_t *pool)
{
    dogpile_lock_key_t key = {.label = NULL};
    step_t step = {.key = &key, .is_settling = 1};
    dp_debt_t debt;

    if (!dp_mc_has_time(call)
        || !dp_debts_due(&memcache->debts, memcache->mc, call->server, &debt)) {
        return;
    }
    key.digest = debt.digest;
    step.token = debt.token;
    if (run_on(&step, memcache, call, give_back, pool) == APR_SUCCESS) {
        dp_debts_settle(&memcache->debts, &debt.token);
    }
}

static apr_status_t run(step_t *step, dogpile_locker_t *locker, step_fn *body,
                        apr_pool_t *parent)
{
    dp_memcache_t *memcache = dp_memcache_of(locker);
    dp_mc_call_t call;
    apr_pool_t *pool;
    apr_status_t status;

    apr_pool_create(&pool, parent);
    step->is_first = 1;
    status = dp_mc_begin(&call, memcache->mc, &step->key->digest, 0);
    if (status == APR_SUCCESS) {
        status = run_on(step, memcache, &call, body, pool);
        settle_one(memcache, &call, pool);
    }
    dp_mc_end(&call);
    apr_pool_destroy(pool);
    return status;
}

/* ---- steps ---- */

/* What stands in the way is told, and wished away. */
static apr_status_t refuse(step_t *step, const dp_lease_t *blocker)
{
    dp_lease_describe(step->holder, blocker, step->item.now, step->result_pool);
    if (step->mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED) {
        dp_lockitem_wish(&step->item, step->key);
    }
    return APR_EEXIST;
}

static apr_status_t put_lease(step_t *step)
{
    dp_lockitem_t *item = &step->item;
    int is_shared = step->mode == DOGPILE_SHARED;
    apr_status_t status = is_shared ? dp_lockitem_need_time(item) : APR_SUCCESS;

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_lockitem_add(item, step->key,
                    is_shared ? DP_LEASE_SHARED : DP_LEASE_EXCLUSIVE,
                    &step->token, item->memcache->locker.conf->lease_usec);
    step->has_written = 1;
    return dp_lockitem_save(item);
}

static apr_status_t take(step_t *step)
{
    dp_lockitem_t *item = &step->item;
    dp_memcache_t *memcache = item->memcache;
    const dp_lease_t *blocker;
    dp_lease_t before;
    apr_status_t status;
    int n;

    if (step->is_first && step->mode == DOGPILE_EXCLUSIVE) {
        /* Nearly always nobody has it: one command less. */
        status = put_lease(step);
        if (status != APR_EAGAIN) {
            return status;
        }
    }
    status = dp_lockitem_read(item);
    if (status != APR_SUCCESS) {
        return status;
    }
    if (dp_lease_find(item->leases, item->digest, &step->token, item->now)) {
        return APR_SUCCESS;
    }
    n = item->leases->nelts;
    if (n > 0) {
        before = APR_ARRAY_IDX(item->leases, 0, dp_lease_t);
    }
    blocker = dp_lease_blocker(item->leases, item->digest, step->mode,
                               item->now, &memcache->self);
    if (blocker) {
        return refuse(step, blocker);
    }
    if (step->mode == DOGPILE_EXCLUSIVE) {
        dp_lease_drop(item->leases, item->digest, "w", item->now);
    }
    status = put_lease(step);
    if (status == APR_SUCCESS && n > 0 && before.kind != DP_LEASE_WISH
        && step->mode == DOGPILE_EXCLUSIVE) {
        dp_log(memcache->locker.conf->log, DOGPILE_LOG_INFO, 723, APR_SUCCESS,
               "locker %s: took a lock over from pid %" APR_INT64_T_FMT
               " of host %s, which has died: %s",
               memcache->name, before.owner.pid, before.owner.host,
               before.label);
    }
    return status;
}

static apr_status_t extend(step_t *step)
{
    dp_lease_t *lease;
    apr_status_t status = find_own(&lease, step);

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_lockitem_extend(&step->item, lease,
                       step->item.memcache->locker.conf->lease_usec);
    return dp_lockitem_save(&step->item);
}

static apr_status_t look(step_t *step)
{
    const dp_lease_t *blocker;
    apr_status_t status = dp_lockitem_read(&step->item);

    if (status != APR_SUCCESS) {
        return status;
    }
    blocker = dp_lease_blocker(step->item.leases, step->item.digest, step->mode,
                               step->item.now, &step->item.memcache->self);
    step->is_held = blocker != NULL;
    if (blocker) {
        (void)refuse(step, blocker);
    }
    return APR_SUCCESS;
}

static apr_status_t break_all(step_t *step)
{
    dp_lockitem_t *item = &step->item;
    apr_status_t status = dp_lockitem_read(item);
    int n;

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_lease_drop(item->leases, item->digest, "w", item->now);
    n = dp_lease_drop(item->leases, item->digest, "xs", item->now);
    status = dp_lockitem_save(item);
    return status == APR_SUCCESS && n == 0 ? APR_NOTFOUND : status;
}

/* ---- members of the provider ---- */

apr_status_t dp_memcache_acquire(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode, dogpile_id_t *token,
                                 dogpile_holder_t *holder, apr_pool_t *pool)
{
    step_t step = {
        .key = key, .mode = mode, .holder = holder, .result_pool = pool};
    apr_status_t status;

    dp_id_make(&step.token);
    status = run(&step, locker, take, pool);
    *token = step.token;
    if (status != APR_SUCCESS && status != APR_EEXIST && step.has_written) {
        dp_debts_owe(&dp_memcache_of(locker)->debts, &key->digest, &step.token,
                     locker->conf->lease_usec);
    }
    return status;
}

apr_status_t dp_memcache_renew(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               const dogpile_id_t *token,
                               apr_pool_t *scratch_pool)
{
    step_t step = {.key = key, .token = *token};

    return run(&step, locker, extend, scratch_pool);
}

apr_status_t dp_memcache_release(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token,
                                 apr_pool_t *scratch_pool)
{
    step_t step = {.key = key, .token = *token};
    apr_status_t status = run(&step, locker, give_back, scratch_pool);

    if (status != APR_SUCCESS && status != APR_NOTFOUND) {
        dp_debts_owe(&dp_memcache_of(locker)->debts, &key->digest, token,
                     locker->conf->lease_usec);
    }
    return status;
}

apr_status_t dp_memcache_probe(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               dogpile_lock_mode_e mode,
                               dogpile_lock_state_e *state,
                               dogpile_holder_t *holder, apr_pool_t *pool)
{
    step_t step = {
        .key = key, .mode = mode, .holder = holder, .result_pool = pool};
    apr_status_t status = run(&step, locker, look, pool);

    *state =
        status == APR_SUCCESS && !step.is_held ? DOGPILE_FREE : DOGPILE_HELD;
    return status;
}

apr_status_t dp_memcache_break(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               apr_pool_t *scratch_pool)
{
    step_t step = {.key = key};

    return run(&step, locker, break_all, scratch_pool);
}
