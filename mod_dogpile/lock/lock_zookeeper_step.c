/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the ZooKeeper locker: take, renew, release, look.
 *
 * Called by any thread of any child. What a step needs is constant but for
 * the counters, which are atomic; the session serialises what it must. Each
 * step has one deadline. Requests of one session are done in order, so those
 * that need no answer of each other are sent together.
 *
 * The invariant: a lock is ours when our node is there and nothing that was
 * made before it is in the way. Everything seen before that only saves work.
 */
#include "lock/lock_zookeeper.h"

#include <string.h>

/* A folder may vanish between being made and being used, but not again and
 * again. */
#define TRIES 3

static dp_lease_kind_e kind_of(dogpile_lock_mode_e mode)
{
    return mode == DOGPILE_SHARED ? DP_LEASE_SHARED : DP_LEASE_EXCLUSIVE;
}

static apr_status_t end(dp_zk_t *zk, apr_status_t status)
{
    if (status != APR_SUCCESS && status != APR_EEXIST
        && status != APR_NOTFOUND) {
        return dp_zk_unavailable(zk, status);
    }
    dp_zk_available(zk);
    return status;
}

/* Make our node and look who was there before. */
static apr_status_t queue_up(dp_zk_step_t *step, dogpile_lock_mode_e mode,
                             dp_zk_node_t *own)
{
    dp_zk_session_t *session = step->zk->session;
    const dogpile_digest_t *digest = &step->key->digest;
    dp_lease_t lease = dp_zk_step_lease(step, kind_of(mode),
                                        step->zk->locker.conf->lease_usec);
    const char *path =
        dp_zk_new_path(step->zk->where.root, digest, lease.kind, step->pool);
    apr_size_t size;
    const char *record = dp_zk_record(&lease, &size, step->pool);
    dp_zk_call_t *create =
        dp_zk_create(session, path, record, size, ZOO_EPHEMERAL_SEQUENTIAL);
    dp_zk_call_t *list =
        dp_zk_list(session, step->folder, dp_zk_prefix(digest, step->pool));
    dp_zk_reply_t created;
    dp_zk_reply_t listed;
    apr_status_t status =
        dp_zk_finish(create, &created, step->deadline, step->pool);
    apr_status_t looked =
        dp_zk_finish(list, &listed, step->deadline, step->pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    step->now = dp_zk_time(created.stat.ctime);
    if (!dp_zk_node_read(own, step->folder, strrchr(created.path, '/') + 1,
                         step->pool)) {
        dp_zk_session_sweep_later(session, path);
        return APR_EGENERAL;
    }
    if (looked != APR_SUCCESS) {
        dp_zk_drop(dp_zk_delete(session, own->path, -1));
        /* A folder with our node in it exists, or did when we looked. */
        return looked == APR_NOTFOUND ? APR_EGENERAL : looked;
    }
    return dp_zk_step_take_list(step, looked, &listed);
}

static apr_status_t queue_up_somewhere(dp_zk_step_t *step,
                                       dogpile_lock_mode_e mode,
                                       dp_zk_node_t *own)
{
    apr_status_t status = queue_up(step, mode, own);
    int i;

    for (i = 1; status == APR_NOTFOUND && i < TRIES; i++) {
        status = dp_zk_step_make_folder(step, step->folder);
        if (status == APR_SUCCESS) {
            status = queue_up(step, mode, own);
        }
    }
    return status == APR_NOTFOUND || status == APR_EEXIST ? APR_EGENERAL
                                                          : status;
}

/* Take the lock, or say in `blocker` who has it. */
static apr_status_t take(dp_zk_step_t *step, dogpile_lock_mode_e mode,
                         dogpile_id_t *token, dp_lease_t *blocker)
{
    dp_zk_session_t *session = step->zk->session;
    dp_zk_node_t own;
    apr_status_t status = dp_zk_step_look(step);

    /* Most who come in vain come while it is held: they write nothing, and
     * are in nobody's way. */
    if (status == APR_SUCCESS) {
        status = dp_zk_step_judge(step, mode, NULL, blocker);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    status = queue_up_somewhere(step, mode, &own);
    if (status != APR_SUCCESS) {
        return status;
    }
    status = dp_zk_step_judge(step, mode, &own, blocker);
    if (status != APR_SUCCESS) {
        dp_zk_drop(dp_zk_delete(session, own.path, -1));
        return status;
    }
    if (step->is_wished && mode == DOGPILE_EXCLUSIVE) {
        dp_zk_drop(dp_zk_delete(
            session,
            dp_zk_wish_path(step->zk->where.root, &own.digest, step->pool),
            -1));
    }
    *token = own.token;
    return APR_SUCCESS;
}

/* Tell the caller who it is, and others that an exclusive lock is waited for
 * where only shared ones are in its way. */
static void refuse(dp_zk_step_t *step, dogpile_lock_mode_e mode,
                   const dp_lease_t *blocker, dogpile_holder_t *holder,
                   apr_pool_t *pool)
{
    dp_lease_describe(holder, blocker, step->now, pool);
    if (mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED) {
        dp_zk_step_wish(step);
    }
}

apr_status_t dp_zk_acquire(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode, dogpile_id_t *token,
                           dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    dp_lease_t blocker;
    dp_zk_step_t step;
    apr_pool_t *scratch;
    apr_status_t status;

    apr_pool_create(&scratch, pool);
    status = dp_zk_step_begin(&step, zk, key, scratch);
    if (status == APR_SUCCESS) {
        status = take(&step, mode, token, &blocker);
    }
    if (status == APR_EEXIST) {
        refuse(&step, mode, &blocker, holder, pool);
    }
    apr_pool_destroy(scratch);
    return end(zk, status);
}

apr_status_t dp_zk_probe(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                         dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    dp_lease_t blocker;
    dp_zk_step_t step;
    apr_pool_t *scratch;
    apr_status_t status;

    apr_pool_create(&scratch, pool);
    status = dp_zk_step_begin(&step, zk, key, scratch);
    step.watches = 1;
    if (status == APR_SUCCESS) {
        status = dp_zk_step_look(&step);
    }
    if (status == APR_SUCCESS) {
        status = dp_zk_step_judge(&step, mode, NULL, &blocker);
    }
    if (status == APR_SUCCESS) {
        *state = DOGPILE_FREE;
    }
    if (status == APR_EEXIST) {
        refuse(&step, mode, &blocker, holder, pool);
        status = APR_SUCCESS;
    }
    apr_pool_destroy(scratch);
    return end(zk, status);
}

/* Was the lease, as read before, already over at that time of the server? */
static int was_over(const dp_zk_step_t *step, const dp_zk_reply_t *before,
                    apr_int64_t msec)
{
    dp_zk_node_t node = {.kind = DP_LEASE_EXCLUSIVE};
    dp_lease_t lease;

    (void)dp_zk_lease_read(&lease, &node, before->bytes, before->size,
                           &before->stat, step->zk->locker.conf->lease_usec,
                           step->pool);
    return dp_lease_is_over(&lease, dp_zk_time(msec));
}

static apr_status_t renew(const dp_zk_step_t *step, const char *path,
                          const dp_lease_t *lease)
{
    dp_zk_session_t *session = step->zk->session;
    apr_size_t size;
    const char *record = dp_zk_record(lease, &size, step->pool);
    dp_zk_call_t *get = dp_zk_get(session, path, 0);
    dp_zk_call_t *set = dp_zk_set(session, path, record, size);
    dp_zk_reply_t before;
    dp_zk_reply_t after;
    apr_status_t had = dp_zk_finish(get, &before, step->deadline, step->pool);
    apr_status_t status = dp_zk_finish(set, &after, step->deadline, step->pool);

    if (had != APR_SUCCESS || status != APR_SUCCESS) {
        return had != APR_SUCCESS ? had : status;
    }
    /* Nobody has taken it over; but it was over, or ends with the session
     * that took it, and who says so mustn't keep it. */
    if (was_over(step, &before, after.stat.mtime)
        || !dp_zk_session_owns(session, &after.stat)) {
        dp_zk_drop(dp_zk_delete(session, path, -1));
        return APR_NOTFOUND;
    }
    return APR_SUCCESS;
}

apr_status_t dp_zk_renew(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         const dogpile_id_t *token, apr_pool_t *scratch_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    dp_zk_node_t node;
    dp_lease_t lease;
    dp_zk_step_t step;
    apr_status_t status = dp_zk_step_begin(&step, zk, key, scratch_pool);
    const char *path =
        dp_zk_token_path(zk->where.root, &key->digest, token, scratch_pool);

    if (status != APR_SUCCESS) {
        return dp_zk_unavailable(zk, status);
    }
    if (!dp_zk_node_read(&node, step.folder, strrchr(path, '/') + 1,
                         scratch_pool)) {
        return APR_NOTFOUND;
    }
    lease = dp_zk_step_lease(&step, node.kind, locker->conf->lease_usec);
    lease.token = *token;
    return end(zk, renew(&step, path, &lease));
}

static apr_status_t release(const dp_zk_step_t *step, const char *path)
{
    dp_zk_session_t *session = step->zk->session;
    dp_zk_call_t *get = dp_zk_get(session, path, 0);
    dp_zk_call_t *last = dp_zk_end(session, path);
    dp_zk_reply_t before;
    dp_zk_reply_t after;
    apr_status_t had = dp_zk_finish(get, &before, step->deadline, step->pool);
    apr_status_t status =
        dp_zk_finish(last, &after, step->deadline, step->pool);

    if (had != APR_SUCCESS || status != APR_SUCCESS) {
        return status != APR_SUCCESS ? status : had;
    }
    return was_over(step, &before, after.stat.mtime) ? APR_NOTFOUND
                                                     : APR_SUCCESS;
}

apr_status_t dp_zk_release(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    const char *path =
        dp_zk_token_path(zk->where.root, &key->digest, token, scratch_pool);
    dp_zk_step_t step;
    apr_status_t status = dp_zk_step_begin(&step, zk, key, scratch_pool);

    if (status == APR_SUCCESS) {
        status = release(&step, path);
    }
    /* Nobody will ask again. */
    if (zk->session && status != APR_SUCCESS && status != APR_NOTFOUND
        && status != APR_EACCES) {
        dp_zk_session_sweep_later(zk->session, path);
    }
    return end(zk, status);
}

apr_status_t dp_zk_break(dogpile_locker_t *locker,
                         const dogpile_lock_key_t *key,
                         apr_pool_t *scratch_pool)
{
    dp_zk_t *zk = dp_zk_of(locker);
    dp_zk_reply_t reply;
    dp_zk_step_t step;
    apr_status_t status = dp_zk_step_begin(&step, zk, key, scratch_pool);
    int broken = 0;
    int i;

    if (status == APR_SUCCESS) {
        status = dp_zk_step_look(&step);
    }
    for (i = 0; status == APR_SUCCESS && i < step.nodes->nelts; i++) {
        const dp_zk_node_t *node = &APR_ARRAY_IDX(step.nodes, i, dp_zk_node_t);

        status = dp_zk_finish(dp_zk_delete(zk->session, node->path, -1), &reply,
                              step.deadline, scratch_pool);
        broken += status == APR_SUCCESS && node->kind != DP_LEASE_WISH;
        status = status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    status = end(zk, status);
    return status == APR_SUCCESS && !broken ? APR_NOTFOUND : status;
}
