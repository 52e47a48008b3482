/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests may wait: what DogpileMaxWaiters and DogpileMaxBlocked
 * are, or follow from the limits of the MPM.
 */
#ifndef DP_HTTPD_CAPACITY_H
#define DP_HTTPD_CAPACITY_H

#include "httpd/config.h"

/* Requests that may be parked in one child; 0 where none can. */
int dp_capacity_waiters(void);

/* Requests that may hold a thread while they wait, in all children. */
int dp_capacity_blocked(void);

/* Threads that serve requests, in all children. */
int dp_capacity_threads(void);

/* httpd's check_config hook: warn of numbers that can't work. */
int dp_capacity_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s);

/* At a start: say what requests can't park for, and warn where the process may
 * not have enough descriptors. */
void dp_capacity_announce(server_rec *s);

#endif
