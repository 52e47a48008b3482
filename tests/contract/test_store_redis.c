/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis store keeps every store's promises, and what only a redis can get
 * wrong: what is kept for how long, and what others have put there.
 */
#include <apr_atomic.h>
#include <pthread.h>
#include <string.h>

#include "base/digest.h"
#include "store_redis_fixture.h"

static const dogpile_id_t none;

/* ---- what is kept ---- */

START_TEST(nothing_is_kept_for_ever)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    dp_record_body_t body = {"tile", 4};
    const char *name = dp_store_redis_name(&key, unit_pool);
    apr_int64_t day = APR_INT64_C(24) * 3600 * 1000;
    apr_int64_t left;

    /* Expired long ago. */
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    left = redis_do("PTTL %s", name)->integer;
    ck_assert(left > 29 * day && left <= 30 * day);
    /* Expires in ten days. */
    sample.record.expires = apr_time_now() + apr_time_from_msec(10 * day);
    ck_assert_int_eq(
        dp_record_write(&sample.bytes, &sample.record, &body, 1, unit_pool),
        APR_SUCCESS);
    redis_do("DEL %s", name);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    left = redis_do("PTTL %s", name)->integer;
    ck_assert(left > 39 * day && left <= 40 * day);
    /* Expires in the year 73000. */
    sample.record.expires = (APR_INT64_C(1) << 61) - 1;
    ck_assert_int_eq(
        dp_record_write(&sample.bytes, &sample.record, &body, 1, unit_pool),
        APR_SUCCESS);
    redis_do("DEL %s", name);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    left = redis_do("PTTL %s", name)->integer;
    ck_assert(left > 39 * day && left <= 3700 * day);
}
END_TEST

START_TEST(a_record_in_parts_is_put_whole)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    struct iovec parts[3] = {{sample.bytes, 10},
                             {sample.bytes + 10, 100},
                             {sample.bytes + 110, sample.record.length - 110}};
    dogpile_id_t seen;

    ck_assert_int_eq(
        dp_store_redis.put(store, &key, &none, parts, 3, unit_pool),
        APR_SUCCESS);
    seen = store_contract_seen(store, &key);
    ck_assert(dp_id_equal(&seen, &sample.record.write_id));
}
END_TEST

START_TEST(what_is_not_even_a_string_is_a_miss_and_removed)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    const char *name = dp_store_redis_name(&key, unit_pool);

    redis_do("RPUSH %s x", name);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 422);
    ck_assert_int_eq(redis_do("EXISTS %s", name)->integer, 0);
    redis_do("RPUSH %s x", name);
    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_SUCCESS);
}
END_TEST

START_TEST(what_is_longer_than_any_record_is_a_miss_and_removed)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    const char *name = dp_store_redis_name(&key, unit_pool);

    redis_do("SETRANGE %s %d x", name, DP_RECORD_BYTES_MAX);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(unit_log_last_id, 422);
    ck_assert_int_eq(redis_do("EXISTS %s", name)->integer, 0);
    ck_assert_int_eq(unit_log_count, 1);
}
END_TEST

/* Damage that only a reader finds: the head's checksum. */
START_TEST(a_damaged_record_is_set_aside_and_replaced)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    const char *name = dp_store_redis_name(&key, unit_pool);

    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    redis_do("SETRANGE %s 95 x", name);
    ck_assert_int_eq(store_redis_put(store, "a"), APR_EEXIST);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(unit_log_last_id, 422);
    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
}
END_TEST

START_TEST(a_good_record_is_never_set_aside)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");

    ck_assert_int_eq(store_redis_put(store, "a"), APR_SUCCESS);
    dp_store_redis.set_aside(store, &key, unit_pool);
    ck_assert_int_eq(store_redis_look(store, "a"), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

/* Whoever found a bad record may be late: by then it has been replaced. */
typedef struct sweeper_t {
    dogpile_store_t *store;
    dogpile_key_t key;
    apr_uint32_t stop;
} sweeper_t;

static void *sweep(void *baton)
{
    sweeper_t *sweeper = baton;
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    while (apr_atomic_read32(&sweeper->stop) == 0) {
        dp_store_redis.set_aside(sweeper->store, &sweeper->key, pool);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return NULL;
}

#define SWEEPERS 3
#define ROUNDS 300

START_TEST(a_record_that_has_become_good_stays)
{
    sweeper_t sweeper = {.store = store_contract_open(),
                         .key = store_contract_key("a")};
    store_sample_t good = store_contract_sample(&sweeper.key, unit_pool);
    pthread_t threads[SWEEPERS];
    int lost = 0;
    int i;

    for (i = 0; i < SWEEPERS; i++) {
        pthread_create(&threads[i], NULL, sweep, &sweeper);
    }
    for (i = 0; i < ROUNDS; i++) {
        store_redis_plant(sweeper.store, &sweeper.key, "bad", 3);
        lost += store_contract_put(sweeper.store, &sweeper.key, &none, &good)
                != APR_SUCCESS;
        lost += store_redis_look(sweeper.store, "a") != APR_SUCCESS;
    }
    apr_atomic_set32(&sweeper.stop, 1);
    for (i = 0; i < SWEEPERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(lost, 0);
}
END_TEST

STORE_CONTRACT_MAIN("contract/store_redis", &store_redis_under_test,
                    nothing_is_kept_for_ever, a_record_in_parts_is_put_whole,
                    what_is_not_even_a_string_is_a_miss_and_removed,
                    what_is_longer_than_any_record_is_a_miss_and_removed,
                    a_damaged_record_is_set_aside_and_replaced,
                    a_good_record_is_never_set_aside,
                    a_record_that_has_become_good_stays)
