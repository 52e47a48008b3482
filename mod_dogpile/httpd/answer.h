/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flight came to, as the answer of a request that waited for it.
 */
#ifndef DP_HTTPD_ANSWER_H
#define DP_HTTPD_ANSWER_H

#include "flight/flight.h"
#include "httpd/task.h"

/* How a request came to its tile, for Cache-Status (RFC 9211). */
const char *dp_way_of(const dp_task_t *task, dp_join_e join,
                      const dp_outcome_t *outcome, apr_pool_t *pool);

/* The tile, or what is sent instead. Return what a handler returns. */
int dp_answer_outcome(request_rec *r, const dp_task_t *task,
                      dp_waiter_t *waiter, const dp_outcome_t *outcome,
                      const char *how);
int dp_answer_failure(request_rec *r, const dp_task_t *task,
                      const dp_outcome_t *outcome, const char *how);

/* The tile, where it has landed and needs no more memory than is given: it is
 * of use until the answer was passed on. Else DECLINED. */
int dp_answer_in(dp_scratch_t *scratch, request_rec *r, const dp_task_t *task,
                 dp_waiter_t *waiter, const dp_outcome_t *outcome,
                 const char *how);

#endif
