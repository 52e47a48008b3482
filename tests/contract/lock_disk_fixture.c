/* SPDX-License-Identifier: Apache-2.0 */
#include "lock_disk_fixture.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* One directory a test, below one that everybody may pass. */
const char *lock_disk_directory(void)
{
    void *path = NULL;

    apr_pool_userdata_get(&path, "lock directory", unit_pool);
    if (path == NULL) {
        const char *base = unit_tempdir();

        ck_assert_int_eq(chmod(base, 0755), 0);
        path = apr_pstrcat(unit_pool, base, "/locks", NULL);
        apr_pool_userdata_setn(path, "lock directory", NULL, unit_pool);
    }
    return path;
}

static void configure(dogpile_locker_conf_t *conf)
{
    conf->directory = lock_disk_directory();
}

void lock_disk_publish(const char *path, const dp_form_t *form)
{
    if (mkdir(path, 0700) == 0) {
        ck_assert_int_eq(dp_form_publish(path, form, unit_pool), APR_SUCCESS);
    }
}

static void configure_rename(dogpile_locker_conf_t *conf)
{
    configure(conf);
    lock_disk_publish(conf->directory, &dp_form_rename);
}

static void break_server(void)
{
    const char *path = lock_disk_directory();

    ck_assert_int_eq(rename(path, apr_pstrcat(unit_pool, path, ".gone", NULL)),
                     0);
}

const char *lock_disk_bucket(const dogpile_lock_key_t *key)
{
    return apr_psprintf(unit_pool, "%s/%02x", lock_disk_directory(),
                        (unsigned int)key->digest.bytes[0]);
}

/* Unlinked under everyone, as a janitor would. */
static void flush(void)
{
    int i;

    for (i = 0; i < DP_BUCKETS; i++) {
        unlink(apr_psprintf(unit_pool, "%s/%02x", lock_disk_directory(),
                            (unsigned int)i));
    }
}

void lock_disk_forget(const char *path)
{
    dp_lockdir_t dir = {.path = path, .name = "test"};
    const char *why = "";
    int i;

    ck_assert_msg(dp_form_settle(&dir, &why, unit_pool) == APR_SUCCESS, "%s",
                  why);
    for (i = 0; i < dir.form->nbuckets; i++) {
        dp_bucket_t bucket;

        dp_bucket_init(&bucket, &dir, i, unit_pool);
        ck_assert_int_eq(dir.form->enter(&bucket), APR_SUCCESS);
        if (bucket.leases->nelts > 0) {
            apr_array_clear(bucket.leases);
            ck_assert_int_eq(dir.form->save(&bucket), APR_SUCCESS);
        }
        dir.form->leave(&bucket);
    }
}

static void flush_rename(void)
{
    lock_disk_forget(lock_disk_directory());
}

const contract_locker_t lock_disk_rename_contract = {
    .name = "lock/disk by rename",
    .provider = &dp_lock_disk,
    .configure = configure_rename,
    .break_server = break_server,
    .flush = flush_rename,
    .knows_the_dead = 1};

const contract_locker_t lock_disk_contract = {.name = "lock/disk",
                                              .provider = &dp_lock_disk,
                                              .configure = configure,
                                              .break_server = break_server,
                                              .flush = flush,
                                              .knows_the_dead = 1};

dogpile_locker_conf_t *lock_disk_conf(void)
{
    contract_under_test = &lock_disk_contract;
    return contract_conf(CONTRACT_LONG_USEC);
}

dogpile_locker_t *lock_disk_locker(void)
{
    return contract_locker(lock_disk_conf());
}

void lock_disk_put(const char *path, const char *bytes, apr_size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* Once more as long as nothing is known: unavailable isn't lost. */
static apr_status_t insist(lock_disk_contest_t *contest,
                           const dogpile_id_t *token,
                           apr_status_t (*call)(dogpile_locker_t *locker,
                                                const dogpile_lock_key_t *key,
                                                const dogpile_id_t *token))
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    apr_status_t status;

    do {
        status = call(contest->locker, &contest->key, token);
    } while (status == APR_TIMEUP && apr_time_now() < deadline);
    if (status != APR_SUCCESS && status != APR_NOTFOUND) {
        apr_atomic_inc32(&contest->failures);
    }
    return status;
}

static void hold(lock_disk_contest_t *contest, const dogpile_id_t *token)
{
    apr_atomic_inc32(&contest->taken);
    if (apr_atomic_inc32(&contest->inside) != 0) {
        apr_atomic_inc32(&contest->crowds);
    }
    if (insist(contest, token, contract_renew) == APR_NOTFOUND) {
        apr_atomic_inc32(&contest->lost);
    }
    apr_atomic_dec32(&contest->inside);
    if (insist(contest, token, contract_release) == APR_NOTFOUND) {
        apr_atomic_inc32(&contest->unknown);
    }
}

static void *contend(void *baton)
{
    lock_disk_contest_t *contest = baton;
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    apr_uint32_t taken = 0;
    apr_status_t status;
    dogpile_id_t token;

    while (taken < contest->rounds && apr_time_now() < deadline) {
        status = contract_try(contest->locker, &contest->key, DOGPILE_EXCLUSIVE,
                              &token);
        if (status == APR_SUCCESS) {
            hold(contest, &token);
            taken++;
        }
        else if (status != APR_EEXIST && status != APR_TIMEUP) {
            apr_atomic_inc32(&contest->failures);
        }
        if (contest->between) {
            contest->between();
        }
    }
    return NULL;
}

void lock_disk_contend(lock_disk_contest_t *contest)
{
    pthread_t threads[2];
    int i;

    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, contend, contest),
                         0);
    }
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

void lock_disk_be_nobody(gid_t group)
{
    if (getuid() == 0) {
        ck_assert_int_eq(setegid(group), 0);
        ck_assert_int_eq(seteuid(LOCK_DISK_NOBODY), 0);
    }
}

void lock_disk_be_root(void)
{
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(setegid(0), 0);
    }
}
