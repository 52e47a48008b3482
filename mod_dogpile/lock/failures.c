/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts a locker's failures: see failures.h. Called by the lockers from any
 * thread of any child, and for the status page.
 *
 * The invariant: of those who fail in the same minute, one is told to say so.
 */
#include "lock/failures.h"

#include <apr_atomic.h>
#include <apr_strings.h>

#define REPORT_SEC 60

int dp_failures_add(dp_failures_t *failures, apr_status_t status)
{
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t before = apr_atomic_read32(&failures->reported_sec);

    apr_atomic_inc32(&failures->count);
    apr_atomic_set32(&failures->last, (apr_uint32_t)status);
    return now - before >= REPORT_SEC
           && apr_atomic_cas32(&failures->reported_sec, now, before) == before;
}

void dp_failures_describe(dp_failures_t *failures, dogpile_row_fn *row,
                          void *baton, apr_pool_t *scratch_pool)
{
    apr_uint32_t count = apr_atomic_read32(&failures->count);
    apr_status_t last = (apr_status_t)apr_atomic_read32(&failures->last);
    char text[128];

    row(baton, "unavailable",
        count == 0 ? "never"
                   : apr_psprintf(scratch_pool, "%u times, last: %s", count,
                                  apr_strerror(last, text, sizeof(text))));
}
