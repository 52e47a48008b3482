/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cutters: threads of a child that help a fetcher thread encode the tiles
 * of its metatile, where there is more than one processor.
 *
 * A cut is a counter of tiles from which the fetcher's thread and the cutters
 * take the next one. The fetcher never waits for a cutter to come: it cuts
 * what nobody else has taken, and only waits at the end for those who are in
 * the middle of a tile. Over the whole httpd there are never more cutters at
 * work than processors less one, by places in shared memory that hold the pid
 * of their user; a place of a process that has died is free. One mutex guards
 * the list of cuts and the numbers of their users.
 */
#include "httpd/cut.h"

#include <apr_thread_proc.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "httpd/start.h"

typedef struct work_t work_t;
struct work_t {
    work_t *next_work;
    const dp_cut_t *cut;
    dp_piece_t *pieces;
    int next; /* taken so far; atomic */
    apr_status_t status;
    const char *why;
    int cutters; /* at work beside the fetcher */
    apr_pool_t *pools[DP_CUTTERS_MAX];
    int npools;
};

/* Of this child. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    pthread_cond_t left;
    work_t *works;
    int nthreads;
    int nthreads_max;
    int is_stopping;
    apr_thread_t *threads[DP_CUTTERS_MAX];
    apr_pool_t *pool;
} cutters;

/* --- places ------------------------------------------------------------ */

static int is_dead(apr_int64_t pid)
{
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Returns the index of a place, or -1 where all processors are busy. */
static int take_place(void)
{
    apr_int64_t mine = getpid();
    int i;

    for (i = 0; i < cutters.nthreads_max; i++) {
        apr_int64_t *place = &dp_child.area->cutters.pids[i];
        apr_int64_t pid = __atomic_load_n(place, __ATOMIC_RELAXED);

        if ((pid == 0 || (pid != mine && is_dead(pid)))
            && __atomic_compare_exchange_n(
                place, &pid, mine, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            return i;
        }
    }
    return -1;
}

static void leave_place(int place)
{
    __atomic_store_n(&dp_child.area->cutters.pids[place], 0, __ATOMIC_RELEASE);
}

/* --- cutting ----------------------------------------------------------- */

static int has_tiles(const work_t *work)
{
    return __atomic_load_n(&work->next, __ATOMIC_RELAXED) < work->cut->n;
}

static void cut_tiles(work_t *work, apr_pool_t *pool)
{
    const dp_cut_t *cut = work->cut;
    const char *why = NULL;
    int taken;
    int i;

    while ((taken = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED))
           < cut->n) {
        i = (cut->first + taken) % cut->n;
        if (dp_split_piece(&work->pieces[i], cut->split, i, &why, pool)
            != APR_SUCCESS) {
            pthread_mutex_lock(&cutters.mutex);
            work->status = APR_ENOMEM;
            work->why = why;
            pthread_mutex_unlock(&cutters.mutex);
            return;
        }
        cut->done(cut->baton, i, &work->pieces[i], pool);
    }
}

/* A cut with tiles left, that may have one cutter more. */
static work_t *find_locked(void)
{
    work_t *work = cutters.works;

    while (work != NULL
           && (!has_tiles(work) || work->npools == DP_CUTTERS_MAX)) {
        work = work->next_work;
    }
    return work;
}

static void help_locked(work_t *work)
{
    apr_pool_t *pool;
    int place;

    apr_pool_create_unmanaged(&pool); /* of nobody but this thread */
    work->cutters++;
    work->pools[work->npools++] = pool;
    pthread_mutex_unlock(&cutters.mutex);
    place = take_place();
    if (place >= 0) {
        cut_tiles(work, pool);
        leave_place(place);
    }
    pthread_mutex_lock(&cutters.mutex);
    if (--work->cutters == 0) {
        pthread_cond_broadcast(&cutters.left);
    }
    if (place < 0 && !cutters.is_stopping) {
        /* The processors are busy with others; so is this one's thread. */
        pthread_cond_wait(&cutters.called, &cutters.mutex);
    }
}

static void *APR_THREAD_FUNC cutter_main(apr_thread_t *thread, void *baton)
{
    work_t *work;

    (void)thread;
    (void)baton;
    pthread_mutex_lock(&cutters.mutex);
    while (!cutters.is_stopping) {
        work = find_locked();
        if (work != NULL) {
            help_locked(work);
        }
        else {
            pthread_cond_wait(&cutters.called, &cutters.mutex);
        }
    }
    pthread_mutex_unlock(&cutters.mutex);
    return NULL;
}

/* Called on a fetcher thread, whose signals are blocked, as they then are in
 * the new one. */
static void call_cutters_locked(int wanted)
{
    while (cutters.nthreads < cutters.nthreads_max && cutters.nthreads < wanted
           && apr_thread_create(&cutters.threads[cutters.nthreads], NULL,
                                cutter_main, NULL, cutters.pool)
                  == APR_SUCCESS) {
        cutters.nthreads++;
    }
    pthread_cond_broadcast(&cutters.called);
}

static void add(work_t *work)
{
    pthread_mutex_lock(&cutters.mutex);
    work->next_work = cutters.works;
    cutters.works = work;
    call_cutters_locked(work->cut->n - 1);
    pthread_mutex_unlock(&cutters.mutex);
}

static void take_out(work_t *work)
{
    work_t **from = &cutters.works;

    pthread_mutex_lock(&cutters.mutex);
    while (*from != work) {
        from = &(*from)->next_work;
    }
    *from = work->next_work;
    while (work->cutters > 0) {
        pthread_cond_wait(&cutters.left, &cutters.mutex);
    }
    pthread_mutex_unlock(&cutters.mutex);
}

static apr_status_t destroy_pool(void *pool)
{
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

apr_status_t dp_cut(dp_piece_t *pieces, const dp_cut_t *cut, const char **why,
                    apr_pool_t *pool)
{
    work_t *work = apr_pcalloc(pool, sizeof(*work));
    int is_shared = cut->n > 1 && cutters.nthreads_max > 0;
    int i;

    work->cut = cut;
    work->pieces = pieces;
    if (is_shared) {
        add(work);
    }
    cut_tiles(work, pool);
    if (is_shared) {
        take_out(work);
    }
    for (i = 0; i < work->npools; i++) {
        apr_pool_cleanup_register(pool, work->pools[i], destroy_pool,
                                  apr_pool_cleanup_null);
    }
    *why = work->why;
    return work->status;
}

/* --- the child --------------------------------------------------------- */

static apr_status_t stop(void *none)
{
    apr_status_t rv;
    int i;

    (void)none;
    pthread_mutex_lock(&cutters.mutex);
    cutters.is_stopping = 1;
    pthread_cond_broadcast(&cutters.called);
    pthread_mutex_unlock(&cutters.mutex);
    for (i = 0; i < cutters.nthreads; i++) {
        apr_thread_join(&rv, cutters.threads[i]);
    }
    apr_pool_destroy(cutters.pool);
    return APR_SUCCESS;
}

void dp_cut_child_init(apr_pool_t *pchild)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    pthread_mutex_init(&cutters.mutex, NULL);
    pthread_cond_init(&cutters.called, NULL);
    pthread_cond_init(&cutters.left, NULL);
    cutters.nthreads_max = processors > DP_CUTTERS_MAX
                               ? DP_CUTTERS_MAX
                               : (int)(processors > 1 ? processors - 1 : 0);
    apr_pool_create_unmanaged(&cutters.pool);
    apr_pool_pre_cleanup_register(pchild, NULL, stop);
}
