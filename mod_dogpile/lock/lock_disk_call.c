/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker's calls: each becomes a step, which is made at once where
 * the directory is on this host's own file system, and on a thread of its own
 * where a file server may hang.
 *
 * Called by any thread of a child. A call by thread costs two switches and a
 * small pool, little beside a question to a file server; a local disk needs
 * neither.
 *
 * The invariant: a step that ends after its caller has been told "unavailable"
 * gives back what it took.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lock_disk.h"

/* Where the configuration doesn't say how long a server may think. */
#define ANSWER_USEC apr_time_from_sec(1)

apr_status_t dp_disk_unavailable(dp_disk_t *disk, apr_status_t status,
                                 const char *path)
{
    if (dp_failures_add(&disk->failures, status)) {
        dp_log(disk->dir.log, DOGPILE_LOG_WARNING, 700, status,
               "locker %s: lock file %s can't be used%s", disk->dir.name, path,
               status == APR_ENOTIMPL
                   ? ": another version of mod_dogpile has written it"
                   : "");
    }
    return status;
}

static const dp_form_t *form_of(const dp_disk_t *disk)
{
    return __atomic_load_n(&disk->dir.form, __ATOMIC_ACQUIRE);
}

static int is_remote(const dp_disk_t *disk)
{
    return form_of(disk) == NULL
           || __atomic_load_n(&disk->dir.is_remote, __ATOMIC_ACQUIRE);
}

/* The step, and before it whatever is still to be known of the directory. */
static apr_status_t run(dp_disk_call_t *call, apr_pool_t *pool)
{
    const char *why;
    apr_status_t status = APR_SUCCESS;

    if (form_of(call->disk) == NULL) {
        status = dp_form_settle(&call->disk->dir, &why, pool);
    }
    if (status != APR_SUCCESS) {
        return dp_disk_unavailable(call->disk, status, call->disk->dir.path);
    }
    return call->step ? call->step(call, pool) : APR_SUCCESS;
}

static apr_status_t run_job(dp_job_t *job)
{
    return run((dp_disk_call_t *)job, job->pool);
}

/* Nobody waits for the lease that was taken after all. */
static void give_back_late(dp_job_t *job)
{
    dp_disk_call_t *call = (dp_disk_call_t *)job;

    if (call->step == dp_disk_take && job->status == APR_SUCCESS) {
        (void)dp_disk_give_back(call, job->pool);
    }
}

static apr_interval_time_t answer_usec(const dp_disk_t *disk)
{
    return disk->locker.conf->socket_usec > 0 ? disk->locker.conf->socket_usec
                                              : ANSWER_USEC;
}

/* Over a network each step takes its time, and the others' steps before it. */
apr_interval_time_t dp_disk_wait_usec(const dp_disk_t *disk)
{
    apr_interval_time_t most = answer_usec(disk) * 3 / 4;

    return is_remote(disk) && most > DP_BUCKET_WAIT_USEC ? most
                                                         : DP_BUCKET_WAIT_USEC;
}

/* Texts that are handed back are the caller's. */
static void copy_out(dp_disk_call_t *call, const dp_disk_call_t *from,
                     apr_pool_t *pool)
{
    int i;

    call->state = from->state;
    call->holder = from->holder;
    call->holder.host = apr_pstrdup(pool, from->holder.host);
    call->holder.label = apr_pstrdup(pool, from->holder.label);
    if (from->list == NULL) {
        return;
    }
    call->list = apr_array_copy(pool, from->list);
    for (i = 0; i < call->list->nelts; i++) {
        dogpile_holder_t *holder =
            &APR_ARRAY_IDX(call->list, i, dogpile_holder_t);

        holder->host = apr_pstrdup(pool, holder->host);
        holder->label = apr_pstrdup(pool, holder->label);
    }
}

static apr_status_t do_on_thread(dp_disk_call_t *call, apr_pool_t *pool)
{
    dp_disk_t *disk = call->disk;
    dp_disk_call_t *job = dp_job_make(sizeof(*job));
    apr_pool_t *own;
    apr_status_t status;

    if (job == NULL) {
        return dp_disk_unavailable(disk, APR_ENOMEM, disk->dir.path);
    }
    own = job->job.pool;
    *job = *call;
    memset(&job->job, 0, sizeof(job->job));
    job->job.pool = own;
    job->job.run = run_job;
    job->job.late = give_back_late;
    job->key.label = apr_pstrdup(own, call->key.label);
    if (!dp_work_do(disk->work, &job->job, answer_usec(disk))) {
        return dp_disk_unavailable(disk, APR_TIMEUP, disk->dir.path);
    }
    status = job->job.status;
    copy_out(call, job, pool);
    dp_job_destroy(&job->job);
    return status;
}

