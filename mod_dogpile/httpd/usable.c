/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on the times of a record; any thread.
 *
 * The source's word on how long a record may be stale goes before the
 * directive, where sources are believed.
 */
#include "httpd/usable.h"

int dp_is_fresh(const request_rec *r, const dp_record_t *record)
{
    return record->expires > r->request_time;
}

static apr_interval_time_t window(const dp_dir_t *resolved,
                                  apr_interval_time_t said,
                                  apr_interval_time_t directive)
{
    return resolved->honours_upstream && said != DP_WINDOW_UNSET ? said
                                                                 : directive;
}

apr_time_t dp_stale_until(const dp_dir_t *resolved, const dp_record_t *record)
{
    return record->expires
           + window(resolved, record->stale_usec, resolved->stale_usec);
}

apr_time_t dp_usable_until(const dp_dir_t *resolved, const dp_record_t *record)
{
    apr_time_t until = record->expires
                       + window(resolved, record->stale_on_error_usec,
                                resolved->stale_on_error_usec);
    apr_time_t anyway = dp_stale_until(resolved, record);

    return until > anyway ? until : anyway;
}
