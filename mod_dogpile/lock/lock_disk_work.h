/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for calls that may hang: a file server that is gone holds whoever
 * asks it in the kernel, where no deadline reaches. So such a call is made by
 * a thread of its own while the caller waits as long as it is willing to.
 */
#ifndef DP_LOCK_LOCK_DISK_WORK_H
#define DP_LOCK_LOCK_DISK_WORK_H

#include <apr_pools.h>
#include <apr_time.h>

/* Threads of one locker in one child, made when needed and ended when idle.
 * A file server that works needs a few; one that hangs holds no more. */
#define DP_WORK_THREADS_MAX 8

typedef struct dp_work_t dp_work_t;
typedef struct dp_job_t dp_job_t;

/* One call. Embedded as the first member in what the call needs, all of it in
 * the job's own pool, since a late job outlives its caller. */
struct dp_job_t {
    apr_pool_t *pool;
    apr_status_t (*run)(dp_job_t *job);
    void (*late)(dp_job_t *job); /* its caller has gone: give back. Or NULL */
    apr_status_t status;         /* what run() returned */
    int state;                   /* the rest is of lock_disk_work.c */
    dp_job_t *next;
};

/* A zeroed job of `size` bytes. NULL: no memory. */
void *dp_job_make(apr_size_t size);
void dp_job_destroy(dp_job_t *job);

/* Ends with child_pool, but for threads that hang. No thread is made yet. */
apr_status_t dp_work_create(dp_work_t **work, apr_pool_t *child_pool);

/*
 * Run the job on a thread. 1: it is done, `status` is set and the job is the
 * caller's to destroy. 0: it wasn't done within wait_usec, or at once when
 * every thread hangs; the job is no longer the caller's.
 */
int dp_work_do(dp_work_t *work, dp_job_t *job, apr_interval_time_t wait_usec);

/* How many threads are with a call whose caller has given it up. */
int dp_work_hanging(dp_work_t *work);

#endif
