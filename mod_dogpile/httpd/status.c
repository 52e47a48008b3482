/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status page. One list of what there is to say, written in two forms;
 * both read the shared memory as it is, so numbers of one page may be a few
 * requests apart. Runs on request threads.
 */
#include "httpd/status.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include "httpd/start.h"

/* How one form writes: a heading begins a group of rows. */
typedef struct form_t {
    request_rec *r;
    int is_json;
    int rows; /* in this group */
} form_t;

int dp_status_is(const request_rec *r)
{
    return r->handler && strcmp(r->handler, DP_STATUS_HANDLER) == 0;
}

/* --- the two forms ----------------------------------------------------- */

/* RFC 8259 section 7. */
static const char *json_text(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, 6 * strlen(text) + 3);
    char *o = out;

    *o++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            *o++ = '\\';
            *o++ = *text;
        }
        else if ((unsigned char)*text < ' ') {
            o += sprintf(o, "\\u%04x", *text);
        }
        else {
            *o++ = *text;
        }
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

static void begin_group(form_t *form, const char *name, const char *title)
{
    if (form->is_json) {
        if (name) {
            ap_rprintf(form->r, "%s\n %s: {", form->rows ? "," : "",
                       json_text(name, form->r->pool));
            form->rows = 0;
        }
    }
    else {
        ap_rprintf(form->r, "<h2>%s</h2>\n<table>\n", title);
    }
}

static void end_group(form_t *form, const char *name)
{
    if (!form->is_json) {
        ap_rputs("</table>\n", form->r);
    }
    else if (name) {
        ap_rputs("\n }", form->r);
        form->rows = 1;
    }
}

/* `value` is a number for JSON unless it is quoted. */
static void put_row(form_t *form, const char *label, const char *value,
                    int is_number, const char *text)
{
    apr_pool_t *pool = form->r->pool;

    if (form->is_json) {
        ap_rprintf(form->r, "%s\n  %s: %s", form->rows++ ? "," : "",
                   json_text(label, pool),
                   is_number ? value : json_text(value, pool));
        return;
    }
    ap_rprintf(form->r, "<tr><th>%s</th><td>%s</td><td>%s</td></tr>\n",
               ap_escape_html(pool, label), ap_escape_html(pool, value),
               text ? ap_escape_html(pool, text) : "");
}

static void put_number(form_t *form, const char *label, uint64_t value,
                       const char *text)
{
    put_row(form, label, apr_psprintf(form->r->pool, "%" PRIu64, value), 1,
            text);
}

static void put_text(void *baton, const char *label, const char *value)
{
    put_row(baton, label, value, 0, NULL);
}

/* --- what there is to say ---------------------------------------------- */

static void put_counts(form_t *form)
{
    dp_table_counts_t now;
    int i;

    dp_table_counts(dp_child.shared->table, &now);
    begin_group(form, NULL, "Now");
    put_number(form, "flights", (uint64_t)now.flights, "flights under way");
    put_number(form, "waiters", (uint64_t)now.waiters,
               "requests that wait for one");
    put_number(form, "blocked", (uint64_t)now.blocked,
               "of these, hold a thread");
    put_number(form, "max_blocked", (uint64_t)dp_child.max_blocked,
               "that may hold one");
    put_number(form, "fetching", (uint64_t)now.fetching,
               "requests to sources under way");
    end_group(form, NULL);
    begin_group(form, NULL, "Since the start");
    for (i = 0; i < DP_COUNTER_COUNT; i++) {
        put_number(form, dp_counter_name((dp_counter_e)i),
                   dp_counter(&dp_child.area->counters, (dp_counter_e)i),
                   dp_counter_text((dp_counter_e)i));
    }
    end_group(form, NULL);
}

static void put_passes(form_t *form)
{
    int i;

    begin_group(form, "pass", "Passed through, by reason");
    for (i = DP_REASON_NONE + 1; i < DP_REASON_COUNT; i++) {
        put_number(form, dp_reason_name((dp_reason_e)i),
                   __atomic_load_n(&dp_child.area->passes[i], __ATOMIC_RELAXED),
                   NULL);
    }
    end_group(form, "pass");
}

static void put_locker(form_t *form, const dp_locker_def_t *def)
{
    request_rec *r = form->r;
    const char *name = apr_pstrcat(r->pool, "locker ", def->conf.name, NULL);

    begin_group(form, name, ap_escape_html(r->pool, name));
    put_text(form, "type", def->provider->type);
    if (def->provider->describe) {
        def->provider->describe(def->locker, put_text, form, r->pool);
    }
    end_group(form, name);
}

static void put_store(form_t *form, const dp_store_def_t *def)
{
    request_rec *r = form->r;
    const char *name = apr_pstrcat(r->pool, "store ", def->spec, NULL);

    begin_group(form, name, ap_escape_html(r->pool, name));
    if (def->store->provider->describe) {
        def->store->provider->describe(def->store, put_text, form, r->pool);
    }
    end_group(form, name);
    put_locker(form, def->default_locker);
}

static void put_back_ends(form_t *form)
{
    int i;

    for (i = 0; i < dp_global->stores->nelts; i++) {
        dp_store_def_t *def =
            APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *);

        if (def != dp_global->default_store || dp_global->needs_default_store) {
            put_store(form, def);
        }
    }
    for (i = 0; i < dp_global->lockers->nelts; i++) {
        put_locker(form,
                   APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *));
    }
}

static void put_all(form_t *form)
{
    put_counts(form);
    put_passes(form);
    put_back_ends(form);
}

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<title>mod_dogpile status</title><style>"
    "body{font:15px/1.5 sans-serif;margin:2em;max-width:60em}"
    "th,td{text-align:left;padding:.1em 1.5em .1em 0;font-weight:normal}"
    "td:nth-child(2){font-variant-numeric:tabular-nums}"
    "td:nth-child(3){color:#666}h1,h2{font-weight:600}"
    "</style></head><body>\n<h1>mod_dogpile</h1>\n";

int dp_status_handler(request_rec *r)
{
    form_t form = {.r = r};

    if (!dp_status_is(r)) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        r->allowed |= (AP_METHOD_BIT << M_GET);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    form.is_json = r->args && strcmp(r->args, "format=json") == 0;
    ap_set_content_type(r, form.is_json ? "application/json"
                                        : "text/html; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_rputs(form.is_json ? "{" : page_head, r);
    put_all(&form);
    ap_rputs(form.is_json ? "\n}\n" : "</body></html>\n", r);
    return OK;
}
