/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker keeps every locker's promises where flock doesn't work, and
 * what only versions that follow by rename can get wrong: late writers, lost
 * and damaged versions, what others leave behind. What looks out of date come to
 * is in test_lock_disk_late.c.
 */
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lock_disk_fixture.h"

static dogpile_locker_t *make_locker(void)
{
    contract_under_test = &lock_disk_rename_contract;
    return contract_locker(contract_conf(CONTRACT_LONG_USEC));
}

static const char *bucket_path(const dogpile_lock_key_t *key)
{
    return apr_psprintf(unit_pool, "%s/form/%02x", lock_disk_directory(),
                        (unsigned int)key->digest.bytes[0]
                            % (unsigned)dp_form_rename.nbuckets);
}

/* How many files are in the key's bucket; the path of one that is a version's
 * (not the one that says which counts), or NULL, in `version`. */
static int count_files(const dogpile_lock_key_t *key, const char **version)
{
    const char *path = bucket_path(key);
    DIR *names = opendir(path);
    const struct dirent *entry;
    int files = 0;

    ck_assert_ptr_nonnull(names);
    *version = NULL;
    for (entry = readdir(names); entry; entry = readdir(names)) {
        files += entry->d_name[0] != '.';
        if (entry->d_name[0] != '.' && entry->d_name[0] != 'i') {
            *version = apr_pstrcat(unit_pool, path, "/", entry->d_name, NULL);
        }
    }
    closedir(names);
    return files;
}

START_TEST(old_versions_are_removed_as_new_ones_follow)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *version;
    dogpile_id_t token;
    int i;

    for (i = 0; i < 20; i++) {
        token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
        ck_assert_int_eq(contract_renew(locker, &key, &token), APR_SUCCESS);
        ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    }
    ck_assert_int_eq(count_files(&key, &version), 2);
}
END_TEST

/* Two who have seen the same version: one of them begins anew. */
START_TEST(a_late_writer_changes_nothing)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const dp_lockdir_t *dir = &dp_disk_of(locker)->dir;
    const char *version;
    dp_bucket_t late;
    dogpile_id_t mine;

    dp_bucket_init(&late, dir, key.digest.bytes[0], unit_pool);
    ck_assert_int_eq(dp_form_rename.enter(&late), APR_SUCCESS);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(dp_form_rename.save(&late), EAGAIN);
    dp_form_rename.leave(&late);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(count_files(&key, &version), 2);
}
END_TEST

static void set_date(const char *path, time_t when)
{
    struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A version that isn't one: unavailable until whatever it held is over, and
 * once more; then empty. */
static void assert_begun_anew(dogpile_locker_t *locker,
                              const dogpile_lock_key_t *key,
                              const char *version)
{
    dogpile_lock_state_e state;
    dogpile_id_t token;

    ck_assert_int_eq(contract_try(locker, key, DOGPILE_EXCLUSIVE, &token),
                     APR_TIMEUP);
    ck_assert_int_eq(
        dp_lock_probe(locker, key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_TIMEUP);
    ck_assert_int_eq(unit_log_last_id, 700);
    set_date(version, time(NULL) - 2 * apr_time_sec(CONTRACT_LONG_USEC));
    ck_assert_int_eq(contract_try(locker, key, DOGPILE_EXCLUSIVE, &token),
                     APR_EINVAL);
    ck_assert_int_eq(unit_log_last_id, 701);
    contract_take(locker, key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(unit_log_count, 2);
}

START_TEST(a_damaged_version_is_set_aside)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *version;
    struct stat info;

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(count_files(&key, &version), 2);
    lock_disk_put(version, "garbage", 7);
    assert_begun_anew(locker, &key, version);
    ck_assert_int_eq(
        stat(apr_pstrcat(unit_pool, bucket_path(&key), ".bad", NULL), &info),
        0);
    ck_assert_int_eq(info.st_size, 7);
}
END_TEST

START_TEST(a_version_that_was_lost_is_begun_anew)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *version;

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(count_files(&key, &version), 2);
    ck_assert_int_eq(unlink(version), 0);
    assert_begun_anew(locker, &key, version);
}
END_TEST

/* As a look out of date shows a version that was being made. */
START_TEST(a_version_that_looks_damaged_keeps_its_leases)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    const char *version;
    const char *whole;
    dogpile_id_t token;

    ck_assert_int_eq(count_files(&key, &version), 2);
    whole = apr_pstrcat(unit_pool, lock_disk_directory(), "/../whole", NULL);
    ck_assert_int_eq(rename(version, whole), 0);
    lock_disk_put(version, "", 0);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_TIMEUP);
    ck_assert_int_eq(rename(whole, version), 0);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

/* A crashed file server may leave both names of a rename, or none. */
START_TEST(a_bucket_that_says_two_things_is_unavailable)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *second =
        apr_pstrcat(unit_pool, bucket_path(&key),
                    "/is-0123456789abcdef0123456789abcdef", NULL);
    dogpile_lock_state_e state;
    dogpile_id_t token;

    lock_disk_put(second, "", 0);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     APR_TIMEUP);
    ck_assert_int_eq(
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_TIMEUP);
    ck_assert_int_eq(unlink(second), 0);
    contract_take(locker, &key, DOGPILE_SHARED);
}
END_TEST

/* Whatever doesn't count, young or old. */
START_TEST(what_others_left_is_removed)
{
    dogpile_locker_t *locker = make_locker();
    dogpile_lock_key_t key = contract_key("a");
    const char *version;
    int i;

    for (i = 0; i < 20; i++) {
        lock_disk_put(apr_psprintf(unit_pool, "%s/0123456789abcdef%016x",
                                   bucket_path(&key), (unsigned int)i),
                      "", 0);
    }
    contract_take(locker, &key, DOGPILE_SHARED);
    contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(count_files(&key, &version), 2);
}
END_TEST

LOCKER_CONTRACT_MAIN(lock_disk_rename_contract,
                     old_versions_are_removed_as_new_ones_follow,
                     a_late_writer_changes_nothing,
                     a_damaged_version_is_set_aside,
                     a_version_that_was_lost_is_begun_anew,
                     a_version_that_looks_damaged_keeps_its_leases,
                     a_bucket_that_says_two_things_is_unavailable,
                     what_others_left_is_removed)
