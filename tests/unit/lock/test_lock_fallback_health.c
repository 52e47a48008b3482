/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which members are asked: one caller tries what failed, all learn from it, in
 * every child; a dead server costs one timeout and not one for each request.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "fallback_hosts.h"

static dogpile_lock_key_t key;

static dogpile_locker_t *begin(int n)
{
    world_make();
    key = chain_key("a");
    return chain_make(0, n);
}

/* Take and give back: what was asked of the first member. */
static int asks_first(dogpile_locker_t *locker)
{
    int before = world->servers[0].calls;
    dogpile_id_t mine = chain_take(locker, &key);
    int asked = world->servers[0].calls > before;

    chain_release(locker, &key, &mine);
    return asked;
}

static void hang(int server, int hangs)
{
    world->servers[server].is_down = hangs;
    world->servers[server].is_hanging = hangs;
}

START_TEST(a_server_that_hangs_costs_one_timeout)
{
    dogpile_locker_t *locker = begin(2);
    apr_time_t before = world->now;
    int i;

    hang(0, 1);
    for (i = 0; i < 100; i++) {
        asks_first(locker);
    }
    ck_assert_int_eq(world->now - before, TIMEOUT);
    ck_assert_int_eq(world->servers[0].calls, 1);
}
END_TEST

START_TEST(the_pause_grows_up_to_a_third_of_the_lease)
{
    dogpile_locker_t *locker = begin(2);
    apr_interval_time_t pause = TIMEOUT;
    int i;

    server_crash(0);
    for (i = 0; i < 8; i++) {
        apr_interval_time_t left;

        ck_assert(asks_first(locker));
        left = health_of(locker, 0)->left_until - world->now;
        ck_assert_int_ge(left, pause / 2);
        ck_assert_int_le(left, pause);
        world->now += left - 1;
        ck_assert(!asks_first(locker));
        world->now += 1;
        pause = 2 * pause < THIRD ? 2 * pause : THIRD;
    }
}
END_TEST

static dogpile_locker_t *sibling;
static int sibling_asked;

static void ask_meanwhile(void)
{
    dogpile_lock_key_t other = chain_key("meanwhile");
    int before = world->servers[0].calls;
    dogpile_id_t theirs = chain_take(sibling, &other);

    sibling_asked = world->servers[0].calls > before;
    chain_release(sibling, &other, &theirs);
}

/* Whether others ask the first member while one caller is about to. */
static int others_ask_meanwhile(dogpile_locker_t *locker)
{
    sibling = locker;
    world_before_call = ask_meanwhile;
    world_calls_until = 0;
    ck_assert(asks_first(locker));
    return sibling_asked;
}

START_TEST(one_caller_tries_and_the_others_go_on_without)
{
    dogpile_locker_t *locker = begin(2);

    server_crash(0);
    asks_first(locker);
    await_turn(locker, 0);
    ck_assert(!others_ask_meanwhile(locker));
    await_turn(locker, 0);
    world->servers[0].is_down = 0;
    ck_assert(!others_ask_meanwhile(locker));
    ck_assert(others_ask_meanwhile(locker)); /* it answers again */
}
END_TEST

START_TEST(an_old_verdict_is_none)
{
    dogpile_locker_t *locker = begin(2);

    server_crash(0);
    asks_first(locker);
    await_turn(locker, 0);
    world->servers[0].is_down = 0;
    world->now += THIRD;
    ck_assert(others_ask_meanwhile(locker));
}
END_TEST

START_TEST(a_try_whose_process_died_blocks_nobody)
{
    dogpile_locker_t *locker = begin(2);

    server_crash(0);
    asks_first(locker);
    await_turn(locker, 0);
    ck_assert_int_eq(dp_member_turn(dp_fallback_of(locker), 0, DP_ASK_DUE),
                     DP_TURN_TRY);
    ck_assert(!asks_first(locker));
    world->now = health_of(locker, 0)->trying_until;
    ck_assert(asks_first(locker));
}
END_TEST

START_TEST(each_change_is_logged_once)
{
    dogpile_locker_t *locker = begin(2);
    int i;

    server_crash(0);
    asks_first(locker);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 760);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "chain"));
    ck_assert_ptr_nonnull(strstr(unit_log_last, "server0"));
    for (i = 0; i < 5; i++) {
        await_turn(locker, 0);
        ck_assert(asks_first(locker));
    }
    ck_assert_int_eq(unit_log_count, 1);
    world->servers[0].is_down = 0;
    await_turn(locker, 0);
    asks_first(locker);
    asks_first(locker);
    ck_assert_int_eq(unit_log_count, 2);
    ck_assert_int_eq(unit_log_last_id, 761);
}
END_TEST

