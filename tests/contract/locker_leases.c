/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every locker promises of leases and of contenders, in threads and in
 * processes. Where a lease has to end, the test looks until it has, with a
 * deadline far beyond any sensible wait.
 */
#include <apr_atomic.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "locker_contract.h"

#define CONTENDERS 8

START_TEST(renewal_outlives_the_lease)
{
    apr_interval_time_t lease = 2 * CONTRACT_SHORT_USEC;
    dogpile_locker_t *locker = contract_locker(contract_conf(lease));
    dogpile_lock_key_t key = contract_key("a");
    dogpile_holder_t holder = {.age_usec = 0};
    dogpile_lock_state_e state;
    apr_time_t renewed = apr_time_now();
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    while (holder.age_usec < 2 * lease) {
        apr_status_t status = contract_renew(locker, &key, &mine);

        if (status == APR_NOTFOUND && apr_time_now() - renewed >= lease / 2) {
            /* This machine had no time for us: begin again. */
            mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
        }
        else {
            ck_assert_int_eq(status, APR_SUCCESS);
        }
        renewed = apr_time_now();
        ck_assert_int_eq(dp_lock_probe(locker, &key, DOGPILE_EXCLUSIVE, &state,
                                       &holder, unit_pool),
                         APR_SUCCESS);
        ck_assert(state == DOGPILE_HELD
                  || apr_time_now() - renewed >= lease / 2);
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    ck_assert(holder.left_usec <= lease);
}
END_TEST

/* Contenders of any kind report the number of leases taken at once. */
typedef struct contest_t {
    dogpile_locker_t *locker;
    dogpile_lock_key_t keys[3];
    int nkeys;
    int rounds;
    apr_uint32_t inside[3]; /* holders now */
    apr_uint32_t taken;     /* acquisitions in all */
    apr_uint32_t crowds;    /* times that two were inside */
    apr_uint32_t lost;      /* leases that the locker denied at release */
} contest_t;

static void *contend_once(void *baton)
{
    contest_t *contest = baton;
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_id_t token;
    apr_status_t status;

    do {
        status = contract_try(contest->locker, &contest->keys[0],
                              DOGPILE_EXCLUSIVE, &token);
        if (status == APR_SUCCESS) {
            apr_atomic_inc32(&contest->taken);
            return NULL;
        }
        apr_sleep(CONTRACT_LOOK_USEC);
    } while (apr_atomic_read32(&contest->taken) == 0
             && apr_time_now() < deadline);
    return NULL;
}

START_TEST(one_thread_takes_over_when_a_lease_ends)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    contest_t contest = {.locker = contract_steady()};
    pthread_t threads[CONTENDERS];
    int i;

    contest.keys[0] = contract_key("a");
    contract_take(hasty, &contest.keys[0], DOGPILE_EXCLUSIVE);
    for (i = 0; i < CONTENDERS; i++) {
        pthread_create(&threads[i], NULL, contend_once, &contest);
    }
    for (i = 0; i < CONTENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(contest.taken, 1);
}
END_TEST

/* In a process of its own: how many did I take? */
static int contend_as_process(const dogpile_locker_conf_t *conf,
                              const dogpile_lock_key_t *key)
{
    dogpile_locker_t *locker = contract_locker(conf);
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_holder_t holder;
    dogpile_id_t token;

    while (apr_time_now() < deadline) {
        switch (dp_lock_acquire(locker, key, DOGPILE_EXCLUSIVE, &token, &holder,
                                unit_pool)) {
        case APR_SUCCESS:
            /* Stay, so that nobody finds a dead holder; the parent ends us. */
            return 1;
        case APR_EEXIST:
            if (strcmp(holder.label, "winner") == 0) {
                return 0;
            }
        }
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    return 2;
}

START_TEST(one_process_takes_over_when_a_lease_ends)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    pid_t children[CONTENDERS];
    char answer;
    int winners = 0;
    int ends[2];
    int i;

    contract_take(hasty, &key, DOGPILE_EXCLUSIVE);
    key.label = "winner";
    ck_assert_int_eq(pipe(ends), 0);
    for (i = 0; i < CONTENDERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            answer = (char)contend_as_process(conf, &key);
            if (write(ends[1], &answer, 1) == 1) {
                pause();
            }
            _exit(0);
        }
    }
    for (i = 0; i < CONTENDERS; i++) {
        ck_assert_int_eq(read(ends[0], &answer, 1), 1);
        ck_assert_int_ne(answer, 2);
        winners += answer;
    }
    for (i = 0; i < CONTENDERS; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    ck_assert_int_eq(winners, 1);
}
END_TEST

static void *hammer(void *baton)
{
    contest_t *contest = baton;
    dogpile_id_t token;
    int i;

    for (i = 0; i < contest->rounds; i++) {
        int k = i % contest->nkeys;

        if (contract_try(contest->locker, &contest->keys[k], DOGPILE_EXCLUSIVE,
                         &token)
            != APR_SUCCESS) {
            continue;
        }
        apr_atomic_inc32(&contest->taken);
        if (apr_atomic_inc32(&contest->inside[k]) != 0) {
            apr_atomic_inc32(&contest->crowds);
        }
        sched_yield();
        apr_atomic_dec32(&contest->inside[k]);
        if (contract_release(contest->locker, &contest->keys[k], &token)
            == APR_NOTFOUND) {
            apr_atomic_inc32(&contest->lost);
        }
    }
    return NULL;
}

static void hammer_keys(int nkeys)
{
    static const char *const names[] = {"a", "b", "c"};
    contest_t contest = {
        .locker = contract_steady(), .nkeys = nkeys, .rounds = 60};
    pthread_t threads[CONTENDERS];
    int i;

    for (i = 0; i < nkeys; i++) {
        contest.keys[i] = contract_key(names[i]);
        /* Neighbours, so that back ends that group keys group these. */
        contest.keys[i].digest = contest.keys[0].digest;
        contest.keys[i].digest.bytes[DOGPILE_DIGEST_BYTES - 1] =
            (unsigned char)i;
    }
    for (i = 0; i < CONTENDERS; i++) {
        pthread_create(&threads[i], NULL, hammer, &contest);
    }
    for (i = 0; i < CONTENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(contest.crowds, 0);
    ck_assert_uint_eq(contest.lost, 0);
    ck_assert_uint_gt(contest.taken, 0);
}

START_TEST(never_two_holders_of_one_key)
{
    hammer_keys(1);
}
END_TEST

START_TEST(never_two_holders_of_any_of_several_keys)
{
    hammer_keys(3);
}
END_TEST

int locker_contract_leases(const TTest **all, int n)
{
    const TTest *const tests[] = {renewal_outlives_the_lease,
                                  one_thread_takes_over_when_a_lease_ends,
                                  one_process_takes_over_when_a_lease_ends,
                                  never_two_holders_of_one_key,
                                  never_two_holders_of_any_of_several_keys,
                                  NULL};

    return contract_add(all, n, tests);
}
