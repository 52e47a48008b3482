/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a locker's answer was "unavailable", for its log and the status
 * page. Any thread may count; the members are atomic.
 */
#ifndef DP_LOCK_FAILURES_H
#define DP_LOCK_FAILURES_H

#include "dogpile_locker.h"

typedef struct dp_failures_t {
    volatile apr_uint32_t count;
    volatile apr_uint32_t last;         /* apr_status_t of the last */
    volatile apr_uint32_t reported_sec; /* when one was logged */
} dp_failures_t;

/* Count one. 1 if it is time to say so: one complaint a minute says as much as
 * thousands. */
int dp_failures_add(dp_failures_t *failures, apr_status_t status);

/* The row "unavailable". */
void dp_failures_describe(dp_failures_t *failures, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool);

#endif
