/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcache store keeps every store's promises, and what only a memcached
 * can get wrong: records too long for an item, evicted parts, restarts, no
 * room, silence.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <string.h>

#include "base/digest.h"
#include "store_memcache_fixture.h"

/* A record of four items. */
#define LARGE_BYTES (3 * DP_MEMCACHE_ITEM_BYTES + 4711)

/* Far beyond any sensible wait. */
#define PATIENCE_USEC apr_time_from_sec(20)

static const dogpile_id_t none;

/* How full the body of what is there is, -1 where there is nothing. */
static int fill_of(dogpile_store_t *store, const dogpile_key_t *key,
                   apr_pool_t *pool)
{
    const unsigned char *bytes;
    dp_found_t found;
    apr_size_t length;

    if (dp_store_look(store, key, &found, pool) != APR_SUCCESS) {
        return -1;
    }
    length = found.record.tiles[0].length;
    ck_assert_int_eq(dp_blob_bytes(&bytes, &found.blob,
                                   found.record.tiles[0].offset, length, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(memcmp(bytes, bytes + 1, length - 1), 0);
    return bytes[0];
}

static const char *part_of(const store_sample_t *sample, int part)
{
    return dp_memcache_part_name(&sample->record.write_id, part, unit_pool);
}

static int has_item(const char *name)
{
    return strstr(mcd_ask(store_memcache_server(),
                          apr_pstrcat(unit_pool, "mg ", name, "\r\n", NULL)),
                  "HD")
           != NULL;
}

START_TEST(what_is_too_long_for_an_item_is_kept_in_several)
{
    /* Around each edge, with a header of 153 bytes. */
    static const apr_size_t sizes[] = {1,
                                       DP_MEMCACHE_ITEM_BYTES - 200,
                                       DP_MEMCACHE_ITEM_BYTES - 153,
                                       DP_MEMCACHE_ITEM_BYTES - 152,
                                       DP_MEMCACHE_ITEM_BYTES,
                                       2 * DP_MEMCACHE_ITEM_BYTES - 153,
                                       2 * DP_MEMCACHE_ITEM_BYTES - 152,
                                       LARGE_BYTES,
                                       DP_MEMCACHE_BYTES_MAX - 200};
    dogpile_store_t *store = store_contract_open();
    int i;

    for (i = 0; i < (int)(sizeof(sizes) / sizeof(*sizes)); i++) {
        dogpile_key_t key = store_contract_key(apr_itoa(unit_pool, i));
        store_sample_t sample =
            store_memcache_large(&key, sizes[i], i + 1, unit_pool);

        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
        ck_assert_int_eq(fill_of(store, &key, unit_pool), i + 1);
    }
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(parts_go_with_their_record)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t first =
        store_memcache_large(&key, LARGE_BYTES, 1, unit_pool);
    store_sample_t second =
        store_memcache_large(&key, LARGE_BYTES, 2, unit_pool);
    store_sample_t late = store_memcache_large(&key, LARGE_BYTES, 3, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &key, &none, &first),
                     APR_SUCCESS);
    ck_assert(has_item(part_of(&first, 0)) && has_item(part_of(&first, 2)));
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &second),
        APR_SUCCESS);
    ck_assert(!has_item(part_of(&first, 0)) && !has_item(part_of(&first, 2)));
    ck_assert(has_item(part_of(&second, 0)) && has_item(part_of(&second, 2)));
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &late),
        APR_EEXIST);
    ck_assert(!has_item(part_of(&late, 0)));
    ck_assert_int_eq(fill_of(store, &key, unit_pool), 2);
}
END_TEST

START_TEST(a_record_without_all_its_parts_is_absent)
{
    dogpile_store_t *store = store_contract_open();
    int part;

    for (part = 0; part < 3; part++) {
        dogpile_key_t key = store_contract_key(apr_itoa(unit_pool, part));
        store_sample_t sample =
            store_memcache_large(&key, LARGE_BYTES, 1, unit_pool);
        store_sample_t next =
            store_memcache_large(&key, LARGE_BYTES, 2, unit_pool);

        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
        mcd_delete(store_memcache_server(), part_of(&sample, part));
        ck_assert_int_eq(fill_of(store, &key, unit_pool), -1);
        ck_assert_int_eq(
            store_contract_put(store, &key, &sample.record.write_id, &next),
            APR_EEXIST);
        ck_assert_int_eq(store_contract_put(store, &key, &none, &next),
                         APR_SUCCESS);
        ck_assert_int_eq(fill_of(store, &key, unit_pool), 2);
    }
    /* Eviction is nobody's fault. */
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(damaged_parts_are_a_miss_once_reported)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample =
        store_memcache_large(&key, LARGE_BYTES, 1, unit_pool);
    dp_found_t found;

    store_memcache_plant(store, &key, sample.bytes, sample.record.length - 1);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(unit_log_last_id, 410);
    ck_assert(!has_item(dp_memcache_tile_name(&key, unit_pool)));
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(unit_log_count, 1);
    /* Flags that are none of ours. */
    mcd_plant(store_memcache_server(), dp_memcache_tile_name(&key, unit_pool),
              "x", 1, 4000000000U);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(unit_log_count, 2);
}
END_TEST

/* Who stumbled over a bad record may be late. */
START_TEST(a_good_record_is_never_set_aside)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample =
        store_memcache_large(&key, LARGE_BYTES, 1, unit_pool);

    store->provider->set_aside(store, &key, unit_pool);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    store->provider->set_aside(store, &key, unit_pool);
    ck_assert_int_eq(fill_of(store, &key, unit_pool), 1);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

typedef struct reading_t {
    dogpile_store_t *store;
    dogpile_key_t key;
    apr_uint32_t looks;
    apr_uint32_t misses;
    apr_uint32_t ended;
} reading_t;

