/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flight has done for a task: look in the store, ask the source and
 * make a record of the answer, put it in the store.
 */
#ifndef DP_HTTPD_FETCH_H
#define DP_HTTPD_FETCH_H

#include "flight/flight.h"
#include "httpd/internal.h"
#include "httpd/task.h"
#include "image/image.h"

/* The baton of a job is its dp_task_t. */
extern const dp_work_t dp_fetch_work;

/*
 * validate.c: whether an answer is the picture that was asked for. Returns
 * NULL and sets `kind`, or what is wrong, for people; `status` is then the
 * status for the clients.
 */
const char *dp_validate(const dp_answer_t *answer, const dp_task_t *task,
                        dp_image_kind_e *kind, int *status, apr_pool_t *pool);

/*
 * make.c: the record of a picture that dp_validate() has found good; or that
 * it must not be shared. Sets all of `made` but fetch_ms. Tiles that are cut
 * are handed out before by `early`. Returns NULL, or what is wrong with the
 * picture: `made` says nothing then.
 */
const char *dp_make_record(dp_catch_t *made, const dp_task_t *task,
                           const dp_answer_t *answer, dp_image_kind_e kind,
                           apr_time_t created, dp_early_t *early,
                           apr_pool_t *pool);

/* A record that a flight would replace. */
typedef struct dp_known_t {
    dp_record_t record;
    const unsigned char *bytes; /* all record.length of them */
} dp_known_t;

/* make.c: whether the source may be asked if it is still good: it has
 * validators, its tiles are those of the task, and all of it is whole. */
int dp_is_renewable(const dp_known_t *known, const dp_task_t *task);

/* make.c: as dp_make_record(), where the source has answered 304 to a question
 * about `known`. The new record has the same tiles. */
const char *dp_renew_record(dp_catch_t *made, const dp_task_t *task,
                            const dp_known_t *known, const dp_answer_t *answer,
                            apr_time_t created, apr_pool_t *pool);

/* The width and height of the picture that a task's flight asks for. */
void dp_picture_size(const dp_task_t *task, int *width, int *height);

#endif
