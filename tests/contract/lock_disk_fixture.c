/* SPDX-License-Identifier: Apache-2.0 */
#include "lock_disk_fixture.h"

#include <apr_strings.h>
#include <fcntl.h>
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
