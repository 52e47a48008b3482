/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A test that takes longer hangs; sanitizers and valgrind are slow. */
#define TEST_TIMEOUT_SEC 60

apr_pool_t *unit_pool;
apr_time_t unit_now;
int unit_log_count;
int unit_log_last_id;
char unit_log_last[1024];

static apr_time_t fake_now(void *baton)
{
    (void)baton;
    return unit_now;
}

const dp_clock_t unit_clock = {.now = fake_now, .baton = NULL};

static void remember(void *baton, dogpile_log_level_e level, int id,
                     apr_status_t status, const char *text)
{
    (void)baton;
    (void)level;
    (void)status;
    unit_log_count++;
    unit_log_last_id = id;
    apr_cpystrn(unit_log_last, text, sizeof(unit_log_last));
}

const dogpile_log_t unit_log = {.write = remember, .baton = NULL};

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static apr_status_t remove_tree(void *path)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) ? APR_EGENERAL
                                                            : APR_SUCCESS;
}

const char *unit_tempdir(void)
{
    const char *base = getenv("TMPDIR");
    char *path =
        apr_psprintf(unit_pool, "%s/dogpile-unit-XXXXXX", base ? base : "/tmp");

    ck_assert_ptr_nonnull(mkdtemp(path));
    apr_pool_cleanup_register(unit_pool, path, remove_tree,
                              apr_pool_cleanup_null);
    return path;
}

static void set_up(void)
{
    apr_initialize();
    apr_pool_create(&unit_pool, NULL);
    unit_now = apr_time_from_sec(1700000000);
    unit_log_count = 0;
    unit_log_last_id = 0;
    unit_log_last[0] = '\0';
}

static void tear_down(void)
{
    apr_pool_destroy(unit_pool);
    apr_terminate();
}

int unit_run(const char *name, const TTest *const tests[], int ntests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failed;
    int i;

    tcase_set_timeout(tcase, TEST_TIMEOUT_SEC);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (i = 0; i < ntests; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
