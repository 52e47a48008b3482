/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis locker keeps every locker's promises, and what only a redis can
 * get wrong: it restarts, forgets its scripts, hangs, is full, and holds what
 * others have put there.
 */
#include <apr_strings.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "lock/lock_redis.h"
#include "lock_redis_fixture.h"

/* ---- a redis that forgets ---- */

START_TEST(a_restart_is_noticed_and_survived)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    redis_kill();
    redis_start(NULL);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_NOTFOUND);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(scripts_that_redis_forgot_are_sent_again)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine;
    int i;

    for (i = 0; i < 2; i++) {
        redis_do("SCRIPT FLUSH");
        mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
        redis_do("SCRIPT FLUSH");
        ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
        redis_do("SCRIPT FLUSH");
        ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED),
                         DOGPILE_HELD);
        redis_do("SCRIPT FLUSH");
        ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    }
}
END_TEST

START_TEST(leases_end_in_redis_by_themselves)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_lock_key_t a = contract_key("a");
    dogpile_lock_key_t b = contract_key("b");
    dogpile_lock_key_t c = contract_key("c");
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_id_t token;

    contract_take(hasty, &a, DOGPILE_EXCLUSIVE);
    contract_take(hasty, &b, DOGPILE_SHARED);
    contract_take(hasty, &c, DOGPILE_SHARED);
    contract_try(hasty, &c, DOGPILE_EXCLUSIVE, &token); /* leaves a wish */
    while (redis_do("KEYS dogpile:*")->elements > 0) {
        ck_assert(apr_time_now() < deadline);
        apr_sleep(CONTRACT_LOOK_USEC);
    }
}
END_TEST

/* ---- a redis that hangs ---- */

START_TEST(a_stopped_redis_is_unavailable_until_it_goes_on)
{
    dogpile_locker_t *locker = lock_redis_hasty_locker(redis_socket());
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    redis_signal(SIGSTOP);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_TIMEUP);
    contract_assert_unavailable(locker, &key);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 740);
    redis_signal(SIGCONT);
    lock_redis_await(locker);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 2);
    ck_assert_int_eq(unit_log_last_id, 741);
}
END_TEST

START_TEST(a_paused_redis_is_unavailable_until_it_goes_on)
{
    dogpile_locker_t *locker = lock_redis_hasty_locker(redis_socket());
    dogpile_lock_key_t key = contract_key("a");

    redis_do("CLIENT PAUSE 100000000 WRITE");
    contract_assert_unavailable(locker, &key);
    redis_do("CLIENT UNPAUSE");
    lock_redis_await(locker);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* ---- a redis that is full, or read-only ---- */

START_TEST(a_full_redis_gives_nothing_and_keeps_what_it_gave)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t token;
    int i;

    redis_do("CONFIG SET maxmemory 1");
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(contract_try(locker, &other, DOGPILE_SHARED, &token),
                         APR_ENOMEM);
        ck_assert_int_eq(contract_look(locker, &other, DOGPILE_EXCLUSIVE),
                         DOGPILE_FREE);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "OOM"));
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(a_replica_is_unavailable)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    redis_do("REPLICAOF 127.0.0.1 1");
    redis_do("CONFIG SET replica-serve-stale-data yes");
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EGENERAL);
    redis_do("REPLICAOF NO ONE");
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* ---- what is in it ---- */

