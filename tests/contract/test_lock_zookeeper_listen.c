/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever waits for a lock in ZooKeeper and listens is told when it may be
 * free; and what a child needs for all that is given back.
 */
#include "zookeeper_fixture.h"

#include <apr_atomic.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"

/* What was told, in a thread of the client. */
typedef struct told_t {
    pthread_mutex_t mutex;
    int count;
    dogpile_digest_t last;
} told_t;

static told_t told = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void hear(void *baton, const dogpile_digest_t *digest)
{
    told_t *heard = baton;

    pthread_mutex_lock(&heard->mutex);
    heard->count++;
    heard->last = *digest;
    pthread_mutex_unlock(&heard->mutex);
}

static int times_told(void)
{
    int count;

    pthread_mutex_lock(&told.mutex);
    count = told.count;
    pthread_mutex_unlock(&told.mutex);
    return count;
}

static void assert_told_of(const dogpile_lock_key_t *key)
{
    pthread_mutex_lock(&told.mutex);
    ck_assert(dp_digest_equal(&told.last, &key->digest));
    pthread_mutex_unlock(&told.mutex);
}

static void listen_on(dogpile_locker_t *locker)
{
    ck_assert_int_eq(dp_lock_zookeeper.listen(locker, hear, &told, unit_pool),
                     APR_SUCCESS);
}

/* On the server that all tests share. */
static int watches(void)
{
    return zookeeper_watches(zookeeper_shared_port());
}

/* One that hears of releases, through the test's relay. */
static dogpile_locker_t *listener(void)
{
    dogpile_locker_t *locker = contract_steady();

    listen_on(locker);
    return locker;
}

/* One that takes locks, past the relay. */
static dogpile_locker_t *taker(void)
{
    return contract_locker(
        zookeeper_conf_at(zookeeper_shared_port(), CONTRACT_LONG_USEC));
}

START_TEST(who_waits_is_told_of_the_release)
{
    dogpile_locker_t *waiter = listener();
    dogpile_locker_t *holder = taker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_id_t mine = contract_take(holder, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t unwatched = contract_take(holder, &other, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(holder, &other, &unwatched), APR_SUCCESS);
    ck_assert_int_eq(contract_release(holder, &key, &mine), APR_SUCCESS);
    ZOOKEEPER_AWAIT(contract_look(waiter, &key, DOGPILE_EXCLUSIVE)
                    == DOGPILE_FREE);
    ZOOKEEPER_AWAIT(times_told() > 0);
    assert_told_of(&key);
}
END_TEST

/* Neither looks nor renewals add to it. */
START_TEST(a_lock_that_is_waited_for_has_one_watch)
{
    dogpile_locker_t *waiter = listener();
    dogpile_locker_t *holder = taker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t readers[2];
    int before = watches();
    int i;

    for (i = 0; i < 2; i++) {
        readers[i] = contract_take(holder, &key, DOGPILE_SHARED);
    }
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                         DOGPILE_HELD);
        ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                         DOGPILE_HELD);
        ck_assert_int_eq(watches(), before + 1);
        ck_assert_int_eq(contract_renew(holder, &key, &readers[0]),
                         APR_SUCCESS);
        ZOOKEEPER_AWAIT(times_told() == i + 1);
        ck_assert_int_eq(watches(), before);
    }
    ck_assert_int_eq(contract_release(holder, &key, &readers[0]), APR_SUCCESS);
    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(watches(), before + 1);
    i = times_told();
    ck_assert_int_eq(contract_release(holder, &key, &readers[1]), APR_SUCCESS);
    ZOOKEEPER_AWAIT(times_told() > i);
}
END_TEST

START_TEST(nobody_watches_who_does_not_listen)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    int before = watches();

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(watches(), before);
}
END_TEST

