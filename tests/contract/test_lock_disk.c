/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker keeps every locker's promises, and what only files can get
 * wrong: garbage, foreign files, a busy or vanished file, a full disk.
 */
#include <apr_file_io.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "lock/lockfile.h"
#include "lock_disk_fixture.h"
#include "locker_records.h"

static const char *get_file(const char *path)
{
    static char bytes[1024];
    int fd = open(path, O_RDONLY);
    ssize_t got;

    ck_assert_int_ge(fd, 0);
    got = read(fd, bytes, sizeof(bytes) - 1);
    close(fd);
    ck_assert_int_ge(got, 0);
    bytes[got] = '\0';
    return bytes;
}

static void plant(const dogpile_lock_key_t *key, const dp_owner_t *owner)
{
    apr_size_t size;
    const char *bytes = contract_record(&size, key, DP_LEASE_EXCLUSIVE, owner,
                                        apr_time_now(), 1);

    lock_disk_put(lock_disk_bucket(key), bytes, size);
}

START_TEST(only_processes_of_this_boot_and_namespace_are_judged)
{
    contract_assert_judges_owners(lock_disk_locker(), plant);
}
END_TEST

START_TEST(a_damaged_file_is_set_aside_and_reported_once)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *path = lock_disk_bucket(&key);
    dogpile_id_t token;
    apr_status_t status;

    lock_disk_put(path, "garbage", 7);
    status = contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    ck_assert_str_eq(get_file(apr_pstrcat(unit_pool, path, ".bad", NULL)),
                     "garbage");
    /* That it is damaged, and that this call was in vain. */
    ck_assert_int_eq(unit_log_count, 2);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(unit_log_count, 2);
}
END_TEST

START_TEST(a_look_mends_a_damaged_file_too)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_state_e state;

    lock_disk_put(lock_disk_bucket(&key), "garbage", 7);
    ck_assert_int_ne(
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
}
END_TEST

START_TEST(a_file_of_another_version_is_left_alone)
{
    static const char text[] =
        "dogpile-locks 2 00000000 00000000000000000000000000000000\n";
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    lock_disk_put(lock_disk_bucket(&key), text, sizeof(text) - 1);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_ENOTIMPL);
    ck_assert_str_eq(get_file(lock_disk_bucket(&key)), text);
}
END_TEST

START_TEST(only_a_file_of_its_own_is_used)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *path = lock_disk_bucket(&key);
    const char *victim =
        apr_pstrcat(unit_pool, lock_disk_directory(), "/../victim", NULL);

    lock_disk_put(victim, "precious", 8);
    ck_assert_int_eq(symlink(victim, path), 0);
    contract_assert_unavailable(locker, &key);
    unlink(path);
    ck_assert_int_eq(link(victim, path), 0);
    contract_assert_unavailable(locker, &key);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    contract_assert_unavailable(locker, &key);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    contract_assert_unavailable(locker, &key);
    ck_assert_str_eq(get_file(victim), "precious");
}
END_TEST

START_TEST(a_busy_file_is_unavailable_until_it_is_not)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_state_e state;
    dogpile_id_t token;
    int fd = open(lock_disk_bucket(&key), O_RDWR | O_CREAT, 0600);

    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_TIMEUP);
    ck_assert_int_eq(
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_TIMEUP);
    ck_assert_int_eq(flock(fd, LOCK_SH), 0);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    close(fd);
    contract_take(locker, &key, DOGPILE_SHARED);
}
END_TEST

START_TEST(a_file_unlinked_under_its_lock_is_not_trusted)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    int fd = open(lock_disk_bucket(&key), O_RDWR | O_CREAT, 0600);
    struct stat old;
    struct stat new;

    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(unlink(lock_disk_bucket(&key)), 0);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(fstat(fd, &old), 0);
    ck_assert_int_eq(stat(lock_disk_bucket(&key), &new), 0);
    ck_assert_uint_ne(old.st_ino, new.st_ino);
    close(fd);
}
END_TEST

START_TEST(a_full_bucket_is_unavailable_and_keeps_its_leases)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *bytes;
    apr_size_t size;
    dp_owner_t self;
    dogpile_id_t token;

    dp_owner_self(&self, "host-a", unit_pool);
    bytes = contract_record(&size, &key, DP_LEASE_SHARED, &self, apr_time_now(),
                            DP_LOCKFILE_LEASES_MAX);
    lock_disk_put(lock_disk_bucket(&key), bytes, size);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_ENOSPC);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
}
END_TEST

START_TEST(what_a_full_disk_cut_short_is_taken_back)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);
    struct rlimit limit;
    struct stat info;
    dogpile_id_t token;
    apr_status_t status;

    ck_assert_int_eq(stat(lock_disk_bucket(&key), &info), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = (rlim_t)info.st_size + 10;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    status = contract_try(locker, &key, DOGPILE_SHARED, &token);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(dp_lock_release(locker, &key, &mine, unit_pool),
                     APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(whoever_may_not_write_learns_that_it_is_unavailable)
{
    dogpile_locker_t *locker = lock_disk_locker();
    dogpile_lock_key_t key = contract_key("a");

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(chmod(lock_disk_directory(), 0), 0);
    lock_disk_be_nobody(LOCK_DISK_NOBODY);
    contract_assert_unavailable(locker, &key);
    key.digest.bytes[0] ^= 1;
    contract_assert_unavailable(locker, &key);
    lock_disk_be_root();
    ck_assert_int_eq(chmod(lock_disk_directory(), 0700), 0);
}
END_TEST

LOCKER_CONTRACT_MAIN(lock_disk_contract,
                     only_processes_of_this_boot_and_namespace_are_judged,
                     a_damaged_file_is_set_aside_and_reported_once,
                     a_look_mends_a_damaged_file_too,
                     a_file_of_another_version_is_left_alone,
                     only_a_file_of_its_own_is_used,
                     a_busy_file_is_unavailable_until_it_is_not,
                     a_file_unlinked_under_its_lock_is_not_trusted,
                     a_full_bucket_is_unavailable_and_keeps_its_leases,
                     what_a_full_disk_cut_short_is_taken_back,
                     whoever_may_not_write_learns_that_it_is_unavailable)
