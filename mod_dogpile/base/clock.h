/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of day as a value: whoever needs to know the time is handed one of
 * these, so that tests own time. Threads that wait use the real clock and
 * never ask this one.
 */
#ifndef DP_BASE_CLOCK_H
#define DP_BASE_CLOCK_H

#include <apr_time.h>

typedef struct dp_clock_t {
    apr_time_t (*now)(void *baton);
    void *baton;
} dp_clock_t;

/* The machine's clock. */
extern const dp_clock_t dp_clock_real;

static inline apr_time_t dp_clock_now(const dp_clock_t *clock)
{
    return clock->now(clock->baton);
}

#endif
