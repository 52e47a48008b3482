/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tile request with everything that answering it takes: what was asked, of
 * which source, under which settings. Made on the request's pool by the
 * handler, and again on the flight's pool where a flight must outlive the
 * request.
 */
#ifndef DP_HTTPD_TASK_H
#define DP_HTTPD_TASK_H

#include "httpd/config.h"

#include "flight/flight.h"

typedef struct dp_task_t {
    server_rec *server;
    int is_tls;
    dp_dir_t dir;     /* resolved; holds only pointers into the configuration */
    const char *path; /* the client's own, escaped, as it was sent */
    const char *query; /* the client's own, or NULL */
    const char *source_name;
    dp_verdict_e verdict;
    dp_request_t request;
    dogpile_key_t key;      /* for tiles and off-grid maps */
    dogpile_store_t *store; /* NULL where nothing is stored */
    int only_if_cached;     /* the client wants no waiting and no fetch */
    apr_time_t newer_than;  /* it wants nothing that was made before; or 0 */
    const char *fwd;        /* why the store alone can't answer: RFC 9211,
                               section 2.2 */
    dp_found_t *found;      /* of a flight: what it found and would replace, or
                               NULL */
} dp_task_t;

/* The client asks something of caches: what it is given depends on more than
 * its path and query. */
int dp_task_is_demanding(const request_rec *r);

/* Read a request. Always sets the task's verdict. */
void dp_task_read(dp_task_t *task, request_rec *r, const dp_dir_t *resolved);

/* A number that stands for the task's source. */
uint64_t dp_task_source(const dp_task_t *task);

/* A dp_make_job_fn whose baton is the request's task. */
dp_job_t *dp_task_job(void *task, apr_pool_t *flight_pool);

/* The locker of the task's flight. */
const dp_locker_def_t *dp_task_locker(const dp_task_t *task);

/* Which tile of the record is the request's. */
int dp_task_index(const dp_task_t *task);

#endif
