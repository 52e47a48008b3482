/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fallback for people: the leases that can be seen, and how its members are.
 *
 * Called for the status page and by command-line tools, from any thread. What
 * is shown is told to people and never acted upon; looking changes no member's
 * health, as a list may fail where a lock works. Members that are left out
 * aren't asked, so a dead server doesn't stall the status page.
 *
 * A lease that is held in several members is shown once: of the leases that
 * look the same to people, as many as the member has that knows most of them.
 */
#include "lock/lock_fallback.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include "lock/lock.h"

/* --- the list ---------------------------------------------------------- */

/* Leases that look the same: how many were shown, and how many of those the
 * member that is being asked has named too. */
typedef struct alike_t {
    int nshown;
    int nnamed;
} alike_t;

typedef struct listing_t {
    void (*visit)(void *baton, const dogpile_holder_t *holder);
    void *baton;
    apr_hash_t *by_looks;
    apr_pool_t *pool;
} listing_t;

static void show_once(void *baton, const dogpile_holder_t *holder)
{
    listing_t *listing = baton;
    const char *looks = apr_psprintf(
        listing->pool, "%d %" APR_INT64_T_FMT " %s %s", (int)holder->mode,
        holder->pid, holder->host ? holder->host : "",
        holder->label ? holder->label : "");
    alike_t *alike =
        apr_hash_get(listing->by_looks, looks, APR_HASH_KEY_STRING);

    if (alike == NULL) {
        alike = apr_pcalloc(listing->pool, sizeof(*alike));
        apr_hash_set(listing->by_looks, looks, APR_HASH_KEY_STRING, alike);
    }
    if (++alike->nnamed > alike->nshown) {
        alike->nshown++;
        listing->visit(listing->baton, holder);
    }
}

static void begin_member(listing_t *listing)
{
    apr_hash_index_t *at = apr_hash_first(listing->pool, listing->by_looks);

    for (; at; at = apr_hash_next(at)) {
        alike_t *alike = apr_hash_this_val(at);

        alike->nnamed = 0;
    }
}

static int is_left_out(const dp_member_t *member)
{
    return member->is_unusable
           || __atomic_load_n(&member->health->left_until, __ATOMIC_RELAXED)
                  != 0;
}

apr_status_t dp_fallback_list(dogpile_locker_t *locker,
                              void (*visit)(void *baton,
                                            const dogpile_holder_t *holder),
                              void *baton, apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    listing_t listing = {.visit = visit,
                         .baton = baton,
                         .by_looks = apr_hash_make(scratch_pool),
                         .pool = scratch_pool};
    apr_status_t result = APR_ENOTIMPL;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        dp_member_t *member = &fallback->members[i];
        apr_status_t status = dp_member_failure(member);

        if (!is_left_out(member)) {
            begin_member(&listing);
            status =
                dp_lock_list(member->locker, show_once, &listing, scratch_pool);
        }
        if (status == APR_SUCCESS || result == APR_ENOTIMPL) {
            result = status;
        }
    }
    return result;
}

/* --- the status page --------------------------------------------------- */

static const char *state_of(const dp_fallback_t *fallback,
                            const dp_member_t *member, apr_pool_t *pool)
{
    const dp_health_t *health = member->health;
    apr_time_t now = dp_clock_now(fallback->clock);
    apr_time_t until = __atomic_load_n(&health->left_until, __ATOMIC_RELAXED);
    apr_time_t since = __atomic_load_n(&health->changed_at, __ATOMIC_RELAXED);
    char text[128];

    if (member->is_unusable) {
        return "can't be used in this process";
    }
    if (until == 0) {
        return since == 0 ? "up"
                          : apr_psprintf(pool, "up for %" APR_TIME_T_FMT " s",
                                         apr_time_sec(now - since));
    }
    return apr_psprintf(
        pool, "left out for %" APR_TIME_T_FMT " s, %s: %s",
        apr_time_sec(now - since),
        until > now
            ? apr_psprintf(pool, "tried again in %" APR_TIME_T_FMT " s",
                           apr_time_sec(until - now + APR_USEC_PER_SEC - 1))
            : "tried again at the next call",
        apr_strerror(dp_member_failure(member), text, sizeof(text)));
}

/* Rows of a member, below its name. */
typedef struct rows_t {
    dogpile_row_fn *row;
    void *baton;
    const char *name;
    apr_pool_t *pool;
} rows_t;

static void row_of_member(void *baton, const char *label, const char *value)
{
    rows_t *rows = baton;

    rows->row(rows->baton,
              apr_pstrcat(rows->pool, rows->name, " ", label, NULL), value);
}

static void row_of_count(rows_t *rows, const char *label,
                         const apr_uint32_t *count)
{
    row_of_member(rows, label,
                  apr_psprintf(rows->pool, "%u",
                               __atomic_load_n(count, __ATOMIC_RELAXED)));
}

static void describe_member(const dp_fallback_t *fallback,
                            const dp_member_t *member, rows_t *rows)
{
    const dp_health_t *health = member->health;

    rows->name = member->name;
    row_of_member(rows, "type", member->locker->provider->type);
    row_of_member(rows, "health", state_of(fallback, member, rows->pool));
    row_of_count(rows, "failures", &health->unavailable);
    row_of_count(rows, "contested", &health->contested);
    row_of_count(rows, "lost", &health->lost);
    dp_lock_describe(member->locker, row_of_member, rows, rows->pool);
}

void dp_fallback_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    rows_t rows = {.row = row, .baton = baton, .pool = scratch_pool};
    int i;

    row(baton, "held by this process",
        apr_itoa(scratch_pool, dp_sets_count(fallback->sets)));
    for (i = 0; i < fallback->nmembers; i++) {
        describe_member(fallback, &fallback->members[i], &rows);
    }
}
