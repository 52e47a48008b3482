/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a redis says to whoever has subscribed to a channel: lists of three
 * words at times of its own choosing, which the one-answer-a-command reading
 * of redis_link.c refuses.
 */
#ifndef DP_LOCK_REDIS_PUSH_H
#define DP_LOCK_REDIS_PUSH_H

#include <apr.h>

/* Room for the longest that is read. A release takes some 140 bytes. */
#define DP_REDIS_PUSH_MAX 1024

typedef enum dp_redis_push_e {
    DP_PUSH_OTHER,      /* of no interest */
    DP_PUSH_SUBSCRIBED, /* the answer to SUBSCRIBE */
    DP_PUSH_MESSAGE,    /* `text` is what was published */
    DP_PUSH_REFUSED     /* `text` is why */
} dp_redis_push_e;

/* Texts lie in the bytes that were read, without a final zero. */
typedef struct dp_redis_push_t {
    dp_redis_push_e kind;
    const char *text;
    apr_size_t size;
} dp_redis_push_t;

/* The first of what has come. How many bytes it took; 0: it hasn't come in
 * full; -1: a redis doesn't say such things to us. */
apr_ssize_t dp_redis_push_read(dp_redis_push_t *push, const char *bytes,
                               apr_size_t size);

#endif
