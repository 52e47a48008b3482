/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: header fields about caching, of sources and of clients. An
 * input is lines: Cache-Control, CDN-Cache-Control, Expires, Date, Age, Vary;
 * those that are missing aren't there.
 *
 * Beside what sanitizers see, it holds these to be true: times are never
 * negative nor so long that sums with them overflow, and nothing may be served
 * stale that says must-revalidate.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/freshness.h"
#include "policy/targeted.h"

#define LINES 6
#define LONGEST_USEC (APR_INT64_C(1) << 52)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static int is_time(apr_interval_time_t usec)
{
    return usec >= 0 && usec <= LONGEST_USEC;
}

static int is_window(apr_interval_time_t usec)
{
    return usec == DP_WINDOW_UNSET || is_time(usec);
}

/* Each line in a block of exactly its size: sanitizers see one byte too far. */
static void split(char *lines[LINES], const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    int i;

    for (i = 0; i < LINES; i++) {
        const uint8_t *stop =
            data < end ? memchr(data, '\n', (size_t)(end - data)) : NULL;

        stop = stop ? stop : end;
        lines[i] = data < end
                       ? strndup((const char *)data, (size_t)(stop - data))
                       : NULL;
        data = stop < end ? stop + 1 : end;
    }
}

static void check_answer(char *const lines[LINES])
{
    dp_answer_fields_t fields = {.cache_control = lines[0],
                                 .cdn_cache_control = lines[1],
                                 .expires = lines[2],
                                 .date = lines[3],
                                 .age = lines[4],
                                 .vary = lines[5]};
    dp_freshness_t freshness;

    dp_freshness_read(&freshness, &fields);
    must(is_time(freshness.lifetime_usec) && is_time(freshness.age_usec));
    must(is_window(freshness.stale_usec)
         && is_window(freshness.stale_on_error_usec));
    must(!freshness.must_revalidate
         || (freshness.stale_usec == 0 && freshness.stale_on_error_usec == 0));
}

static void check_asked(const char *control, const char *pragma)
{
    dp_asked_t asked;

    dp_freshness_asked(&asked, control, pragma);
    must(asked.max_age_usec == -1 || is_time(asked.max_age_usec));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines[LINES];
    int i;

    split(lines, data, size);
    check_answer(lines);
    check_asked(lines[0], lines[1]);
    for (i = 0; i < LINES; i++) {
        if (lines[i] != NULL) {
            (void)dp_targeted_is_valid(lines[i]);
        }
        free(lines[i]);
    }
    return 0;
}
