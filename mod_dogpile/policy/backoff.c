/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exponential back-off with jitter, called by whoever keeps the health of
 * something that can fail, in any process and thread. Nothing is kept here.
 *
 * The invariant: a pause is at least half of what was asked for first (or of
 * the longest, where that is shorter) and never more than the longest.
 */
#include "policy/backoff.h"

apr_interval_time_t dp_backoff_pause(const dp_backoff_t *backoff,
                                     unsigned int failures, unsigned int dice)
{
    apr_interval_time_t longest = backoff->longest_usec;
    apr_interval_time_t pause = backoff->first_usec;
    apr_interval_time_t half;

    /* At most 63 rounds: each doubles what is below the longest. */
    while (failures > 1 && pause < longest) {
        pause = pause > longest / 2 ? longest : 2 * pause;
        failures--;
    }
    if (pause > longest) {
        pause = longest;
    }
    half = pause / 2;
    return pause - half + (apr_interval_time_t)dice % (half + 1);
}
