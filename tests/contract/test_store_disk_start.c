/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk store when the server starts: its directory, its user, its id.
 */
#include <apr_strings.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include "base/digest.h"
#include "store_disk_fixture.h"

#define STARTERS 6

START_TEST(only_absolute_paths_are_allowed)
{
    static const char *const bad[] = {"", "tiles", "./tiles", "/", "///"};
    dogpile_store_conf_t conf = {.log = &unit_log};
    dogpile_store_t *store;
    apr_size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        conf.where = bad[i];
        ck_assert_msg(dp_store_disk.create(&store, &conf, unit_pool) != NULL,
                      "%s", bad[i]);
    }
    conf.where = "/srv/tiles";
    ck_assert_ptr_null(dp_store_disk.create(&store, &conf, unit_pool));
    conf.limit_bytes = 1;
    ck_assert_ptr_nonnull(dp_store_disk.create(&store, &conf, unit_pool));
    ck_assert_int_ne(access("/srv/tiles", F_OK), 0);
}
END_TEST

START_TEST(the_directory_is_made_for_its_user_and_nobody_else)
{
    dogpile_store_t *store = store_disk_make();
    struct stat info;

    ck_assert_int_eq(stat(store_disk_root(store), &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0700);
    ck_assert_ptr_null(store_disk_prepare(store)); /* a restart */
    ck_assert_str_eq(
        store->provider->locker_directory(store, unit_pool),
        apr_pstrcat(unit_pool, store_disk_root(store), "/.locks", NULL));
}
END_TEST

START_TEST(an_empty_directory_of_root_is_given_away_and_no_other)
{
    const char *where = unit_tempdir();
    struct stat info;
    const char *error;

    if (geteuid() != 0) {
        return;
    }
    ck_assert_int_eq(chmod(where, 0755), 0);
    error = store_disk_prepare(store_disk_at(where, SOMEBODY));
    ck_assert_msg(error == NULL, "%s", error);
    ck_assert_int_eq(stat(where, &info), 0);
    ck_assert_uint_eq(info.st_uid, SOMEBODY);
    ck_assert_int_eq(info.st_mode & 07777, 0755);

    where = unit_tempdir();
    ck_assert_int_eq(mkdir(apr_pstrcat(unit_pool, where, "/x", NULL), 0700), 0);
    error = store_disk_prepare(store_disk_at(where, SOMEBODY));
    ck_assert_ptr_nonnull(error);
    ck_assert_int_eq(stat(where, &info), 0);
    ck_assert_uint_eq(info.st_uid, 0);
}
END_TEST

START_TEST(a_directory_that_can_not_be_used_is_refused_at_start)
{
    const char *where = unit_tempdir();
    const char *file = apr_pstrcat(unit_pool, where, "/file", NULL);
    const char *error;
    int fd = open(file, O_CREAT | O_WRONLY, 0600);

    close(fd);
    error = store_disk_prepare(
        store_disk_at(apr_pstrcat(unit_pool, file, "/x", NULL), geteuid()));
    ck_assert_msg(error && strstr(error, "Not a directory"), "%s", error);
    if (geteuid() == 0) {
        error = store_disk_prepare(store_disk_at(where, SOMEBODY));
        ck_assert_msg(error && strstr(error, where) && strstr(error, "65533")
                          && strstr(error, "Permission denied"),
                      "%s", error);
    }
}
END_TEST

START_TEST(hosts_that_start_at_once_agree_on_the_id)
{
    const char *where = apr_pstrcat(unit_pool, unit_tempdir(), "/store", NULL);
    dogpile_store_t *store = store_disk_at(where, geteuid());
    pid_t starters[STARTERS];
    dogpile_id_t seen[STARTERS];
    int ends[2];
    int status;
    int i;

    ck_assert_int_eq(pipe(ends), 0);
    for (i = 0; i < STARTERS; i++) {
        starters[i] = fork();
        ck_assert_int_ge(starters[i], 0);
        if (starters[i] == 0) {
            const char *error = store_disk_prepare(store);

            store->provider->child_init(store, unit_pool);
            _exit(error != NULL
                  || write(ends[1], &store->id, sizeof(store->id))
                         != (ssize_t)sizeof(store->id));
        }
    }
    for (i = 0; i < STARTERS; i++) {
        ck_assert_int_eq(waitpid(starters[i], &status, 0), starters[i]);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(read(ends[0], &seen[i], sizeof(seen[i])),
                         (ssize_t)sizeof(seen[i]));
        ck_assert(dp_id_equal(&seen[i], &seen[0]));
    }
    ck_assert(!dp_id_is_none(&seen[0]));
    ck_assert_int_eq(store_disk_files_in(store, DP_DISK_TEMPORARY), 0);
}
END_TEST

START_TEST(a_broken_id_is_refused_at_start_and_unknown_in_a_child)
{
    dogpile_store_t *store = store_disk_make();
    const char *path =
        apr_pstrcat(unit_pool, store_disk_root(store), "/" DP_DISK_ID, NULL);
    const char *error;

    ck_assert_int_eq(truncate(path, 5), 0);
    error = store_disk_prepare(store);
    ck_assert_msg(error && strstr(error, path), "%s", error);
    ck_assert_int_eq(store->provider->child_init(store, unit_pool),
                     APR_SUCCESS);
    ck_assert(dp_id_is_none(&store->id));
    ck_assert_int_eq(unit_log_last_id, 404);
}
END_TEST

START_TEST(left_overs_of_the_dead_are_removed_when_they_are_old)
{
    dogpile_store_t *store = store_disk_make();
    const char *old =
        apr_pstrcat(unit_pool, store_disk_root(store), "/.tmp/1-old", NULL);
    const char *young =
        apr_pstrcat(unit_pool, store_disk_root(store), "/.tmp/2-young", NULL);
    struct utimbuf long_ago = {.actime = 1000000, .modtime = 1000000};

    close(open(old, O_CREAT | O_WRONLY, 0600));
    close(open(young, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(utime(old, &long_ago), 0);
    ck_assert_ptr_null(store_disk_prepare(store));
    ck_assert_int_ne(access(old, F_OK), 0);
    ck_assert_int_eq(access(young, F_OK), 0);
}
END_TEST

/* Only root can mount; for others the rights above are the same path. */
START_TEST(a_read_only_file_system_does_not_keep_httpd_from_starting)
{
    dogpile_store_t *store = store_disk_make();
    const char *root = store_disk_root(store);

    if (!store_disk_can_mount()
        || mount(root, root, NULL, MS_BIND, NULL) != 0) {
        return;
    }
    ck_assert_int_eq(
        mount(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    ck_assert_ptr_null(store_disk_prepare(store));
    ck_assert_int_eq(unit_log_last_id, 405);
    ck_assert_int_eq(umount(root), 0);
}
END_TEST

/* A group that shares a store shares all that is made in it. */
START_TEST(what_is_made_has_the_mode_of_the_root)
{
    dogpile_store_t *store = store_disk_make();
    const char *root = store_disk_root(store);
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    mode_t before = umask(077);
    struct stat info;
    int fd;

    ck_assert_int_eq(chmod(root, 03777), 0);
    store->provider->child_init(store, unit_pool);
    ck_assert_int_eq(store_contract_put(store, &key, NULL, &sample),
                     APR_SUCCESS);
    umask(before);
    ck_assert_int_eq(
        stat(apr_pstrcat(unit_pool, root, "/",
                         dp_disk_name(key.source, unit_pool), NULL),
             &info),
        0);
    /* But never what anybody may write. */
    ck_assert_int_eq(info.st_mode & 07777, 02775);
    ck_assert_int_eq(
        dp_disk_enter(&fd, (dp_store_disk_t *)store, &key.digest, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(fstat(fd, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0664);
    close(fd);
}
END_TEST

UNIT_MAIN("contract/store_disk_start", only_absolute_paths_are_allowed,
          the_directory_is_made_for_its_user_and_nobody_else,
          an_empty_directory_of_root_is_given_away_and_no_other,
          a_directory_that_can_not_be_used_is_refused_at_start,
          hosts_that_start_at_once_agree_on_the_id,
          a_broken_id_is_refused_at_start_and_unknown_in_a_child,
          left_overs_of_the_dead_are_removed_when_they_are_old,
          a_read_only_file_system_does_not_keep_httpd_from_starting,
          what_is_made_has_the_mode_of_the_root)
