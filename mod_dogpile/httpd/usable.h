/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long what the store has may be served: RFC 9111 section 4.2.4 and
 * RFC 5861, with the directives where the source has said nothing.
 */
#ifndef DP_HTTPD_USABLE_H
#define DP_HTTPD_USABLE_H

#include "httpd/config.h"
#include "store/record.h"

/* When the request came. */
int dp_is_fresh(const request_rec *r, const dp_record_t *record);

/* While it is refreshed. */
apr_time_t dp_stale_until(const dp_dir_t *resolved, const dp_record_t *record);

/* Where it can't be refreshed. */
apr_time_t dp_usable_until(const dp_dir_t *resolved, const dp_record_t *record);

#endif
