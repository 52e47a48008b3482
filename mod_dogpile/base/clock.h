/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of day as a value: whoever needs to know the time is handed one of
 * these, so that tests own time.
 */
#ifndef DP_BASE_CLOCK_H
#define DP_BASE_CLOCK_H

#include <apr_time.h>

typedef struct dp_clock_t {
    apr_time_t (*now)(void *baton);
    void *baton;
} dp_clock_t;

/* The machine's time of day: for what is written down. */
extern const dp_clock_t dp_clock_real;

/* Never jumps, equal in all processes of a host, means nothing on another
 * and after a boot: for leases, deadlines and ages. */
extern const dp_clock_t dp_clock_monotonic;

static inline apr_time_t dp_clock_now(const dp_clock_t *clock)
{
    return clock->now(clock->baton);
}

#endif
