/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Cache-Control and its relatives (RFC 9111 section 5.2): once for
 * each fetch, on a fetcher thread, and of clients that send one, on request
 * threads. The texts come from a network: they are read in one pass, and
 * nothing is kept.
 */
#include "policy/freshness.h"

#include <apr_date.h>
#include <apr_lib.h>
#include <string.h>
#include <strings.h>

#include "policy/targeted.h"

/* RFC 9111 section 1.2.2: what a cache may use for "for ever". */
#define SECONDS_MAX 2147483648L

/* What a Cache-Control says; -1 for a number that isn't given. */
typedef struct directives_t {
    int forbids_sharing;
    int must_ask; /* no-cache */
    int must_revalidate;
    int proxy_revalidate;
    int only_if_cached; /* of a request */
    apr_int64_t max_age;
    apr_int64_t s_maxage;
    apr_int64_t stale_while_revalidate;
    apr_int64_t stale_if_error;
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

/* The member for a directive that is a word, or NULL. */
static int *flag_of(directives_t *directives, const char *name, apr_size_t size)
{
    /* private="Set-Cookie" counts as private: section 5.2.2.7 allows it. */
    if (is_token(name, size, "no-store") || is_token(name, size, "private")) {
        return &directives->forbids_sharing;
    }
    if (is_token(name, size, "no-cache")) {
        return &directives->must_ask;
    }
    if (is_token(name, size, "must-revalidate")) {
        return &directives->must_revalidate;
    }
    if (is_token(name, size, "proxy-revalidate")) {
        return &directives->proxy_revalidate;
    }
    return is_token(name, size, "only-if-cached") ? &directives->only_if_cached
                                                  : NULL;
}

/* The same for one with a number of seconds. */
static apr_int64_t *number_of(directives_t *directives, const char *name,
                              apr_size_t size)
{
    if (is_token(name, size, "max-age")) {
        return &directives->max_age;
    }
    if (is_token(name, size, "s-maxage")) {
        return &directives->s_maxage;
    }
    if (is_token(name, size, "stale-while-revalidate")) {
        return &directives->stale_while_revalidate;
    }
    return is_token(name, size, "stale-if-error") ? &directives->stale_if_error
                                                  : NULL;
}

static void take_directive(directives_t *directives, const char *name,
                           apr_size_t name_size, const char *value,
                           apr_size_t value_size)
{
    int *flag = flag_of(directives, name, name_size);
    apr_int64_t *number = number_of(directives, name, name_size);

    if (flag != NULL) {
        *flag = 1;
    }
    else if (number != NULL && *number < 0) {
        /* Of several the first counts: section 4.2.1. */
        *number = seconds_of(value, value_size);
    }
}

/* The end of a value: a token or a quoted string. */
static const char *value_end(const char *at)
{
    if (*at != '"') {
        return at + strcspn(at, " \t,;");
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
    memset(directives, 0, sizeof(*directives));
    directives->max_age = -1;
    directives->s_maxage = -1;
    directives->stale_while_revalidate = -1;
    directives->stale_if_error = -1;
    while (*text != '\0') {
        const char *name = text + strspn(text, " \t,");
        apr_size_t size = strcspn(name, " \t,;=");
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
    apr_int64_t seconds;

    if (expires == APR_DATE_BAD) {
        return 0;
    }
    if (date == APR_DATE_BAD) {
        date = apr_time_now();
    }
    seconds = expires > date ? apr_time_sec(expires - date) : 0;
    return seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
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

/*
 * A window after expiry, of what its own directive says. What forbids stale
 * answers (section 4.2.4) goes before; s-maxage, which forbids them too
 * (section 5.2.2.10), stands back where the source names the window as well:
 * that is the narrower word. A lifetime of nothing has no unnamed window.
 */
static apr_interval_time_t window_of(const directives_t *directives,
                                     apr_int64_t seconds, apr_int64_t lifetime)
{
    if (directives->must_ask || directives->must_revalidate
        || directives->proxy_revalidate) {
        return 0;
    }
    if (seconds >= 0) {
        return apr_time_from_sec(seconds);
    }
    return directives->s_maxage >= 0 || lifetime == 0 ? 0 : DP_WINDOW_UNSET;
}

/* RFC 9213 section 2.2: the targeted field, where it can be used, is all that
 * counts of Cache-Control and Expires. */
static void read_answer(directives_t *directives, dp_answer_fields_t *fields)
{
    const char *control = fields->cache_control;

    if (fields->cdn_cache_control
        && dp_targeted_is_valid(fields->cdn_cache_control)) {
        control = fields->cdn_cache_control;
        fields->expires = NULL;
    }
    read_directives(directives, control ? control : "");
}

void dp_freshness_read(dp_freshness_t *freshness,
                       const dp_answer_fields_t *fields)
{
    dp_answer_fields_t counting = *fields;
    directives_t directives;
    apr_int64_t lifetime;
    apr_int64_t age;

    read_answer(&directives, &counting);
    lifetime = lifetime_of(&directives, &counting);
    age = fields->age ? seconds_of(fields->age, strlen(fields->age)) : 0;
    age = age > 0 ? age : 0;

    freshness->is_shareable =
        !directives.forbids_sharing
        && (fields->vary == NULL || strchr(fields->vary, '*') == NULL);
    freshness->is_explicit = lifetime >= 0;
    if (lifetime >= 0) {
        lifetime = lifetime > age ? lifetime - age : 0;
    }
    freshness->must_revalidate = directives.must_revalidate;
    freshness->lifetime_usec = lifetime > 0 ? apr_time_from_sec(lifetime) : 0;
    freshness->age_usec = apr_time_from_sec(age);
    freshness->stale_usec =
        window_of(&directives, directives.stale_while_revalidate, lifetime);
    freshness->stale_on_error_usec =
        window_of(&directives, directives.stale_if_error, lifetime);
}

void dp_freshness_asked(dp_asked_t *asked, const char *cache_control,
                        const char *pragma)
{
    directives_t directives;

    /* Section 5.4: Pragma counts where there is no Cache-Control. */
    read_directives(&directives, cache_control ? cache_control
                                 : pragma      ? pragma
                                               : "");
    asked->only_if_cached = directives.only_if_cached;
    asked->max_age_usec = -1;
    if (directives.max_age >= 0) {
        asked->max_age_usec = apr_time_from_sec(directives.max_age);
    }
    if (directives.must_ask) {
        asked->max_age_usec = 0;
    }
}

apr_interval_time_t dp_freshness_jitter(apr_interval_time_t lifetime_usec,
                                        int percent, unsigned int dice)
{
    apr_interval_time_t most = lifetime_usec / 100 * percent;

    return most > 0 ? lifetime_usec - (apr_interval_time_t)(dice % (most + 1))
                    : lifetime_usec;
}
