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

static const char *seconds(apr_interval_time_t usec, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_TIME_T_FMT " s",
                        usec > 0 ? apr_time_sec(usec) : 0);
}

static const char *next_try(const dp_health_t *health, apr_time_t now,
                            apr_pool_t *pool)
{
    apr_time_t until = __atomic_load_n(&health->left_until, __ATOMIC_RELAXED);

    if (now < __atomic_load_n(&health->trying_until, __ATOMIC_RELAXED)) {
        return "under way";
    }
    return until > now
               ? apr_pstrcat(pool, "in ",
                             seconds(until - now + APR_USEC_PER_SEC - 1, pool),
                             NULL)
               : "at the next call";
}

static const char *last_error(const dp_member_t *member, apr_time_t now,
                              apr_pool_t *pool)
{
    apr_time_t at =
        __atomic_load_n(&member->health->failed_at, __ATOMIC_RELAXED);
    char text[128];

    if (__atomic_load_n(&member->health->unavailable, __ATOMIC_RELAXED) == 0) {
        return "none";
    }
    return apr_pstrcat(
        pool, seconds(now - at, pool),
        " ago: ", apr_strerror(dp_member_failure(member), text, sizeof(text)),
        NULL);
}

static void row_of_count(dogpile_row_fn *row, void *baton, const char *label,
                         const apr_uint32_t *count, apr_pool_t *pool)
{
    row(baton, label,
        apr_psprintf(pool, "%u", __atomic_load_n(count, __ATOMIC_RELAXED)));
}

void dp_fallback_describe_health(dogpile_locker_t *locker, int index,
                                 dogpile_row_fn *row, void *baton,
                                 apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    const dp_member_t *member = &fallback->members[index];
    const dp_health_t *health = member->health;
    apr_time_t now = dp_fallback_now(fallback);
    apr_time_t since = __atomic_load_n(&health->changed_at, __ATOMIC_RELAXED);
    int is_up = !is_left_out(member);

    row(baton, "state",
        is_up                 ? "up"
        : member->is_unusable ? "unusable"
                              : "down");
    row(baton, "since",
        since ? apr_pstrcat(scratch_pool, seconds(now - since, scratch_pool),
                            " ago", NULL)
              : "the start");
    if (!is_up && !member->is_unusable) {
        row(baton, "next try", next_try(health, now, scratch_pool));
    }
    row(baton, "last error", last_error(member, now, scratch_pool));
    row_of_count(row, baton, "failures", &health->unavailable, scratch_pool);
    row_of_count(row, baton, "contested", &health->contested, scratch_pool);
    row_of_count(row, baton, "lost", &health->lost, scratch_pool);
}

void dp_fallback_describe_itself(dogpile_locker_t *locker, dogpile_row_fn *row,
                                 void *baton, apr_pool_t *scratch_pool)
{
    row(baton, "held by this process",
        apr_itoa(scratch_pool, dp_sets_count(dp_fallback_of(locker)->sets)));
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

void dp_fallback_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    rows_t rows = {.row = row, .baton = baton, .pool = scratch_pool};
    int i;

    dp_fallback_describe_itself(locker, row, baton, scratch_pool);
    for (i = 0; i < fallback->nmembers; i++) {
        dogpile_locker_t *member = fallback->members[i].locker;

        rows.name = fallback->members[i].name;
        row_of_member(&rows, "type", member->provider->type);
        dp_fallback_describe_health(locker, i, row_of_member, &rows,
                                    scratch_pool);
        dp_lock_describe(member, row_of_member, &rows, scratch_pool);
    }
}
