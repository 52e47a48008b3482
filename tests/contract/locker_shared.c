/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every locker promises of shared and exclusive locks, and of whose turn
 * it is.
 */
#include <apr_atomic.h>
#include <pthread.h>

#include "base/digest.h"
#include "locker_contract.h"

#define READERS 8

START_TEST(shared_locks_admit_each_other)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t first = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t second =
        contract_take(contract_steady(), &key, DOGPILE_SHARED);

    ck_assert(!dp_id_equal(&first, &second));
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &first), APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &second), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(readers_let_a_waiting_writer_go_first)
{
    dogpile_locker_conf_t *patient = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker = contract_steady();
    dogpile_locker_t *writer;
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t reader = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t token;

    /* Looks seldom, so its wish lasts while this machine is busy. */
    patient->retry_usec = apr_time_from_sec(5);
    writer = contract_locker(patient);
    ck_assert_int_eq(contract_try(writer, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_EEXIST);
    ck_assert_int_eq(contract_look(writer, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_renew(locker, &key, &reader), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &reader), APR_SUCCESS);
    token = contract_take(writer, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(writer, &key, &token), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_SHARED);
}
END_TEST

START_TEST(a_writer_that_gives_up_is_forgotten)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    contract_await_free(locker, &key, DOGPILE_SHARED);
    contract_take(locker, &key, DOGPILE_SHARED);
}
END_TEST

/* Threads that come and go on one key. */
typedef struct traffic_t {
    dogpile_locker_t *locker;
    dogpile_lock_key_t key;
    apr_uint32_t readers; /* that have begun */
    apr_uint32_t stop;
} traffic_t;

/* Readers come and go, each with one foot always in, until told to stop.
 * `readers` counts those that have begun. */
static void *read_on(void *baton)
{
    traffic_t *traffic = baton;
    dogpile_id_t held[2];
    apr_status_t status[2] = {APR_EGENERAL, APR_EGENERAL};
    int i;

    for (i = 0; apr_atomic_read32(&traffic->stop) == 0; i++) {
        if (status[i % 2] == APR_SUCCESS) {
            contract_release(traffic->locker, &traffic->key, &held[i % 2]);
        }
        status[i % 2] = contract_try(traffic->locker, &traffic->key,
                                     DOGPILE_SHARED, &held[i % 2]);
        if (i == 1) {
            apr_atomic_inc32(&traffic->readers);
        }
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    for (i = 0; i < 2; i++) {
        if (status[i] == APR_SUCCESS) {
            contract_release(traffic->locker, &traffic->key, &held[i]);
        }
    }
    return NULL;
}

/* Looks as a waiter does between its tries: its looks keep its wish. */
START_TEST(looking_keeps_a_writers_place)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t reader = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t token;

    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_EEXIST);
    ck_assert_int_eq(contract_release(locker, &key, &reader), APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
}
END_TEST

START_TEST(a_stream_of_readers_does_not_starve_a_writer)
{
    traffic_t traffic = {.locker = contract_steady()};
    pthread_t threads[READERS];
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_id_t token;
    int got_it = 0;
    int i;

    traffic.key = contract_key("a");
    for (i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, read_on, &traffic);
    }
    while (apr_atomic_read32(&traffic.readers) < READERS) {
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    while (!got_it && apr_time_now() < deadline) {
        got_it = contract_try(traffic.locker, &traffic.key, DOGPILE_EXCLUSIVE,
                              &token)
                 == APR_SUCCESS;
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    apr_atomic_set32(&traffic.stop, 1);
    for (i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert(got_it);
}
END_TEST

int locker_contract_shared(const TTest **all, int n)
{
    const TTest *const tests[] = {shared_locks_admit_each_other,
                                  readers_let_a_waiting_writer_go_first,
                                  a_writer_that_gives_up_is_forgotten,
                                  looking_keeps_a_writers_place,
                                  a_stream_of_readers_does_not_starve_a_writer,
                                  NULL};

    return contract_add(all, n, tests);
}
