/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client gets that can't have its tile in time: DogpileOnTimeout.
 */
#ifndef DP_HTTPD_INSTEAD_H
#define DP_HTTPD_INSTEAD_H

#include "httpd/task.h"

/* Why it can't. */
typedef struct dp_lack_t {
    const char *how; /* parameters of Cache-Status so far, "fwd=uri-miss" */
    const char *why; /* for its detail */
    int status;      /* of the error, where it comes to that */
    int retry_after_sec;
    int is_failure; /* the source has failed: DogpileStaleOnError holds,
                       whatever DogpileOnTimeout says */
    int is_final;   /* the source works and has no such picture: nothing is made
                     up for it */
    dp_counter_e counter; /* of the error */
} dp_lack_t;

/* Returns what the handler returns. */
int dp_answer_instead(request_rec *r, const dp_task_t *task,
                      const dp_lack_t *lack);

#endif
