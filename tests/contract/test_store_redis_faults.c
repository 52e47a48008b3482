/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis store, when its redis forgets, evicts, hangs or is full, and
 * which store it says it is.
 */
#include <apr_strings.h>
#include <signal.h>
#include <string.h>

#include "base/digest.h"
#include "store_redis_fixture.h"

#define PATIENCE_USEC apr_time_from_sec(20)
#define LOOK_USEC apr_time_from_msec(5)

/* ---- a redis that forgets, evicts, is full ---- */

START_TEST(a_restart_makes_misses_and_nothing_else)
{
    dogpile_store_t *store = store_redis_open(redis_socket());
    dogpile_id_t before = store->id;

    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    redis_kill();
    redis_start(NULL);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    ck_assert(dp_id_equal(&before, &store->id));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(scripts_that_redis_forgot_are_sent_again)
{
    dogpile_store_t *store = store_redis_open(redis_socket());

    redis_do("SCRIPT FLUSH");
    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    redis_do("SCRIPT FLUSH");
    ck_assert_int_eq(store_redis_put(store, "a"), APR_EEXIST);
}
END_TEST

START_TEST(what_was_evicted_is_a_miss)
{
    dogpile_store_t *store = store_redis_open(redis_socket());
    int found = 0;
    int i;

    redis_do("CONFIG SET maxmemory-policy allkeys-lru");
    redis_do("CONFIG SET maxmemory 8mb");
    for (i = 0; i < 60; i++) {
        ck_assert_int_eq(store_redis_put(store, apr_itoa(unit_pool, i)),
                         APR_SUCCESS);
    }
    for (i = 0; i < 60; i++) {
        apr_status_t status = store_redis_look(store, apr_itoa(unit_pool, i));

        ck_assert(status == APR_SUCCESS || status == APR_NOTFOUND);
        found += status == APR_SUCCESS;
    }
    ck_assert_int_gt(found, 0);
    ck_assert_int_lt(found, 60);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_full_redis_serves_hits_and_is_said_once)
{
    dogpile_store_t *store = store_redis_open(redis_socket());
    int i;

    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    redis_do("CONFIG SET maxmemory 1");
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(store_redis_put(store, "b"), APR_ENOMEM);
        ck_assert_int_eq(store_redis_look(store, "a"), APR_SUCCESS);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 420);
    redis_do("CONFIG SET maxmemory 0");
    ck_assert_int_eq(store_redis_put(store, "b"), APR_SUCCESS);
}
END_TEST

START_TEST(a_stopped_redis_is_a_miss_until_it_goes_on)
{
    dogpile_store_t *store = store_redis_open(redis_socket());
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    apr_status_t status;

    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    redis_signal(SIGSTOP);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_TIMEUP);
    status = store_redis_put(store, "b");
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    redis_signal(SIGCONT);
    while (store_redis_look(store, "a") != APR_SUCCESS) {
        ck_assert(apr_time_now() < deadline);
        apr_sleep(LOOK_USEC);
    }
    ck_assert_int_eq(unit_log_last_id, 421);
}
END_TEST

START_TEST(a_put_whose_answer_was_lost_is_stored_once)
{
    dogpile_store_t *store = store_redis_open(redis_proxy());

    /* From here on redis has the script. */
    ck_assert_int_eq(store_redis_put(store, "b"), APR_SUCCESS);
    redis_proxy_next(REDIS_PROXY_CUT);
    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_SUCCESS);
}
END_TEST

/* ---- which store it is ---- */

START_TEST(all_who_share_it_know_it_by_one_id)
{
    dogpile_store_t *one = store_redis_open(redis_socket());
    dogpile_store_t *other = store_redis_open(redis_socket());
    dogpile_store_t *elsewhere =
        store_redis_open(apr_pstrcat(unit_pool, redis_socket(), "?db=1", NULL));

    ck_assert(!dp_id_is_none(&one->id));
    ck_assert(dp_id_equal(&one->id, &other->id));
    ck_assert(!dp_id_equal(&one->id, &elsewhere->id));
    ck_assert_int_eq(redis_do("PTTL dogpile:store")->integer, -1);
}
END_TEST

START_TEST(an_id_that_redis_forgot_is_put_back)
{
    dogpile_store_t *one = store_redis_open(redis_socket());
    dp_store_redis_t *redis = dp_store_redis_of(one);
    dogpile_store_t *later;

    redis_do("FLUSHALL");
    redis->identified -= apr_time_from_sec(3600); /* it is time */
    ck_assert_int_eq(store_redis_look(one, "a"), APR_NOTFOUND);
    later = store_redis_open(redis_socket());
    ck_assert(dp_id_equal(&one->id, &later->id));
}
END_TEST

START_TEST(a_store_that_was_down_at_start_gets_its_id_later)
{
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    dogpile_store_t *one;

    (void)redis_socket();
    redis_kill();
    one = store_redis_open(
        apr_pstrcat(unit_pool, "unix:", redis_path("redis.sock"), NULL));
    ck_assert(dp_id_is_none(&one->id));
    ck_assert_int_ne(store_redis_look(one, "a"), APR_SUCCESS);
    redis_start(NULL);
    while (dp_id_is_none(&one->id)) {
        ck_assert(apr_time_now() < deadline);
        (void)store_redis_look(one, "a");
        apr_sleep(LOOK_USEC);
    }
}
END_TEST

START_TEST(the_locker_for_its_users_lives_there_too)
{
    dogpile_store_t *store = store_redis_make();
    const apr_array_header_t *servers =
        dp_store_redis.locker_servers(store, unit_pool);

    ck_assert_str_eq(dp_store_redis.locker_type, "redis");
    ck_assert_ptr_null(dp_store_redis.locker_directory);
    ck_assert_int_eq(servers->nelts, 1);
    ck_assert_str_eq(APR_ARRAY_IDX(servers, 0, const char *), redis_socket());
}
END_TEST

START_TEST(what_can_not_be_configured_is_refused)
{
    dogpile_store_t *store;

    ck_assert_ptr_nonnull(store_redis_create(&store, "", 0));
    ck_assert_ptr_nonnull(store_redis_create(&store, "h:x", 0));
    ck_assert_ptr_nonnull(store_redis_create(&store, "h", 1));
    ck_assert_ptr_nonnull(store_redis_create(&store, "//user:password@h", 0));
    ck_assert_ptr_null(store_redis_create(&store, "//h/1", 0));
    ck_assert_ptr_null(store_redis_create(&store, "rediss://h/1", 0));
}
END_TEST

UNIT_MAIN("store/redis/faults", a_restart_makes_misses_and_nothing_else,
          scripts_that_redis_forgot_are_sent_again, what_was_evicted_is_a_miss,
          a_full_redis_serves_hits_and_is_said_once,
          a_stopped_redis_is_a_miss_until_it_goes_on,
          a_put_whose_answer_was_lost_is_stored_once,
          all_who_share_it_know_it_by_one_id,
          an_id_that_redis_forgot_is_put_back,
          a_store_that_was_down_at_start_gets_its_id_later,
          the_locker_for_its_users_lives_there_too,
          what_can_not_be_configured_is_refused)
