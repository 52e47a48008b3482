/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that were seen before, for tiles that are hot: answered without
 * being read.
 */
#ifndef DP_HTTPD_KNOWN_H
#define DP_HTTPD_KNOWN_H

#include "httpd/task.h"

/* Answers such a request. DECLINED where it isn't one. */
int dp_known_answer(request_rec *r);

/* It was answered from hot memory: the same request needn't be read again. */
void dp_known_keep(request_rec *r, const dp_task_t *task);

void dp_known_register(void);

#endif
