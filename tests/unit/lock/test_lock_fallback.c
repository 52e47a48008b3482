/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the fallback, one host: what is asked of which member, in which
 * order, and what is left behind.
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

/* --- acquire ----------------------------------------------------------- */

START_TEST(every_member_is_taken_in_order)
{
    dogpile_locker_t *locker = begin(3);
    dogpile_id_t mine = chain_take(locker, &key);

    ck_assert_str_eq(trace(), "A0 A1 A2");
    ck_assert_str_eq(chain_where(&key), "012");
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "G2 G1 G0");
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

START_TEST(the_first_refusal_ends_it_and_all_is_given_back)
{
    dogpile_locker_t *locker = begin(3);
    fake_t *other = fake_make(1, 1);
    dogpile_holder_t holder;
    dogpile_id_t theirs;
    dogpile_id_t token;

    theirs = chain_take(&other->locker, &key);
    trace();
    ck_assert_int_eq(dp_lock_acquire(locker, &key, DOGPILE_EXCLUSIVE, &token,
                                     &holder, unit_pool),
                     APR_EEXIST);
    ck_assert_str_eq(holder.host, "host-b");
    ck_assert(dp_id_equal(&holder.token, &theirs));
    ck_assert_str_eq(trace(), "A0 A1 G0");
    ck_assert_str_eq(chain_where(&key), "1");
    ck_assert_int_eq(dp_sets_count(dp_fallback_of(locker)->sets), 0);
}
END_TEST

START_TEST(who_is_unavailable_is_left_out_from_then_on)
{
    dogpile_locker_t *locker = begin(3);
    dogpile_lock_key_t other = chain_key("b");
    dogpile_id_t mine;

    server_crash(1);
    mine = chain_take(locker, &key);
    ck_assert_str_eq(trace(), "A0 A1 A2");
    chain_take(locker, &other);
    ck_assert_str_eq(trace(), "A0 A2");
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(trace(), "G2 G0");
}
END_TEST

START_TEST(when_all_are_gone_those_left_out_are_tried_once)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_lock_key_t other = chain_key("b");
    dogpile_id_t token;

    server_crash(0);
    chain_take(locker, &key);
    world->servers[0].is_down = 0; /* which nobody knows */
    server_crash(1);
    world->now += TIMEOUT;
    health_of(locker, 0)->left_until = world->now + THIRD;
    trace();
    chain_take(locker, &other);
    ck_assert_str_eq(trace(), "A1 A0");
    ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
    ck_assert_str_eq(chain_where(&other), "0");
    /* One that has just failed isn't tried again in the same breath. */
    server_crash(0);
    ck_assert(is_unavailable(chain_try(locker, &key, &token)));
    ck_assert_str_eq(trace(), "A0");
    ck_assert(is_unavailable(chain_try(locker, &key, &token)));
    ck_assert_str_eq(trace(), "");
}
END_TEST

static dogpile_locker_t *intruder;
static apr_status_t intruder_status;

static void acquire_meanwhile(void)
{
    dogpile_lock_key_t other = chain_key("meanwhile");
    dogpile_id_t token;

    intruder_status = chain_try(intruder, &other, &token);
}

START_TEST(the_last_try_is_one_callers)
{
    dogpile_locker_t *locker = begin(1);

    server_crash(0);
    intruder = locker;
    acquire_meanwhile();
    ck_assert(is_unavailable(intruder_status));
    world->servers[0].is_down = 0;
    world->now += TIMEOUT;
    health_of(locker, 0)->left_until = world->now + THIRD;
    world_before_call = acquire_meanwhile;
    trace();
    chain_take(locker, &key);
    ck_assert(is_unavailable(intruder_status));
    ck_assert_str_eq(trace(), "A0");
}
END_TEST

static apr_interval_time_t pause_usec;

static void pause_once(void)
{
    world->now += pause_usec;
}

static void pause_always(void)
{
    world->now += pause_usec;
    world_before_call = pause_always;
}

START_TEST(what_took_a_third_of_the_lease_is_begun_anew)
{
    dogpile_locker_t *locker = begin(2);

    pause_usec = THIRD;
    world_before_call = pause_once;
    world_calls_until = 1;
    chain_take(locker, &key);
    ck_assert_str_eq(trace(), "A0 A1");
    pause_usec = THIRD + 1;
    world_before_call = pause_once;
    world_calls_until = 1;
    key = chain_key("b");
    chain_take(locker, &key);
    ck_assert_str_eq(trace(), "A0 A1 G1 G0 A0 A1");
    ck_assert_str_eq(chain_where(&key), "01");
}
END_TEST

START_TEST(a_machine_without_time_gives_up)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t token;

    pause_usec = THIRD;
    pause_always();
    ck_assert(is_unavailable(chain_try(locker, &key, &token)));
    world_before_call = NULL;
    ck_assert_str_eq(trace(), "A0 A1 G1 G0 A0 A1 G1 G0 A0 A1 G1 G0");
    ck_assert_str_eq(chain_where(&key), "");
    ck_assert_int_eq(dp_sets_count(dp_fallback_of(locker)->sets), 0);
}
END_TEST

