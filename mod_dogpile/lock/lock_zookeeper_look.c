/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking and judging in ZooKeeper's tree, for the steps of the locker. Called
 * by any thread of any child; what is known is in the caller's step.
 *
 * All times that are compared come from ZooKeeper's leader: a node's times
 * from its Stat, "now" from the last node that this session wrote. The
 * invariant: a lease that is over is deleted only in the version that was
 * judged, so one renewed meanwhile stays.
 */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lock_zookeeper.h"

apr_status_t dp_zk_step_begin(dp_zk_step_t *step, dp_zk_t *zk,
                              const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    step->zk = zk;
    step->key = key;
    step->folder =
        key ? dp_zk_folder(zk->where.root, &key->digest, pool) : NULL;
    step->deadline =
        dp_clock_now(&dp_clock_monotonic) + zk->locker.conf->socket_usec;
    step->nodes = NULL;
    step->now = 0;
    step->is_wished = 0;
    step->watches = 0;
    step->pool = pool;
    if (zk->session == NULL) {
        return APR_EINIT;
    }
    return dp_zk_session_await(zk->session, step->deadline);
}

static int by_age(const void *a, const void *b)
{
    apr_int32_t first = ((const dp_zk_node_t *)a)->sequence;
    apr_int32_t second = ((const dp_zk_node_t *)b)->sequence;

    if (first == second) {
        return 0;
    }
    return dp_zk_is_before(first, second) ? -1 : 1;
}

