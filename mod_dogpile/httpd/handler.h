/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content handler of tile requests.
 */
#ifndef DP_HTTPD_HANDLER_H
#define DP_HTTPD_HANDLER_H

#include "httpd/task.h"

int dp_handler(request_rec *r);

/* It is for this module to answer, or to say why not. */
int dp_is_ours(const request_rec *r);

/* The bytes of the tile that the store has, under the same condition as below,
 * and its record; or NULL. */
const dp_record_t *dp_look_anyway(request_rec *r, const dp_task_t *task,
                                  const unsigned char **bytes);

/* Instead of an error: what the store has, expired or not, as long as it may be
 * served where it can't be refreshed. `how` as for dp_reply_tile(). DECLINED
 * where there is nothing. */
int dp_answer_anyway(request_rec *r, const dp_task_t *task, const char *how);

#endif
