/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the command dogpile-lock share: dogpile-lock.c is main(),
 * lock_options.c reads the command line, lock_open.c finds the locker,
 * lock_take.c waits for a lock, lock_keep.c renews it, lock_command.c runs what
 * is done under it, and lock_show.c is for people.
 */
#ifndef DP_TOOLS_LOCK_TOOL_H
#define DP_TOOLS_LOCK_TOOL_H

#include <apr_pools.h>
#include <sysexits.h>

#include "lock/locker_def.h"

#define DP_VERSION "0.1.0"

/* Exit codes besides those of sysexits.h and of the command. */
#define DP_EXIT_CONFLICT 1    /* the lock wasn't had in time; it is free */
#define DP_EXIT_NOT_RUN 126   /* the command can't be run */
#define DP_EXIT_NOT_FOUND 127 /* there is no such command */
#define DP_EXIT_SIGNAL 128    /* and the signal's number */

typedef enum dp_verb_e {
    DP_VERB_RUN,
    DP_VERB_LIST,
    DP_VERB_SHOW,
    DP_VERB_BREAK
} dp_verb_e;

typedef struct dp_tool_t {
    dp_verb_e verb;
    const char *config;               /* -c, or NULL */
    const char *lock_namespace;       /* --namespace, or "" */
    dogpile_lock_mode_e mode;         /* -s or -x */
    apr_interval_time_t timeout_usec; /* --timeout; -1: without end */
    int conflict_code;                /* -E */
    int runs_unlocked;                /* --no-write-ok */
    int is_verbose;
    const char *name;     /* of the lock */
    char *const *command; /* ended by NULL */

    dp_locker_def_t *def; /* by dp_tool_open() */
    dogpile_log_t log;
    dogpile_lock_key_t key;
    apr_pool_t *pool; /* lives as long as the process */
} dp_tool_t;

/* To standard error, a line that begins with the command's name. */
void dp_tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The reason for a status, in words. */
const char *dp_tool_why(apr_status_t status, apr_pool_t *pool);

/*
 * Each of these returns 0, or the code with which the process is to exit; then
 * it has said why.
 */

/* `is_done` where nothing is left to do, as after --help. */
int dp_tool_options(dp_tool_t *tool, int *is_done, int argc,
                    char *const argv[]);

/* Read the configuration and make the locker ready. */
int dp_tool_open(dp_tool_t *tool);

/* Wait for the lock, as long as that may take. `token` is none where the
 * command is to run without (--no-write-ok). */
int dp_tool_take(dp_tool_t *tool, dogpile_id_t *token);

/* A lock that a thread renews. */
typedef struct dp_keep_t dp_keep_t;

int dp_keep_begin(dp_keep_t **keep, dp_tool_t *tool, const dogpile_id_t *token);

/* Give it back. Returns whether it was held from beginning to end. */
int dp_keep_end(dp_keep_t *keep);

/* The command, in a process of its own. */
typedef struct dp_command_t {
    pid_t pid;
    int gate; /* written to, it begins; closed, it never does */
} dp_command_t;

/*
 * Fork it, and let it wait. To be called before anything else opens files or
 * begins threads, so that the command inherits none of that. The signals that
 * dp_command_signal() returns are held back from now on.
 */
int dp_command_prepare(dp_command_t *command, char *const argv[]);

/* A signal that asks this process to end, within that time, or 0. */
int dp_command_signal(apr_interval_time_t usec);

/* Let it run, and hand signals on to it. Returns its exit code. */
int dp_command_run(const dp_command_t *command);

/* The other verbs, whole; each returns the exit code. */
int dp_tool_list(dp_tool_t *tool);
int dp_tool_show(dp_tool_t *tool);
int dp_tool_break(dp_tool_t *tool);

#endif
