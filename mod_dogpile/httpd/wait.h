/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests whose tile has to be fetched: they join its flight, wait, and are
 * answered with what it brings.
 */
#ifndef DP_HTTPD_WAIT_H
#define DP_HTTPD_WAIT_H

#include "httpd/task.h"

/* Returns what the handler returns: SUSPENDED where the request is parked. */
int dp_wait_for_tile(request_rec *r, const dp_task_t *task);

/* Fetch the tile anew behind the answer that the request gets: nobody waits
 * for it. */
void dp_refresh(request_rec *r, const dp_task_t *task);

#endif