static apr_status_t do_here(dp_disk_call_t *call, apr_pool_t *pool)
{
    apr_pool_t *scratch;
    apr_status_t status;

    call->job.pool = pool;
    apr_pool_create(&scratch, pool);
    status = run(call, scratch);
    apr_pool_destroy(scratch);
    return status;
}

static apr_status_t make_call(dp_disk_call_t *call, apr_pool_t *pool)
{
    return is_remote(call->disk) ? do_on_thread(call, pool)
                                 : do_here(call, pool);
}

static dp_disk_call_t
call_of(dogpile_locker_t *locker, const dogpile_lock_key_t *key,
        apr_status_t (*step)(dp_disk_call_t *call, apr_pool_t *pool))
{
    dp_disk_call_t call = {.disk = dp_disk_of(locker), .step = step};

    if (key != NULL) {
        call.key = *key;
    }
    return call;
}

apr_status_t dp_disk_start(dp_disk_t *disk, apr_pool_t *child_pool)
{
    dp_disk_call_t call = {.disk = disk};
    apr_pool_t *scratch;
    apr_status_t status = dp_work_create(&disk->work, child_pool);

    if (status == APR_SUCCESS) {
        /* If this fails it was said, and the next call tries again. */
        apr_pool_create(&scratch, child_pool);
        (void)do_on_thread(&call, scratch);
        apr_pool_destroy(scratch);
    }
    return status;
}

apr_status_t dp_disk_acquire(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, dogpile_id_t *token,
                             dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_disk_call_t call = call_of(locker, key, dp_disk_take);
    apr_status_t status;

    dp_id_make(&call.token);
    call.mode = mode;
    status = make_call(&call, pool);
    if (status == APR_SUCCESS) {
        *token = call.token;
    }
    if (status == APR_EEXIST) {
        *holder = call.holder;
    }
    return status;
}

apr_status_t dp_disk_renew(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool)
{
    dp_disk_call_t call = call_of(locker, key, dp_disk_prolong);

    call.token = *token;
    return make_call(&call, scratch_pool);
}

apr_status_t dp_disk_release(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token,
                             apr_pool_t *scratch_pool)
{
    dp_disk_call_t call = call_of(locker, key, dp_disk_give_back);

    call.token = *token;
    return make_call(&call, scratch_pool);
}

apr_status_t dp_disk_break(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           apr_pool_t *scratch_pool)
{
    dp_disk_call_t call = call_of(locker, key, dp_disk_end_all);

    return make_call(&call, scratch_pool);
}

apr_status_t dp_disk_probe(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode,
                           dogpile_lock_state_e *state,
                           dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_disk_call_t call = call_of(locker, key, dp_disk_look);
    apr_status_t status;

    call.mode = mode;
    status = make_call(&call, pool);
    if (status == APR_SUCCESS) {
        *state = call.state;
        *holder = call.holder;
    }
    return status;
}

apr_status_t dp_disk_list(dogpile_locker_t *locker,
                          void (*visit)(void *baton,
                                        const dogpile_holder_t *holder),
                          void *baton, apr_pool_t *scratch_pool)
{
    dp_disk_call_t call = call_of(locker, NULL, dp_disk_list_bucket);
    const dp_form_t *form = form_of(call.disk);
    int nbuckets = form ? form->nbuckets : 1;
    apr_status_t worst = APR_SUCCESS;
    apr_status_t status;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, scratch_pool);
    /* A directory that hangs isn't asked for each of its buckets. */
    for (call.index = 0; call.index < nbuckets && worst != APR_TIMEUP;
         call.index++) {
        call.list = NULL;
        status = make_call(&call, pool);
        for (i = 0; call.list && i < call.list->nelts; i++) {
            visit(baton, &APR_ARRAY_IDX(call.list, i, dogpile_holder_t));
        }
        worst = worst == APR_SUCCESS ? status : worst;
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return worst;
}
