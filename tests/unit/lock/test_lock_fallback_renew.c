/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewal, one host: what is kept, what is taken back, what is lost, and what
 * happens when the lock is given back meanwhile.
 */
#include "fallback_hosts.h"

static dogpile_lock_key_t key;

/* A host on the first `n` servers. */
static dogpile_locker_t *begin(int n)
{
    world_make();
    key = chain_key("a");
    return chain_make(0, n);
}

START_TEST(every_member_is_renewed)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);
    int i;

    for (i = 0; i < 9; i++) {
        world->now += THIRD;
        ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    }
    ck_assert_str_eq(chain_where(&key), "01");
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(what_a_member_forgot_is_taken_again)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    server_flush(0);
    trace();
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "N0 N1 A0");
    ck_assert_int_eq(health_of(locker, 0)->lost, 1);
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

START_TEST(a_member_that_returns_is_taken_back_in_the_same_mode)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine;

    server_crash(0);
    ck_assert_int_eq(
        dp_lock_acquire(locker, &key, DOGPILE_SHARED, &mine, NULL, unit_pool),
        APR_SUCCESS);
    world->servers[0].is_down = 0;
    trace();
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "N1"); /* still left out */
    await_turn(locker, 0);
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "N1 A0");
    ck_assert_ptr_nonnull(server_blocker(0, &key.digest, DOGPILE_EXCLUSIVE));
    ck_assert_ptr_null(server_blocker(0, &key.digest, DOGPILE_SHARED));
}
END_TEST

START_TEST(what_is_someone_elses_is_left_to_them_and_tried_again)
{
    dogpile_locker_t *locker = begin(2);
    fake_t *other = fake_make(1, 0);
    dogpile_id_t mine = chain_take(locker, &key);
    dogpile_id_t theirs;

    server_flush(0);
    theirs = chain_take(&other->locker, &key);
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(health_of(locker, 0)->contested, 2);
    ck_assert_int_eq(chain_release(&other->locker, &key, &theirs), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "1");
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "01");
}
END_TEST

START_TEST(unavailable_is_not_lost)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world->is_cut[0][0] = 1;
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    world->is_cut[0][1] = 1;
    ck_assert(is_unavailable(chain_renew(locker, &key, &mine)));
    world->is_cut[0][0] = 0;
    await_turn(locker, 0);
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(what_may_be_held_where_nobody_answers_is_reason_enough_to_take)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world->is_cut[0][1] = 1;
    server_flush(0);
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "01");
}
END_TEST

START_TEST(a_lock_is_lost_when_no_member_has_it_any_more)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    server_flush(0);
    server_flush(1);
    trace();
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_NOTFOUND);
    /* What has ended isn't revived. */
    ck_assert_str_eq(trace(), "N0 N1");
    ck_assert_str_eq(chain_where(&key), "");
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_NOTFOUND);
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_NOTFOUND);
    ck_assert_str_eq(trace(), "");
}
END_TEST

START_TEST(a_lease_out_of_reach_ends_by_my_own_clock)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world->is_cut[0][0] = 1;
    world->is_cut[0][1] = 1;
    world->now += LEASE - 1;
    ck_assert(is_unavailable(chain_renew(locker, &key, &mine)));
    world->now += 1;
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_NOTFOUND);
}
END_TEST

static void sleep_over_it(void)
{
    world->now += LEASE;
}

START_TEST(what_ended_during_the_renewal_is_not_revived)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world_before_call = sleep_over_it;
    world_calls_until = 1; /* the first has said yes */
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_NOTFOUND);
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

START_TEST(a_member_that_hangs_comes_after_those_that_can_be_saved)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world->servers[0].is_down = 1;
    world->servers[0].is_hanging = 1;
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    await_turn(locker, 0);
    trace();
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "N1 N0");
    /* And isn't waited for until it is due again. */
    ck_assert_int_eq(chain_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "N1");
}
END_TEST

static dogpile_locker_t *intruder;
static dogpile_id_t held;

static void release_meanwhile(void)
{
    chain_release(intruder, &key, &held);
}

START_TEST(what_is_taken_for_a_lock_given_back_meanwhile_is_given_back)
{
    dogpile_locker_t *locker = begin(2);

    intruder = locker;
    held = chain_take(locker, &key);
    server_flush(0);
    world_before_call = release_meanwhile;
    world_calls_until = 2; /* after both renewals, before the taking */
    trace();
    ck_assert_int_eq(chain_renew(locker, &key, &held), APR_NOTFOUND);
    ck_assert_str_eq(trace(), "N0 N1 G1 G0 A0 G0");
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

static void renew_meanwhile(void)
{
    ck_assert_int_eq(chain_renew(intruder, &key, &held), APR_SUCCESS);
}

START_TEST(two_renewals_of_one_lock_agree)
{
    dogpile_locker_t *locker = begin(2);

    intruder = locker;
    held = chain_take(locker, &key);
    server_flush(0);
    world_before_call = renew_meanwhile;
    world_calls_until = 2;
    ck_assert_int_eq(chain_renew(locker, &key, &held), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "01");
    ck_assert_int_eq(chain_release(locker, &key, &held), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

UNIT_MAIN("lock/fallback_renew", every_member_is_renewed,
          what_a_member_forgot_is_taken_again,
          a_member_that_returns_is_taken_back_in_the_same_mode,
          what_is_someone_elses_is_left_to_them_and_tried_again,
          unavailable_is_not_lost,
          what_may_be_held_where_nobody_answers_is_reason_enough_to_take,
          a_lock_is_lost_when_no_member_has_it_any_more,
          a_lease_out_of_reach_ends_by_my_own_clock,
          what_ended_during_the_renewal_is_not_revived,
          a_member_that_hangs_comes_after_those_that_can_be_saved,
          what_is_taken_for_a_lock_given_back_meanwhile_is_given_back,
          two_renewals_of_one_lock_agree)
