/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the status page as HTML or as JSON. Called by status.c on request
 * threads; all state is in the dp_page_t.
 *
 * Names of lockers and stores are the administrator's bytes, labels of locks
 * those of a request or of another host. The invariant: no byte gets out that
 * isn't UTF-8, and none that means something in the form.
 */
#include "httpd/status_form.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* What stands for a byte that belongs to no character (Unicode, U+FFFD). */
#define REPLACEMENT "\xef\xbf\xbd"

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<title>mod_dogpile status</title><style>"
    "body{font:15px/1.5 sans-serif;margin:2em;max-width:60em}"
    "th,td{text-align:left;padding:.1em 1.5em .1em 0;font-weight:normal;"
    "vertical-align:top}"
    "td:nth-child(2){font-variant-numeric:tabular-nums}"
    "td:nth-child(3),thead th{color:#666}h1,h2,h3{font-weight:600}"
    "</style></head><body>\n<h1>mod_dogpile</h1>\n";

/* --- texts ------------------------------------------------------------- */

/* Bytes of the character at `s`, or 0 where none begins (RFC 3629 section 4).
 * The final zero goes on with nothing. */
static int length_of_character(const unsigned char *s)
{
    int length = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;
    int i;

    for (i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* Written longer than need be, surrogates, beyond the last character. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)
        || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return length;
}

static const char *as_utf8(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, 3 * strlen(text) + 1);
    char *o = out;

    while (*text) {
        int length = length_of_character((const unsigned char *)text);

        memcpy(o, length ? text : REPLACEMENT, length ? (size_t)length : 3);
        o += length ? length : 3;
        text += length ? length : 1;
    }
    *o = '\0';
    return out;
}

static const char *as_html(const char *text, apr_pool_t *pool)
{
    return ap_escape_html(pool, as_utf8(text, pool));
}

