/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts threads: see thread.h. Called by any thread of a child, whose own
 * signals are as before when it returns; no state.
 */
#include "base/thread.h"

#include <signal.h>

/* A thread begins with the mask of whoever makes it. */
static void block_signals(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

int dp_thread_start(pthread_t *thread, void *(*run)(void *), void *baton)
{
    sigset_t before;
    int error;

    block_signals(&before);
    error = pthread_create(thread, NULL, run, baton);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

apr_status_t dp_apr_thread_start(apr_thread_t **thread, apr_thread_start_t run,
                                 void *baton, apr_pool_t *pool)
{
    sigset_t before;
    apr_status_t rv;

    block_signals(&before);
    rv = apr_thread_create(thread, NULL, run, baton, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}
