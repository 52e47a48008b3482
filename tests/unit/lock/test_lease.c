/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/lease.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "unit.h"

#define LEASE_USEC apr_time_from_sec(15)

/* Whom nobody here can judge. */
static const dp_owner_t somebody = {.host = "elsewhere", .boot = "-"};

static dogpile_digest_t digest_of(int name)
{
    dogpile_digest_t digest;

    memset(&digest, name, sizeof(digest));
    return digest;
}

static apr_array_header_t *none(void)
{
    return apr_array_make(unit_pool, 1, sizeof(dp_lease_t));
}

static dp_lease_t *add(apr_array_header_t *leases, int name,
                       dp_lease_kind_e kind)
{
    dp_lease_t *lease = apr_array_push(leases);

    memset(lease, 0, sizeof(*lease));
    memset(&lease->token, leases->nelts, sizeof(lease->token));
    lease->digest = digest_of(name);
    lease->kind = kind;
    lease->owner = somebody;
    lease->since = unit_now;
    lease->until = unit_now + LEASE_USEC;
    lease->lease_usec = LEASE_USEC;
    lease->label = "label";
    return lease;
}

static const dp_lease_t *blocker(apr_array_header_t *leases, int name,
                                 dogpile_lock_mode_e mode)
{
    dogpile_digest_t digest = digest_of(name);
    dp_owner_t self;

    dp_owner_self(&self, "here", unit_pool);
    return dp_lease_blocker(leases, &digest, mode, unit_now, &self);
}

START_TEST(a_lease_is_over_at_its_end)
{
    dp_lease_t *lease = add(none(), 1, DP_LEASE_EXCLUSIVE);

    ck_assert(!dp_lease_is_over(lease, lease->until - 1));
    ck_assert(dp_lease_is_over(lease, lease->until));
}
END_TEST

START_TEST(a_lease_of_a_clock_set_back_is_over)
{
    dp_lease_t *lease = add(none(), 1, DP_LEASE_EXCLUSIVE);

    ck_assert(!dp_lease_is_over(lease, unit_now - LEASE_USEC));
    ck_assert(dp_lease_is_over(lease, unit_now - LEASE_USEC - 1));
}
END_TEST

START_TEST(who_is_in_whose_way)
{
    static const struct {
        dp_lease_kind_e kind;
        int exclusive;
        int shared;
    } table[] = {{DP_LEASE_EXCLUSIVE, 1, 1},
                 {DP_LEASE_SHARED, 1, 0},
                 {DP_LEASE_WISH, 0, 1}};
    apr_size_t i;

    for (i = 0; i < 3; i++) {
        apr_array_header_t *leases = none();

        add(leases, 1, table[i].kind);
        ck_assert_int_eq(blocker(leases, 1, DOGPILE_EXCLUSIVE) != NULL,
                         table[i].exclusive);
        ck_assert_int_eq(blocker(leases, 1, DOGPILE_SHARED) != NULL,
                         table[i].shared);
        ck_assert_ptr_null(blocker(leases, 2, DOGPILE_EXCLUSIVE));
        unit_now += LEASE_USEC;
        ck_assert_ptr_null(blocker(leases, 1, DOGPILE_EXCLUSIVE));
        ck_assert_ptr_null(blocker(leases, 1, DOGPILE_SHARED));
    }
}
END_TEST

START_TEST(the_dead_are_removed_when_in_the_way)
{
    apr_array_header_t *leases = none();
    dp_owner_t dead;
    pid_t child = fork();

    if (child == 0) {
        _exit(0);
    }
    dp_owner_self(&dead, "here", unit_pool);
    dead.pid = child;
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    add(leases, 1, DP_LEASE_SHARED)->owner = dead;
    add(leases, 2, DP_LEASE_SHARED)->owner = dead;
    add(leases, 1, DP_LEASE_SHARED);
    ck_assert_ptr_null(blocker(leases, 1, DOGPILE_SHARED));
    ck_assert_int_eq(leases->nelts, 3);
    ck_assert_ptr_eq(blocker(leases, 1, DOGPILE_EXCLUSIVE),
                     &APR_ARRAY_IDX(leases, 1, dp_lease_t));
    ck_assert_int_eq(leases->nelts, 2);
    ck_assert_ptr_null(blocker(leases, 2, DOGPILE_EXCLUSIVE));
    ck_assert_int_eq(leases->nelts, 1);
}
END_TEST

