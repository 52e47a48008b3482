/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases that a child owes to its memcached servers.
 *
 * When the answer to an acquisition is lost, the lease may have been taken,
 * or may be taken yet, when a server that was stopped reads what lies in its
 * socket. The caller was told "unavailable" and will never release it. So it
 * is noted here, and given back by a later call to the same server that has
 * time left; "it isn't there" doesn't settle it, since it may still come.
 *
 * Any thread of a child; a mutex guards the list and is held for a walk
 * through it. The invariant: nobody holds a lease that is owed.
 */
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "lock/lock_memcache.h"

#define PAUSE_MIN_USEC apr_time_from_msec(100)

/* A server that is busy may count the lease from a little later. */
#define UNTIL_USEC apr_time_from_sec(5)

apr_status_t dp_debts_init(dp_debts_t *debts, apr_pool_t *child_pool)
{
    debts->n = 0;
    return apr_thread_mutex_create(&debts->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   child_pool);
}

static void remove_locked(dp_debts_t *debts, int i)
{
    debts->n--;
    debts->debts[i] = debts->debts[debts->n];
}

static void drop_ended_locked(dp_debts_t *debts, apr_time_t now)
{
    int i = 0;

    while (i < debts->n) {
        if (now >= debts->debts[i].until) {
            remove_locked(debts, i);
        }
        else {
            i++;
        }
    }
}

void dp_debts_owe(dp_debts_t *debts, const dogpile_digest_t *digest,
                  const dogpile_id_t *token, apr_interval_time_t lease_usec)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    dp_debt_t *debt;

    apr_thread_mutex_lock(debts->mutex);
    drop_ended_locked(debts, now);
    if (debts->n < DP_DEBTS_MAX) {
        debt = &debts->debts[debts->n++];
        debt->digest = *digest;
        debt->token = *token;
        debt->until = now + lease_usec + UNTIL_USEC;
        debt->next = now;
        debt->pause = PAUSE_MIN_USEC;
    }
    apr_thread_mutex_unlock(debts->mutex);
}

int dp_debts_has(dp_debts_t *debts, const dogpile_id_t *token)
{
    int has = 0;
    int i;

    apr_thread_mutex_lock(debts->mutex);
    for (i = 0; i < debts->n && !has; i++) {
        has = dp_id_equal(&debts->debts[i].token, token);
    }
    apr_thread_mutex_unlock(debts->mutex);
    return has;
}

int dp_debts_due(dp_debts_t *debts, const dp_mc_t *mc,
                 const dp_mc_server_t *server, dp_debt_t *debt)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    int found = 0;
    int i;

    apr_thread_mutex_lock(debts->mutex);
    drop_ended_locked(debts, now);
    for (i = 0; i < debts->n && !found; i++) {
        dp_debt_t *one = &debts->debts[i];

        if (now >= one->next && dp_mc_server_of(mc, &one->digest) == server) {
            one->next = now + one->pause;
            one->pause *= 2;
            *debt = *one;
            found = 1;
        }
    }
    apr_thread_mutex_unlock(debts->mutex);
    return found;
}

void dp_debts_settle(dp_debts_t *debts, const dogpile_id_t *token)
{
    int i;

    apr_thread_mutex_lock(debts->mutex);
    for (i = 0; i < debts->n; i++) {
        if (dp_id_equal(&debts->debts[i].token, token)) {
            remove_locked(debts, i);
            break;
        }
    }
    apr_thread_mutex_unlock(debts->mutex);
}

int dp_debts_count(dp_debts_t *debts)
{
    int n;

    apr_thread_mutex_lock(debts->mutex);
    drop_ended_locked(debts, dp_clock_now(&dp_clock_monotonic));
    n = debts->n;
    apr_thread_mutex_unlock(debts->mutex);
    return n;
}
