/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the query strings of the key-value protocols (WMS and WMTS KVP):
 * names in any case and order, values escaped as in HTML forms.
 *
 * Called by the protocols' readers on every request, from any thread; pure.
 *
 * Work is linear in the query for walking it, and bounded by
 * DP_QUERY_MAX_PARAMS pairs for the list. Nothing is dropped in silence: what
 * can't be read, comes twice or doesn't fit is said in the list, and the
 * protocol decides what it means, since a broken pair may belong to a request
 * that is none of our business.
 */
#include "request/kvp.h"

#include <apr_cstr.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "request/canon.h"

int dp_kvp_next(const char **query, dp_raw_pair_t *pair)
{
    const char *start = *query + strspn(*query, "&");
    const char *end = strchrnul(start, '&');
    const char *equals = memchr(start, '=', (apr_size_t)(end - start));

    *query = end;
    if (start == end) {
        return 0;
    }
    pair->name.text = start;
    pair->name.size = (apr_size_t)((equals ? equals : end) - start);
    pair->value.text = equals ? equals + 1 : end;
    pair->value.size = (apr_size_t)(end - pair->value.text);
    return 1;
}

/* Decodes one character at `*at`; an escape that is broken is itself. */
static char decoded(const char **at, const char *end)
{
    const char *c = *at;

    *at = c + 1;
    if (*c == '+') {
        return ' ';
    }
    if (*c == '%' && end - c > 2 && dp_hex_value(c[1]) >= 0
        && dp_hex_value(c[2]) >= 0) {
        *at = c + 3;
        return (char)(dp_hex_value(c[1]) << 4 | dp_hex_value(c[2]));
    }
    return *c;
}

int dp_kvp_equal(const dp_raw_t *raw, const char *text)
{
    const char *at = raw->text;
    const char *end = raw->text + raw->size;

    while (at < end && *text) {
        if (dp_ascii_lower(decoded(&at, end)) != dp_ascii_lower(*text)) {
            return 0;
        }
        text++;
    }
    return at == end && *text == '\0';
}

static int has_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return 1;
        }
    }
    return 0;
}

/* The decoded text, or NULL where it isn't fit to be used. */
static char *read_text(const dp_raw_t *raw, apr_pool_t *pool)
{
    char *text = dp_text_unescape(raw->text, raw->size, 1, pool);

    return text && !has_control(text) ? text : NULL;
}

static char *read_name(const dp_raw_t *raw, apr_pool_t *pool)
{
    char *name = read_text(raw, pool);
    char *c;

    /* As it came it is no name that anybody lists. */
    if (name == NULL) {
        return dp_canon_upper(raw->text, raw->size, pool);
    }
    for (c = name; *c; c++) {
        *c = dp_ascii_upper(*c);
    }
    return name;
}

static int has_name(const dp_kvp_t *kvp, const char *name)
{
    int i;

    for (i = 0; i < kvp->count; i++) {
        if (strcmp(kvp->pairs[i].name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

void dp_kvp_read(dp_kvp_t *kvp, const char *query, apr_pool_t *pool)
{
    dp_raw_pair_t raw;

    kvp->count = 0;
    kvp->too_many = 0;
    kvp->twice = NULL;
    kvp->broken = NULL;
    while (dp_kvp_next(&query, &raw)) {
        dp_param_t *pair = &kvp->pairs[kvp->count];

        if (kvp->count == DP_QUERY_MAX_PARAMS) {
            kvp->too_many = 1;
            return;
        }
        pair->name = read_name(&raw.name, pool);
        pair->value = read_text(&raw.value, pool);
        if (pair->value == NULL && kvp->broken == NULL) {
            kvp->broken = dp_canon_detail("unreadable", pair->name, pool);
        }
        if (has_name(kvp, pair->name)) {
            kvp->twice = pair->name;
        }
        kvp->count++;
    }
}

const char *dp_kvp_get(const dp_kvp_t *kvp, const char *name)
{
    int i;

    for (i = 0; i < kvp->count; i++) {
        if (apr_cstr_casecmp(kvp->pairs[i].name, name) == 0) {
            return kvp->pairs[i].value;
        }
    }
    return NULL;
}
