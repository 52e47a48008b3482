/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a source's answer beside its picture: how long it lasts, its
 * validators, headers.
 */
#ifndef DP_HTTPD_HEAD_H
#define DP_HTTPD_HEAD_H

#include "httpd/internal.h"
#include "httpd/task.h"
#include "image/image.h"

/*
 * Fill a record, all of it but its tiles, from an answer with a picture of that
 * kind. Returns 1, or 0 where the answer must not be shared.
 */
int dp_head_make(dp_record_t *record, const dp_task_t *task,
                 const dp_answer_t *answer, dp_image_kind_e kind,
                 apr_time_t created, apr_pool_t *pool);

/*
 * The same from a 304 and the record that it says is still good (RFC 9111
 * section 4.3.4): what the answer names replaces what was kept, the rest stays.
 */
int dp_head_renew(dp_record_t *record, const dp_task_t *task,
                  const dp_record_t *known, const dp_answer_t *answer,
                  apr_time_t created, apr_pool_t *pool);

/* Whether anybody could be given the record later. */
int dp_head_is_worth_keeping(const dp_record_t *record);

#endif
