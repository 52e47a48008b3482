/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hits that need no reading: httpd/memo.c knows what the request means, and
 * store/hot.c has the tile. On request threads.
 *
 * In a location with ProxyPass it is looked for in the fixups already, when
 * access has been granted, as mod_proxy would then bring the URL of its backend
 * into canonical form: a tenth of all that such a hit costs outside the kernel,
 * for a backend that won't be asked. So while mod_proxy's fixup is called, and
 * no longer, the request doesn't look like one of a proxy. The invariant: what
 * goes on to mod_proxy was seen by its fixup.
 */
#include "httpd/known.h"

#include <http_request.h>
#include <string.h>

#include "httpd/handler.h"
#include "httpd/memo.h"
#include "httpd/reply.h"
#include "httpd/start.h"
#include "httpd/usable.h"

#define PROXY "mod_proxy.c"

/* A request that can be answered. */
typedef struct dp_known_t {
    const dp_hot_record_t *hot;
    int index; /* of its tile */
    int fresh;
} dp_known_t;

void dp_known_keep(request_rec *r, const dp_task_t *task)
{
    dp_memo_t memo;

    memset(&memo, 0, sizeof(memo));
    memo.digest = task->key.digest;
    memo.store = task->store;
    memo.index = dp_task_index(task);
    dp_memo_keep(dp_child.memos, r, dp_dir_of(r), &memo);
}

/* Nothing newer can be in the store while this httpd is fetching it: there is
 * nothing to look up, nor to begin. */
static int may_be_stale(const request_rec *r, const dp_dir_t *dir,
                        const dp_record_t *record)
{
    dp_dir_t resolved;

    dp_dir_resolve(&resolved, dir);
    return dp_stale_until(&resolved, record) > r->request_time
           && dp_flight_is_under_way(dp_child.flights, &record->key);
}

/* Nothing but its URI says what it wants. */
static int is_plain(const request_rec *r)
{
    return r->method_number == M_GET
           && apr_table_get(r->headers_in, "Authorization") == NULL
           && !dp_task_is_demanding(r);
}

static dp_known_t *find(request_rec *r)
{
    const dp_dir_t *dir = dp_dir_of(r);
    const dp_hot_record_t *hot;
    dp_known_t *known;
    dp_memo_t memo;
    int fresh;

    if (!is_plain(r) || !dp_memo_find(dp_child.memos, r, dir, &memo)) {
        return NULL;
    }
    hot = dp_hot_find(dp_child.hot, memo.store, &memo.digest, r->pool);
    if (hot == NULL || memo.index >= hot->record.ntiles) {
        return NULL;
    }
    fresh = dp_is_fresh(r, &hot->record);
    if (!fresh && !may_be_stale(r, dir, &hot->record)) {
        return NULL;
    }
    known = apr_palloc(r->pool, sizeof(*known));
    *known = (dp_known_t){.hot = hot, .index = memo.index, .fresh = fresh};
    return known;
}

/* --- around mod_proxy's fixup ------------------------------------------- */

static int hide(request_rec *r)
{
    dp_known_t *known;

    if (r->proxyreq != PROXYREQ_REVERSE || !dp_is_ours(r)) {
        return DECLINED;
    }
    known = find(r);
    if (known != NULL) {
        dp_req_make(r)->known = known;
        r->proxyreq = PROXYREQ_NONE;
    }
    return DECLINED;
}

static int show(request_rec *r)
{
    const dp_req_t *req = dp_req_of(r);

    if (req != NULL && req->known != NULL) {
        r->proxyreq = PROXYREQ_REVERSE;
    }
    return DECLINED;
}

void dp_known_register(void)
{
    static const char *const rewrite[] = {"mod_rewrite.c", NULL};
    static const char *const proxy[] = {PROXY, NULL};

    ap_hook_fixups(hide, rewrite, proxy, APR_HOOK_FIRST);
    ap_hook_fixups(show, proxy, NULL, APR_HOOK_FIRST);
}

/* --- the answer --------------------------------------------------------- */

/* The fixup that it was spared, for a request that goes to its source after
 * all. Running all fixups again, or the request, would do twice what others
 * have done. */
static int fix_up(request_rec *r)
{
    const apr_array_header_t *hooks = ap_hook_get_fixups();
    int status = DECLINED;
    int i;

    for (i = 0; i < hooks->nelts; i++) {
        const ap_LINK_fixups_t *hook =
            &APR_ARRAY_IDX(hooks, i, ap_LINK_fixups_t);

        if (strcmp(hook->szName, PROXY) == 0) {
            status = hook->pFunc(r);
        }
    }
    return status == OK ? DECLINED : status;
}

static int answer(request_rec *r, const dp_known_t *known)
{
    const dp_record_t *record = &known->hot->record;
    const dp_record_tile_t *tile = &record->tiles[known->index];
    const dp_dir_t *dir = dp_dir_of(r);
    apr_bucket *body =
        dp_reply_bucket(r, known->hot->bytes + tile->offset, tile->length);

    dp_reply_count(r, known->fresh);
    apr_table_setn(r->subprocess_env, "DOGPILE_KEY", known->hot->key);
    if (!known->fresh) {
        return dp_reply_tile(r, dir, record, known->index, "hit", body);
    }
    return dp_reply_lines(
        r, dir, record, known->index,
        dp_lines_of_hit(dp_child.lines, record, r->request_time, r->pool),
        body);
}

int dp_known_answer(request_rec *r)
{
    const dp_req_t *req = dp_req_of(r);
    dp_known_t *known = req != NULL ? req->known : NULL;

    /* Fixups that came later may have given it a header field. */
    if (known != NULL && !is_plain(r)) {
        return fix_up(r);
    }
    if (known == NULL) {
        known = find(r);
    }
    return known != NULL ? answer(r, known) : DECLINED;
}
