/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process a pid means: a pid alone comes round again, a pid with the
 * time its process started doesn't, within one boot and pid namespace.
 */
#ifndef DP_BASE_PROCESS_H
#define DP_BASE_PROCESS_H

#include <apr.h>
#include <sys/types.h>

/* When the process started, in clock ticks since boot (field 22 of
 * proc_pid_stat(5)); 0 when there is no such process or it is a zombie. */
apr_int64_t dp_process_started(pid_t pid);

/* The process that had the pid when it had started then is no more. */
int dp_process_is_gone(pid_t pid, apr_int64_t started);

#endif