apr_status_t dp_zk_step_take_list(dp_zk_step_t *step, apr_status_t status,
                                  const dp_zk_reply_t *listed)
{
    int i;

    step->nodes = apr_array_make(step->pool, 4, sizeof(dp_zk_node_t));
    step->is_wished = 0;
    if (status != APR_SUCCESS) {
        return status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    for (i = 0; i < listed->names->nelts; i++) {
        dp_zk_node_t node;

        if (!dp_zk_node_read(&node, step->folder,
                             APR_ARRAY_IDX(listed->names, i, const char *),
                             step->pool)) {
            continue;
        }
        step->is_wished |= node.kind == DP_LEASE_WISH;
        APR_ARRAY_PUSH(step->nodes, dp_zk_node_t) = node;
    }
    if (step->nodes->nelts > 1) {
        qsort(step->nodes->elts, (size_t)step->nodes->nelts,
              sizeof(dp_zk_node_t), by_age);
    }
    return APR_SUCCESS;
}

apr_status_t dp_zk_step_look(dp_zk_step_t *step)
{
    const char *prefix =
        step->key ? dp_zk_prefix(&step->key->digest, step->pool) : "";
    dp_zk_reply_t listed;
    apr_status_t status =
        dp_zk_finish(dp_zk_list(step->zk->session, step->folder, prefix),
                     &listed, step->deadline, step->pool);

    return dp_zk_step_take_list(step, status, &listed);
}

/* Write something for the sake of the time that it is written. */
static apr_status_t touch_clock(const dp_zk_step_t *step, dp_zk_reply_t *reply)
{
    dp_zk_session_t *session = step->zk->session;
    const char *root = step->zk->where.root;
    const char *path = apr_pstrcat(step->pool, root, "/clock", NULL);
    apr_status_t status = dp_zk_finish(dp_zk_set(session, path, "", 0), reply,
                                       step->deadline, step->pool);

    if (status != APR_NOTFOUND) {
        return status;
    }
    status = dp_zk_finish(dp_zk_create(session, path, "", 0, ZOO_PERSISTENT),
                          reply, step->deadline, step->pool);
    if (status == APR_EEXIST) {
        status = dp_zk_finish(dp_zk_set(session, path, "", 0), reply,
                              step->deadline, step->pool);
    }
    return status;
}

apr_status_t dp_zk_step_tell_time(dp_zk_step_t *step)
{
    dp_zk_reply_t reply;
    apr_status_t status;

    step->now = dp_zk_session_now(step->zk->session);
    if (step->now > 0) {
        return APR_SUCCESS;
    }
    status = touch_clock(step, &reply);
    step->now = dp_zk_time(reply.stat.mtime);
    return status;
}

apr_status_t dp_zk_step_take_read(const dp_zk_step_t *step, dp_zk_call_t *get,
                                  dp_lease_t *lease, const dp_zk_node_t *node,
                                  int *version)
{
    dp_zk_reply_t reply;
    apr_status_t status = dp_zk_finish(get, &reply, step->deadline, step->pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (!dp_zk_lease_read(lease, node, reply.bytes, reply.size, &reply.stat,
                          step->zk->locker.conf->lease_usec, step->pool)) {
        dp_log(step->zk->where.log, DOGPILE_LOG_DEBUG, 786, APR_SUCCESS,
               "locker %s: the lock %s can't be read; it ends if it isn't "
               "changed",
               step->zk->where.name, node->path);
    }
    if (version) {
        *version = reply.stat.version;
    }
    return APR_SUCCESS;
}

apr_status_t dp_zk_step_read(const dp_zk_step_t *step, dp_lease_t *lease,
                             const dp_zk_node_t *node, int *version)
{
    return dp_zk_step_take_read(
        step, dp_zk_get(step->zk->session, node->path, step->watches), lease,
        node, version);
}

int dp_zk_lease_counts(const dp_zk_t *zk, const dp_lease_t *lease,
                       apr_time_t now)
{
    return !dp_lease_is_over(lease, now)
           && !dp_owner_is_dead(&zk->self, &lease->owner);
}

static int is_in_the_way(const dp_zk_node_t *node, dogpile_lock_mode_e mode,
                         const dp_zk_node_t *own)
{
    if (node->kind == DP_LEASE_WISH) {
        return mode == DOGPILE_SHARED;
    }
    if (mode == DOGPILE_SHARED && node->kind == DP_LEASE_SHARED) {
        return 0;
    }
    return own == NULL || dp_zk_is_before(node->sequence, own->sequence);
}

/* Delete a lease that is over. APR_EBUSY: it has been renewed meanwhile. */
static apr_status_t take_over(const dp_zk_step_t *step,
                              const dp_zk_node_t *node, const dp_lease_t *lease,
                              int version)
{
    dp_zk_reply_t reply;
    apr_status_t status =
        dp_zk_finish(dp_zk_delete(step->zk->session, node->path, version),
                     &reply, step->deadline, step->pool);

    if (status == APR_SUCCESS && node->kind != DP_LEASE_WISH) {
        dp_log(step->zk->where.log, DOGPILE_LOG_INFO, 785, APR_SUCCESS,
               "locker %s: took a lock over from pid %" APR_INT64_T_FMT
               " of host %s, which has died or hasn't renewed it: %s",
               step->zk->where.name, lease->owner.pid, lease->owner.host,
               lease->label);
    }
    return status == APR_NOTFOUND ? APR_SUCCESS : status;
}

/* One node: APR_EEXIST with its lease if that counts, APR_SUCCESS if not. */
static apr_status_t judge_one(dp_zk_step_t *step, const dp_zk_node_t *node,
                              int deletes, dp_lease_t *lease)
{
    apr_status_t status;
    int version;

    do {
        status = dp_zk_step_read(step, lease, node, &version);
        if (status != APR_SUCCESS) {
            return status == APR_NOTFOUND ? APR_SUCCESS : status;
        }
        if (dp_zk_lease_counts(step->zk, lease, step->now)) {
            return APR_EEXIST;
        }
        if (deletes) {
            status = take_over(step, node, lease, version);
        }
    } while (status == APR_EBUSY);
    return status;
}

apr_status_t dp_zk_step_judge(dp_zk_step_t *step, dogpile_lock_mode_e mode,
                              const dp_zk_node_t *own, dp_lease_t *blocker)
{
    apr_status_t status = APR_SUCCESS;
    int i;

    for (i = 0; status == APR_SUCCESS && i < step->nodes->nelts; i++) {
        const dp_zk_node_t *node = &APR_ARRAY_IDX(step->nodes, i, dp_zk_node_t);

        if (!is_in_the_way(node, mode, own)) {
            continue;
        }
        if (step->now == 0) {
            status = dp_zk_step_tell_time(step);
        }
        if (status == APR_SUCCESS) {
            status = judge_one(step, node, own != NULL, blocker);
        }
    }
    return status;
}

dp_lease_t dp_zk_step_lease(const dp_zk_step_t *step, dp_lease_kind_e kind,
                            apr_interval_time_t lease_usec)
{
    dp_lease_t lease = {.store_id = step->key->store_id,
                        .digest = step->key->digest,
                        .kind = kind,
                        .owner = step->zk->self,
                        .lease_usec = lease_usec,
                        .label = dp_lock_label(step->key->label, step->pool)};

    return lease;
}

/* Does a wish last until its owner looks again? */
static int is_wished(const dp_zk_step_t *step, const char *path,
                     apr_interval_time_t wish_usec)
{
    dp_zk_node_t node = {.path = path, .kind = DP_LEASE_WISH};
    dp_lease_t wish;

    node.digest = step->key->digest;
    return step->is_wished
           && dp_zk_step_read(step, &wish, &node, NULL) == APR_SUCCESS
           && dp_zk_lease_counts(step->zk, &wish, step->now)
           && wish.until - step->now > wish_usec / 2;
}

/* If it can't be written, shared locks go before us once more: no reason to
 * change the answer. */
void dp_zk_step_wish(dp_zk_step_t *step)
{
    apr_interval_time_t wish_usec = dp_lease_wish_usec(step->zk->locker.conf);
    dp_zk_session_t *session = step->zk->session;
    const char *path =
        dp_zk_wish_path(step->zk->where.root, &step->key->digest, step->pool);
    dp_lease_t wish = dp_zk_step_lease(step, DP_LEASE_WISH, wish_usec);
    dp_zk_reply_t reply;
    apr_status_t status;
    apr_size_t size;
    const char *record = dp_zk_record(&wish, &size, step->pool);

    step->watches = 0; /* it isn't in our way */
    if (is_wished(step, path, wish_usec)) {
        return;
    }
    status = dp_zk_finish(dp_zk_set(session, path, record, size), &reply,
                          step->deadline, step->pool);
    if (status == APR_NOTFOUND) {
        (void)dp_zk_finish(
            dp_zk_create(session, path, record, size, ZOO_EPHEMERAL), &reply,
            step->deadline, step->pool);
    }
}

apr_status_t dp_zk_step_make_folder(const dp_zk_step_t *step, const char *path)
{
    dp_zk_session_t *session = step->zk->session;
    const char *slash = strrchr(path, '/');
    apr_status_t status = APR_NOTFOUND;
    dp_zk_reply_t reply;
    int again;

    for (again = 0; status == APR_NOTFOUND && again < 2; again++) {
        status = dp_zk_finish(dp_zk_create(session, path, "", 0, ZOO_CONTAINER),
                              &reply, step->deadline, step->pool);
        if (status == APR_NOTFOUND && slash > path) {
            status = dp_zk_step_make_folder(
                step,
                apr_pstrmemdup(step->pool, path, (apr_size_t)(slash - path)));
            status = status == APR_SUCCESS ? APR_NOTFOUND : status;
        }
    }
    return status == APR_EEXIST ? APR_SUCCESS : status;
}