START_TEST(what_is_no_lock_is_unavailable_and_can_be_broken)
{
    static const char *const texts[] = {
        "", "garbage", "0123 4 5 6", "00000000000000000000000000000000 1 2 x"};
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    int i;

    for (i = 0; i < 6; i++) {
        if (i < 4) {
            redis_put(lock_redis_name(&key), texts[i], strlen(texts[i]));
        }
        else {
            redis_do(i == 4 ? "RPUSH %s x" : "HSET %s x y",
                     lock_redis_name(&key));
        }
        contract_assert_unavailable(locker, &key);
        redis_do("DEL %s", lock_redis_name(&key));
        contract_take(locker, &key, DOGPILE_EXCLUSIVE);
        ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    }
    redis_do("RPUSH %s x", lock_redis_name(&key));
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* As after a clock that was set back, or PERSIST. */
START_TEST(a_lease_far_longer_than_given_is_over)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    redis_do("PEXPIRE %s 90000000000", lock_redis_name(&key));
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    redis_do("PERSIST %s", lock_redis_name(&key));
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* Another reader keeps the key, so redis itself ends nothing. */
START_TEST(a_shared_lease_that_ended_is_not_revived)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t late = contract_take(hasty, &key, DOGPILE_SHARED);
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    char hex[DP_ID_HEX_BYTES];
    apr_int64_t until =
        apr_atoi64(redis_do("HGET %s %s", lock_redis_name(&key),
                            dp_hex(hex, late.bytes, sizeof(late.bytes)))
                       ->str);
    const redisReply *now;

    do {
        ck_assert(apr_time_now() < deadline);
        now = redis_do("TIME");
    } while (apr_atoi64(now->element[0]->str) * 1000000
                 + apr_atoi64(now->element[1]->str)
             < until);
    ck_assert_int_eq(contract_renew(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(redis_do("EXISTS %s", lock_redis_name(&key))->integer, 0);
}
END_TEST

/* More than one answer shows. */
#define DEAD (2 * DP_REDIS_SHOWN_MAX + 5)

START_TEST(any_number_of_dead_readers_is_cleared_away)
{
    const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    pid_t child;
    int i;

    redis_do("PING"); /* its server must not be the child's */
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dogpile_locker_t *locker = contract_locker(conf);

        for (i = 0; i < DEAD; i++) {
            contract_try(locker, &key, DOGPILE_SHARED, &token);
        }
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(redis_do("HLEN %s", lock_redis_name(&key))->integer, DEAD);
    ck_assert_int_eq(
        contract_look(contract_locker(conf), &key, DOGPILE_EXCLUSIVE),
        DOGPILE_FREE);
    contract_take(contract_locker(conf), &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(unit_log_last_id, 742);
}
END_TEST

START_TEST(a_lock_with_too_many_readers_is_unavailable_and_loses_none)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    int i;

    for (i = 0; i < DP_REDIS_SHARED_MAX; i++) {
        contract_take(locker, &key, DOGPILE_SHARED);
    }
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_EGENERAL);
    ck_assert_int_eq(redis_do("HLEN %s", lock_redis_name(&key))->integer,
                     DP_REDIS_SHARED_MAX);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
}
END_TEST

START_TEST(a_release_is_told)
{
    struct timeval patience = {.tv_sec = 20, .tv_usec = 0};
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    redisContext *listener = redisConnectUnix(redis_socket() + strlen("unix:"));
    char hex[DP_DIGEST_HEX_BYTES];
    void *heard = NULL;

    redisSetTimeout(listener, patience);
    freeReplyObject(redisCommand(listener, "SUBSCRIBE " DP_REDIS_CHANNEL "0"));
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(redisGetReply(listener, &heard), REDIS_OK);
    ck_assert_str_eq(((redisReply *)heard)->element[2]->str,
                     dp_hex(hex, key.digest.bytes, sizeof(key.digest.bytes)));
    freeReplyObject(heard);
    redisFree(listener);
}
END_TEST

START_TEST(databases_are_apart)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_locker_t *other = lock_redis_locker(
        apr_pstrcat(unit_pool, redis_socket(), "?db=3", NULL), NULL);
    dogpile_lock_key_t key = contract_key("a");

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    contract_take(other, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(redis_do("DBSIZE")->integer, 1);
}
END_TEST

LOCKER_CONTRACT_MAIN(lock_redis_contract, a_restart_is_noticed_and_survived,
                     scripts_that_redis_forgot_are_sent_again,
                     leases_end_in_redis_by_themselves,
                     a_stopped_redis_is_unavailable_until_it_goes_on,
                     a_paused_redis_is_unavailable_until_it_goes_on,
                     a_full_redis_gives_nothing_and_keeps_what_it_gave,
                     a_replica_is_unavailable,
                     what_is_no_lock_is_unavailable_and_can_be_broken,
                     a_lease_far_longer_than_given_is_over,
                     a_shared_lease_that_ended_is_not_revived,
                     any_number_of_dead_readers_is_cleared_away,
                     a_lock_with_too_many_readers_is_unavailable_and_loses_none,
                     a_release_is_told, databases_are_apart)
