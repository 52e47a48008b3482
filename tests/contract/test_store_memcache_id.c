/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memcache store says of itself: which store it is, how long it keeps
 * records, where its locker lives, what its configuration may say.
 */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lock.h"
#include "lock/lock_memcache.h"
#include "store_memcache_fixture.h"

static const dogpile_id_t none;

static dogpile_store_t *open_store(void)
{
    return store_memcache_open(store_memcache_server()->address);
}

/* ---- the id ---- */

START_TEST(all_who_share_a_server_have_one_id)
{
    dogpile_store_t *one = open_store();
    dogpile_store_t *two = store_memcache_open(one->conf->where);
    dogpile_store_t *other = store_memcache_open(mcd_start()->address);

    ck_assert(dp_id_equal(&one->id, &two->id));
    ck_assert(!dp_id_equal(&one->id, &other->id));
}
END_TEST

/* As if its time had come. */
static void refresh(dogpile_store_t *store)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;

    memcache->id_sec -= 3600;
    dp_memcache_refresh_id(memcache, dp_memcache_deadline(), unit_pool);
}

START_TEST(the_id_survives_a_flush)
{
    dogpile_store_t *one = open_store();
    dogpile_id_t before = one->id;
    dogpile_store_t *two;

    mcd_ask(store_memcache_server(), "flush_all\r\n");
    refresh(one);
    ck_assert(dp_id_equal(&one->id, &before));
    two = store_memcache_open(one->conf->where);
    ck_assert(dp_id_equal(&two->id, &before));
    /* Another was faster. */
    mcd_ask(store_memcache_server(), "flush_all\r\n");
    two = store_memcache_open(one->conf->where);
    ck_assert(!dp_id_equal(&two->id, &before));
    refresh(one);
    ck_assert(dp_id_equal(&one->id, &two->id));
    /* Something else stands there: what is known is kept. */
    mcd_plant(store_memcache_server(), DP_MEMCACHE_ID_KEY, "gibberish", 9, 0);
    refresh(one);
    ck_assert(dp_id_equal(&one->id, &two->id));
}
END_TEST

/* ---- how long, and where ---- */

static long ttl_of(const dogpile_key_t *key)
{
    const char *answer = mcd_ask(
        store_memcache_server(),
        apr_pstrcat(unit_pool, "mg ", dp_memcache_tile_name(key, unit_pool),
                    " t\r\n", NULL));

    ck_assert_ptr_nonnull(strstr(answer, "HD t"));
    return atol(strstr(answer, "HD t") + 4);
}

START_TEST(records_are_kept_long_after_they_have_expired)
{
    dogpile_store_t *store = open_store();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_memcache_large(&key, 100, 1, unit_pool);
    dp_record_body_t body = {"tile", 4};
    dogpile_id_t base;

    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    ck_assert_int_gt(ttl_of(&key), 14 * 24 * 3600);
    ck_assert_int_le(ttl_of(&key), 14 * 24 * 3600 + 3600);
    base = sample.record.write_id;
    dp_id_make(&sample.record.write_id);
    sample.record.expires = apr_time_now() + apr_time_from_sec(365 * 86400);
    ck_assert_int_eq(
        dp_record_write(&sample.bytes, &sample.record, &body, 1, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(store_contract_put(store, &key, &base, &sample),
                     APR_SUCCESS);
    ck_assert_int_eq(ttl_of(&key), -1);
}
END_TEST

START_TEST(its_locker_lives_on_the_same_servers)
{
    dogpile_store_t *store = open_store();
    dogpile_locker_conf_t conf = {.name = "default",
                                  .lease_usec = apr_time_from_sec(15),
                                  .retry_usec = apr_time_from_msec(100),
                                  .socket_usec = apr_time_from_sec(1),
                                  .log = &unit_log};
    dogpile_lock_key_t key = {.label = "a"};
    dogpile_locker_t *locker = NULL;
    dogpile_id_t token;

    ck_assert_str_eq(store->provider->locker_type, dp_lock_memcache.type);
    ck_assert_ptr_null(store->provider->locker_directory);
    conf.servers = store->provider->locker_servers(store, unit_pool);
    ck_assert_ptr_null(dp_lock_memcache.create(&locker, &conf, unit_pool));
    ck_assert_int_eq(dp_lock_memcache.child_init(locker, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_lock_acquire(locker, &key, DOGPILE_EXCLUSIVE, &token,
                                     NULL, unit_pool),
                     APR_SUCCESS);
}
END_TEST

static const char *refusal(const char *where, apr_int64_t limit)
{
    dogpile_store_conf_t conf = {.where = where, .limit_bytes = limit};
    dogpile_store_t *store;
    const char *error = dp_store_memcache.create(&store, &conf, unit_pool);

    return error ? error : "";
}

START_TEST(what_makes_no_sense_is_refused)
{
    ck_assert_str_eq(refusal("a,b:1,[::1],unix:/run/c", 0), "");
    ck_assert_ptr_nonnull(strstr(refusal("", 0), "memcache::"));
    ck_assert_ptr_nonnull(strstr(refusal("a,a", 0), "twice"));
    ck_assert_ptr_nonnull(strstr(refusal("a:b", 0), "port"));
    ck_assert_ptr_nonnull(strstr(refusal("a", 1), "limit="));
}
END_TEST

UNIT_MAIN("contract/store_memcache_id", all_who_share_a_server_have_one_id,
          the_id_survives_a_flush,
          records_are_kept_long_after_they_have_expired,
          its_locker_lives_on_the_same_servers, what_makes_no_sense_is_refused)
