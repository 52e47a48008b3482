/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts threads of back ends: see thread.h. Called by any thread of a child,
 * whose own signals are as before when it returns; no state.
 */
#include "lock/thread.h"

#include <signal.h>

int dp_thread_start(pthread_t *thread, void *(*run)(void *), void *baton)
{
    sigset_t before;
    sigset_t all;
    int error;

    /* A thread begins with the mask of whoever makes it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, run, baton);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
