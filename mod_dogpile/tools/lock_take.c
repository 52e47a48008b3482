/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a lock. Called once, by the main thread, before there is another
 * one; it sleeps only where a signal wakes it.
 *
 * A waiter looks and doesn't poll by taking; by its looks it keeps up its turn
 * where others have the lock shared. A locker that doesn't answer is asked
 * again for as long as a lease lasts: by then whoever had the lock has renewed
 * it elsewhere or lost it. The invariant: a locker that doesn't answer is never
 * taken for a free lock.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "lock/lock.h"
#include "policy/backoff.h"
#include "tools/lock_tool.h"

#define FIRST_PAUSE_USEC apr_time_from_msec(10)

typedef struct wait_t {
    dp_tool_t *tool;
    dogpile_locker_t *locker;
    apr_time_t deadline;     /* monotonic; 0 for none */
    apr_time_t failing_from; /* the first failure of those in a row, or 0 */
    unsigned int nlooks;
    int is_told; /* whom it waits for */
    apr_pool_t *scratch_pool;
} wait_t;

static apr_time_t now(void)
{
    return dp_clock_now(&dp_clock_monotonic);
}

static void tell(wait_t *wait, const dogpile_holder_t *holder)
{
    if (wait->tool->is_verbose && !wait->is_told) {
        dp_tool_say("waiting for pid %" APR_INT64_T_FMT " of host %s (%s)",
                    holder->pid,
                    dp_lock_label(holder->host, wait->scratch_pool),
                    dp_lock_label(holder->label, wait->scratch_pool));
        wait->is_told = 1;
    }
}

/* Take it, or look: APR_SUCCESS when it is ours, APR_EEXIST while it is
 * someone else's, or unavailable. */
static apr_status_t try(wait_t *wait, dogpile_id_t *token)
{
    const dp_tool_t *tool = wait->tool;
    dogpile_lock_state_e state = DOGPILE_FREE;
    dogpile_holder_t holder;
    apr_status_t status;

    if (wait->nlooks > 0) {
        status = dp_lock_probe(wait->locker, &tool->key, tool->mode, &state,
                               &holder, wait->scratch_pool);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    if (state == DOGPILE_FREE) {
        status = dp_lock_acquire(wait->locker, &tool->key, tool->mode, token,
                                 &holder, wait->scratch_pool);
        if (status != APR_EEXIST) {
            return status;
        }
    }
    tell(wait, &holder);
    return APR_EEXIST;
}

static apr_interval_time_t pause_usec(const wait_t *wait)
{
    dp_backoff_t backoff = {FIRST_PAUSE_USEC, wait->locker->conf->retry_usec};
    apr_time_t at = now();
    apr_interval_time_t pause =
        dp_backoff_pause(&backoff, wait->nlooks, (unsigned int)(at ^ getpid()));

    return wait->deadline && pause > wait->deadline - at ? wait->deadline - at
                                                         : pause;
}

/* The exit code of someone whose time is up, or 0. */
static int judge(wait_t *wait, apr_status_t status)
{
    const dp_tool_t *tool = wait->tool;
    apr_time_t at = now();
    int is_over = wait->deadline && at >= wait->deadline;

    if (status == APR_EEXIST) {
        wait->failing_from = 0;
        if (is_over && tool->is_verbose) {
            dp_tool_say("the lock wasn't had in time");
        }
        return is_over ? tool->conflict_code : 0;
    }
    if (wait->failing_from == 0) {
        wait->failing_from = at;
    }
    if (!is_over && at - wait->failing_from < wait->locker->conf->lease_usec) {
        return 0;
    }
    dp_tool_say("locker %s is unavailable: %s", wait->locker->conf->name,
                dp_tool_why(status, tool->pool));
    return EX_UNAVAILABLE;
}

static int may_run_unlocked(const dp_tool_t *tool, apr_status_t status)
{
    if (!tool->runs_unlocked
        || (status != EACCES && status != EROFS && status != EPERM
            && status != ENOENT)) {
        return 0;
    }
    dp_tool_say("locks can't be written (%s): running without",
                dp_tool_why(status, tool->pool));
    return 1;
}

int dp_tool_take(dp_tool_t *tool, dogpile_id_t *token)
{
    wait_t wait = {.tool = tool, .locker = tool->def->locker};
    int signal_no;
    int code = 0;

    if (tool->timeout_usec >= 0) {
        wait.deadline = now() + tool->timeout_usec;
    }
    apr_pool_create(&wait.scratch_pool, tool->pool);
    while (code == 0) {
        apr_status_t status = try(&wait, token);

        if (status == APR_SUCCESS || may_run_unlocked(tool, status)) {
            break;
        }
        code = judge(&wait, status);
        wait.nlooks++;
        apr_pool_clear(wait.scratch_pool);
        signal_no = code ? 0 : dp_command_signal(pause_usec(&wait));
        code = signal_no ? DP_EXIT_SIGNAL + signal_no : code;
    }
    apr_pool_destroy(wait.scratch_pool);
    return code;
}
