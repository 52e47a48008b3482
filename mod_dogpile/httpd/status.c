/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status page: what there is to say. Its two forms are in status_form.c,
 * lockers in status_lockers.c.
 *
 * Runs on request threads. Numbers are read from the shared memory as it is, so
 * those of one page may be a few requests apart. Nothing here waits, but for
 * the leases, which are asked of lock servers within their deadlines.
 */
#include "httpd/status.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include "httpd/park.h"
#include "httpd/start.h"
#include "httpd/status_form.h"
#include "httpd/status_lockers.h"

/* Of sources that fail, shown: as many as are remembered. */
#define AILING_MAX 64

int dp_status_is(const request_rec *r)
{
    return r->handler && strcmp(r->handler, DP_STATUS_HANDLER) == 0;
}

static void put_counts(dp_page_t *page)
{
    dp_table_counts_t now;
    int i;

    dp_table_counts(dp_child.shared->table, &now);
    dp_page_heading(page, "Now");
    dp_page_number(page, "flights", (uint64_t)now.flights, "flights under way");
    dp_page_number(page, "waiters", (uint64_t)now.waiters,
                   "requests that wait for one");
    dp_page_number(page, "blocked", (uint64_t)now.blocked,
                   "of these, hold a thread");
    dp_page_number(
        page, "parked",
        (uint64_t)(now.waiters > now.blocked ? now.waiters - now.blocked : 0),
        "of these, hold none");
    dp_page_number(page, "max_parked", (uint64_t)dp_park_max(),
                   "that may, in one child");
    dp_page_number(page, "max_blocked", (uint64_t)dp_child.max_blocked,
                   "that may hold one");
    dp_page_number(page, "fetching", (uint64_t)now.fetching,
                   "requests to sources under way");
    dp_page_heading(page, "Since the start");
    for (i = 0; i < DP_COUNTER_COUNT; i++) {
        dp_page_number(page, dp_counter_name((dp_counter_e)i),
                       dp_counter(&dp_child.area->counters, (dp_counter_e)i),
                       dp_counter_text((dp_counter_e)i));
    }
}

static void put_ailing(dp_page_t *page, const dp_ailing_t *source)
{
    apr_pool_t *pool = page->r->pool;
    const dp_page_cell_t cells[] = {
        {"source", source->name, 1},
        {"failing_sec",
         apr_psprintf(pool, "%" APR_INT64_T_FMT,
                      apr_time_sec(source->since_usec)),
         0},
        {"left_sec",
         apr_psprintf(pool, "%" APR_INT64_T_FMT ".%03d",
                      (apr_int64_t)apr_time_sec(source->left_usec),
                      (int)apr_time_msec(source->left_usec)),
         0},
        {"tried", source->is_tried ? "true" : "false", 0},
        {"failures", apr_psprintf(pool, "%u", source->failures), 0},
        {"reason", source->outcome.fault, 1},
    };

    dp_page_record(page, cells, sizeof(cells) / sizeof(*cells));
}

/* Sources that are asked once a period. */
static void put_sources(dp_page_t *page)
{
    static const dp_page_cell_t columns[] = {
        {"source", NULL, 0}, {"failing_sec", NULL, 0}, {"left_sec", NULL, 0},
        {"tried", NULL, 0},  {"failures", NULL, 0},    {"reason", NULL, 0},
    };
    dp_ailing_t *ailing =
        apr_palloc(page->r->pool, AILING_MAX * sizeof(*ailing));
    int n =
        dp_recall_list(dp_child.shared->recall,
                       dp_clock_now(&dp_clock_monotonic), ailing, AILING_MAX);
    int i;

    if (n > 0) {
        dp_page_heading(page, "Sources that fail");
    }
    if (n == 0 && !page->is_json) {
        return;
    }
    dp_page_table_begin(page, "failing", columns,
                        sizeof(columns) / sizeof(*columns));
    for (i = 0; i < n && i < AILING_MAX; i++) {
        put_ailing(page, &ailing[i]);
    }
    dp_page_table_end(page);
}

static void put_passes(dp_page_t *page)
{
    int i;

    dp_page_group_begin(page, "pass", "Passed through, by reason");
    for (i = DP_REASON_NONE + 1; i < DP_REASON_COUNT; i++) {
        dp_page_number(
            page, dp_reason_name((dp_reason_e)i),
            __atomic_load_n(&dp_child.area->passes[i], __ATOMIC_RELAXED), NULL);
    }
    dp_page_group_end(page);
}

static void put_store(dp_page_t *page, const dp_store_def_t *def,
                      int wants_leases)
{
    apr_pool_t *pool = page->r->pool;
    const char *name = apr_pstrcat(pool, "store ", def->spec, NULL);

    dp_page_group_begin(page, name, name);
    if (def->store->provider->describe) {
        def->store->provider->describe(def->store, dp_page_row, page, pool);
    }
    dp_page_group_end(page);
    dp_status_put_locker(page, def->default_locker, wants_leases);
}

static void put_back_ends(dp_page_t *page, int wants_leases)
{
    int i;

    for (i = 0; i < dp_global->stores->nelts; i++) {
        dp_store_def_t *def =
            APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *);

        if (def != dp_global->default_store || dp_global->needs_default_store) {
            put_store(page, def, wants_leases);
        }
    }
    for (i = 0; i < dp_global->lockers->nelts; i++) {
        dp_status_put_locker(
            page, APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *),
            wants_leases);
    }
}

/* Is that one of the words of the query? */
static int is_asked(const request_rec *r, const char *word)
{
    const char *at = r->args;
    size_t length = strlen(word);

    while (at) {
        if (strncmp(at, word, length) == 0
            && (at[length] == '\0' || at[length] == '&')) {
            return 1;
        }
        at = strchr(at, '&');
        at = at ? at + 1 : NULL;
    }
    return 0;
}

int dp_status_handler(request_rec *r)
{
    dp_page_t page;

    if (!dp_status_is(r)) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        r->allowed |= (AP_METHOD_BIT << M_GET);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    dp_page_begin(&page, r, is_asked(r, "format=json"));
    put_counts(&page);
    put_sources(&page);
    put_passes(&page);
    put_back_ends(&page, !r->header_only && !is_asked(r, "leases=no"));
    dp_page_end(&page);
    return OK;
}
