/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the module doesn't answer with a tile: those that go on to
 * whoever renders, and those that are refused.
 */
#ifndef DP_HTTPD_PASS_H
#define DP_HTTPD_PASS_H

#include "httpd/task.h"

/* Leave it to httpd, and say why in Cache-Status, in the counters and, once a
 * source and reason, in the log. DECLINED. */
int dp_pass_through(request_rec *r, const dp_task_t *task, dp_reason_e reason);

/* It was left to httpd before. */
int dp_has_passed_through(const request_rec *r);

/* Refuse it; returns the status. */
int dp_turn_away(request_rec *r, const dp_task_t *task);

#endif
