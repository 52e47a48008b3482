/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to clients: tiles, failures, and what a request that passes through
 * is given on its way.
 */
#ifndef DP_HTTPD_REPLY_H
#define DP_HTTPD_REPLY_H

#include "httpd/lines.h"
#include "httpd/task.h"

/* A bucket of bytes that stay as long as the request. */
apr_bucket *dp_reply_bucket(request_rec *r, const unsigned char *bytes,
                            apr_size_t length);

/* Count and note a hit. */
void dp_reply_count(request_rec *r, int fresh);

/* As dp_reply_tile(), with lines that are ready; they must last as long as the
 * request. */
int dp_reply_lines(request_rec *r, const dp_dir_t *dir,
                   const dp_record_t *record, int index,
                   const dp_lines_t *lines, apr_bucket *body);

/*
 * Answer with a tile of a record. `how` are the parameters of Cache-Status
 * (RFC 9211), "hit" or "fwd=uri-miss; collapsed"; `body` holds exactly the
 * tile's bytes. Returns what the handler returns.
 */
int dp_reply_tile(request_rec *r, const dp_dir_t *dir,
                  const dp_record_t *record, int index, const char *how,
                  apr_bucket *body);

/* Answer with an error that nobody may keep. */
int dp_reply_failure(request_rec *r, const dp_dir_t *dir, int status,
                     int retry_after_sec, const char *how);

/* Say in Cache-Status that the request passes through, and why. */
void dp_reply_pass(request_rec *r, const dp_dir_t *dir, const char *detail);

/* For logs: DOGPILE_STATUS. */
void dp_reply_note(request_rec *r, const char *status);

#endif
