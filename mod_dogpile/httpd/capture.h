/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catching the answer to the module's own request.
 */
#ifndef DP_HTTPD_CAPTURE_H
#define DP_HTTPD_CAPTURE_H

#include "httpd/internal.h"

void dp_capture_register(void);

/* Catch what `r` answers, or what a redirect of it does. */
void dp_capture_insert(request_rec *r, dp_answer_t *answer,
                       apr_size_t max_bytes);

/* The status and headers that `r` has. */
void dp_capture_head(dp_answer_t *answer, const request_rec *r);

#endif
