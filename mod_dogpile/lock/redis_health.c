/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging a redis by its failures. Called by the pool under its mutex, from
 * any thread of a child; pure arithmetic on one value.
 *
 * After some failures in a row calls fail at once, but for one now and then
 * that tries. So a redis that hangs costs each thread a few deadlines, not
 * every request one.
 *
 * The invariant: one success of a connection forgives all failures, and it is
 * always tried again within DP_REDIS_PAUSE_MAX_USEC.
 */
#include "lock/redis_health.h"

#include <apr_strings.h>

/* What redis refuses it refuses of some commands only, so other calls in
 * between that go well don't mean that it is over. */
#define CALM_USEC apr_time_from_sec(60)

static int is_refusal(apr_status_t kind)
{
    return kind == APR_EACCES || kind == APR_ENOMEM || kind == APR_EGENERAL;
}

int dp_redis_health_is_given_up(dp_redis_health_t *health, apr_time_t now)
{
    if (health->failures < DP_REDIS_FAILURES_BORNE) {
        return 0;
    }
    if (now < health->retry_at) {
        return 1;
    }
    health->retry_at = now + DP_REDIS_PAUSE_MAX_USEC;
    return 0;
}

void dp_redis_health_count(dp_redis_health_t *health, apr_status_t status,
                           const char *why, apr_time_t now)
{
    apr_interval_time_t pause = DP_REDIS_PAUSE_MIN_USEC;
    int i;

    if (status == APR_SUCCESS) {
        health->failures = 0;
        return;
    }
    apr_cpystrn(health->why, why, sizeof(health->why));
    health->last_kind = status;
    for (i = DP_REDIS_FAILURES_BORNE;
         i <= health->failures && pause < DP_REDIS_PAUSE_MAX_USEC; i++) {
        pause *= 2;
    }
    health->failures++;
    health->retry_at =
        now
        + (pause < DP_REDIS_PAUSE_MAX_USEC ? pause : DP_REDIS_PAUSE_MAX_USEC);
}

static dp_redis_news_e note_good(dp_redis_health_t *health, apr_time_t now)
{
    if (health->said_kind == APR_SUCCESS
        || (is_refusal(health->said_kind)
            && now - health->failed_at < CALM_USEC)) {
        return DP_REDIS_NO_NEWS;
    }
    health->said_kind = APR_SUCCESS;
    return DP_REDIS_RECOVERED;
}

dp_redis_news_e dp_redis_health_note(dp_redis_health_t *health,
                                     apr_status_t status, const char *why,
                                     apr_time_t now)
{
    if (status == APR_SUCCESS) {
        return note_good(health, now);
    }
    health->nfailed++;
    health->failed_at = now;
    apr_cpystrn(health->why, why, sizeof(health->why));
    if (status == health->said_kind
        || (health->said_at && now - health->said_at < DP_REDIS_REPORT_USEC)) {
        return DP_REDIS_NO_NEWS;
    }
    health->said_kind = status;
    health->said_at = now;
    return DP_REDIS_FAILED;
}
