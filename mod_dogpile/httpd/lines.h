/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header fields of a tile that change with time, as text.
 */
#ifndef DP_HTTPD_LINES_H
#define DP_HTTPD_LINES_H

#include <apr_time.h>

#include "store/record.h"

/* They are the same for all tiles of a record. */
typedef struct dp_lines_t {
    char last_modified[APR_RFC822_DATE_LEN];
    char expires[APR_RFC822_DATE_LEN];
    char cache_control[64];
    char age[24];
    char cache_status[280];
} dp_lines_t;

typedef struct dp_known_lines_t dp_known_lines_t; /* of a child */

/* `how` are the parameters of Cache-Status (RFC 9211). */
void dp_lines_make(dp_lines_t *lines, const dp_record_t *record,
                   const char *how, apr_time_t now);

dp_known_lines_t *dp_known_lines_create(apr_pool_t *pool);

/* Those of a hit, at the record's age in whole seconds; made once for all
 * requests that come in that second. From any thread. */
const dp_lines_t *dp_lines_of_hit(dp_known_lines_t *known,
                                  const dp_record_t *record, apr_time_t now,
                                  apr_pool_t *result_pool);

#endif