START_TEST(a_lease_is_found_by_key_and_token)
{
    apr_array_header_t *leases = none();
    dogpile_digest_t one = digest_of(1);
    dogpile_digest_t two = digest_of(2);
    dogpile_id_t first = add(leases, 1, DP_LEASE_SHARED)->token;
    dogpile_id_t second = add(leases, 1, DP_LEASE_WISH)->token;

    ck_assert_ptr_eq(dp_lease_find(leases, &one, &first, unit_now),
                     &APR_ARRAY_IDX(leases, 0, dp_lease_t));
    ck_assert_ptr_null(dp_lease_find(leases, &two, &first, unit_now));
    ck_assert_ptr_null(dp_lease_find(leases, &one, &second, unit_now));
    ck_assert_ptr_null(
        dp_lease_find(leases, &one, &first, unit_now + LEASE_USEC));
    ck_assert_ptr_eq(dp_lease_find_wish(leases, &one, unit_now),
                     &APR_ARRAY_IDX(leases, 1, dp_lease_t));
    ck_assert_ptr_null(dp_lease_find_wish(leases, &two, unit_now));
    ck_assert_ptr_null(dp_lease_find_wish(leases, &one, unit_now + LEASE_USEC));
}
END_TEST

START_TEST(dropping_counts_what_was_alive)
{
    apr_array_header_t *leases = none();
    dogpile_digest_t one = digest_of(1);

    add(leases, 1, DP_LEASE_SHARED)->until = unit_now;
    add(leases, 2, DP_LEASE_EXCLUSIVE);
    add(leases, 1, DP_LEASE_SHARED);
    add(leases, 1, DP_LEASE_WISH);
    ck_assert_int_eq(dp_lease_drop(leases, &one, "xs", unit_now), 1);
    ck_assert_int_eq(leases->nelts, 2);
    ck_assert_int_eq(dp_lease_drop(leases, &one, "w", unit_now), 1);
    ck_assert_int_eq(dp_lease_drop(leases, &one, "xsw", unit_now), 0);
    ck_assert_int_eq(leases->nelts, 1);
    dp_lease_drop_over(leases, unit_now);
    ck_assert_int_eq(leases->nelts, 1);
    dp_lease_drop_over(leases, unit_now + LEASE_USEC);
    ck_assert_int_eq(leases->nelts, 0);
}
END_TEST

START_TEST(a_holder_is_described)
{
    apr_array_header_t *leases = none();
    dp_lease_t *lease = add(leases, 1, DP_LEASE_WISH);
    dogpile_holder_t holder;

    lease->owner.pid = 4711;
    dp_lease_describe(&holder, lease, unit_now + 5, unit_pool);
    ck_assert_int_eq(holder.mode, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(holder.pid, 4711);
    ck_assert_str_eq(holder.host, "elsewhere");
    ck_assert_str_eq(holder.label, "label");
    ck_assert_int_eq(holder.age_usec, 5);
    ck_assert_int_eq(holder.left_usec, LEASE_USEC - 5);
    lease->kind = DP_LEASE_SHARED;
    dp_lease_describe(&holder, lease, unit_now - 5, unit_pool);
    ck_assert_int_eq(holder.mode, DOGPILE_SHARED);
    ck_assert_int_eq(holder.age_usec, 0);
    ck_assert_int_eq(holder.left_usec, LEASE_USEC);
}
END_TEST

UNIT_MAIN("lock/lease", a_lease_is_over_at_its_end,
          a_lease_of_a_clock_set_back_is_over, who_is_in_whose_way,
          the_dead_are_removed_when_in_the_way,
          a_lease_is_found_by_key_and_token, dropping_counts_what_was_alive,
          a_holder_is_described)
