/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers of a memcache locker: which one has a key, how each is reached,
 * and what a connection is good for.
 */
#include <apr_strings.h>
#include <pthread.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lock_memcache.h"
#include "lock_memcache_fixture.h"

/* ---- several servers ---- */

/* A key on the server at that place of the list. */
static dogpile_lock_key_t key_on(dogpile_locker_t *locker, int place)
{
    dp_mc_t *mc = dp_memcache_of(locker)->mc;
    dogpile_lock_key_t key;
    int i = 0;

    do {
        key = contract_key(apr_itoa(unit_pool, i++));
    } while (dp_mc_server_of(mc, &key.digest) != &mc->servers[place]);
    return key;
}

START_TEST(a_dead_server_takes_its_keys_with_it_and_no_others)
{
    mcd_t *second = mcd_start();
    dogpile_locker_t *locker =
        lock_memcache_at(apr_pstrcat(unit_pool, lock_memcache_server()->address,
                                     ",", second->address, NULL));
    dogpile_lock_key_t a = key_on(locker, 0);
    dogpile_lock_key_t b = key_on(locker, 1);
    dogpile_id_t on_a = contract_take(locker, &a, DOGPILE_EXCLUSIVE);
    dogpile_id_t token;

    contract_take(locker, &b, DOGPILE_EXCLUSIVE);
    mcd_kill(second);
    lock_memcache_assert_unavailable(locker, &b);
    ck_assert_int_eq(contract_renew(locker, &a, &on_a), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &a, &on_a), APR_SUCCESS);
    contract_take(locker, &a, DOGPILE_EXCLUSIVE);
    /* No key has moved to the server that is left. */
    ck_assert_int_eq(
        contract_look(lock_memcache_at(lock_memcache_server()->address), &b,
                      DOGPILE_SHARED),
        DOGPILE_FREE);
    mcd_restart(second);
    token = lock_memcache_await(locker, &b);
    ck_assert_int_eq(contract_release(locker, &b, &token), APR_SUCCESS);
}
END_TEST

START_TEST(all_hosts_agree_on_the_server_of_a_key)
{
    const char *const orders[] = {"a:1,b:2,[::1]:3,unix:/run/d",
                                  "unix:/run/d,B:2,[0:0::1]:3,a:1"};
    int counts[4] = {0, 0, 0, 0};
    dp_mc_t *mc[2];
    int i;

    for (i = 0; i < 2; i++) {
        apr_array_header_t *texts =
            apr_array_make(unit_pool, 1, sizeof(const char *));

        APR_ARRAY_PUSH(texts, const char *) = orders[i];
        ck_assert_ptr_null(dp_mc_create(&mc[i], "test", texts, APR_USEC_PER_SEC,
                                        NULL, unit_pool));
    }
    for (i = 0; i < 4000; i++) {
        dogpile_lock_key_t key = contract_key(apr_itoa(unit_pool, i));
        const dp_mc_server_t *one = dp_mc_server_of(mc[0], &key.digest);

        ck_assert_str_eq(dp_mc_server_of(mc[1], &key.digest)->net.name,
                         one->net.name);
        counts[one - mc[0]->servers]++;
    }
    for (i = 0; i < 4; i++) {
        ck_assert_int_gt(counts[i], 800);
    }
}
END_TEST

/* ---- connections ---- */

