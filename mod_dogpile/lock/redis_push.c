/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what comes over a subscription. Called by the thread that listens; a
 * function of bytes, without memory and without state.
 *
 *     *3\r\n $9\r\n subscribe\r\n $..\r\n channel\r\n :1\r\n
 *     *3\r\n $7\r\n message\r\n   $..\r\n channel\r\n $64\r\n digest\r\n
 *     -NOPERM this user has no permissions ...\r\n
 *
 * No reader of hiredis, since it makes room for as many words as a list says
 * it has: here that is at most three, of a bounded length, where they lie. The
 * invariant: nothing is read beyond `size`.
 */
#include "lock/redis_push.h"

#include <string.h>

#define WORDS 3

/* Digits of a length, or of a number of words. */
#define DIGITS_MAX 9

/* "$64\r\n": a number of that kind. How many bytes it took; 0; -1. */
static apr_ssize_t read_number(apr_size_t *number, const char *bytes,
                               apr_size_t size, char kind)
{
    const char *end = memchr(bytes, '\n', size);
    apr_size_t i;

    *number = 0;
    if (size > 0 && bytes[0] != kind) {
        return -1;
    }
    if (end == NULL) {
        return size > DIGITS_MAX + 3 ? -1 : 0;
    }
    for (i = 1; bytes[i] >= '0' && bytes[i] <= '9' && i <= DIGITS_MAX; i++) {
        *number = 10 * *number + (apr_size_t)(bytes[i] - '0');
    }
    return i > 1 && bytes[i] == '\r' && bytes[i + 1] == '\n'
               ? (apr_ssize_t)i + 2
               : -1;
}

/* One word of a list; a number counts as an empty one. */
static apr_ssize_t read_word(const char **word, apr_size_t *length,
                             const char *bytes, apr_size_t size)
{
    int is_number = size > 0 && bytes[0] == ':';
    apr_ssize_t used = read_number(length, bytes, size, is_number ? ':' : '$');
    apr_size_t left = used > 0 ? size - (apr_size_t)used : 0;

    *word = bytes + (used > 0 ? used : 0);
    if (used <= 0 || is_number) {
        *length = 0;
        return used;
    }
    if (*length > DP_REDIS_PUSH_MAX) {
        return -1;
    }
    if (left < *length + 2) {
        return 0;
    }
    return memcmp(*word + *length, "\r\n", 2) == 0
               ? used + (apr_ssize_t)*length + 2
               : -1;
}

static apr_ssize_t read_refusal(dp_redis_push_t *push, const char *bytes,
                                apr_size_t size)
{
    const char *end = memchr(bytes, '\r', size);

    push->kind = DP_PUSH_REFUSED;
    push->text = bytes + 1;
    push->size = end ? (apr_size_t)(end - bytes) - 1 : 0;
    if (end == NULL || end + 1 == bytes + size) {
        return 0;
    }
    return end[1] == '\n' ? end + 2 - bytes : -1;
}

static dp_redis_push_e kind_of(const char *word, apr_size_t length)
{
    if (length == 9 && memcmp(word, "subscribe", 9) == 0) {
        return DP_PUSH_SUBSCRIBED;
    }
    if (length == 7 && memcmp(word, "message", 7) == 0) {
        return DP_PUSH_MESSAGE;
    }
    return DP_PUSH_OTHER;
}

apr_ssize_t dp_redis_push_read(dp_redis_push_t *push, const char *bytes,
                               apr_size_t size)
{
    const char *words[WORDS] = {"", "", ""};
    apr_size_t lengths[WORDS] = {0, 0, 0};
    apr_size_t nwords;
    apr_size_t i;
    apr_ssize_t used;
    apr_ssize_t all;

    if (size > 0 && bytes[0] == '-') {
        return read_refusal(push, bytes, size);
    }
    all = read_number(&nwords, bytes, size, '*');
    if (all <= 0 || nwords > WORDS) {
        return all <= 0 ? all : -1;
    }
    for (i = 0; i < nwords; i++) {
        used = read_word(&words[i], &lengths[i], bytes + all,
                         size - (apr_size_t)all);
        if (used <= 0) {
            return used;
        }
        all += used;
    }
    push->kind = kind_of(words[0], lengths[0]);
    push->text = words[WORDS - 1];
    push->size = lengths[WORDS - 1];
    return all;
}
