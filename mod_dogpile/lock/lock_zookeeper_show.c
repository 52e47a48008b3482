/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All locks of a ZooKeeper locker, for an operator's question. Called by any
 * thread of a child or of a command-line tool; keeps nothing.
 *
 * A tree may be far away, so everything that can be asked at once is: the
 * folders, then what is in all of them, then the leases by the hundred. The
 * invariant: every call that was begun is finished, whatever happens.
 */
#include <apr_strings.h>
#include <string.h>

#include "lock/lock_zookeeper.h"

/* So many leases are asked for at once. */
#define BATCH 100

typedef void visit_fn(void *baton, const dogpile_holder_t *holder);

/* Keep the first of two answers that isn't good. */
static apr_status_t first_of(apr_status_t first, apr_status_t second)
{
    return first != APR_SUCCESS ? first : second;
}

/* The nodes of these folders, into step->nodes. */
static apr_status_t look_into(dp_zk_step_t *step,
                              const apr_array_header_t *folders)
{
    dp_zk_session_t *session = step->zk->session;
    apr_array_header_t *all =
        apr_array_make(step->pool, BATCH, sizeof(dp_zk_node_t));
    dp_zk_call_t **calls =
        apr_palloc(step->pool, (apr_size_t)folders->nelts * sizeof(*calls));
    apr_status_t status = APR_SUCCESS;
    dp_zk_reply_t listed;
    int i;

    for (i = 0; i < folders->nelts; i++) {
        calls[i] =
            dp_zk_list(session, APR_ARRAY_IDX(folders, i, const char *), "");
    }
    for (i = 0; i < folders->nelts; i++) {
        apr_status_t looked =
            dp_zk_finish(calls[i], &listed, step->deadline, step->pool);

        if (all->nelts > DP_ZK_NAMES_MAX) {
            looked = APR_ENOSPC;
        }
        step->folder = APR_ARRAY_IDX(folders, i, const char *);
        looked = dp_zk_step_take_list(step, looked, &listed);
        apr_array_cat(all, step->nodes);
        status = first_of(status, looked);
    }
    step->nodes = all;
    return status;
}

/* Show the leases of some nodes. */
static apr_status_t show_batch(const dp_zk_step_t *step,
                               const dp_zk_node_t *nodes, int n,
                               visit_fn *visit, void *baton)
{
    dp_zk_call_t *calls[BATCH];
    apr_status_t status = APR_SUCCESS;
    dogpile_holder_t holder;
    dp_lease_t lease;
    int i;

    for (i = 0; i < n; i++) {
        calls[i] = dp_zk_get(step->zk->session, nodes[i].path, 0);
    }
    for (i = 0; i < n; i++) {
        apr_status_t had =
            dp_zk_step_take_read(step, calls[i], &lease, &nodes[i], NULL);

        if (had == APR_SUCCESS && nodes[i].kind != DP_LEASE_WISH
            && dp_zk_lease_counts(step->zk, &lease, step->now)) {
            dp_lease_describe(&holder, &lease, step->now, step->pool);
            visit(baton, &holder);
        }
        status = first_of(status, had == APR_NOTFOUND ? APR_SUCCESS : had);
    }
    return status;
}

/* The folders of the tree; there is no tree before the first lock. */
static apr_status_t find_folders(const dp_zk_step_t *step,
                                 apr_array_header_t *folders)
{
    const char *root = step->zk->where.root;
    dp_zk_reply_t listed;
    apr_status_t status = dp_zk_finish(dp_zk_list(step->zk->session, root, ""),
                                       &listed, step->deadline, step->pool);
    int i;

    if (status != APR_SUCCESS) {
        return status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    for (i = 0; i < listed.names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(listed.names, i, const char *);

        if (strlen(name) == 2
            && strspn(name, "0123456789abcdef") == strlen(name)) {
            APR_ARRAY_PUSH(folders, const char *) =
                apr_pstrcat(step->pool, root, "/", name, NULL);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t show(dp_zk_step_t *step, visit_fn *visit, void *baton)
{
    apr_array_header_t *folders =
        apr_array_make(step->pool, 16, sizeof(char *));
    apr_status_t status = find_folders(step, folders);
    int i;

    if (status != APR_SUCCESS || folders->nelts == 0) {
        return status;
    }
    status = look_into(step, folders);
    if (step->nodes->nelts > 0) {
        status = first_of(dp_zk_step_tell_time(step), status);
    }
    for (i = 0; step->now > 0 && i < step->nodes->nelts; i += BATCH) {
        int left = step->nodes->nelts - i;

        status = first_of(
            show_batch(step, &APR_ARRAY_IDX(step->nodes, i, dp_zk_node_t),
                       left < BATCH ? left : BATCH, visit, baton),
            status);
    }
    return status;
}

apr_status_t dp_zk_show(dogpile_locker_t *locker, visit_fn *visit, void *baton,
                        apr_pool_t *scratch_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    dp_zk_step_t step;
    apr_status_t status = dp_zk_step_begin(&step, zk, NULL, scratch_pool);

    if (status == APR_SUCCESS) {
        status = show(&step, visit, baton);
    }
    if (status != APR_SUCCESS) {
        return dp_zk_unavailable(zk, status);
    }
    dp_zk_available(zk);
    return status;
}
