/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several hosts on the same lock servers, which crash, forget, or are cut off
 * from some: the accidents that other protocols don't survive, one by one, as
 * told in docs/design/fallback.md.
 */
#include "fallback_hosts.h"

#define A 0
#define B 1
#define C 2

static dogpile_locker_t *hosts[HOSTS];
static dogpile_lock_key_t key;

/* Three hosts on two servers. */
static void begin(void)
{
    int i;

    world_make();
    key = chain_key("a");
    for (i = 0; i < HOSTS; i++) {
        hosts[i] = chain_make(i, 2);
    }
}

static dogpile_id_t take(int host)
{
    return chain_take(hosts[host], &key);
}

static int is_refused(int host)
{
    dogpile_id_t token;

    return chain_try(hosts[host], &key, &token) == APR_EEXIST;
}

/* Some tries and looks of somebody who waits, over a lease and more, while
 * `holder` renews. Returns 1 if it never got the lock. */
static int waits_in_vain(int host, int holder, const dogpile_id_t *token)
{
    int i;

    for (i = 0; i < 40; i++) {
        if (!is_refused(host)) {
            return 0;
        }
        ck_assert_int_eq(chain_look(hosts[host], &key), DOGPILE_HELD);
        world->now += THIRD / 8;
        if (i % 4 == 0) {
            ck_assert_int_eq(chain_renew(hosts[holder], &key, token),
                             APR_SUCCESS);
        }
    }
    return 1;
}

/* B renders under the second member, for ever cut off from the first: A, for
 * whom nothing has changed, must not render under the first. */
START_TEST(a_lasting_cut_of_one_host)
{
    dogpile_id_t token;

    begin();
    world->is_cut[B][0] = 1;
    token = take(B);
    ck_assert(waits_in_vain(A, B, &token));
    ck_assert_int_eq(chain_release(hosts[B], &key, &token), APR_SUCCESS);
    token = take(A);
    ck_assert(waits_in_vain(B, A, &token));
}
END_TEST

/* Only B noticed that the first member crashed and came back. */
START_TEST(a_crash_that_one_host_notices)
{
    dogpile_id_t token;

    begin();
    server_crash(0);
    token = take(B);
    world->servers[0].is_down = 0;
    ck_assert(is_refused(A));
    ck_assert_str_eq(chain_where(&key), "1");
    ck_assert(waits_in_vain(A, B, &token));
    ck_assert_str_eq(chain_where(&key), "01"); /* taken back by then */
}
END_TEST

/* Every lock in the air survives the loss of a member. */
START_TEST(a_crash_with_several_locks_held)
{
    dogpile_lock_key_t keys[4];
    dogpile_id_t tokens[4];
    int i;

    begin();
    for (i = 0; i < 4; i++) {
        keys[i] = chain_key(apr_itoa(unit_pool, i));
        tokens[i] = chain_take(hosts[A], &keys[i]);
    }
    server_crash(0);
    for (i = 0; i < 4; i++) {
        dogpile_id_t token;

        ck_assert_int_eq(chain_try(hosts[B], &keys[i], &token), APR_EEXIST);
        ck_assert_int_eq(chain_renew(hosts[A], &keys[i], &tokens[i]),
                         APR_SUCCESS);
    }
}
END_TEST

/* A member is flushed, and then another host loses the one that wasn't. */
START_TEST(a_flush_and_then_a_cut)
{
    dogpile_id_t token;

    begin();
    token = take(A);
    server_flush(1);
    ck_assert_int_eq(chain_renew(hosts[A], &key, &token), APR_SUCCESS);
    world->is_cut[B][0] = 1;
    ck_assert(is_refused(B));
    ck_assert(waits_in_vain(B, A, &token));
}
END_TEST

/* A is cut off from the first member until its lease there is over, while
 * others wait: it must get that lease back, for the day when C has only the
 * first member. Waiters that polled by taking would keep it from A. */
START_TEST(two_cuts_and_those_who_wait)
{
    dogpile_id_t token;

    begin();
    token = take(A);
    world->is_cut[A][0] = 1;
    ck_assert(waits_in_vain(B, A, &token));
    ck_assert_str_eq(chain_where(&key), "1");
    world->is_cut[A][0] = 0;
    ck_assert(waits_in_vain(B, A, &token));
    ck_assert_str_eq(chain_where(&key), "01");
    world->is_cut[C][1] = 1;
    ck_assert(waits_in_vain(C, A, &token));
}
END_TEST

static void cut_b_from_first(void)
{
    world->is_cut[B][0] = 1;
}

