/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lockers on the status page: where they are, how their members are, and who
 * holds what.
 *
 * Runs on request threads. Rows about a locker are what this process knows;
 * the state of a fallback's members is shared by all children. Leases are asked
 * of lock servers: of each locker once, within its own deadline, and of a
 * fallback's members only of those that are up. What comes is kept until the
 * back end has finished, so that a slow client never makes a lock server wait.
 *
 * The invariant: this page changes nothing, and is never refused because a
 * lock server fails.
 */
#include "httpd/status_lockers.h"

#include <apr_strings.h>

#include "httpd/start.h"
#include "lock/lock_fallback.h"

/* --- who holds what ---------------------------------------------------- */

typedef struct leases_t {
    apr_array_header_t *seen; /* of dogpile_holder_t, the first ones */
    int n;                    /* all */
} leases_t;

static void see(void *baton, const dogpile_holder_t *holder)
{
    leases_t *leases = baton;
    apr_pool_t *pool = leases->seen->pool;
    dogpile_holder_t *kept;

    if (leases->n++ >= DP_STATUS_LEASES_MAX) {
        return;
    }
    kept = apr_array_push(leases->seen);
    *kept = *holder;
    kept->host = apr_pstrdup(pool, holder->host ? holder->host : "");
    kept->label = apr_pstrdup(pool, holder->label ? holder->label : "");
}

/* How much of the truth the list is. */
static const char *list_text(const leases_t *leases, apr_status_t status,
                             apr_pool_t *pool)
{
    char text[128];

    if (status == APR_ENOTIMPL) {
        return "not possible with this type";
    }
    if (status == APR_INCOMPLETE) {
        return "incomplete: too much to look through in the time there is";
    }
    if (status != APR_SUCCESS) {
        return apr_pstrcat(pool, "unavailable: ",
                           apr_strerror(status, text, sizeof(text)), NULL);
    }
    return leases->n > leases->seen->nelts ? apr_psprintf(
               pool, "the first %d of %d", leases->seen->nelts, leases->n)
                                           : "complete";
}

static const char *seconds(apr_interval_time_t usec, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT ".%03d",
                        usec > 0 ? (apr_int64_t)apr_time_sec(usec) : 0,
                        usec > 0 ? (int)apr_time_msec(usec) : 0);
}

/* Is it one of this httpd's children? */
static int is_own(const dogpile_holder_t *holder, const char *host)
{
    return strcmp(holder->host, host) == 0
           && dp_table_find_slot(dp_child.shared->table, holder->pid) >= 0;
}

static void put_lease(dp_page_t *page, const dogpile_holder_t *holder,
                      const char *host)
{
    apr_pool_t *pool = page->r->pool;
    const dp_page_cell_t cells[] = {
        {"label", holder->label, 1},
        {"mode", holder->mode == DOGPILE_SHARED ? "shared" : "exclusive", 1},
        {"host", holder->host, 1},
        {"pid", apr_psprintf(pool, "%" APR_INT64_T_FMT, holder->pid), 0},
        {"own", is_own(holder, host) ? "true" : "false", 0},
        {"age_sec", seconds(holder->age_usec, pool), 0},
        {"left_sec", seconds(holder->left_usec, pool), 0},
    };
    int ncells = sizeof(cells) / sizeof(*cells);

    dp_page_record(page, cells, ncells);
}

static void put_leases(dp_page_t *page, const dp_locker_def_t *def)
{
    static const dp_page_cell_t columns[] = {
        {"label", NULL, 0},    {"mode", NULL, 0}, {"host", NULL, 0},
        {"pid", NULL, 0},      {"own", NULL, 0},  {"age_sec", NULL, 0},
        {"left_sec", NULL, 0},
    };
    apr_pool_t *pool = page->r->pool;
    const char *host =
        def->conf.host ? def->conf.host : dp_lock_this_host(pool);
    leases_t leases = {.n = 0};
    apr_status_t status;
    int i;

    leases.seen = apr_array_make(pool, 8, sizeof(dogpile_holder_t));
    status = dp_lock_list(def->locker, see, &leases, pool);
    dp_page_text(page, "list", list_text(&leases, status, pool),
                 "of the leases that can be seen");
    if (status == APR_ENOTIMPL) {
        return;
    }
    dp_page_table_begin(page, "leases", columns,
                        sizeof(columns) / sizeof(*columns));
    for (i = 0; i < leases.seen->nelts; i++) {
        put_lease(page, &APR_ARRAY_IDX(leases.seen, i, dogpile_holder_t), host);
    }
    dp_page_table_end(page);
}

/* --- how it is --------------------------------------------------------- */

static int members_of(const dogpile_locker_t *locker)
{
    const apr_array_header_t *members = locker->conf->members;

    return members ? members->nelts : 0;
}

static void put_members(dp_page_t *page, dogpile_locker_t *locker);

static void put_rows(dp_page_t *page, dogpile_locker_t *locker)
{
    if (locker->provider == &dp_lock_fallback) {
        dp_fallback_describe_itself(locker, dp_page_row, page, page->r->pool);
    }
    else {
        dp_lock_describe(locker, dp_page_row, page, page->r->pool);
    }
}

static void put_member(dp_page_t *page, dogpile_locker_t *of, int index)
{
    dogpile_locker_t *locker =
        APR_ARRAY_IDX(of->conf->members, index, dogpile_locker_t *);
    const char *type = locker->provider->type;
    const char *name = locker->conf->name ? locker->conf->name : type;

    dp_page_group_begin(page, NULL,
                        apr_pstrcat(page->r->pool, "member ", name, NULL));
    dp_page_text(page, "name", name, NULL);
    dp_page_text(page, "type", type, NULL);
    if (of->provider == &dp_lock_fallback) {
        dp_fallback_describe_health(of, index, dp_page_row, page,
                                    page->r->pool);
    }
    put_rows(page, locker);
    if (locker->provider->list == NULL) {
        dp_page_text(page, "list", "not possible with this type", NULL);
    }
    put_members(page, locker);
    dp_page_group_end(page);
}

static void put_members(dp_page_t *page, dogpile_locker_t *locker)
{
    int n = members_of(locker);
    int i;

    /* A member takes two groups, and its own members have theirs. */
    if (n == 0 || page->depth + 4 >= DP_PAGE_DEPTH_MAX) {
        return;
    }
    dp_page_list_begin(page, "members");
    for (i = 0; i < n; i++) {
        put_member(page, locker, i);
    }
    dp_page_list_end(page);
}

void dp_status_put_locker(dp_page_t *page, const dp_locker_def_t *def,
                          int wants_leases)
{
    const char *name =
        apr_pstrcat(page->r->pool, "locker ", def->conf.name, NULL);

    dp_page_group_begin(page, name, name);
    dp_page_text(page, "type", def->provider->type, NULL);
    put_rows(page, def->locker);
    /* A child without flights has no locker that is ready. */
    if (wants_leases && dp_child.flights) {
        put_leases(page, def);
    }
    put_members(page, def->locker);
    dp_page_group_end(page);
}
