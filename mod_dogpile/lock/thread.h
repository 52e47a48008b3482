/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of a back end's own.
 */
#ifndef DP_LOCK_THREAD_H
#define DP_LOCK_THREAD_H

#include <pthread.h>

/* As pthread_create(3), for a thread that gets no signals: those are for
 * httpd's own threads. 0 or an error number. */
int dp_thread_start(pthread_t *thread, void *(*run)(void *), void *baton);

#endif
