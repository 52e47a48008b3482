/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to leave something alone that has just failed.
 *
 * A pure function: no clock, no memory, no random source of its own. Whoever
 * counts the failures decides when they are forgotten.
 */
#ifndef DP_POLICY_BACKOFF_H
#define DP_POLICY_BACKOFF_H

#include <apr_time.h>

typedef struct dp_backoff_t {
    apr_interval_time_t first_usec;   /* after one failure; more than zero */
    apr_interval_time_t longest_usec; /* never more than this */
} dp_backoff_t;

/*
 * The pause after the `failures`-th failure in a row: twice the one before,
 * up to the longest. The upper half of it is left to `dice`, any random
 * number, so that those who failed together don't come back together.
 */
apr_interval_time_t dp_backoff_pause(const dp_backoff_t *backoff,
                                     unsigned int failures, unsigned int dice);

#endif
