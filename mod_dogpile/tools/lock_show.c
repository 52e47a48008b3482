/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people ask of locks: which there are, who has one, and ending one that
 * somebody should have given back. Called by the main thread, which is the
 * only one but for those of a client library.
 *
 * Labels may come from requests of strangers, through a server that others
 * write to: nothing is printed that a terminal would obey.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lock.h"
#include "tools/lock_tool.h"

typedef struct table_t {
    const dogpile_lock_key_t *only; /* the lock that is shown, or NULL */
    int nrows;
    apr_array_header_t *alike; /* of dogpile_holder_t: perhaps of that lock */
    apr_pool_t *pool;
} table_t;

/* As ps(1) shows a time: 07:41, 03:07:41, 2-03:07:41. */
static const char *clock_text(apr_interval_time_t usec, apr_pool_t *pool)
{
    long seconds = (long)(usec > 0 ? apr_time_sec(usec) : 0);
    long days = seconds / 86400;
    const char *rest =
        apr_psprintf(pool, "%02ld:%02ld", seconds / 60 % 60, seconds % 60);

    if (seconds >= 3600) {
        rest = apr_psprintf(pool, "%02ld:%s", seconds / 3600 % 24, rest);
    }
    return days > 0 ? apr_psprintf(pool, "%ld-%s", days, rest) : rest;
}

static void print_row(table_t *table, const dogpile_holder_t *holder)
{
    if (table->nrows++ == 0) {
        printf("%-9s %-32s %8s %11s %11s  %s\n", "MODE", "HOST", "PID", "AGE",
               "LEFT", "NAME");
    }
    printf("%-9s %-32s %8" APR_INT64_T_FMT " %11s %11s  %s\n",
           holder->mode == DOGPILE_SHARED ? "shared" : "exclusive",
           holder->host && holder->host[0]
               ? dp_lock_label(holder->host, table->pool)
               : "-",
           holder->pid, clock_text(holder->age_usec, table->pool),
           clock_text(holder->left_usec, table->pool),
           dp_lock_label(holder->label, table->pool));
}

/* A back end that doesn't know whose lock it lists knows its label. */
static int is_alike(const table_t *table, const dogpile_holder_t *holder)
{
    static const dogpile_digest_t unknown;

    return dp_digest_equal(&holder->digest, &unknown) && holder->label
           && strcmp(holder->label, table->only->label) == 0;
}

static void visit(void *baton, const dogpile_holder_t *holder)
{
    table_t *table = baton;
    dogpile_holder_t *kept;

    if (table->only == NULL
        || dp_digest_equal(&table->only->digest, &holder->digest)) {
        print_row(table, holder);
    }
    else if (is_alike(table, holder)) {
        kept = apr_array_push(table->alike);
        *kept = *holder;
        kept->host = apr_pstrdup(table->pool, holder->host);
        kept->label = table->only->label;
    }
}

static int unavailable(const dp_tool_t *tool, apr_status_t status)
{
    dp_tool_say("locker %s is unavailable: %s", tool->def->conf.name,
                dp_tool_why(status, tool->pool));
    return EX_UNAVAILABLE;
}

int dp_tool_list(dp_tool_t *tool)
{
    table_t table = {.pool = tool->pool};
    apr_status_t status =
        dp_lock_list(tool->def->locker, visit, &table, tool->pool);

    if (status == APR_ENOTIMPL) {
        dp_tool_say("locker %s can't list its locks; show NAME can tell of one",
                    tool->def->conf.name);
        return EX_UNAVAILABLE;
    }
    return status == APR_SUCCESS ? 0 : unavailable(tool, status);
}

/* Of those that look like the lock's holders, all if `holder` is one. */
static void print_alike(table_t *table, const dogpile_holder_t *holder)
{
    int is_among = 0;
    int i;

    for (i = 0; i < table->alike->nelts; i++) {
        is_among |=
            dp_id_equal(&APR_ARRAY_IDX(table->alike, i, dogpile_holder_t).token,
                        &holder->token);
    }
    for (i = 0; is_among && i < table->alike->nelts; i++) {
        print_row(table, &APR_ARRAY_IDX(table->alike, i, dogpile_holder_t));
    }
    if (!is_among) {
        print_row(table, holder);
    }
}

/* The list knows all who share a lock. A look knows one, but always; it comes
 * second, since it may keep others from sharing the lock for a moment, as that
 * of somebody who waits would. */
int dp_tool_show(dp_tool_t *tool)
{
    table_t table = {
        .only = &tool->key,
        .alike = apr_array_make(tool->pool, 4, sizeof(dogpile_holder_t)),
        .pool = tool->pool};
    dogpile_lock_state_e state;
    dogpile_holder_t holder;
    apr_status_t status;

    (void)dp_lock_list(tool->def->locker, visit, &table, tool->pool);
    if (table.nrows > 0) {
        return 0;
    }
    status = dp_lock_probe(tool->def->locker, &tool->key, DOGPILE_EXCLUSIVE,
                           &state, &holder, tool->pool);
    if (status != APR_SUCCESS) {
        return unavailable(tool, status);
    }
    if (state == DOGPILE_FREE) {
        puts("free");
        return DP_EXIT_CONFLICT;
    }
    print_alike(&table, &holder);
    return 0;
}

int dp_tool_break(dp_tool_t *tool)
{
    apr_status_t status =
        dp_lock_break(tool->def->locker, &tool->key, tool->pool);

    if (status == APR_NOTFOUND) {
        puts("free");
        return DP_EXIT_CONFLICT;
    }
    return status == APR_SUCCESS ? 0 : unavailable(tool, status);
}