START_TEST(a_record_of_my_own_earlier_token_is_someone_elses)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t first = chain_take(locker, &key);
    dogpile_id_t token;

    world->is_cut[0][0] = 1;
    ck_assert_int_eq(chain_release(locker, &key, &first), APR_SUCCESS);
    world->is_cut[0][0] = 0;
    await_turn(locker, 0);
    ck_assert_int_eq(chain_try(locker, &key, &token), APR_EEXIST);
    ck_assert_str_eq(chain_where(&key), "0");
    world->now += LEASE;
    token = chain_take(locker, &key);
    ck_assert(!dp_id_equal(&token, &first));
    ck_assert_int_eq(chain_renew(locker, &key, &first), APR_NOTFOUND);
    ck_assert_int_eq(chain_release(locker, &key, &first), APR_NOTFOUND);
    ck_assert_str_eq(chain_where(&key), "01");
}
END_TEST

/* --- release ----------------------------------------------------------- */

START_TEST(what_can_not_be_reached_is_left_to_its_end)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    world->is_cut[0][0] = 1;
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(chain_where(&key), "0");
    world->now += LEASE;
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

START_TEST(a_release_says_what_became_of_the_lock)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);

    server_flush(1); /* the other one kept it */
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
    mine = chain_take(locker, &key);
    world->now += LEASE;
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_NOTFOUND);
    mine = chain_take(locker, &key);
    server_crash(0);
    server_crash(1);
    ck_assert(is_unavailable(chain_release(locker, &key, &mine)));
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_NOTFOUND);
}
END_TEST

START_TEST(a_token_is_good_for_its_own_key)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_lock_key_t other = chain_key("b");
    dogpile_id_t mine = chain_take(locker, &key);
    dogpile_id_t unknown;

    dp_id_make(&unknown);
    trace();
    ck_assert_int_eq(chain_renew(locker, &other, &mine), APR_NOTFOUND);
    ck_assert_int_eq(chain_release(locker, &other, &mine), APR_NOTFOUND);
    ck_assert_int_eq(chain_release(locker, &key, &unknown), APR_NOTFOUND);
    ck_assert_str_eq(trace(), "");
    ck_assert_int_eq(chain_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

/* --- look -------------------------------------------------------------- */

START_TEST(a_waiter_looks_where_it_was_refused)
{
    dogpile_locker_t *locker = begin(3);
    fake_t *other = fake_make(1, 2);
    dogpile_id_t theirs = chain_take(&other->locker, &key);
    dogpile_id_t token;

    ck_assert_int_eq(chain_try(locker, &key, &token), APR_EEXIST);
    trace();
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_HELD);
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_HELD);
    ck_assert_str_eq(trace(), "P2 P2");
    ck_assert_int_eq(chain_release(&other->locker, &key, &theirs), APR_SUCCESS);
    trace();
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_FREE);
    ck_assert_str_eq(trace(), "P2 P0 P1");
}
END_TEST

START_TEST(one_that_says_held_is_enough_and_free_takes_all)
{
    dogpile_locker_t *locker = begin(3);
    fake_t *other = fake_make(1, 1);

    chain_take(&other->locker, &key);
    trace();
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_HELD);
    ck_assert_str_eq(trace(), "P0 P1");
    server_crash(0);
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_HELD);
    server_crash(1);
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_FREE);
    server_crash(2);
    ck_assert_int_eq(chain_look(locker, &key), -1);
    trace();
    ck_assert_int_eq(chain_look(locker, &key), -1);
    ck_assert_str_eq(trace(), "");
}
END_TEST

START_TEST(a_look_never_waits_for_one_that_is_left_out)
{
    dogpile_locker_t *locker = begin(2);

    server_crash(0);
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_FREE);
    world->now += 10 * LEASE;
    trace();
    ck_assert_int_eq(chain_look(locker, &key), DOGPILE_FREE);
    ck_assert_str_eq(trace(), "P1");
}
END_TEST

START_TEST(keys_that_share_a_place_for_their_refusals_share_nothing_else)
{
    dogpile_locker_t *locker = begin(2);
    fake_t *other = fake_make(1, 1);
    dogpile_lock_key_t twin = key;
    dogpile_id_t token;

    twin.digest.bytes[9] ^= 1;
    chain_take(&other->locker, &key);
    ck_assert_int_eq(chain_try(locker, &key, &token), APR_EEXIST);
    trace();
    ck_assert_int_eq(chain_look(locker, &twin), DOGPILE_FREE);
    ck_assert_str_eq(trace(), "P0 P1");
}
END_TEST

UNIT_MAIN("lock/fallback", every_member_is_taken_in_order,
          the_first_refusal_ends_it_and_all_is_given_back,
          who_is_unavailable_is_left_out_from_then_on,
          when_all_are_gone_those_left_out_are_tried_once,
          the_last_try_is_one_callers,
          what_took_a_third_of_the_lease_is_begun_anew,
          a_machine_without_time_gives_up,
          a_record_of_my_own_earlier_token_is_someone_elses,
          what_can_not_be_reached_is_left_to_its_end,
          a_release_says_what_became_of_the_lock,
          a_token_is_good_for_its_own_key, a_waiter_looks_where_it_was_refused,
          one_that_says_held_is_enough_and_free_takes_all,
          a_look_never_waits_for_one_that_is_left_out,
          keys_that_share_a_place_for_their_refusals_share_nothing_else)
