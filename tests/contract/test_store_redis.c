/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis store keeps every store's promises, and what only a redis can get
 * wrong: it forgets, evicts, hangs, is full, and holds what others have put
 * there.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/digest.h"
#include "redis_fixture.h"
#include "store/store_redis.h"
#include "store_contract.h"

#define PATIENCE_USEC apr_time_from_sec(20)
#define LOOK_USEC apr_time_from_msec(5)

static const dogpile_id_t none;

/* What create() says to that place; NULL and the store where it's right. */
static const char *create_at(dogpile_store_t **store, const char *where,
                             apr_int64_t limit)
{
    dogpile_store_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));

    conf->where = where;
    conf->limit_bytes = limit;
    conf->log = &unit_log;
    return dp_store_redis.create(store, conf, unit_pool);
}

static dogpile_store_t *store_at(const char *where)
{
    dogpile_store_t *store = NULL;
    const char *error = create_at(&store, where, 0);

    ck_assert_msg(error == NULL, "%s", error);
    return store;
}

static dogpile_store_t *open_at(const char *where)
{
    dogpile_store_t *store = store_at(where);

    ck_assert_int_eq(dp_store_redis.child_init(store, unit_pool), APR_SUCCESS);
    return store;
}

static dogpile_store_t *make(void)
{
    return store_at(redis_socket());
}

static void plant(dogpile_store_t *store, const dogpile_key_t *key,
                  const void *bytes, apr_size_t size)
{
    (void)store;
    redis_put(dp_store_redis_name(key, unit_pool), bytes, size);
}

static void remove_record(dogpile_store_t *store, const dogpile_key_t *key)
{
    (void)store;
    ck_assert_int_eq(
        redis_do("DEL %s", dp_store_redis_name(key, unit_pool))->integer, 1);
}

static const store_under_test_t under_test = {
    .make = make,
    .plant = plant,
    .remove = remove_record,
    .too_large_bytes = DP_RECORD_BYTES_MAX + 1,
};

static apr_status_t put_new(dogpile_store_t *store, const char *name)
{
    dogpile_key_t key = store_contract_key(name);
    store_sample_t sample = store_contract_sample(&key, unit_pool);

    return store_contract_put(store, &key, &none, &sample);
}

static apr_status_t look(dogpile_store_t *store, const char *name)
{
    dogpile_key_t key = store_contract_key(name);
    dp_found_t found;

    return dp_store_look(store, &key, &found, unit_pool);
}

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
    ck_assert_int_eq(look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 422);
    ck_assert_int_eq(redis_do("EXISTS %s", name)->integer, 0);
    redis_do("RPUSH %s x", name);
    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    ck_assert_int_eq(look(store, "a"), APR_SUCCESS);
}
END_TEST

START_TEST(what_is_longer_than_any_record_is_a_miss_and_removed)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    const char *name = dp_store_redis_name(&key, unit_pool);

    redis_do("SETRANGE %s %d x", name, DP_RECORD_BYTES_MAX);
    ck_assert_int_eq(look(store, "a"), APR_NOTFOUND);
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

    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    redis_do("SETRANGE %s 95 x", name);
    ck_assert_int_eq(put_new(store, "a"), APR_EEXIST);
    ck_assert_int_eq(look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(unit_log_last_id, 422);
    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
}
END_TEST

START_TEST(a_good_record_is_never_set_aside)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");

    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    dp_store_redis.set_aside(store, &key, unit_pool);
    ck_assert_int_eq(look(store, "a"), APR_SUCCESS);
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
        plant(sweeper.store, &sweeper.key, "bad", 3);
        lost += store_contract_put(sweeper.store, &sweeper.key, &none, &good)
                != APR_SUCCESS;
        lost += look(sweeper.store, "a") != APR_SUCCESS;
    }
    apr_atomic_set32(&sweeper.stop, 1);
    for (i = 0; i < SWEEPERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(lost, 0);
}
END_TEST

/* ---- a redis that forgets, evicts, is full ---- */

START_TEST(a_restart_makes_misses_and_nothing_else)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_id_t before = store->id;

    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    redis_kill();
    redis_start(NULL);
    ck_assert_int_eq(look(store, "a"), APR_NOTFOUND);
    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    ck_assert(dp_id_equal(&before, &store->id));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(scripts_that_redis_forgot_are_sent_again)
{
    dogpile_store_t *store = store_contract_open();

    redis_do("SCRIPT FLUSH");
    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    redis_do("SCRIPT FLUSH");
    ck_assert_int_eq(put_new(store, "a"), APR_EEXIST);
}
END_TEST

START_TEST(what_was_evicted_is_a_miss)
{
    dogpile_store_t *store = store_contract_open();
    int found = 0;
    int i;

    redis_do("CONFIG SET maxmemory-policy allkeys-lru");
    redis_do("CONFIG SET maxmemory 8mb");
    for (i = 0; i < 60; i++) {
        ck_assert_int_eq(put_new(store, apr_itoa(unit_pool, i)), APR_SUCCESS);
    }
    for (i = 0; i < 60; i++) {
        apr_status_t status = look(store, apr_itoa(unit_pool, i));

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
    dogpile_store_t *store = store_contract_open();
    int i;

    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    redis_do("CONFIG SET maxmemory 1");
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(put_new(store, "b"), APR_ENOMEM);
        ck_assert_int_eq(look(store, "a"), APR_SUCCESS);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 420);
    redis_do("CONFIG SET maxmemory 0");
    ck_assert_int_eq(put_new(store, "b"), APR_SUCCESS);
}
END_TEST

