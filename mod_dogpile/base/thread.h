/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the module's own. They get no signals: those are for httpd's.
 */
#ifndef DP_BASE_THREAD_H
#define DP_BASE_THREAD_H

#include <apr_thread_proc.h>
#include <pthread.h>

/* As pthread_create(3). 0 or an error number. */
int dp_thread_start(pthread_t *thread, void *(*run)(void *), void *baton);

/* As apr_thread_create(). */
apr_status_t dp_apr_thread_start(apr_thread_t **thread, apr_thread_start_t run,
                                 void *baton, apr_pool_t *pool);

#endif