/* RFC 8259 section 7. */
static const char *as_json(const char *text, apr_pool_t *pool)
{
    const char *in = as_utf8(text, pool);
    char *out = apr_palloc(pool, 6 * strlen(in) + 3);
    char *o = out;

    *o++ = '"';
    for (; *in; in++) {
        if (*in == '"' || *in == '\\') {
            *o++ = '\\';
            *o++ = *in;
        }
        else if ((unsigned char)*in < ' ') {
            o += sprintf(o, "\\u%04x", *in);
        }
        else {
            *o++ = *in;
        }
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

/* --- JSON -------------------------------------------------------------- */

/* Whatever comes next in the innermost group, under that name or none. */
static void json_next(dp_page_t *page, const char *name)
{
    int *rows = &page->rows[page->depth];

    ap_rprintf(page->r, "%s\n%*s", (*rows)++ ? "," : "", page->depth + 1, "");
    if (name && page->ends[page->depth] == '}') {
        ap_rprintf(page->r, "%s: ", as_json(name, page->r->pool));
    }
}

static void json_open(dp_page_t *page, const char *name, char begin, char end)
{
    json_next(page, name);
    ap_rputc(begin, page->r);
    page->depth++;
    ap_assert(page->depth < DP_PAGE_DEPTH_MAX);
    page->rows[page->depth] = 0;
    page->ends[page->depth] = end;
}

static void json_close(dp_page_t *page)
{
    char end = page->ends[page->depth--];

    ap_rprintf(page->r, "\n%*s%c", page->depth + 1, "", end);
}

/* --- HTML -------------------------------------------------------------- */

static void html_end_table(dp_page_t *page)
{
    if (page->is_in_table) {
        ap_rputs("</table>\n", page->r);
    }
    page->is_in_table = 0;
}

static void html_heading(dp_page_t *page, const char *title)
{
    int level = page->depth > 0 ? 3 : 2;

    html_end_table(page);
    ap_rprintf(page->r, "<h%d>%s</h%d>\n", level, as_html(title, page->r->pool),
               level);
}

static void html_row(dp_page_t *page, const char *label, const char *value,
                     const char *remark)
{
    apr_pool_t *pool = page->r->pool;

    if (!page->is_in_table) {
        ap_rputs("<table>\n", page->r);
    }
    page->is_in_table = 1;
    ap_rprintf(page->r, "<tr><th>%s</th><td>%s</td><td>%s</td></tr>\n",
               as_html(label, pool), as_html(value, pool),
               remark ? as_html(remark, pool) : "");
}

/* --- groups and rows --------------------------------------------------- */

void dp_page_begin(dp_page_t *page, request_rec *r, int is_json)
{
    memset(page, 0, sizeof(*page));
    page->r = r;
    page->is_json = is_json;
    page->ends[0] = '}';
    ap_set_content_type(r, is_json ? "application/json"
                                   : "text/html; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_rputs(is_json ? "{" : page_head, r);
}

void dp_page_end(dp_page_t *page)
{
    html_end_table(page);
    ap_rputs(page->is_json ? "\n}\n" : "</body></html>\n", page->r);
}

void dp_page_heading(dp_page_t *page, const char *title)
{
    if (!page->is_json) {
        html_heading(page, title);
    }
}

void dp_page_group_begin(dp_page_t *page, const char *name, const char *title)
{
    if (page->is_json) {
        json_open(page, name, '{', '}');
        return;
    }
    html_heading(page, title);
    page->depth++;
}

void dp_page_group_end(dp_page_t *page)
{
    if (page->is_json) {
        json_close(page);
        return;
    }
    html_end_table(page);
    page->depth--;
}

void dp_page_list_begin(dp_page_t *page, const char *name)
{
    if (page->is_json) {
        json_open(page, name, '[', ']');
    }
}

void dp_page_list_end(dp_page_t *page)
{
    if (page->is_json) {
        json_close(page);
    }
}

void dp_page_number(dp_page_t *page, const char *label, apr_uint64_t value,
                    const char *remark)
{
    const char *text = apr_psprintf(page->r->pool, "%" APR_UINT64_T_FMT, value);

    if (page->is_json) {
        json_next(page, label);
        ap_rputs(text, page->r);
        return;
    }
    html_row(page, label, text, remark);
}

void dp_page_text(dp_page_t *page, const char *label, const char *value,
                  const char *remark)
{
    if (page->is_json) {
        json_next(page, label);
        ap_rputs(as_json(value, page->r->pool), page->r);
        return;
    }
    html_row(page, label, value, remark);
}

void dp_page_row(void *page, const char *label, const char *value)
{
    dp_page_text(page, label, value, NULL);
}

/* --- tables ------------------------------------------------------------ */

void dp_page_table_begin(dp_page_t *page, const char *name,
                         const dp_page_cell_t *columns, int ncolumns)
{
    int i;

    if (page->is_json) {
        json_open(page, name, '[', ']');
        return;
    }
    html_end_table(page);
    ap_rputs("<table>\n<thead><tr>", page->r);
    for (i = 0; i < ncolumns; i++) {
        ap_rprintf(page->r, "<th>%s</th>",
                   as_html(columns[i].column, page->r->pool));
    }
    ap_rputs("</tr></thead>\n", page->r);
    page->is_in_table = 1;
}

void dp_page_record(dp_page_t *page, const dp_page_cell_t *cells, int ncells)
{
    apr_pool_t *pool = page->r->pool;
    int i;

    if (page->is_json) {
        json_open(page, NULL, '{', '}');
    }
    else {
        ap_rputs("<tr>", page->r);
    }
    for (i = 0; i < ncells; i++) {
        if (page->is_json) {
            json_next(page, cells[i].column);
            ap_rputs(cells[i].is_quoted ? as_json(cells[i].value, pool)
                                        : cells[i].value,
                     page->r);
        }
        else {
            ap_rprintf(page->r, "<td>%s</td>", as_html(cells[i].value, pool));
        }
    }
    if (page->is_json) {
        json_close(page);
    }
    else {
        ap_rputs("</tr>\n", page->r);
    }
}

void dp_page_table_end(dp_page_t *page)
{
    if (page->is_json) {
        json_close(page);
        return;
    }
    html_end_table(page);
}
