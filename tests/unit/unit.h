/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit and contract test starts from: libcheck, a pool per test, a
 * clock that stands still until told, a log that remembers.
 *
 * A test file is a program of its own. It defines its tests with START_TEST
 * and ends with
 *
 *     UNIT_MAIN("grid/metatile", test_a, test_b, ...)
 */
#ifndef DP_TESTS_UNIT_H
#define DP_TESTS_UNIT_H

#include <apr_general.h>
#include <apr_pools.h>
#include <check.h>

#include "base/clock.h"
#include "dogpile_types.h"

/* The pool of the running test. */
extern apr_pool_t *unit_pool;

/* A clock that shows `unit_now`. */
extern apr_time_t unit_now;
extern const dp_clock_t unit_clock;

/* A log that counts and keeps the last line. */
extern int unit_log_count;
extern int unit_log_last_id;
extern char unit_log_last[1024];
extern const dogpile_log_t unit_log;

/* A fresh directory, removed with its content when the test ends. */
const char *unit_tempdir(void);

int unit_run(const char *name, const TTest *const tests[], int ntests);

#define UNIT_MAIN(name, ...)                                                   \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        return unit_run(name, tests, (int)(sizeof(tests) / sizeof(*tests)));   \
    }

#endif
