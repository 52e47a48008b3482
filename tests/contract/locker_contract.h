/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises of dogpile_locker.h, written once. A back end's test file says
 * how to reach one and ends with
 *
 *     LOCKER_CONTRACT_MAIN(lock_disk, test_of_its_own, ...)
 *
 * where `lock_disk` is a contract_locker_t; at least one test of its own.
 */
#ifndef DP_TESTS_LOCKER_CONTRACT_H
#define DP_TESTS_LOCKER_CONTRACT_H

#include "lock/lock.h"
#include "unit.h"

/* A locker under test. Members that may be NULL say so. */
typedef struct contract_locker_t {
    const char *name;
    const dogpile_locker_provider_t *provider;

    /* Fill in directory or servers. The first call in a test starts from a
     * server without leases; every further one means the same server. */
    void (*configure)(dogpile_locker_conf_t *conf);

    /* From now on the server can't be used. */
    void (*break_server)(void);

    /* Make the server forget every lease. May be NULL. */
    void (*flush)(void);

    /* Promise 4: a dead holder on this host is recognised at once. */
    int knows_the_dead;
} contract_locker_t;

extern const contract_locker_t *contract_under_test;

/* A lease that ends during a test, and one that doesn't. */
#define CONTRACT_SHORT_USEC apr_time_from_msec(300)
#define CONTRACT_LONG_USEC apr_time_from_sec(3600)

/* Far beyond any sensible wait, and the pause between two looks. */
#define CONTRACT_PATIENCE_USEC apr_time_from_sec(20)
#define CONTRACT_LOOK_USEC apr_time_from_msec(5)

/* A configuration for the server under test; alive as long as unit_pool. */
dogpile_locker_conf_t *contract_conf(apr_interval_time_t lease_usec);

/* A locker on it, ready to use in the calling process. */
dogpile_locker_t *contract_locker(const dogpile_locker_conf_t *conf);

/* One whose leases don't end. */
dogpile_locker_t *contract_steady(void);

/* A key of that name; the same name is the same key. */
dogpile_lock_key_t contract_key(const char *name);

/* Shorthands. `contract_try` returns acquire's status and forgets the rest. */
apr_status_t contract_try(dogpile_locker_t *locker,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode, dogpile_id_t *token);
dogpile_id_t contract_take(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode);
apr_status_t contract_renew(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            const dogpile_id_t *token);
apr_status_t contract_release(dogpile_locker_t *locker,
                              const dogpile_lock_key_t *key,
                              const dogpile_id_t *token);
dogpile_lock_state_e contract_look(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   dogpile_lock_mode_e mode);

/* Whoever asks for the lock, or about it, is told "unavailable". */
void contract_assert_unavailable(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key);

/* Look until it is free; fails the test when that takes absurdly long. */
void contract_await_free(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode);

/* Take a lock in a process of its own, which then ends by SIGKILL, without
 * any chance to give it back. */
void contract_die_holding(const dogpile_locker_conf_t *conf,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode);

/* Append tests, up to NULL, to the `n` in `all`; the new number. */
#define CONTRACT_TESTS_MAX 100
int contract_add(const TTest **all, int n, const TTest *const tests[]);

/* Append the promises, a file each. */
int locker_contract_promises(const TTest **all, int n);
int locker_contract_leases(const TTest **all, int n);
int locker_contract_shared(const TTest **all, int n);

int locker_contract_run(const contract_locker_t *locker,
                        const TTest *const own[]);

#define LOCKER_CONTRACT_MAIN(locker, ...)                                      \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const own[] = {__VA_ARGS__, NULL};                        \
        return locker_contract_run(&(locker), own);                            \
    }

#endif
