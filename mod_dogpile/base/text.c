/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

/* Longer numbers carry nothing that a double or an int64 could hold. */
#define NUMBER_MAX 64

int dp_text_int(const char *text, apr_int64_t min, apr_int64_t max,
                apr_int64_t *value)
{
    const char *c = text[0] == '-' ? text + 1 : text;
    apr_size_t digits = strspn(c, "0123456789");
    apr_int64_t parsed;

    if (digits == 0 || digits > 18 || c[digits] != '\0') {
        return 0;
    }
    parsed = strtoll(text, NULL, 10);
    if (parsed < min || parsed > max) {
        return 0;
    }
    *value = parsed;
    return 1;
}

/* strtod() and printf() follow the process's locale, which some other module
 * may have set. The C library hands "C" out without allocating. */
static locale_t c_locale(void)
{
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

int dp_text_double(const char *text, double *value)
{
    apr_size_t size = strspn(text, "+-.0123456789eE");
    char *end;
    double parsed;

    if (size == 0 || size > NUMBER_MAX || text[size] != '\0') {
        return 0;
    }
    parsed = strtod_l(text, &end, c_locale());
    if (end != text + size || !isfinite(parsed)) {
        return 0;
    }
    *value = parsed;
    return 1;
}

int dp_text_duration(const char *text, apr_interval_time_t *usec)
{
    static const struct {
        const char *name;
        double usec;
    } units[] = {{"", 1e6},    {"s", 1e6},   {"ms", 1e3},
                 {"min", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}};
    apr_size_t size = strspn(text, "+.0123456789");
    char number[NUMBER_MAX + 1];
    double value;
    apr_size_t i;

    if (size > NUMBER_MAX) {
        return 0;
    }
    memcpy(number, text, size);
    number[size] = '\0';
    if (!dp_text_double(number, &value)) {
        return 0;
    }
    for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(text + size, units[i].name) == 0) {
            value *= units[i].usec;
            *usec = (apr_interval_time_t)(value + 0.5);
            return value <= 100 * 365 * 8.64e10;
        }
    }
    return 0;
}

char *dp_text_from_double(char text[DP_TEXT_DOUBLE_BYTES], double value)
{
    locale_t before = uselocale(c_locale());
    int digits;

    /* 17 significant digits always read back as the same double. */
    for (digits = 15; digits <= 17; digits++) {
        snprintf(text, DP_TEXT_DOUBLE_BYTES, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    uselocale(before);
    return text;
}

char *dp_text_unescape(const char *text, apr_size_t size, int plus,
                       apr_pool_t *pool)
{
    char *out = apr_palloc(pool, size + 1);
    char *o = out;
    apr_size_t i;

    for (i = 0; i < size; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < size ? dp_hex_value(text[i + 1]) : -1;
            int low = high < 0 ? -1 : dp_hex_value(text[i + 2]);

            if (low < 0 || (high | low) == 0) {
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        else if (c == '+' && plus) {
            c = ' ';
        }
        else if (c == '\0') {
            return NULL;
        }
        *o++ = c;
    }
    *o = '\0';
    return out;
}

static int is_readable(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~/:,", c));
}

char *dp_text_escape(const char *text, apr_pool_t *pool)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = apr_palloc(pool, 3 * strlen(text) + 1);
    char *o = out;

    for (; *text; text++) {
        if (is_readable(*text)) {
            *o++ = *text;
        }
        else {
            *o++ = '%';
            *o++ = digits[(unsigned char)*text >> 4];
            *o++ = digits[*text & 15];
        }
    }
    *o = '\0';
    return out;
}
