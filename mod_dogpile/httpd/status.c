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
    put_passes(&page);
    put_back_ends(&page, !r->header_only && !is_asked(r, "leases=no"));
    dp_page_end(&page);
    return OK;
}
