/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical forms of values: what different clients write differently and
 * mean equally becomes one text here, so that it becomes one key.
 *
 * Called by the protocols' readers on every request, from any thread; pure.
 *
 * The rule for what is unclear: two texts are made equal only where every
 * server must draw the same for both. A missing BGCOLOR stays missing, because
 * servers let a map have its own background then.
 */
#include "request/canon.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <math.h>
#include <string.h>

#include "base/text.h"

/* Of the client's text in a detail: enough to recognise it. */
#define DETAIL_TEXT_MAX 64

/* A longer number is refused by dp_text_double() as well. */
#define NUMBER_BYTES 72

char *dp_canon_upper(const char *text, apr_size_t size, apr_pool_t *pool)
{
    char *upper = apr_palloc(pool, size + 1);
    apr_size_t i;

    for (i = 0; i < size; i++) {
        upper[i] = dp_ascii_upper(text[i]);
    }
    upper[size] = '\0';
    return upper;
}

static int starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

const char *dp_canon_format(const char *value, apr_pool_t *pool)
{
    apr_size_t size = strlen(value);
    char *format;
    char *out;

    if (size > DP_VALUE_MAX_BYTES) {
        return NULL;
    }
    format = apr_palloc(pool, 2 * size + 1);
    out = format;
    for (; *value; value++) {
        if (*value != ' ') {
            *out++ = dp_ascii_lower(*value);
        }
        if (*value == ';') {
            *out++ = ' '; /* MapServer compares the text of its capabilities */
        }
    }
    *out = '\0';
    if (!starts_with(format, "image/") || format[6] == '\0'
        || starts_with(format, "image/svg")) {
        return NULL;
    }
    return format;
}

int dp_format_is_cuttable(const char *format)
{
    apr_size_t type_size = strcspn(format, ";");

    /* GeoServer and others name variants image/png8, image/png24. */
    if (starts_with(format, "image/png")) {
        return 9 + strspn(format + 9, "0123456789") == type_size;
    }
    return (type_size == 10 && starts_with(format, "image/jpeg"))
           || (type_size == 9 && starts_with(format, "image/jpg"));
}

const char *dp_canon_styles(const char *value)
{
    return value == NULL || value[strspn(value, ",")] == '\0' ? "" : value;
}

int dp_canon_boolean(const char *value, int *is_true)
{
    *is_true = value && apr_cstr_casecmp(value, "TRUE") == 0;
    return *is_true || value == NULL || *value == '\0'
           || apr_cstr_casecmp(value, "FALSE") == 0;
}

const char *dp_canon_color(const char *value, apr_pool_t *pool)
{
    char *color;

    if (value == NULL || *value == '\0') {
        return "";
    }
    if (value[0] != '0' || dp_ascii_lower(value[1]) != 'x'
        || strspn(value + 2, "0123456789abcdefABCDEF") != 6
        || value[8] != '\0') {
        return NULL;
    }
    color = dp_canon_upper(value, 8, pool);
    color[1] = 'x';
    return color;
}

const char *dp_canon_bbox(const char *value, double numbers[4])
{
    char text[NUMBER_BYTES];
    int i;

    for (i = 0; i < 4; i++) {
        apr_size_t size = strcspn(value, ",");

        if (size >= sizeof(text) || (value[size] == ',') != (i < 3)) {
            return "BBOX isn't four numbers";
        }
        memcpy(text, value, size);
        text[size] = '\0';
        if (!dp_text_double(text, &numbers[i])) {
            return "BBOX isn't four numbers";
        }
        numbers[i] += 0.0; /* there is one zero */
        value += size + 1;
    }
    if (numbers[0] >= numbers[2] || numbers[1] >= numbers[3]) {
        return "BBOX is empty or inverted";
    }
    if (!isfinite(numbers[2] - numbers[0])
        || !isfinite(numbers[3] - numbers[1])) {
        return "BBOX is too large";
    }
    return NULL;
}

const char *dp_canon_detail(const char *what, const char *text,
                            apr_pool_t *pool)
{
    char *detail = apr_psprintf(pool, "%s %.*s", what, DETAIL_TEXT_MAX, text);
    char *c;

    for (c = detail; *c; c++) {
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\') {
            *c = '?';
        }
    }
    return detail;
}
