/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads on which the disk locker asks a file server.
 *
 * Callers are any threads of a child; each waits for its own job. One mutex
 * guards the queue, the states and the counts; it is never held across a
 * job. A thread that has had nothing to do for a while ends, so a locker on a
 * local disk has none.
 *
 * The invariant: a job belongs to its caller or to the threads, and the mutex
 * decides: a caller that gives up leaves the job to the thread that has it,
 * which gives back what the job took and destroys it. Memory of the queue
 * belongs to the last who goes, since a hanging thread outlives every pool.
 */
#include "lock/lock_disk_work.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

/* An idle thread ends after this. */
#define IDLE_USEC apr_time_from_sec(10)
/* At the end, threads that work may finish what they are at. */
#define FAREWELL_USEC apr_time_from_sec(1)

enum { QUEUED, RUNNING, DONE, GIVEN_UP };

struct dp_work_t {
    pthread_mutex_t mutex;
    pthread_cond_t queued;  /* for threads */
    pthread_cond_t changed; /* for callers: a job is done, a thread ended */
    dp_job_t *first;
    int was_used; /* a thread was started */
    int threads;
    int idle;
    int hanging; /* threads whose job was given up */
    int closed;
};

void *dp_job_make(apr_size_t size)
{
    apr_pool_t *pool;
    dp_job_t *job;

    /* Not below any other pool, all of which end with the process while a
     * thread may still hang. */
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    job = apr_pcalloc(pool, size);
    job->pool = pool;
    return job;
}

void dp_job_destroy(dp_job_t *job)
{
    apr_pool_destroy(job->pool);
}

/* Until the condition is signalled or it is `deadline`, monotonic. */
static int wait_until(pthread_cond_t *cond, dp_work_t *work,
                      apr_int64_t deadline)
{
    struct timespec until;

    until.tv_sec = (time_t)(deadline / APR_USEC_PER_SEC);
    until.tv_nsec = (long)(deadline % APR_USEC_PER_SEC) * 1000;
    return pthread_cond_timedwait(cond, &work->mutex, &until) != ETIMEDOUT;
}

/* The next job, or NULL when there was none for long, or it is the end. */
static dp_job_t *next_job_locked(dp_work_t *work)
{
    apr_int64_t deadline = dp_clock_now(&dp_clock_monotonic) + IDLE_USEC;
    int in_time = 1;
    dp_job_t *job;

    work->idle++;
    while (work->first == NULL && !work->closed && in_time) {
        in_time = wait_until(&work->queued, work, deadline);
    }
    work->idle--;
    job = work->first;
    if (job != NULL) {
        work->first = job->next;
        job->state = RUNNING;
    }
    return job;
}

/* The job has been run: its caller takes it, or nobody is there any more. */
static void finish_locked(dp_work_t *work, dp_job_t *job)
{
    if (job->state != GIVEN_UP) {
        job->state = DONE;
        pthread_cond_broadcast(&work->changed);
        return;
    }
    pthread_mutex_unlock(&work->mutex);
    if (job->late) {
        job->late(job);
    }
    dp_job_destroy(job);
    pthread_mutex_lock(&work->mutex);
    work->hanging--;
}

static void free_work(dp_work_t *work)
{
    pthread_cond_destroy(&work->queued);
    pthread_cond_destroy(&work->changed);
    pthread_mutex_destroy(&work->mutex);
    free(work);
}

static void *work_thread(void *baton)
{
    dp_work_t *work = baton;
    int is_last;
    dp_job_t *job;

    pthread_mutex_lock(&work->mutex);
    for (job = next_job_locked(work); job; job = next_job_locked(work)) {
        pthread_mutex_unlock(&work->mutex);
        job->status = job->run(job);
        pthread_mutex_lock(&work->mutex);
        finish_locked(work, job);
    }
    work->threads--;
    /* The cleanup has gone without this thread, or it waits for it. */
    is_last = work->closed == 2 && work->threads == 0;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->mutex);
    if (is_last) {
        free_work(work);
    }
    return NULL;
}

static void add_thread_locked(dp_work_t *work)
{
    pthread_t thread;

    if (dp_thread_start(&thread, work_thread, work) == 0) {
        pthread_detach(thread);
        work->was_used = 1;
        work->threads++;
    }
}

static void enqueue_locked(dp_work_t *work, dp_job_t *job)
{
    dp_job_t **end = &work->first;
    int waiting = 1;

    for (; *end; end = &(*end)->next) {
        waiting++;
    }
    *end = job;
    job->next = NULL;
    job->state = QUEUED;
    if (waiting > work->idle && work->threads < DP_WORK_THREADS_MAX) {
        add_thread_locked(work);
    }
    pthread_cond_signal(&work->queued);
}

/* Its caller has waited long enough. */
static void give_up_locked(dp_work_t *work, dp_job_t *job)
{
    dp_job_t **at = &work->first;

    if (job->state == RUNNING) {
        job->state = GIVEN_UP;
        work->hanging++;
        return;
    }
    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    dp_job_destroy(job);
}

int dp_work_do(dp_work_t *work, dp_job_t *job, apr_interval_time_t wait_usec)
{
    apr_int64_t deadline = dp_clock_now(&dp_clock_monotonic) + wait_usec;
    int in_time = 1;
    int is_done;

    pthread_mutex_lock(&work->mutex);
    if (work->closed || work->hanging == DP_WORK_THREADS_MAX) {
        pthread_mutex_unlock(&work->mutex);
        dp_job_destroy(job);
        return 0;
    }
    enqueue_locked(work, job);
    while (job->state != DONE && in_time) {
        in_time = wait_until(&work->changed, work, deadline);
    }
    is_done = job->state == DONE;
    if (!is_done) {
        give_up_locked(work, job);
    }
    pthread_mutex_unlock(&work->mutex);
    return is_done;
}

int dp_work_hanging(dp_work_t *work)
{
    int hanging;

    pthread_mutex_lock(&work->mutex);
    hanging = work->hanging;
    pthread_mutex_unlock(&work->mutex);
    return hanging;
}

/* A thread that hangs returns to this code when the file server does, and one
 * that was waited for takes its last steps in it: it stays loaded. */
static void stay_loaded(void)
{
    Dl_info info;

    if (dladdr((void *)&dp_clock_monotonic, &info) != 0 && info.dli_fname) {
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

static apr_status_t work_close(void *data)
{
    dp_work_t *work = data;
    apr_int64_t deadline = dp_clock_now(&dp_clock_monotonic) + FAREWELL_USEC;
    int in_time = 1;
    int is_last;

    pthread_mutex_lock(&work->mutex);
    work->closed = 1;
    pthread_cond_broadcast(&work->queued);
    while (work->threads > work->hanging && in_time) {
        in_time = wait_until(&work->changed, work, deadline);
    }
    is_last = work->threads == 0;
    work->closed = 2;
    pthread_mutex_unlock(&work->mutex);
    if (work->was_used) {
        stay_loaded();
    }
    if (is_last) {
        free_work(work);
    }
    return APR_SUCCESS;
}

apr_status_t dp_work_create(dp_work_t **work, apr_pool_t *child_pool)
{
    pthread_condattr_t attributes;

    *work = calloc(1, sizeof(**work));
    if (*work == NULL) {
        return APR_ENOMEM;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&(*work)->mutex, NULL);
    pthread_cond_init(&(*work)->queued, &attributes);
    pthread_cond_init(&(*work)->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    apr_pool_cleanup_register(child_pool, *work, work_close,
                              apr_pool_cleanup_null);
    return APR_SUCCESS;
}