static void *APR_THREAD_FUNC read_on(apr_thread_t *self, void *data)
{
    reading_t *reading = data;
    apr_pool_t *pool;

    apr_pool_create(&pool, apr_thread_pool_get(self));
    while (!apr_atomic_read32(&reading->ended)) {
        if (fill_of(reading->store, &reading->key, pool) < 0) {
            apr_atomic_inc32(&reading->misses);
        }
        apr_atomic_inc32(&reading->looks);
        apr_pool_clear(pool);
    }
    return NULL;
}

START_TEST(long_records_are_replaced_under_their_readers)
{
    reading_t reading = {.store = store_contract_open(),
                         .key = store_contract_key("a")};
    dogpile_id_t base = none;
    apr_thread_t *thread;
    apr_status_t ended;
    int i;

    for (i = 0; i < 60; i++) {
        store_sample_t sample =
            store_memcache_large(&reading.key, LARGE_BYTES, i + 1, unit_pool);

        ck_assert_int_eq(
            store_contract_put(reading.store, &reading.key, &base, &sample),
            APR_SUCCESS);
        base = sample.record.write_id;
        if (i == 0) {
            ck_assert_int_eq(
                apr_thread_create(&thread, NULL, read_on, &reading, unit_pool),
                APR_SUCCESS);
        }
    }
    while (apr_atomic_read32(&reading.looks) == 0) {
        apr_sleep(1000);
    }
    apr_atomic_set32(&reading.ended, 1);
    apr_thread_join(&ended, thread);
    ck_assert_uint_eq(reading.misses, 0);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

/* ---- servers ---- */

START_TEST(a_dead_server_is_a_miss_until_it_is_back)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    dp_found_t found;
    apr_status_t status;

    mcd_kill(store_memcache_server());
    status = dp_store_look(store, &key, &found, unit_pool);
    ck_assert(status != APR_SUCCESS && status != APR_NOTFOUND);
    status = store_contract_put(store, &key, &none, &sample);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 720);
    mcd_restart(store_memcache_server());
    while (store_contract_put(store, &key, &none, &sample) != APR_SUCCESS) {
        ck_assert(apr_time_now() < deadline);
        apr_sleep(5000);
    }
    ck_assert_int_eq(unit_log_last_id, 721);
}
END_TEST

START_TEST(a_server_that_hangs_is_a_miss)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    dp_found_t found;

    mcd_stop(store_memcache_server());
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool), APR_TIMEUP);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_TIMEUP);
    mcd_go_on(store_memcache_server());
}
END_TEST

START_TEST(a_restart_loses_records_and_nothing_else)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    store_sample_t next = store_contract_sample(&key, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    mcd_restart(store_memcache_server());
    ck_assert_int_eq(
        store_contract_put(store, &key, &sample.record.write_id, &next),
        APR_EEXIST);
    mcd_restart(store_memcache_server());
    ck_assert_int_eq(store_contract_put(store, &key, &none, &next),
                     APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_put_whose_answer_was_cut_off_is_found_stored)
{
    mcd_proxy_t *proxy = mcd_proxy(store_memcache_server());
    dogpile_store_t *store = store_memcache_open(proxy->address);
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    store_sample_t next = store_contract_sample(&key, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    proxy->closes = 1;
    proxy->armed = "cas dogpile-tile-";
    ck_assert_int_eq(
        store_contract_put(store, &key, &sample.record.write_id, &next),
        APR_SUCCESS);
    ck_assert_int_eq(proxy->lost, 1);
}
END_TEST

START_TEST(one_dead_server_of_two_takes_its_records_with_it)
{
    mcd_t *second = mcd_start();
    dogpile_store_t *store = store_memcache_open(
        apr_pstrcat(unit_pool, store_memcache_server()->address, ",",
                    second->address, NULL));
    dp_mc_t *mc = ((dp_store_memcache_t *)store)->mc;
    int kept = 0;
    int i;

    for (i = 0; i < 20; i++) {
        dogpile_key_t key = store_contract_key(apr_itoa(unit_pool, i));
        store_sample_t sample = store_contract_sample(&key, unit_pool);

        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
    }
    mcd_kill(second);
    for (i = 0; i < 20; i++) {
        dogpile_key_t key = store_contract_key(apr_itoa(unit_pool, i));
        int is_first = dp_mc_server_of(mc, &key.digest) == &mc->servers[0];
        dp_found_t found;

        ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool)
                             == APR_SUCCESS,
                         is_first);
        kept += is_first;
    }
    ck_assert(kept > 0 && kept < 20);
}
END_TEST

START_TEST(a_server_without_room_refuses_and_is_reported_once)
{
    mcd_t *small = mcd_start_with("-I64k", "-oslab_chunk_max=32768");
    dogpile_store_t *store = store_memcache_open(small->address);
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    int i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_ENOSPC);
        ck_assert_int_eq(fill_of(store, &key, unit_pool), -1);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 411);
}
END_TEST

STORE_CONTRACT_MAIN("contract/store_memcache", &store_memcache_under_test,
                    what_is_too_long_for_an_item_is_kept_in_several,
                    parts_go_with_their_record,
                    a_record_without_all_its_parts_is_absent,
                    damaged_parts_are_a_miss_once_reported,
                    a_good_record_is_never_set_aside,
                    long_records_are_replaced_under_their_readers,
                    a_dead_server_is_a_miss_until_it_is_back,
                    a_server_that_hangs_is_a_miss,
                    a_restart_loses_records_and_nothing_else,
                    a_put_whose_answer_was_cut_off_is_found_stored,
                    one_dead_server_of_two_takes_its_records_with_it,
                    a_server_without_room_refuses_and_is_reported_once)
