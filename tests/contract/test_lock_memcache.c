/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcache locker keeps every locker's promises, and what only items in a
 * memcached can get wrong: eviction, damage, clones, clocks. What servers and
 * networks do to it is in test_lock_memcache_faults.c.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lockfile.h"
#include "lock_memcache_fixture.h"
#include "locker_records.h"

START_TEST(what_is_evicted_is_lost_and_free)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    mcd_delete(lock_memcache_server(), lock_memcache_item(&key));
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_NOTFOUND);
    mine = contract_take(locker, &key, DOGPILE_SHARED);
    mcd_delete(lock_memcache_server(), lock_memcache_item(&key));
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_NOTFOUND);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(nothing_is_left_of_a_released_lock)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    const char *get =
        apr_pstrcat(unit_pool, "get ", lock_memcache_item(&key), "\r\n", NULL);
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_ptr_nonnull(
        strstr(mcd_ask(lock_memcache_server(), get), "VALUE"));
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_str_eq(mcd_ask(lock_memcache_server(), get), "END\r\n");
}
END_TEST

/* ---- whose lease it is ---- */

static void plant_since(const dogpile_lock_key_t *key, const dp_owner_t *owner,
                        apr_time_t since)
{
    apr_size_t size;
    const char *bytes =
        contract_record(&size, key, DP_LEASE_EXCLUSIVE, owner, since, 1);

    mcd_plant(lock_memcache_server(), lock_memcache_item(key), bytes, size, 0);
}

static void plant(const dogpile_lock_key_t *key, const dp_owner_t *owner)
{
    plant_since(key, owner, apr_time_now());
}

START_TEST(only_processes_of_this_boot_and_namespace_are_judged)
{
    contract_assert_judges_owners(contract_steady(), plant);
    ck_assert_int_eq(unit_log_last_id, 723);
}
END_TEST

/* A host whose clock is wrong by years is told apart by the server only. */
START_TEST(the_clock_of_the_holder_decides_nothing)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_holder_t holder;
    dogpile_lock_state_e state;
    dogpile_id_t token;
    dp_owner_t other;
    int years;

    dp_owner_self(&other, "host-b", unit_pool);
    for (years = -20; years <= 20; years += 40) {
        plant_since(&key, &other,
                    apr_time_now() + years * apr_time_from_sec(31536000));
        ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                         APR_EEXIST);
        ck_assert_int_eq(dp_lock_probe(locker, &key, DOGPILE_SHARED, &state,
                                       &holder, unit_pool),
                         APR_SUCCESS);
        ck_assert_int_eq(state, DOGPILE_HELD);
        ck_assert(holder.age_usec >= 0);
        ck_assert(holder.left_usec > 0
                  && holder.left_usec <= CONTRACT_LONG_USEC);
        ck_assert_int_eq(contract_renew(locker, &key, &holder.token),
                         APR_SUCCESS);
    }
}
END_TEST

START_TEST(shared_leases_are_counted_by_the_clock_of_the_server)
{
    mcd_proxy_t *proxy = mcd_proxy(lock_memcache_server());
    dogpile_locker_t *locker = lock_memcache_at(proxy->address);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t first;
    dogpile_id_t second;
    apr_array_header_t *leases;
    const char *answer;

    proxy->is_late = 1;
    first = contract_take(locker, &key, DOGPILE_SHARED);
    second = contract_take(locker, &key, DOGPILE_SHARED);
    answer =
        strstr(mcd_ask(lock_memcache_server(),
                       apr_pstrcat(unit_pool, "get ", lock_memcache_item(&key),
                                   "\r\n", NULL)),
               "dogpile-locks");
    ck_assert_ptr_nonnull(answer);
    ck_assert_int_eq(
        dp_lockfile_read(&leases, answer, strlen(answer), unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(leases->nelts, 2);
    ck_assert(APR_ARRAY_IDX(leases, 0, dp_lease_t).since
              > apr_time_now() + apr_time_from_sec(900000000));
    ck_assert_int_eq(contract_renew(locker, &key, &first), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &first), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &second), APR_SUCCESS);
}
END_TEST

/* While another one keeps the item. */
START_TEST(one_of_several_readers_ends_by_itself)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t late = contract_take(hasty, &key, DOGPILE_SHARED);
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_lock_state_e state;
    dogpile_holder_t holder;

    do {
        ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
        ck_assert_int_eq(dp_lock_probe(locker, &key, DOGPILE_EXCLUSIVE, &state,
                                       &holder, unit_pool),
                         APR_SUCCESS);
        ck_assert_int_eq(state, DOGPILE_HELD);
        ck_assert_msg(apr_time_now() < deadline, "it never ended");
        apr_sleep(CONTRACT_LOOK_USEC);
    } while (!dp_id_equal(&holder.token, &mine));
    ck_assert_int_eq(contract_renew(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

/* ---- what may stand in an item ---- */

START_TEST(a_damaged_item_is_unavailable_once)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_state_e state;
    dogpile_id_t token;
    char *huge = apr_pcalloc(unit_pool, 1000000);

    memset(huge, 'x', 1000000);
    mcd_plant(lock_memcache_server(), lock_memcache_item(&key), "garbage", 7,
              0);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EINVAL);
    ck_assert_int_eq(unit_log_last_id, 722);
    token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    mcd_plant(lock_memcache_server(), lock_memcache_item(&key), huge, 1000000,
              7);
    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_EINVAL);
    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_NOTFOUND);
    mcd_plant(lock_memcache_server(), lock_memcache_item(&key), "\r\nEND\r\n",
              7, 0);
    ck_assert_int_eq(
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_EINVAL);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
}
END_TEST

START_TEST(an_item_of_another_version_is_left_alone)
{
    static const char text[] =
        "dogpile-locks 2 00000000 00000000000000000000000000000000\n";
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    const char *get =
        apr_pstrcat(unit_pool, "get ", lock_memcache_item(&key), "\r\n", NULL);

    mcd_plant(lock_memcache_server(), lock_memcache_item(&key), text,
              sizeof(text) - 1, 0);
    lock_memcache_assert_unavailable(locker, &key);
    lock_memcache_assert_unavailable(locker, &key);
    ck_assert_ptr_nonnull(strstr(mcd_ask(lock_memcache_server(), get), text));
    ck_assert_int_eq(unit_log_count, 1);
}
END_TEST

START_TEST(keys_of_any_bytes_have_items_of_their_own)
{
    static const unsigned char fill[] = {0x00, 0x20, 0x0a, 0x0d, 0x7f, 0xff};
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = {.label = "a"};
    dogpile_id_t tokens[sizeof(fill)];
    apr_size_t i;

    for (i = 0; i < sizeof(fill); i++) {
        memset(key.digest.bytes, fill[i], DOGPILE_DIGEST_BYTES);
        tokens[i] = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    }
    for (i = 0; i < sizeof(fill); i++) {
        memset(key.digest.bytes, fill[i], DOGPILE_DIGEST_BYTES);
        ck_assert_int_eq(contract_release(locker, &key, &tokens[i]),
                         APR_SUCCESS);
    }
}
END_TEST

LOCKER_CONTRACT_MAIN(lock_memcache_contract, what_is_evicted_is_lost_and_free,
                     nothing_is_left_of_a_released_lock,
                     only_processes_of_this_boot_and_namespace_are_judged,
                     the_clock_of_the_holder_decides_nothing,
                     shared_leases_are_counted_by_the_clock_of_the_server,
                     one_of_several_readers_ends_by_itself,
                     a_damaged_item_is_unavailable_once,
                     an_item_of_another_version_is_left_alone,
                     keys_of_any_bytes_have_items_of_their_own)
