/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis locker, when answers get lost on the way, come from something that
 * is no redis, or are wanted by more threads than there are connections.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lock/lock_redis.h"
#include "lock_redis_fixture.h"

/* ---- answers that get lost ---- */

START_TEST(a_lost_answer_is_unavailable_and_its_lease_given_back)
{
    dogpile_locker_t *locker = lock_redis_hasty_locker(redis_proxy());
    dogpile_lock_key_t key = contract_key("a");

    lock_redis_take_and_release(locker);
    redis_proxy_next(REDIS_PROXY_SWALLOW);
    ck_assert_int_eq(lock_redis_try(locker), APR_TIMEUP);
    ck_assert_int_eq(redis_do("EXISTS %s", lock_redis_name(&key))->integer, 1);
    lock_redis_take_and_release(locker);
}
END_TEST

START_TEST(a_look_gives_back_what_a_lost_answer_took)
{
    dogpile_locker_t *locker = lock_redis_hasty_locker(redis_proxy());
    dogpile_lock_key_t key = contract_key("a");

    lock_redis_take_and_release(locker);
    redis_proxy_next(REDIS_PROXY_SWALLOW);
    ck_assert_int_eq(lock_redis_try(locker), APR_TIMEUP);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
    ck_assert_int_eq(redis_do("EXISTS %s", lock_redis_name(&key))->integer, 0);
}
END_TEST

START_TEST(an_answer_lost_with_its_connection_is_asked_for_again)
{
    dogpile_locker_t *locker = lock_redis_locker(redis_proxy(), NULL);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine;

    lock_redis_take_and_release(locker);
    redis_proxy_next(REDIS_PROXY_CUT);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    redis_proxy_next(REDIS_PROXY_CUT);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(an_answer_lost_on_the_first_connection_is_a_debt)
{
    dogpile_locker_t *locker = lock_redis_locker(redis_proxy(), NULL);
    dogpile_lock_key_t key = contract_key("a");

    /* From here on redis has the scripts. */
    lock_redis_take_and_release(lock_redis_locker(redis_socket(), NULL));
    redis_proxy_next(REDIS_PROXY_CUT);
    ck_assert_int_eq(lock_redis_try(locker), APR_EOF);
    ck_assert_int_eq(redis_do("EXISTS %s", lock_redis_name(&key))->integer, 1);
    lock_redis_take_and_release(locker);
}
END_TEST

START_TEST(an_answer_too_many_is_never_taken_for_the_next)
{
    dogpile_locker_t *locker = lock_redis_locker(redis_proxy(), NULL);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_state_e state;

    lock_redis_take_and_release(locker);
    contract_take(lock_redis_locker(redis_socket(), NULL), &key,
                  DOGPILE_EXCLUSIVE);
    redis_proxy_next(REDIS_PROXY_ADD);
    ck_assert_int_eq(
        dp_lock_probe(locker, &key, DOGPILE_EXCLUSIVE, &state, NULL, unit_pool),
        APR_EINVAL);
    ck_assert_int_eq(lock_redis_try(locker), APR_EEXIST);
}
END_TEST

/* ---- what is no redis ---- */

START_TEST(what_is_no_redis_is_unavailable)
{
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "*2147483647\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "$2147483647\r\nx",
        "$-7\r\n",
        ":12a\r\n",
        "+MINE",
        "+OK\r\n",
        ":1\r\n",
        "$3\r\nyes\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "\r\n",
        "",
        NULL};
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        dogpile_locker_t *locker =
            lock_redis_hasty_locker(redis_impostor(texts[i]));
        dogpile_lock_key_t key = contract_key("a");

        contract_assert_unavailable(locker, &key);
    }
}
END_TEST

START_TEST(a_web_server_is_called_what_it_is)
{
    ck_assert_int_eq(lock_redis_try(lock_redis_hasty_locker(
                         redis_impostor("HTTP/1.1 400 Bad Request\r\n\r\n"))),
                     APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "is not a redis"));
}
END_TEST

START_TEST(what_is_down_is_left_alone_for_a_while)
{
    dogpile_locker_t *locker = lock_redis_hasty_locker(redis_impostor(NULL));
    int i;

    for (i = 0; i < 200; i++) {
        ck_assert_int_ne(lock_redis_try(locker), APR_SUCCESS);
    }
    ck_assert_uint_ge(redis_impostor_visits(), 3);
    ck_assert_uint_lt(redis_impostor_visits(), 100);
    ck_assert_int_eq(unit_log_count, 1);
}
END_TEST

/* ---- many at once ---- */

#define CROWD 24

static void *come_and_go(void *baton)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    int i;

    for (i = 0; i < 20; i++) {
        if (contract_try(baton, &key, DOGPILE_SHARED, &token) != APR_SUCCESS
            || contract_release(baton, &key, &token) != APR_SUCCESS) {
            return baton;
        }
    }
    return NULL;
}

START_TEST(more_threads_than_connections_get_their_turn)
{
    dogpile_locker_t *locker = lock_redis_locker(redis_socket(), NULL);
    pthread_t threads[CROWD];
    const char *line;
    void *failed;
    int i;

    for (i = 0; i < CROWD; i++) {
        pthread_create(&threads[i], NULL, come_and_go, locker);
    }
    for (i = 0; i < CROWD; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    line = strstr(redis_do("INFO clients")->str, "connected_clients:");
    ck_assert_ptr_nonnull(line);
    /* And the side entrance. */
    ck_assert_int_le(atoi(line + strlen("connected_clients:")), 8 + 1);
}
END_TEST

UNIT_MAIN("lock/redis/lost",
          a_lost_answer_is_unavailable_and_its_lease_given_back,
          a_look_gives_back_what_a_lost_answer_took,
          an_answer_lost_with_its_connection_is_asked_for_again,
          an_answer_lost_on_the_first_connection_is_a_debt,
          an_answer_too_many_is_never_taken_for_the_next,
          what_is_no_redis_is_unavailable, a_web_server_is_called_what_it_is,
          what_is_down_is_left_alone_for_a_while,
          more_threads_than_connections_get_their_turn)
