/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

static apr_time_t real_now(void *baton)
{
    (void)baton;
    return apr_time_now();
}

const dp_clock_t dp_clock_real = {
    .now = real_now,
    .baton = NULL,
};