START_TEST(nobody_is_told_after_the_end_of_his_pool)
{
    dogpile_locker_t *waiter = contract_steady();
    dogpile_locker_t *holder = taker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(holder, &key, DOGPILE_EXCLUSIVE);
    int before = watches();
    apr_pool_t *pool;

    apr_pool_create(&pool, unit_pool);
    ck_assert_int_eq(dp_lock_zookeeper.listen(waiter, hear, &told, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    apr_pool_destroy(pool);
    ck_assert_int_eq(contract_release(holder, &key, &mine), APR_SUCCESS);
    ZOOKEEPER_AWAIT(watches() == before);
    /* What comes after that in the same session comes after the event. */
    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
    ck_assert_int_eq(times_told(), 0);
}
END_TEST

START_TEST(a_release_while_cut_off_is_told_afterwards)
{
    zookeeper_relay_t *relay = zookeeper_relay();
    dogpile_locker_t *waiter = listener();
    dogpile_locker_t *holder = taker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(holder, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    zookeeper_relay_kill(relay);
    ck_assert_int_eq(contract_release(holder, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(times_told(), 0);
    zookeeper_relay_start(relay, zookeeper_shared_port());
    ZOOKEEPER_AWAIT(times_told() > 0);
    assert_told_of(&key);
}
END_TEST

/* As on another host: by ZooKeeper, which misses the session. */
START_TEST(the_death_of_a_holder_is_told)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_conf_t *conf =
        zookeeper_conf_at(zookeeper_shared_port(), apr_time_from_sec(4));
    dogpile_locker_t *waiter;

    conf->host = "host-b";
    contract_die_holding(conf, &key, DOGPILE_EXCLUSIVE);
    waiter = listener();
    if (contract_look(waiter, &key, DOGPILE_EXCLUSIVE) == DOGPILE_HELD) {
        ZOOKEEPER_AWAIT(times_told() > 0);
    }
    ck_assert_int_eq(contract_look(waiter, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
}
END_TEST

static int entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

/* A child's life: it takes, waits, listens, and leaves a call behind. */
static void live(void)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker;
    dogpile_id_t token;
    apr_pool_t *child;

    apr_pool_create(&child, unit_pool);
    ck_assert_ptr_null(dp_lock_zookeeper.create(&locker, conf, child));
    ck_assert_int_eq(dp_lock_zookeeper.child_init(locker, child), APR_SUCCESS);
    ck_assert_int_eq(dp_lock_zookeeper.listen(locker, hear, &told, child),
                     APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    conf->socket_usec = apr_time_from_msec(100);
    zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_HOLD);
    ck_assert_int_eq(contract_try(locker, &other, DOGPILE_SHARED, &token),
                     APR_TIMEUP);
    zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_PASS);
    apr_pool_destroy(child);
}

START_TEST(a_child_leaves_no_thread_and_no_file_open)
{
    int threads;
    int files;
    int i;

    live();
    threads = entries("/proc/self/task");
    files = entries("/proc/self/fd");
    for (i = 0; i < 5; i++) {
        live();
    }
    ck_assert_int_eq(entries("/proc/self/task"), threads);
    ck_assert_int_eq(entries("/proc/self/fd"), files);
}
END_TEST

/* Its call has no reply when the session is closed, and none will come. */
START_TEST(a_call_without_reply_ends_with_the_child)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker;
    dogpile_id_t token;
    apr_pool_t *child;

    apr_pool_create(&child, unit_pool);
    ck_assert_ptr_null(dp_lock_zookeeper.create(&locker, conf, child));
    ck_assert_int_eq(dp_lock_zookeeper.child_init(locker, child), APR_SUCCESS);
    token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    conf->socket_usec = apr_time_from_msec(100);
    zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_HOLD);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_TIMEUP);
    apr_pool_destroy(child);
    contract_await_free(taker(), &key, DOGPILE_EXCLUSIVE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {who_waits_is_told_of_the_release,
                                  a_lock_that_is_waited_for_has_one_watch,
                                  nobody_watches_who_does_not_listen,
                                  nobody_is_told_after_the_end_of_his_pool,
                                  a_release_while_cut_off_is_told_afterwards,
                                  the_death_of_a_holder_is_told,
                                  a_child_leaves_no_thread_and_no_file_open,
                                  a_call_without_reply_ends_with_the_child};

    return zookeeper_run_tests("lock/zookeeper listen", tests,
                               (int)(sizeof(tests) / sizeof(*tests)));
}
