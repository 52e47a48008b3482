/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the locker contract: lockers and keys to test with, and the
 * program that runs every promise on one back end.
 */
#include "locker_contract.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"

const contract_locker_t *contract_under_test;

dogpile_locker_conf_t *contract_conf(apr_interval_time_t lease_usec)
{
    dogpile_locker_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));

    conf->name = contract_under_test->name;
    conf->lease_usec = lease_usec;
    conf->retry_usec = apr_time_from_msec(10);
    conf->socket_usec = apr_time_from_sec(1);
    conf->host = "host-a";
    conf->uid = geteuid();
    conf->gid = getegid();
    conf->log = &unit_log;
    contract_under_test->configure(conf);
    return conf;
}

dogpile_locker_t *contract_locker(const dogpile_locker_conf_t *conf)
{
    const dogpile_locker_provider_t *provider = contract_under_test->provider;
    dogpile_locker_t *locker = NULL;
    const char *wrong = provider->create(&locker, conf, unit_pool);

    ck_assert_msg(wrong == NULL, "create: %s", wrong ? wrong : "");
    wrong = provider->prepare ? provider->prepare(locker, unit_pool) : NULL;
    ck_assert_msg(wrong == NULL, "prepare: %s", wrong ? wrong : "");
    if (provider->child_init) {
        ck_assert_int_eq(provider->child_init(locker, unit_pool), APR_SUCCESS);
    }
    return locker;
}

dogpile_lock_key_t contract_key(const char *name)
{
    dogpile_lock_key_t key = {.label = name};

    dp_digest(&key.digest, name, strlen(name));
    return key;
}

apr_status_t contract_try(dogpile_locker_t *locker,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode, dogpile_id_t *token)
{
    apr_pool_t *pool;
    apr_status_t status;

    apr_pool_create(&pool, NULL);
    status = dp_lock_acquire(locker, key, mode, token, NULL, pool);
    apr_pool_destroy(pool);
    return status;
}

dogpile_id_t contract_take(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode)
{
    dogpile_id_t token;

    ck_assert_int_eq(contract_try(locker, key, mode, &token), APR_SUCCESS);
    ck_assert(!dp_id_is_none(&token));
    return token;
}

dogpile_lock_state_e contract_look(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   dogpile_lock_mode_e mode)
{
    dogpile_lock_state_e state;

    ck_assert_int_eq(dp_lock_probe(locker, key, mode, &state, NULL, unit_pool),
                     APR_SUCCESS);
    return state;
}

void contract_await_free(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;

    while (contract_look(locker, key, mode) != DOGPILE_FREE) {
        ck_assert_msg(apr_time_now() < deadline, "never became free");
        apr_sleep(CONTRACT_LOOK_USEC);
    }
}

/* Renew or release, with a pool of its own. */
static apr_status_t by_token(apr_status_t (*call)(dogpile_locker_t *locker,
                                                  const dogpile_lock_key_t *key,
                                                  const dogpile_id_t *token,
                                                  apr_pool_t *scratch_pool),
                             dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token)
{
    apr_pool_t *pool;
    apr_status_t status;

    apr_pool_create(&pool, NULL);
    status = call(locker, key, token, pool);
    apr_pool_destroy(pool);
    return status;
}

apr_status_t contract_renew(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            const dogpile_id_t *token)
{
    return by_token(dp_lock_renew, locker, key, token);
}

apr_status_t contract_release(dogpile_locker_t *locker,
                              const dogpile_lock_key_t *key,
                              const dogpile_id_t *token)
{
    return by_token(dp_lock_release, locker, key, token);
}

void contract_assert_unavailable(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key)
{
    dogpile_lock_state_e state = DOGPILE_FREE;
    dogpile_id_t token;
    apr_status_t status;

    status =
        dp_lock_probe(locker, key, DOGPILE_SHARED, &state, NULL, unit_pool);
    ck_assert_int_ne(status, APR_SUCCESS);
    ck_assert_int_eq(state, DOGPILE_HELD);
    status = contract_try(locker, key, DOGPILE_EXCLUSIVE, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_EEXIST, "acquire: %d",
                  status);
    status = contract_try(locker, key, DOGPILE_SHARED, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_EEXIST, "shared: %d",
                  status);
}

dogpile_locker_t *contract_steady(void)
{
    return contract_locker(contract_conf(CONTRACT_LONG_USEC));
}

void contract_die_holding(const dogpile_locker_conf_t *conf,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode)
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dogpile_locker_t *locker = contract_locker(conf);
        dogpile_id_t token;

        if (contract_try(locker, key, mode, &token) == APR_SUCCESS) {
            raise(SIGKILL);
        }
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int contract_add(const TTest **all, int n, const TTest *const tests[])
{
    for (; *tests; tests++) {
        if (n == CONTRACT_TESTS_MAX) {
            abort(); /* a test that isn't run must not look passed */
        }
        all[n++] = *tests;
    }
    return n;
}

int locker_contract_run(const contract_locker_t *locker,
                        const TTest *const own[])
{
    const TTest *all[CONTRACT_TESTS_MAX];
    int n = 0;

    contract_under_test = locker;
    n = locker_contract_promises(all, n);
    n = locker_contract_leases(all, n);
    n = locker_contract_shared(all, n);
    n = contract_add(all, n, own);
    return unit_run(locker->name, all, n);
}
