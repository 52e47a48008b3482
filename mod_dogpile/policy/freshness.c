/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Cache-Control and its relatives (RFC 9111 section 5.2), once for
 * each fetch, on a fetcher thread. The texts come from a network: they are
 * read in one pass, and nothing is kept.
 */
#include "policy/freshness.h"

#include <apr_date.h>
#include <apr_lib.h>
#include <string.h>
#include <strings.h>

/* RFC 9111 section 1.2.2: what a cache may use for "for ever". */
#define SECONDS_MAX 2147483648L

/* What a Cache-Control says; -1 for a number that isn't given. */
typedef struct directives_t {
    int forbids_sharing;
    int must_ask; /* no-cache */
    apr_int64_t max_age;
    apr_int64_t s_maxage;
} directives_t;

/* delta-seconds, perhaps quoted; -1 where it is none. */
static apr_int64_t seconds_of(const char *value, apr_size_t size)
{
    apr_int64_t seconds = 0;
    apr_size_t i;

    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    if (size == 0) {
        return -1;
    }
    for (i = 0; i < size; i++) {
        if (!apr_isdigit(value[i])) {
            return -1;
        }
        if (seconds < SECONDS_MAX) {
            seconds = 10 * seconds + (value[i] - '0');
        }
    }
    return seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
}

static int is_token(const char *text, apr_size_t size, const char *token)
{
    return strlen(token) == size && strncasecmp(text, token, size) == 0;
}

static void take_directive(directives_t *directives, const char *name,
                           apr_size_t name_size, const char *value,
                           apr_size_t value_size)
{
    /* private="Set-Cookie" counts as private: section 5.2.2.7 allows it. */
    if (is_token(name, name_size, "no-store")
        || is_token(name, name_size, "private")) {
        directives->forbids_sharing = 1;
    }
    else if (is_token(name, name_size, "no-cache")) {
        directives->must_ask = 1;
    }
    else if (is_token(name, name_size, "max-age")) {
        directives->max_age = seconds_of(value, value_size);
    }
    else if (is_token(name, name_size, "s-maxage")) {
        directives->s_maxage = seconds_of(value, value_size);
    }
}

/* The end of a value: a token or a quoted string. */
static const char *value_end(const char *at)
{
    if (*at != '"') {
        return at + strcspn(at, " \t,");
    }
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
    }
    return *at == '"' ? at + 1 : at;
}

static void read_directives(directives_t *directives, const char *text)
{
    directives->forbids_sharing = 0;
    directives->must_ask = 0;
    directives->max_age = -1;
    directives->s_maxage = -1;
    while (*text != '\0') {
        const char *name = text + strspn(text, " \t,");
        apr_size_t size = strcspn(name, " \t,=");
        const char *value = name + size;
        const char *end = value;

        if (*value == '=') {
            value++;
            end = value_end(value);
        }
        take_directive(directives, name, size, value,
                       (apr_size_t)(end - value));
        text = end + strcspn(end, ",");
    }
}

/* Expires against Date; a date that can't be read means "expired"
 * (section 5.3). */
static apr_int64_t expires_after(const dp_answer_fields_t *fields)
{
    apr_time_t expires = apr_date_parse_http(fields->expires);
    apr_time_t date =
        fields->date ? apr_date_parse_http(fields->date) : APR_DATE_BAD;

    if (expires == APR_DATE_BAD) {
        return 0;
    }
    if (date == APR_DATE_BAD) {
        date = apr_time_now();
    }
    return expires > date ? apr_time_sec(expires - date) : 0;
}

static apr_int64_t lifetime_of(const directives_t *directives,
                               const dp_answer_fields_t *fields)
{
    if (directives->must_ask) {
        return 0;
    }
    if (directives->s_maxage >= 0) {
        return directives->s_maxage;
    }
    if (directives->max_age >= 0) {
        return directives->max_age;
    }
    return fields->expires ? expires_after(fields) : -1;
}

void dp_freshness_read(dp_freshness_t *freshness,
                       const dp_answer_fields_t *fields)
{
    const char *control = fields->cdn_cache_control ? fields->cdn_cache_control
                                                    : fields->cache_control;
    directives_t directives;
    apr_int64_t lifetime;
    apr_int64_t age;

    read_directives(&directives, control ? control : "");
    lifetime = lifetime_of(&directives, fields);
    age = fields->age ? seconds_of(fields->age, strlen(fields->age)) : 0;

    freshness->is_shareable =
        !directives.forbids_sharing
        && (fields->vary == NULL || strchr(fields->vary, '*') == NULL);
    freshness->is_explicit = lifetime >= 0;
    if (age > 0) {
        lifetime -= age;
    }
    freshness->lifetime_usec = lifetime > 0 ? apr_time_from_sec(lifetime) : 0;
}

apr_interval_time_t dp_freshness_jitter(apr_interval_time_t lifetime_usec,
                                        int percent, unsigned int dice)
{
    apr_interval_time_t most = lifetime_usec / 100 * percent;

    return most > 0 ? lifetime_usec - (apr_interval_time_t)(dice % (most + 1))
                    : lifetime_usec;
}
