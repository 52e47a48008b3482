/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a redis has been doing, as one child has seen it: whether to leave it
 * alone for a while, and what to tell people. A value without a clock and
 * without a lock: the pool guards it and says what time it is.
 */
#ifndef DP_LOCK_REDIS_HEALTH_H
#define DP_LOCK_REDIS_HEALTH_H

#include <apr_errno.h>
#include <apr_time.h>

#define DP_REDIS_WHY_BYTES 200

/* So many failures in a row may be bad luck. */
#define DP_REDIS_FAILURES_BORNE 3

/* Then it is left alone so long, twice as long each time, at most. */
#define DP_REDIS_PAUSE_MIN_USEC apr_time_from_msec(100)
#define DP_REDIS_PAUSE_MAX_USEC apr_time_from_sec(2)

/* One message says as much as thousands. */
#define DP_REDIS_REPORT_USEC apr_time_from_sec(60)

/* All times are of the monotonic clock. All zero: nothing known. */
typedef struct dp_redis_health_t {
    int failures;           /* of connections, in a row */
    apr_time_t retry_at;    /* until then calls fail at once */
    apr_status_t last_kind; /* of the last failure */
    apr_status_t said_kind; /* that was told; APR_SUCCESS: nothing is wrong */
    apr_time_t said_at;     /* 0: never */
    apr_time_t failed_at;   /* the last failed call */
    apr_uint64_t nfailed;   /* calls */
    char why[DP_REDIS_WHY_BYTES]; /* of the last failure */
} dp_redis_health_t;

/* What an administrator should be told. */
typedef enum dp_redis_news_e {
    DP_REDIS_NO_NEWS,
    DP_REDIS_FAILED,   /* it can't be used */
    DP_REDIS_RECOVERED /* it can be used again */
} dp_redis_news_e;

/* Is a call to fail at once? If not although there were failures, it is the
 * one that tries, and the others let it. */
int dp_redis_health_is_given_up(dp_redis_health_t *health, apr_time_t now);

/* A connection was used, or couldn't be had. */
void dp_redis_health_count(dp_redis_health_t *health, apr_status_t status,
                           const char *why, apr_time_t now);

/* A call has ended. A failure is news when it begins and when its kind
 * changes, and at most once in DP_REDIS_REPORT_USEC. */
dp_redis_news_e dp_redis_health_note(dp_redis_health_t *health,
                                     apr_status_t status, const char *why,
                                     apr_time_t now);

#endif
