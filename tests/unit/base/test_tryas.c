/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tryas.h"

#include <apr_strings.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

/* Any user but root will do; it needs no name. */
#define SOMEBODY 65533

static int entries_of(const char *path)
{
    DIR *directory = opendir(path);
    int entries = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory) != NULL) {
        entries++;
    }
    closedir(directory);
    return entries - 2;
}

static apr_status_t say_who(void *baton, char why[DP_WHY_BYTES])
{
    apr_snprintf(why, DP_WHY_BYTES, "%s %ld %ld", (const char *)baton,
                 (long)geteuid(), (long)getegid());
    return APR_EGENERAL;
}

static apr_status_t succeed(void *baton, char why[DP_WHY_BYTES])
{
    (void)baton;
    (void)why;
    return APR_SUCCESS;
}

static apr_status_t die(void *baton, char why[DP_WHY_BYTES])
{
    (void)baton;
    (void)why;
    _exit(0);
}

START_TEST(work_is_done_by_that_user)
{
    const char *why = "";
    long uid = geteuid() == 0 ? SOMEBODY : (long)geteuid();
    long gid = geteuid() == 0 ? SOMEBODY : (long)getegid();

    ck_assert_int_eq(
        dp_as_user(SOMEBODY, SOMEBODY, say_who, "I am", &why, unit_pool),
        APR_EGENERAL);
    ck_assert_str_eq(why, apr_psprintf(unit_pool, "I am %ld %ld", uid, gid));
    ck_assert_int_eq(
        dp_as_user(SOMEBODY, SOMEBODY, succeed, NULL, &why, unit_pool),
        APR_SUCCESS);
    ck_assert_ptr_null(why);
}
END_TEST

START_TEST(a_worker_that_dies_has_failed)
{
    const char *why = NULL;

    ck_assert_int_eq(dp_as_user(SOMEBODY, SOMEBODY, die, NULL, &why, unit_pool),
                     APR_EGENERAL);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(a_directory_that_can_be_used_stays_clean)
{
    const char *path = apr_pstrcat(unit_pool, unit_tempdir(), "/a", NULL);
    const char *why = NULL;
    int made = 0;

    ck_assert_int_eq(
        chmod(apr_pstrndup(unit_pool, path, strlen(path) - 2), 0755), 0);
    ck_assert_int_eq(
        dp_make_directory(path, 0700, SOMEBODY, SOMEBODY, &made, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(made, 1);
    ck_assert_int_eq(dp_try_as(SOMEBODY, SOMEBODY, path,
                               DP_TRY_LINK | DP_TRY_FLOCK, &why, unit_pool),
                     APR_SUCCESS);
    ck_assert_ptr_null(why);
    ck_assert_int_eq(entries_of(path), 0);
}
END_TEST

/* Root may do everything, so what it may not do takes another user. */
START_TEST(a_directory_that_can_not_be_used_is_explained)
{
    const char *shut = unit_tempdir(); /* 0700, ours */
    const char *below = apr_pstrcat(unit_pool, shut, "/below", NULL);
    const char *why = NULL;

    ck_assert_int_eq(mkdir(below, 0777), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(
            dp_try_as(SOMEBODY, SOMEBODY, below, 0, &why, unit_pool),
            APR_EACCES);
        ck_assert_msg(strstr(why, "may not enter") && strstr(why, shut)
                          && !strstr(why, "below"),
                      "%s", why);
        ck_assert_int_eq(
            dp_try_as(SOMEBODY, SOMEBODY, shut, 0, &why, unit_pool),
            APR_EACCES);
        ck_assert_msg(strstr(why, "65533"), "%s", why);
    }
    ck_assert_int_eq(
        dp_try_as(SOMEBODY, SOMEBODY, "/nonexistent/x", 0, &why, unit_pool),
        APR_ENOENT);
    ck_assert_ptr_nonnull(strstr(why, "create a file"));
}
END_TEST

START_TEST(directories_are_made_and_given)
{
    const char *root = unit_tempdir();
    const char *path = apr_pstrcat(unit_pool, root, "/a/b//c/", NULL);
    struct stat info;
    int made = 0;

    ck_assert_int_eq(
        dp_make_directory(path, 02770, SOMEBODY, SOMEBODY, &made, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(made, 1);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 02770);
    if (geteuid() == 0) {
        ck_assert_int_eq(info.st_uid, SOMEBODY);
    }
    ck_assert_int_eq(stat(apr_pstrcat(unit_pool, root, "/a/b", NULL), &info),
                     0);
    ck_assert_int_eq(info.st_mode & 07777, 0755);
    ck_assert_int_eq(stat(root, &info), 0);
    ck_assert_int_eq(info.st_uid, geteuid());
}
END_TEST

START_TEST(what_is_there_is_left_alone)
{
    const char *root = unit_tempdir();
    const char *file = apr_pstrcat(unit_pool, root, "/file", NULL);
    struct stat info;
    int made = 1;

    ck_assert_int_eq(chmod(root, 0711), 0);
    ck_assert_int_eq(
        dp_make_directory(root, 0700, SOMEBODY, SOMEBODY, &made, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(made, 0);
    ck_assert_int_eq(stat(root, &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0711);
    ck_assert_int_eq(info.st_uid, geteuid());
    ck_assert_int_eq(symlink("/etc/passwd", file), 0);
    ck_assert_int_eq(
        dp_make_directory(file, 0700, SOMEBODY, SOMEBODY, &made, unit_pool),
        ENOTDIR);
    ck_assert_int_eq(dp_make_directory("relative", 0700, SOMEBODY, SOMEBODY,
                                       &made, unit_pool),
                     APR_EINVAL);
}
END_TEST

UNIT_MAIN("base/tryas", work_is_done_by_that_user,
          a_worker_that_dies_has_failed,
          a_directory_that_can_be_used_stays_clean,
          a_directory_that_can_not_be_used_is_explained,
          directories_are_made_and_given, what_is_there_is_left_alone)