/* A waiter is cut off while it has a member for an instant: its dead record
 * keeps the holder out for as long as its lease, and no longer. */
START_TEST(a_dead_record_ends_with_its_lease)
{
    dogpile_id_t token;
    int i;

    begin();
    server_crash(0);
    token = take(A); /* under the second */
    world->servers[0].is_down = 0;
    world_before_call = cut_b_from_first;
    world_calls_until = 1; /* it has taken the first */
    ck_assert(is_refused(B));
    ck_assert_str_eq(chain_where(&key), "01");
    for (i = 0; i < 3; i++) {
        world->now += THIRD - 1;
        ck_assert_int_eq(chain_renew(hosts[A], &key, &token), APR_SUCCESS);
    }
    ck_assert_int_gt(health_of(hosts[A], 0)->contested, 0);
    world->now += THIRD;
    ck_assert_int_eq(chain_renew(hosts[A], &key, &token), APR_SUCCESS);
    ck_assert_ptr_nonnull(server_blocker(0, &key.digest, DOGPILE_SHARED));
    ck_assert_int_eq(server_blocker(0, &key.digest, DOGPILE_SHARED)->host, A);
}
END_TEST

/* One host believes a flapping server well, another one doesn't. */
START_TEST(a_server_that_flaps)
{
    dogpile_id_t token;
    int i;

    begin();
    token = take(A);
    for (i = 0; i < 60; i++) {
        world->servers[0].is_down = i % 3 == 1;
        if (i % 3 == 1) {
            server_flush(0);
        }
        ck_assert(is_refused(B));
        ck_assert(is_refused(C));
        world->now += THIRD / 5;
        ck_assert_int_eq(chain_renew(hosts[A], &key, &token), APR_SUCCESS);
    }
}
END_TEST

/* Whoever waits takes nothing, for no instant: a bystander who sees the member
 * that the waiter doesn't ask first always finds it as it was. */
START_TEST(waiters_look_and_take_nothing)
{
    dogpile_id_t token;
    int i;

    begin();
    token = take(A);
    ck_assert(is_refused(B));
    trace();
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(chain_look(hosts[B], &key), DOGPILE_HELD);
    }
    ck_assert_str_eq(trace(), "P0 P0 P0 P0 P0");
    ck_assert_int_eq(chain_release(hosts[A], &key, &token), APR_SUCCESS);
    ck_assert_int_eq(chain_look(hosts[B], &key), DOGPILE_FREE);
    take(B);
}
END_TEST

/* What can't be promised: two who share no member. */
START_TEST(a_crossed_cut_is_beyond_any_chain)
{
    begin();
    world->is_cut[A][0] = 1;
    world->is_cut[B][1] = 1;
    take(A);
    take(B);
    ck_assert_str_eq(chain_where(&key), "01");
    ck_assert(is_refused(C));
}
END_TEST

/* Both keep what they have when the cut ends, and see that it is contested;
 * nobody new comes in. */
START_TEST(after_a_crossed_cut_the_overlap_ends_with_the_renders)
{
    dogpile_id_t a;
    dogpile_id_t b;

    begin();
    world->is_cut[A][0] = 1;
    world->is_cut[B][1] = 1;
    a = take(A);
    b = take(B);
    memset(world->is_cut, 0, sizeof(world->is_cut));
    world->now += THIRD;
    ck_assert_int_eq(chain_renew(hosts[A], &key, &a), APR_SUCCESS);
    ck_assert_int_eq(chain_renew(hosts[B], &key, &b), APR_SUCCESS);
    ck_assert_int_eq(health_of(hosts[A], 0)->contested, 1);
    ck_assert_int_eq(health_of(hosts[B], 1)->contested, 1);
    ck_assert(is_refused(C));
    ck_assert_int_eq(chain_release(hosts[A], &key, &a), APR_SUCCESS);
    ck_assert(is_refused(C));
    ck_assert_int_eq(chain_release(hosts[B], &key, &b), APR_SUCCESS);
    take(C);
}
END_TEST

UNIT_MAIN("lock/fallback_hosts", a_lasting_cut_of_one_host,
          a_crash_that_one_host_notices, a_crash_with_several_locks_held,
          a_flush_and_then_a_cut, two_cuts_and_those_who_wait,
          a_dead_record_ends_with_its_lease, a_server_that_flaps,
          waiters_look_and_take_nothing, a_crossed_cut_is_beyond_any_chain,
          after_a_crossed_cut_the_overlap_ends_with_the_renders)
