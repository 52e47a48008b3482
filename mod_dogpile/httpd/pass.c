/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What isn't the module's to answer. Runs on request threads; the reasons that
 * were logged are remembered in memory that all children share, so that each is
 * said once an httpd.
 */
#include "httpd/pass.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "httpd/reply.h"
#include "httpd/start.h"

/* The first time that this reason is met for this source (and, where it is a
 * parameter's or a coordinate system's fault, for that one). */
static int is_new_reason(const dp_task_t *task, dp_reason_e reason,
                         const char *detail, apr_pool_t *pool)
{
    int says_detail = reason == DP_REASON_PARAM || reason == DP_REASON_CRS;
    const char *text = apr_psprintf(pool, "%s\n%d\n%s", task->source_name,
                                    (int)reason, says_detail ? detail : "");
    dogpile_digest_t digest;
    uint64_t hash;
    uint64_t seen;
    int i;

    dp_digest(&digest, text, strlen(text));
    memcpy(&hash, digest.bytes, sizeof(hash));
    for (i = 0; i < DP_SAID_MAX; i++) {
        uint64_t *place = &dp_child.area->said[i];

        seen = 0;
        if (__atomic_compare_exchange_n(place, &seen, hash, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return 1;
        }
        if (seen == hash) {
            return 0;
        }
    }
    return 0;
}

int dp_has_passed_through(const request_rec *r)
{
    const dp_req_t *req = dp_req_of(r);

    return req != NULL && req->has_passed_through;
}

int dp_pass_through(request_rec *r, const dp_task_t *task, dp_reason_e reason)
{
    const char *detail = task->request.detail && task->request.reason == reason
                             ? task->request.detail
                             : dp_reason_name(reason);
    const char *remedy =
        task->request.reason == reason ? task->request.remedy : NULL;

    dp_req_make(r)->has_passed_through = 1;
    dp_count(&dp_child.area->counters, DP_COUNT_passed);
    __atomic_fetch_add(&dp_child.area->passes[reason], 1, __ATOMIC_RELAXED);
    dp_reply_pass(r, &task->dir, detail);
    if (is_new_reason(task, reason, detail, r->pool)) {
        dp_rlog(r, APLOG_NOTICE, 0, 201,
                "source %s: passed through (%s)%s%s; said once",
                task->source_name, detail, remedy ? "; to coalesce, add " : "",
                remedy ? remedy : "");
    }
    return DECLINED;
}

int dp_turn_away(request_rec *r, const dp_task_t *task)
{
    int status =
        task->verdict == DP_VERDICT_DENY ? HTTP_FORBIDDEN : HTTP_BAD_REQUEST;
    const char *detail = task->request.detail
                             ? task->request.detail
                             : dp_reason_name(task->request.reason);

    dp_count(&dp_child.area->counters, DP_COUNT_denied);
    dp_rlog(r, APLOG_INFO, 0, 202, "source %s: refused with %d (%s)",
            task->source_name, status, detail);
    return dp_reply_failure(
        r, &task->dir, status, 0,
        apr_pstrcat(r->pool, "detail=\"", detail, "\"", NULL));
}
