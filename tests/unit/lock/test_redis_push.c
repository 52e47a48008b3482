/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes over a subscription is read as far as it has come, and nothing
 * beyond.
 */
#include <stdlib.h>
#include <string.h>

#include "lock/redis_push.h"
#include "unit.h"

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n"
#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"

/* From memory of exactly that size, so that a sanitizer sees a step too far. */
static apr_ssize_t read_exactly(dp_redis_push_t *push, const char *text,
                                apr_size_t size)
{
    char *bytes = malloc(size ? size : 1);
    apr_ssize_t used;

    memcpy(bytes, text, size);
    used = dp_redis_push_read(push, bytes, size);
    if (used > 0 && push->size > 0) {
        push->text = text + (push->text - bytes);
    }
    free(bytes);
    return used;
}

static void assert_read(const char *text, dp_redis_push_e kind,
                        const char *said)
{
    apr_size_t size = strlen(text);
    dp_redis_push_t push;
    apr_size_t i;

    for (i = 0; i < size; i++) {
        ck_assert_msg(read_exactly(&push, text, i) == 0, "%zu of %s", i, text);
    }
    ck_assert_int_eq(read_exactly(&push, text, size), (apr_ssize_t)size);
    ck_assert_int_eq(push.kind, kind);
    ck_assert_uint_eq(push.size, strlen(said));
    ck_assert(push.size == 0 || memcmp(push.text, said, push.size) == 0);
}

START_TEST(each_kind_is_read_when_it_is_complete)
{
    assert_read(MESSAGE, DP_PUSH_MESSAGE, "hello");
    assert_read(SUBSCRIBED, DP_PUSH_SUBSCRIBED, "");
    assert_read("-NOPERM you\r\n", DP_PUSH_REFUSED, "NOPERM you");
    assert_read("*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$0\r\n\r\n",
                DP_PUSH_MESSAGE, "");
    assert_read("*2\r\n$4\r\npong\r\n$0\r\n\r\n", DP_PUSH_OTHER, "");
    assert_read("*0\r\n", DP_PUSH_OTHER, "");
}
END_TEST

START_TEST(one_is_read_at_a_time)
{
    static const char two[] = SUBSCRIBED MESSAGE;
    dp_redis_push_t push;

    ck_assert_int_eq(read_exactly(&push, two, sizeof(two) - 1),
                     sizeof(SUBSCRIBED) - 1);
    ck_assert_int_eq(push.kind, DP_PUSH_SUBSCRIBED);
}
END_TEST

START_TEST(what_no_redis_says_is_refused)
{
    static const char *const wrong[] = {
        "HTTP/1.1 200 OK\r\n",
        "+OK\r\n",
        "$5\r\nhello\r\n",
        "*4\r\n",
        "*1000000000\r\n",
        "*\r\n",
        "*x\r\n",
        "*-1\r\n",
        "*3\n",
        "*00000000000000000003",
        "*1\r\n*1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$999999\r\n",
        "*1\r\n$2\r\nabc\r\n",
        "*1\r\n:99999999999\r\n",
    };
    dp_redis_push_t push;
    apr_size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        ck_assert_msg(read_exactly(&push, wrong[i], strlen(wrong[i])) == -1,
                      "%s", wrong[i]);
    }
}
END_TEST

UNIT_MAIN("lock/redis_push", each_kind_is_read_when_it_is_complete,
          one_is_read_at_a_time, what_no_redis_says_is_refused)
