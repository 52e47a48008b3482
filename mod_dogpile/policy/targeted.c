/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of a Dictionary, RFC 9651 section 4.2.2, as functions that step
 * over one part each and return where it ends, or NULL where it isn't one.
 * Once for each fetch whose answer has such a field, on a fetcher thread.
 *
 * The invariant: nothing is read behind the final zero, and each byte is seen
 * a bounded number of times, as nothing in the grammar nests deeper than a
 * list within a member.
 */
#include "policy/targeted.h"

#include <apr_lib.h>
#include <string.h>

/* Section 4.2.4: longer numbers are errors. */
#define DIGITS_MAX 15

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static const char *skip_key(const char *at)
{
    if (!apr_islower(*at) && *at != '*') {
        return NULL;
    }
    return at + strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_-.*");
}

static const char *skip_number(const char *at)
{
    apr_size_t digits;

    at += *at == '-';
    digits = strspn(at, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX) {
        return NULL;
    }
    at += digits;
    if (*at == '.') {
        digits = strspn(at + 1, "0123456789");
        return digits >= 1 && digits <= 3 ? at + 1 + digits : NULL;
    }
    return at;
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
            if (*at != '"' && *at != '\\') {
                return NULL;
            }
        }
        else if (*at < ' ' || *at > '~') {
            return NULL; /* the final zero, too */
        }
    }
    return at + 1;
}

static const char *skip_token(const char *at)
{
    while (apr_isalnum(*at)
           || (*at != '\0' && strchr("!#$%&'*+-.^_`|~:/", *at) != NULL)) {
        at++;
    }
    return at;
}

/* Bytes in Base64, between colons. */
static const char *skip_bytes(const char *at)
{
    at++;
    while (apr_isalnum(*at) || *at == '+' || *at == '/' || *at == '=') {
        at++;
    }
    return *at == ':' ? at + 1 : NULL;
}

static const char *skip_bare_item(const char *at)
{
    if (*at == '-' || apr_isdigit(*at)) {
        return skip_number(at);
    }
    if (*at == '"') {
        return skip_string(at);
    }
    if (*at == ':') {
        return skip_bytes(at);
    }
    if (*at == '?') {
        return at[1] == '0' || at[1] == '1' ? at + 2 : NULL;
    }
    if (*at == '@') { /* a date */
        return skip_number(at + 1);
    }
    return apr_isalpha(*at) || *at == '*' ? skip_token(at) : NULL;
}

/* ;key, ;key=item ... */
static const char *skip_parameters(const char *at)
{
    while (at != NULL && *at == ';') {
        at = skip_key(at + 1 + strspn(at + 1, " "));
        if (at != NULL && *at == '=') {
            at = skip_bare_item(at + 1);
        }
    }
    return at;
}

static const char *skip_item(const char *at)
{
    at = skip_bare_item(at);
    return at != NULL ? skip_parameters(at) : NULL;
}

static const char *skip_inner_list(const char *at)
{
    at++;
    for (;;) {
        at += strspn(at, " ");
        if (*at == ')') {
            return skip_parameters(at + 1);
        }
        at = skip_item(at);
        if (at == NULL || (*at != ' ' && *at != ')')) {
            return NULL;
        }
    }
}

static const char *skip_member(const char *at)
{
    at = skip_key(at);
    if (at == NULL) {
        return NULL;
    }
    if (*at != '=') {
        return skip_parameters(at);
    }
    at++;
    return *at == '(' ? skip_inner_list(at) : skip_item(at);
}

int dp_targeted_is_valid(const char *text)
{
    const char *at = text + strspn(text, " ");

    for (;;) {
        at = skip_member(at);
        if (at == NULL) {
            return 0;
        }
        at = skip_blanks(at);
        if (*at == '\0') {
            return 1;
        }
        if (*at != ',') {
            return 0;
        }
        at = skip_blanks(at + 1); /* a comma at the end is an error */
    }
}
