/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static apr_time_t real_now(void *baton)
{
    (void)baton;
    return apr_time_now();
}

const dp_clock_t dp_clock_real = {
    .now = real_now,
    .baton = NULL,
};

static apr_time_t monotonic_now(void *baton)
{
    struct timespec now;

    (void)baton;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_make(now.tv_sec, now.tv_nsec / 1000);
}

const dp_clock_t dp_clock_monotonic = {
    .now = monotonic_now,
    .baton = NULL,
};
