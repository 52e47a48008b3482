/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dogpile-lock: holds a lock of a locker while a command runs, so that an
 * import and the flights of mod_dogpile (DogpileSourceLock) keep out of each
 * other's way. The manual is docs/man/dogpile-lock.1.
 *
 * One process with two threads, the second only renews the lock, and the
 * command's process, which is forked first of all. The invariant: the command
 * doesn't begin before the lock is held, and the lock is renewed until the
 * command has ended.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "lock/name.h"
#include "tools/lock_tool.h"

void dp_tool_say(const char *format, ...)
{
    char line[2048];
    va_list args;

    va_start(args, format);
    apr_vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "dogpile-lock: %s\n", line);
}

const char *dp_tool_why(apr_status_t status, apr_pool_t *pool)
{
    char text[128];

    return apr_pstrdup(pool, apr_strerror(status, text, sizeof(text)));
}

static int run_under_lock(dp_tool_t *tool, const dp_command_t *command)
{
    dp_keep_t *keep = NULL;
    dogpile_id_t token;
    int code = dp_tool_take(tool, &token);

    if (code == 0 && !dp_id_is_none(&token)) {
        code = dp_keep_begin(&keep, tool, &token);
    }
    if (code) {
        return code;
    }
    code = dp_command_run(command);
    if (keep && !dp_keep_end(keep) && code == 0) {
        dp_tool_say("the command has succeeded, but not all of the time under "
                    "the lock");
        return EX_TEMPFAIL;
    }
    return code;
}

static int run(dp_tool_t *tool)
{
    dp_command_t command;
    int code;

    if (tool->verb == DP_VERB_RUN) {
        code = dp_command_prepare(&command, tool->command);
        if (code) {
            return code;
        }
    }
    if (tool->name) {
        dp_lock_named(&tool->key, tool->lock_namespace, tool->name,
                      strlen(tool->name), tool->pool);
    }
    code = dp_tool_open(tool);
    if (code) {
        return code;
    }
    switch (tool->verb) {
    case DP_VERB_LIST:
        return dp_tool_list(tool);
    case DP_VERB_SHOW:
        return dp_tool_show(tool);
    case DP_VERB_BREAK:
        return dp_tool_break(tool);
    default:
        return run_under_lock(tool, &command);
    }
}

int main(int argc, char *argv[])
{
    dp_tool_t tool = {.lock_namespace = "",
                      .mode = DOGPILE_EXCLUSIVE,
                      .timeout_usec = -1,
                      .conflict_code = DP_EXIT_CONFLICT};
    int is_done = 0;
    int code;

    if (apr_initialize() != APR_SUCCESS
        || apr_pool_create(&tool.pool, NULL) != APR_SUCCESS) {
        dp_tool_say("no memory");
        return EX_OSERR;
    }
    code = dp_tool_options(&tool, &is_done, argc, argv);
    if (code == 0 && !is_done) {
        code = run(&tool);
    }
    apr_terminate(); /* connections and sessions end in order */
    return code;
}
