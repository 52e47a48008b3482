/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of the server and of its children: what they share, and what each
 * child has for itself.
 */
#ifndef DP_HTTPD_START_H
#define DP_HTTPD_START_H

#include <mpm_common.h>

#include "httpd/config.h"
#include "httpd/cut.h"

#include "flight/flight.h"
#include "store/hot.h"

/* Passes of which the reason has been logged are remembered in a table of
 * this size; beyond it they are only counted. */
#define DP_SAID_MAX 512

/* Shared by all children, kept over a graceful restart. */
typedef struct dp_area_t {
    dp_counters_t counters;
    uint64_t passes[DP_REASON_COUNT];
    uint64_t said[DP_SAID_MAX]; /* hashes, 0 for an empty place */
    dp_cutters_t cutters;
} dp_area_t;

/* What a child has. */
typedef struct dp_child_t {
    dp_flights_t *flights; /* NULL where the child has no place for them */
    dp_area_t *area;
    dp_shared_t *shared;
    int max_blocked;
    int is_threaded;
    dp_hot_t *hot;
    struct dp_memos_t *memos;
    struct dp_known_lines_t *lines;
    conn_rec *master; /* of the internal connections (internal.c) */
    apr_thread_mutex_t *master_mutex;
    apr_pool_t *pool;
} dp_child_t;

extern dp_child_t dp_child;

/* httpd's hooks. */
int dp_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                   server_rec *s);
void dp_child_init(apr_pool_t *pchild, server_rec *s);
void dp_child_stopping(apr_pool_t *pchild, int graceful);
void dp_child_status(server_rec *s, pid_t pid, ap_generation_t generation,
                     int slot, mpm_child_status state);

#endif
