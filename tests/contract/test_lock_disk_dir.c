/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker's directory: made private, refused where it isn't, tried as
 * the user who is going to use it. Half of this can only be shown by root.
 */
#include <apr_strings.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock_disk_fixture.h"

static const char *try_prepare(dogpile_locker_conf_t *conf)
{
    dogpile_locker_t *locker;

    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    return dp_lock_disk.prepare(locker, unit_pool);
}

static void assert_refused(dogpile_locker_conf_t *conf, const char *word)
{
    const char *wrong = try_prepare(conf);

    ck_assert_msg(wrong && strstr(wrong, word) && strstr(wrong, "/locks"), "%s",
                  wrong ? wrong : "accepted");
}

START_TEST(the_directory_is_made_private)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    struct stat info;

    conf->directory = apr_pstrcat(unit_pool, conf->directory, "/a/b/", NULL);
    if (geteuid() == 0) {
        conf->uid = LOCK_DISK_NOBODY;
        conf->gid = LOCK_DISK_NOBODY;
    }
    ck_assert_ptr_null(try_prepare(conf));
    ck_assert_int_eq(stat(conf->directory, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0700);
    ck_assert_uint_eq(info.st_uid, conf->uid);
    /* Again, at the next start. */
    ck_assert_ptr_null(try_prepare(conf));
}
END_TEST

START_TEST(a_group_may_share_it)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    dogpile_lock_key_t key = contract_key("a");
    struct stat info;

    conf->group = "daemon";
    if (geteuid() != 0) {
        return; /* only root gives a directory to a strange group */
    }
    umask(077);
    contract_take(contract_locker(conf), &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(stat(conf->directory, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 02770);
    ck_assert_int_eq(stat(lock_disk_bucket(&key), &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0660);
    lock_disk_be_nobody(info.st_gid);
    ck_assert_int_eq(contract_look(lock_disk_locker(), &key, DOGPILE_SHARED),
                     DOGPILE_HELD);
    lock_disk_be_root();
}
END_TEST

START_TEST(a_directory_that_will_not_do_is_refused_and_left_alone)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    const char *path = conf->directory;
    const char *stranger = apr_pstrcat(unit_pool, path, "/index.html", NULL);
    struct stat info;

    ck_assert_int_eq(symlink("/tmp", path), 0);
    assert_refused(conf, "symbolic link");
    ck_assert_int_eq(unlink(path), 0);
    lock_disk_put(path, "", 0);
    assert_refused(conf, "irectory");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    lock_disk_put(stranger, "", 0);
    assert_refused(conf, "index.html");
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0755);
    ck_assert_int_eq(unlink(stranger), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    assert_refused(conf, "everyone may write");
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_ptr_null(try_prepare(conf));
}
END_TEST

START_TEST(it_is_tried_as_the_user_who_will_use_it)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    const char *base = apr_pstrcat(unit_pool, conf->directory, "/..", NULL);

    if (geteuid() != 0) {
        return;
    }
    ck_assert_int_eq(mkdir(conf->directory, 0700), 0);
    ck_assert_int_eq(chown(conf->directory, 1, 1), 0);
    conf->uid = LOCK_DISK_NOBODY;
    conf->gid = LOCK_DISK_NOBODY;
    assert_refused(conf, "belongs to user 1");
    ck_assert_int_eq(chown(conf->directory, 0, 0), 0);
    ck_assert_int_eq(chmod(base, 0700), 0);
    assert_refused(conf, "(65534) may not enter");
    ck_assert_int_eq(chmod(base, 0755), 0);
    ck_assert_ptr_null(try_prepare(conf));
}
END_TEST

START_TEST(configuration_is_checked)
{
    dogpile_locker_conf_t good = *lock_disk_conf();
    dogpile_locker_conf_t bad[6] = {good, good, good, good, good, good};
    dogpile_locker_t *locker;
    int i;

    bad[0].directory = NULL;
    bad[1].directory = "relative/path";
    bad[2].host = "";
    bad[3].lease_usec = 0;
    bad[4].group = "no such group";
    bad[5].secret_file = "/etc/secret";
    for (i = 0; i < 6; i++) {
        ck_assert_ptr_nonnull(dp_lock_disk.create(&locker, &bad[i], unit_pool));
    }
    good.host = NULL;
    ck_assert_ptr_null(dp_lock_disk.create(&locker, &good, unit_pool));
    ck_assert_int_ne(access(good.directory, F_OK), 0);
}
END_TEST

UNIT_MAIN("lock/disk directory", the_directory_is_made_private,
          a_group_may_share_it,
          a_directory_that_will_not_do_is_refused_and_left_alone,
          it_is_tried_as_the_user_who_will_use_it, configuration_is_checked)