START_TEST(who_fails_again_soon_is_left_alone_for_longer)
{
    dogpile_locker_t *locker = begin(2);
    int i;

    for (i = 1; i <= 3; i++) {
        server_crash(0);
        asks_first(locker);
        ck_assert_uint_eq(health_of(locker, 0)->failures, i);
        await_turn(locker, 0);
        world->servers[0].is_down = 0;
        asks_first(locker);
        ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
    }
    /* After some time all is forgiven. */
    world->now += THIRD;
    server_crash(0);
    asks_first(locker);
    ck_assert_uint_eq(health_of(locker, 0)->failures, 1);
}
END_TEST

START_TEST(those_who_fail_together_count_as_one_failure)
{
    dogpile_locker_t *locker = begin(2);
    dp_fallback_t *fallback = dp_fallback_of(locker);
    int i;

    for (i = 0; i < 50; i++) {
        dp_member_told(fallback, 0, DP_TURN_ASK, APR_TIMEUP);
    }
    ck_assert_uint_eq(health_of(locker, 0)->failures, 1);
    ck_assert_uint_eq(health_of(locker, 0)->unavailable, 50);
    ck_assert_int_eq(unit_log_count, 1);
}
END_TEST

START_TEST(a_refusal_is_an_answer)
{
    dogpile_locker_t *locker = begin(2);
    fake_t *other = fake_make(1, 0);
    dogpile_id_t token;

    server_crash(0);
    asks_first(locker);
    world->servers[0].is_down = 0;
    chain_take(&other->locker, &key);
    await_turn(locker, 0);
    ck_assert_int_eq(chain_try(locker, &key, &token), APR_EEXIST);
    ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
}
END_TEST

/* --- children ---------------------------------------------------------- */

/* Runs it in a child process; what it returns. */
static int in_child(int (*work)(dogpile_locker_t *locker),
                    dogpile_locker_t *locker)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dp_lock_fallback.child_init(locker, unit_pool);
        _exit(work(locker));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(what_one_child_learns_all_know)
{
    dogpile_locker_t *locker = begin(2);

    ck_assert_ptr_null(dp_lock_fallback.prepare(locker, unit_pool));
    server_crash(0);
    ck_assert(in_child(asks_first, locker));
    ck_assert(!in_child(asks_first, locker));
    ck_assert(!asks_first(locker));
    world->servers[0].is_down = 0;
    await_turn(locker, 0);
    ck_assert(in_child(asks_first, locker));
    ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
    ck_assert(in_child(asks_first, locker));
}
END_TEST

START_TEST(without_a_server_start_each_process_learns_for_itself)
{
    dogpile_locker_t *locker = begin(2);

    server_crash(0);
    ck_assert(in_child(asks_first, locker));
    ck_assert(in_child(asks_first, locker));
}
END_TEST

static int asks_only_second(dogpile_locker_t *locker)
{
    dogpile_id_t mine;

    trace();
    mine = chain_take(locker, &key);
    chain_release(locker, &key, &mine);
    return strcmp(trace(), "A1 G1") == 0;
}

START_TEST(a_member_that_one_child_can_not_use_is_well_for_the_others)
{
    dogpile_locker_t *locker = begin(2);
    dp_fallback_t *fallback = dp_fallback_of(locker);
    fake_t *broken = (fake_t *)fallback->members[0].locker;

    ck_assert_ptr_null(dp_lock_fallback.prepare(locker, unit_pool));
    broken->child_status = APR_ENOMEM;
    ck_assert(in_child(asks_only_second, locker));
    broken->child_status = APR_SUCCESS;
    ck_assert(in_child(asks_first, locker));
    ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
    ((fake_t *)fallback->members[1].locker)->child_status = APR_ENOMEM;
    broken->child_status = APR_ENOMEM;
    ck_assert_int_ne(dp_lock_fallback.child_init(locker, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(unit_log_last_id, 762);
}
END_TEST

UNIT_MAIN("lock/fallback_health", a_server_that_hangs_costs_one_timeout,
          the_pause_grows_up_to_a_third_of_the_lease,
          one_caller_tries_and_the_others_go_on_without, an_old_verdict_is_none,
          a_try_whose_process_died_blocks_nobody, each_change_is_logged_once,
          who_fails_again_soon_is_left_alone_for_longer,
          those_who_fail_together_count_as_one_failure, a_refusal_is_an_answer,
          what_one_child_learns_all_know,
          without_a_server_start_each_process_learns_for_itself,
          a_member_that_one_child_can_not_use_is_well_for_the_others)
