/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which members of a fallback answer.
 *
 * Every call of any child tells what it met, so a dead server costs one timeout
 * and not one for each request. A member that failed is left out for a while,
 * longer each time, and then tried again by one caller, whose real call is the
 * trial: no thread does nothing but look whether servers are well, and no
 * server is believed well for answering a question that nobody has.
 *
 * No mutex: the verdict is one word, `left_until`, and whoever changes it by
 * compare-and-swap says so in the log. A process that dies in its trial blocks
 * nobody, as its claim ends by itself. The invariant: a member that is up is
 * asked by everyone; one that isn't, by one caller at a time.
 */
#include "lock/lock_fallback.h"

#include <string.h>

#include "base/digest.h"
#include "base/log.h"

static apr_int64_t load(const apr_int64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(apr_int64_t *word, apr_int64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static int swap(apr_int64_t *word, apr_int64_t from, apr_int64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static unsigned int throw_dice(void)
{
    dogpile_id_t id;
    unsigned int dice;

    dp_id_make(&id);
    memcpy(&dice, id.bytes, sizeof(dice));
    return dice;
}

/* --- may I ask? -------------------------------------------------------- */

static apr_time_t earliest(const dp_member_t *member, apr_time_t until,
                           dp_ask_e ask)
{
    apr_time_t at =
        load(&member->health->failed_at) + member->backoff.first_usec;

    return ask == DP_ASK_ANYWAY && at < until ? at : until;
}

dp_turn_e dp_member_turn(dp_fallback_t *fallback, int index, dp_ask_e ask)
{
    dp_member_t *member = &fallback->members[index];
    dp_health_t *health = member->health;
    apr_time_t until = load(&health->left_until);
    apr_time_t now = dp_clock_now(fallback->clock);
    apr_int64_t trying;

    if (member->is_unusable) {
        return DP_TURN_NO;
    }
    if (until == 0) {
        return DP_TURN_ASK;
    }
    if (ask == DP_ASK_UP || now < earliest(member, until, ask)) {
        return DP_TURN_NO;
    }
    /* Nobody wanted it for long: nothing is known of it any more, and those
     * who come at once mustn't go without it while the first one tries. */
    if (now - until >= member->backoff.longest_usec) {
        return DP_TURN_ASK;
    }
    trying = load(&health->trying_until);
    if (now < trying
        || !swap(&health->trying_until, trying,
                 now + member->backoff.longest_usec)) {
        return DP_TURN_NO;
    }
    return DP_TURN_TRY;
}

apr_status_t dp_member_failure(const dp_member_t *member)
{
    apr_status_t status = (apr_status_t)__atomic_load_n(
        &member->health->last_status, __ATOMIC_RELAXED);

    return status == APR_SUCCESS ? APR_EGENERAL : status;
}

/* --- what it said ------------------------------------------------------ */

static void mark_up(dp_fallback_t *fallback, dp_member_t *member,
                    apr_time_t now)
{
    dp_health_t *health = member->health;
    apr_time_t until = load(&health->left_until);
    apr_time_t since = load(&health->changed_at);

    if (until == 0 || !swap(&health->left_until, until, 0)) {
        return;
    }
    store(&health->changed_at, now);
    dp_log(fallback->locker.conf->log, DOGPILE_LOG_NOTICE, 761, APR_SUCCESS,
           "locker %s: %s answers again after %" APR_TIME_T_FMT " s",
           fallback->name, member->name, apr_time_sec(now - since));
}

/* A member that fails again soon after it came back is no better than before,
 * so the count goes on. */
static apr_uint32_t count_failure(dp_member_t *member, apr_time_t until,
                                  apr_time_t now)
{
    dp_health_t *health = member->health;
    int is_first =
        until == 0
        && now - load(&health->changed_at) >= member->backoff.longest_usec;
    apr_uint32_t before = __atomic_load_n(&health->failures, __ATOMIC_RELAXED);

    return is_first ? 1 : before + 1;
}

static void mark_down(dp_fallback_t *fallback, dp_member_t *member,
                      apr_status_t status, apr_time_t now)
{
    dp_health_t *health = member->health;
    apr_time_t until = load(&health->left_until);
    apr_uint32_t failures = count_failure(member, until, now);
    apr_interval_time_t pause;

    __atomic_store_n(&health->last_status, (apr_uint32_t)status,
                     __ATOMIC_RELAXED);
    __atomic_fetch_add(&health->unavailable, 1, __ATOMIC_RELAXED);
    store(&health->failed_at, now);
    if (now < until) {
        return; /* as is known already */
    }
    pause = dp_backoff_pause(&member->backoff, failures, throw_dice());
    if (!swap(&health->left_until, until, now + pause)) {
        return;
    }
    __atomic_store_n(&health->failures, failures, __ATOMIC_RELAXED);
    if (until != 0) {
        return;
    }
    store(&health->changed_at, now);
    dp_log(fallback->locker.conf->log, DOGPILE_LOG_WARNING, 760, status,
           "locker %s: %s is unavailable and left out until it answers again",
           fallback->name, member->name);
}

void dp_member_told(dp_fallback_t *fallback, int index, dp_turn_e turn,
                    apr_status_t status)
{
    dp_member_t *member = &fallback->members[index];
    apr_time_t now = dp_clock_now(fallback->clock);

    if (status == APR_SUCCESS || status == APR_EEXIST
        || status == APR_NOTFOUND) {
        mark_up(fallback, member, now);
    }
    else {
        mark_down(fallback, member, status, now);
    }
    if (turn == DP_TURN_TRY) {
        store(&member->health->trying_until, 0);
    }
}