START_TEST(sockets_and_names_are_reached)
{
    mcd_t *socket = mcd_start_socket();
    const char *named =
        apr_psprintf(unit_pool, "localhost:%d", lock_memcache_server()->port);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = lock_memcache_await(lock_memcache_at(named), &key);

    ck_assert_int_eq(
        contract_release(lock_memcache_at(lock_memcache_server()->address),
                         &key, &mine),
        APR_SUCCESS);
    contract_take(lock_memcache_at(socket->address), &key, DOGPILE_EXCLUSIVE);
    mcd_restart(socket);
    contract_take(lock_memcache_at(socket->address), &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(a_name_without_an_address_is_unavailable)
{
    dogpile_lock_key_t key = contract_key("a");

    /* RFC 6761, section 6.4: never a host. */
    lock_memcache_assert_unavailable(
        lock_memcache_hasty_at("nobody.invalid:11211"), &key);
    ck_assert_int_eq(unit_log_count, 1);
}
END_TEST

/* What is between gets and cas must be one connection: another life of the
 * server counts from one again. */
START_TEST(a_cas_number_is_used_on_its_own_connection_only)
{
    static const dp_mc_value_t value = {.bytes = "mine", .size = 4};
    dogpile_locker_t *locker = contract_steady();
    dp_mc_t *mc = dp_memcache_of(locker)->mc;
    dogpile_lock_key_t key = contract_key("a");
    dp_mc_item_t before;
    dp_mc_item_t after;
    dp_mc_call_t call;
    apr_status_t status;

    contract_look(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(dp_mc_begin(&call, mc, &key.digest, 0), APR_SUCCESS);
    ck_assert_int_eq(dp_mc_set(&call, "k", &value), APR_SUCCESS);
    ck_assert_int_eq(dp_mc_get(&call, "k", 100, &before, unit_pool),
                     APR_SUCCESS);
    mcd_restart(lock_memcache_server());
    mcd_plant(lock_memcache_server(), "k", "another's", 9, 0);
    mcd_plant(lock_memcache_server(), "k", "theirs", 6, 0);
    status = dp_mc_cas(&call, "k", &value, before.cas);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST
              && status != APR_NOTFOUND);
    ck_assert_int_eq(dp_mc_remove(&call, "k", before.cas), status);
    ck_assert(dp_mc_again(&call));
    ck_assert_int_eq(dp_mc_get(&call, "k", 100, &after, unit_pool),
                     APR_SUCCESS);
    ck_assert_uint_eq(after.size, 6);
    ck_assert_uint_eq(after.cas, before.cas);
    dp_mc_end(&call);
}
END_TEST

START_TEST(only_the_version_that_was_read_is_changed_or_removed)
{
    static const dp_mc_value_t value = {.bytes = "mine", .size = 4};
    dp_mc_t *mc = dp_memcache_of(contract_steady())->mc;
    dogpile_lock_key_t key = contract_key("a");
    dp_mc_item_t before;
    dp_mc_item_t after;
    dp_mc_call_t call;

    mcd_plant(lock_memcache_server(), "k", "first", 5, 0);
    ck_assert_int_eq(dp_mc_begin(&call, mc, &key.digest, 0), APR_SUCCESS);
    ck_assert_int_eq(dp_mc_get(&call, "k", 100, &before, unit_pool),
                     APR_SUCCESS);
    mcd_plant(lock_memcache_server(), "k", "theirs", 6, 0);
    ck_assert_int_eq(dp_mc_cas(&call, "k", &value, before.cas), APR_EEXIST);
    ck_assert_int_eq(dp_mc_remove(&call, "k", before.cas), APR_EEXIST);
    ck_assert_int_eq(dp_mc_add(&call, "k", &value), APR_EEXIST);
    ck_assert_int_eq(dp_mc_get(&call, "k", 100, &after, unit_pool),
                     APR_SUCCESS);
    ck_assert_str_eq((const char *)after.bytes, "theirs");
    ck_assert_int_eq(dp_mc_remove(&call, "k", after.cas), APR_SUCCESS);
    ck_assert_int_eq(dp_mc_remove(&call, "k", after.cas), APR_NOTFOUND);
    ck_assert_int_eq(dp_mc_get(&call, "k", 100, &after, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(dp_mc_add(&call, "k", &value), APR_SUCCESS);
    dp_mc_end(&call);
}
END_TEST

typedef struct crowd_t {
    dogpile_locker_t *locker;
    int number;
} crowd_t;

static void *take_and_release(void *baton)
{
    crowd_t *one = baton;
    dogpile_lock_key_t key = {.label = "crowd"};
    dogpile_id_t token;
    apr_size_t wrong = 0;
    int i;

    memset(key.digest.bytes, one->number, DOGPILE_DIGEST_BYTES);
    for (i = 0; i < 20; i++) {
        wrong += contract_try(one->locker, &key, DOGPILE_EXCLUSIVE, &token)
                 != APR_SUCCESS;
        wrong += contract_release(one->locker, &key, &token) != APR_SUCCESS;
    }
    return (void *)wrong;
}

START_TEST(more_threads_than_connections_wait_for_each_other)
{
    enum { CROWD = 2 * DP_MC_CONNECTIONS };
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker;
    pthread_t threads[CROWD];
    crowd_t crowd[CROWD];
    void *wrong;
    int i;

    conf->socket_usec = CONTRACT_PATIENCE_USEC;
    locker = contract_locker(conf);
    for (i = 0; i < CROWD; i++) {
        crowd[i].locker = locker;
        crowd[i].number = i;
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, take_and_release, &crowd[i]), 0);
    }
    for (i = 0; i < CROWD; i++) {
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

/* ---- configuration ---- */

static const char *refusal(const dogpile_locker_conf_t *conf)
{
    dogpile_locker_t *locker;
    const char *error = dp_lock_memcache.create(&locker, conf, unit_pool);

    return error ? error : "";
}

START_TEST(what_makes_no_sense_is_refused)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    const dogpile_locker_conf_t good = *conf;

    ck_assert_str_eq(refusal(conf), "");
    conf->servers = NULL;
    ck_assert_ptr_nonnull(strstr(refusal(conf), "a server is needed"));
    *conf = good;
    conf->directory = "/locks";
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockDirectory"));
    *conf = good;
    conf->secret_file = "/secret";
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockSecretFile"));
    *conf = good;
    conf->lease_usec = 0;
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockTimeout"));
    conf->lease_usec = apr_time_from_sec(8 * 24 * 3600);
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockTimeout"));
    *conf = good;
    conf->socket_usec = 999;
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockSocketTimeout"));
    *conf = good;
    conf->host = "";
    ck_assert_ptr_nonnull(strstr(refusal(conf), "DogpileLockHost"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_dead_server_takes_its_keys_with_it_and_no_others,
        all_hosts_agree_on_the_server_of_a_key,
        sockets_and_names_are_reached,
        a_name_without_an_address_is_unavailable,
        a_cas_number_is_used_on_its_own_connection_only,
        only_the_version_that_was_read_is_changed_or_removed,
        more_threads_than_connections_wait_for_each_other,
        what_makes_no_sense_is_refused,
    };

    contract_under_test = &lock_memcache_contract;
    return unit_run("lock/memcache servers", tests,
                    (int)(sizeof(tests) / sizeof(*tests)));
}