START_TEST(a_stopped_redis_is_a_miss_until_it_goes_on)
{
    dogpile_store_t *store = store_contract_open();
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    apr_status_t status;

    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    redis_signal(SIGSTOP);
    ck_assert_int_eq(look(store, "a"), APR_TIMEUP);
    status = put_new(store, "b");
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    redis_signal(SIGCONT);
    while (look(store, "a") != APR_SUCCESS) {
        ck_assert(apr_time_now() < deadline);
        apr_sleep(LOOK_USEC);
    }
    ck_assert_int_eq(unit_log_last_id, 421);
}
END_TEST

START_TEST(a_put_whose_answer_was_lost_is_stored_once)
{
    dogpile_store_t *store = open_at(redis_proxy());

    /* From here on redis has the script. */
    ck_assert_int_eq(put_new(store, "b"), APR_SUCCESS);
    redis_proxy_next(REDIS_PROXY_CUT);
    ck_assert_int_eq(put_new(store, "a"), APR_SUCCESS);
    ck_assert_int_eq(look(store, "a"), APR_SUCCESS);
}
END_TEST

/* ---- which store it is ---- */

START_TEST(all_who_share_it_know_it_by_one_id)
{
    dogpile_store_t *one = open_at(redis_socket());
    dogpile_store_t *other = open_at(redis_socket());
    dogpile_store_t *elsewhere =
        open_at(apr_pstrcat(unit_pool, redis_socket(), "?db=1", NULL));

    ck_assert(!dp_id_is_none(&one->id));
    ck_assert(dp_id_equal(&one->id, &other->id));
    ck_assert(!dp_id_equal(&one->id, &elsewhere->id));
    ck_assert_int_eq(redis_do("PTTL dogpile:store")->integer, -1);
}
END_TEST

START_TEST(an_id_that_redis_forgot_is_put_back)
{
    dogpile_store_t *one = open_at(redis_socket());
    dp_store_redis_t *redis = dp_store_redis_of(one);
    dogpile_store_t *later;

    redis_do("FLUSHALL");
    redis->identified -= apr_time_from_sec(3600); /* it is time */
    ck_assert_int_eq(look(one, "a"), APR_NOTFOUND);
    later = open_at(redis_socket());
    ck_assert(dp_id_equal(&one->id, &later->id));
}
END_TEST

START_TEST(a_store_that_was_down_at_start_gets_its_id_later)
{
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    dogpile_store_t *one;

    (void)redis_socket();
    redis_kill();
    one = open_at(
        apr_pstrcat(unit_pool, "unix:", redis_path("redis.sock"), NULL));
    ck_assert(dp_id_is_none(&one->id));
    ck_assert_int_ne(look(one, "a"), APR_SUCCESS);
    redis_start(NULL);
    while (dp_id_is_none(&one->id)) {
        ck_assert(apr_time_now() < deadline);
        (void)look(one, "a");
        apr_sleep(LOOK_USEC);
    }
}
END_TEST

START_TEST(the_locker_for_its_users_lives_there_too)
{
    dogpile_store_t *store = make();
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

    ck_assert_ptr_nonnull(create_at(&store, "", 0));
    ck_assert_ptr_nonnull(create_at(&store, "h:x", 0));
    ck_assert_ptr_nonnull(create_at(&store, "h", 1));
    ck_assert_ptr_nonnull(create_at(&store, "//user:password@h", 0));
    ck_assert_ptr_null(create_at(&store, "//h/1", 0));
    ck_assert_ptr_null(create_at(&store, "rediss://h/1", 0));
}
END_TEST

STORE_CONTRACT_MAIN("contract/store_redis", &under_test,
                    nothing_is_kept_for_ever, a_record_in_parts_is_put_whole,
                    what_is_not_even_a_string_is_a_miss_and_removed,
                    what_is_longer_than_any_record_is_a_miss_and_removed,
                    a_damaged_record_is_set_aside_and_replaced,
                    a_good_record_is_never_set_aside,
                    a_record_that_has_become_good_stays,
                    a_restart_makes_misses_and_nothing_else,
                    scripts_that_redis_forgot_are_sent_again,
                    what_was_evicted_is_a_miss,
                    a_full_redis_serves_hits_and_is_said_once,
                    a_stopped_redis_is_a_miss_until_it_goes_on,
                    a_put_whose_answer_was_lost_is_stored_once,
                    all_who_share_it_know_it_by_one_id,
                    an_id_that_redis_forgot_is_put_back,
                    a_store_that_was_down_at_start_gets_its_id_later,
                    the_locker_for_its_users_lives_there_too,
                    what_can_not_be_configured_is_refused)
