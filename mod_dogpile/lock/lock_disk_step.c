/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the disk locker: take, prolong, give back, look.
 *
 * Called by lock_disk_call.c, from any thread of any child. Each step is:
 * enter the bucket, judge what stands there, write, leave; the bucket's form
 * keeps others out or sees that it was changed, lease.c judges. What a step
 * needs is constant but for the counters, which are atomic; no mutex is held
 * across a file operation.
 *
 * The invariant: a record counts only while its bucket is in our hands. What
 * a look without entering has shown is told to people and waiters and never
 * acted upon. What entering has shown may be out of date, too, in one form:
 * save() finds out, and confirm() where nothing is to be saved. A refusal needs
 * neither: whoever is refused asks again.
 */
#include <errno.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lock_disk.h"
#include "lock/lock_disk_io.h"

/* How long a look may try to mend what it has found. */
#define FOLLOW_UP_USEC 50000

static int bucket_index(const dogpile_lock_key_t *key)
{
    return key->digest.bytes[0];
}

typedef apr_status_t change_fn(dp_bucket_t *bucket, dp_disk_call_t *call);

/*
 * Enter the bucket of the call's key, `change` it, leave; begin anew when
 * somebody else was faster, as long as there is time. What `change` does must
 * come to the same when it is done twice.
 */
static apr_status_t try_in_bucket(dp_disk_call_t *call, change_fn *change,
                                  apr_interval_time_t wait_usec,
                                  apr_pool_t *pool)
{
    dp_patience_t patience = dp_patience_make(wait_usec);
    const dp_form_t *form = call->disk->dir.form;
    dp_bucket_t bucket;
    apr_pool_t *scratch;
    apr_status_t status;

    apr_pool_create(&scratch, pool);
    do {
        apr_pool_clear(scratch);
        dp_bucket_init(&bucket, &call->disk->dir, bucket_index(&call->key),
                       scratch);
        bucket.passed = call->passed;
        status = form->enter(&bucket);
        if (status == APR_SUCCESS) {
            status = change(&bucket, call);
            form->leave(&bucket);
        }
    } while (dp_patience_again(&patience, status));
    apr_pool_destroy(scratch);
    return status == EAGAIN ? APR_TIMEUP : status;
}

static apr_status_t in_bucket(dp_disk_call_t *call, change_fn *change,
                              apr_pool_t *pool)
{
    apr_status_t status =
        try_in_bucket(call, change, dp_disk_wait_usec(call->disk), pool);
    dp_bucket_t bucket;

    if (status == APR_SUCCESS || status == APR_EEXIST
        || status == APR_NOTFOUND) {
        return status;
    }
    if (call->is_refused) {
        return APR_EEXIST; /* only the wish could not be left */
    }
    dp_bucket_init(&bucket, &call->disk->dir, bucket_index(&call->key), pool);
    return dp_disk_unavailable(call->disk, status, bucket.path);
}

/* A new lease of this process. */
static dp_lease_t *add_lease(dp_bucket_t *bucket, const dp_disk_t *disk,
                             const dogpile_lock_key_t *key,
                             dp_lease_kind_e kind,
                             apr_interval_time_t lease_usec)
{
    dp_lease_t *lease = apr_array_push(bucket->leases);

    dp_id_make(&lease->token);
    lease->store_id = key->store_id;
    lease->digest = key->digest;
    lease->kind = kind;
    lease->owner = disk->self;
    lease->since = bucket->now;
    lease->until = bucket->now + lease_usec;
    lease->lease_usec = lease_usec;
    lease->label = dp_lock_label(key->label, bucket->pool);
    return lease;
}

static apr_interval_time_t wish_usec(const dp_disk_t *disk)
{
    return dp_lease_wish_usec(disk->locker.conf);
}

/* Is there a wish that lasts until its owner looks again? */
static int is_wished(const dp_disk_t *disk, dp_bucket_t *bucket,
                     const dogpile_lock_key_t *key)
{
    const dp_lease_t *wish =
        dp_lease_find_wish(bucket->leases, &key->digest, bucket->now);

    return wish && wish->until - bucket->now > wish_usec(disk) / 2;
}

/* Leave a wish for the exclusive lock. If it can't be written, shared ones
 * go before us once more: no reason to change the answer. EAGAIN: somebody was
 * faster. */
static apr_status_t wish(dp_bucket_t *bucket, const dp_disk_t *disk,
                         const dogpile_lock_key_t *key)
{
    if (is_wished(disk, bucket, key)) {
        return APR_SUCCESS;
    }
    dp_lease_drop_over(bucket->leases, bucket->now);
    dp_lease_drop(bucket->leases, &key->digest, "w", bucket->now);
    add_lease(bucket, disk, key, DP_LEASE_WISH, wish_usec(disk));
    return bucket->dir->form->save(bucket);
}

/* Who held the key before it was judged. */
static int find_predecessor(dp_lease_t *before, const dp_bucket_t *bucket,
                            const dogpile_lock_key_t *key)
{
    int i;

    for (i = 0; i < bucket->leases->nelts; i++) {
        *before = APR_ARRAY_IDX(bucket->leases, i, dp_lease_t);
        if (before->kind != DP_LEASE_WISH
            && dp_digest_equal(&before->digest, &key->digest)) {
            return 1;
        }
    }
    return 0;
}

static void report_takeover(const dp_disk_t *disk, const dp_lease_t *before)
{
    dp_log(disk->dir.log, DOGPILE_LOG_INFO, 703, APR_SUCCESS,
           "locker %s: took a lock over from pid %" APR_INT64_T_FMT
           " of host %s, which has died or hasn't renewed it: %s",
           disk->dir.name, before->owner.pid, before->owner.host,
           before->label);
}

/* Take the lock, or say who stands in the way. */
static apr_status_t take(dp_bucket_t *bucket, dp_disk_call_t *call)
{
    dp_disk_t *disk = call->disk;
    const dogpile_lock_key_t *key = &call->key;
    dp_lease_t before;
    const dp_lease_t *blocker;
    apr_status_t status;
    int was_held;

    /* An answer that got lost: it was done the first time. */
    if (dp_lease_find(bucket->leases, &key->digest, &call->token,
                      bucket->now)) {
        return APR_SUCCESS;
    }
    call->is_refused = 0;
    was_held = find_predecessor(&before, bucket, key);
    blocker = dp_lease_blocker(bucket->leases, &key->digest, call->mode,
                               bucket->now, &disk->self);
    if (blocker) {
        call->is_refused = 1;
        dp_lease_describe(&call->holder, blocker, bucket->now, call->job.pool);
        if (call->mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED
            && wish(bucket, disk, key) == EAGAIN) {
            return EAGAIN;
        }
        return APR_EEXIST;
    }
    dp_lease_drop_over(bucket->leases, bucket->now);
    if (call->mode == DOGPILE_EXCLUSIVE) {
        dp_lease_drop(bucket->leases, &key->digest, "w", bucket->now);
    }
    add_lease(bucket, disk, key,
              call->mode == DOGPILE_SHARED ? DP_LEASE_SHARED
                                           : DP_LEASE_EXCLUSIVE,
              disk->locker.conf->lease_usec)
        ->token = call->token;
    status = bucket->dir->form->save(bucket);
    if (status == APR_SUCCESS && was_held && call->mode == DOGPILE_EXCLUSIVE) {
        report_takeover(disk, &before);
    }
    return status;
}

apr_status_t dp_disk_take(dp_disk_call_t *call, apr_pool_t *pool)
{
    return in_bucket(call, take, pool);
}

/* The lease isn't there: an answer that must not come from a look out of date,
 * since a release that believed it would leave the lease behind. */
static apr_status_t not_there(dp_bucket_t *bucket)
{
    apr_status_t status = bucket->dir->form->confirm(bucket);

    return status == APR_SUCCESS ? APR_NOTFOUND : status;
}

static apr_status_t prolong(dp_bucket_t *bucket, dp_disk_call_t *call)
{
    dp_lease_t *lease = dp_lease_find(bucket->leases, &call->key.digest,
                                      &call->token, bucket->now);

    if (lease == NULL) {
        return not_there(bucket);
    }
    lease->lease_usec = call->disk->locker.conf->lease_usec;
    lease->until = bucket->now + lease->lease_usec;
    return bucket->dir->form->save(bucket);
}

apr_status_t dp_disk_prolong(dp_disk_call_t *call, apr_pool_t *pool)
{
    return in_bucket(call, prolong, pool);
}

static apr_status_t give_back(dp_bucket_t *bucket, dp_disk_call_t *call)
{
    const dp_lease_t *lease = dp_lease_find(bucket->leases, &call->key.digest,
                                            &call->token, bucket->now);

    if (lease == NULL) {
        return not_there(bucket);
    }
    dp_lease_remove(bucket->leases, lease);
    dp_lease_drop_over(bucket->leases, bucket->now);
    return bucket->dir->form->save(bucket);
}

apr_status_t dp_disk_give_back(dp_disk_call_t *call, apr_pool_t *pool)
{
    return in_bucket(call, give_back, pool);
}

static apr_status_t end_all(dp_bucket_t *bucket, dp_disk_call_t *call)
{
    const dogpile_digest_t *digest = &call->key.digest;

    dp_lease_drop(bucket->leases, digest, "w", bucket->now);
    return dp_lease_drop(bucket->leases, digest, "xs", bucket->now) > 0
               ? bucket->dir->form->save(bucket)
               : not_there(bucket);
}

apr_status_t dp_disk_end_all(dp_disk_call_t *call, apr_pool_t *pool)
{
    return in_bucket(call, end_all, pool);
}

static apr_status_t keep_wish(dp_bucket_t *bucket, dp_disk_call_t *call)
{
    const dp_lease_t *blocker =
        dp_lease_blocker(bucket->leases, &call->key.digest, call->mode,
                         bucket->now, &call->disk->self);

    return call->mode == DOGPILE_EXCLUSIVE && blocker
                   && blocker->kind == DP_LEASE_SHARED
               ? wish(bucket, call->disk, &call->key)
               : APR_SUCCESS;
}

/* A look may have found something that only a change can mend: a torn file,
 * or a waiter's wish that is running out. A short try, since the look has had
 * its time; the next look comes soon. */
static void follow_up(dp_disk_call_t *call, apr_pool_t *pool)
{
    (void)try_in_bucket(call, keep_wish, FOLLOW_UP_USEC, pool);
}

apr_status_t dp_disk_look(dp_disk_call_t *call, apr_pool_t *pool)
{
    dp_disk_t *disk = call->disk;
    const dp_lease_t *blocker;
    dp_bucket_t bucket;
    apr_status_t status =
        dp_bucket_look(&bucket, &disk->dir, bucket_index(&call->key), pool);

    if (status != APR_SUCCESS) {
        if (status == APR_EINVAL) {
            follow_up(call, pool);
        }
        return dp_disk_unavailable(disk, status, bucket.path);
    }
    blocker = dp_lease_blocker(bucket.leases, &call->key.digest, call->mode,
                               bucket.now, &disk->self);
    call->state = blocker ? DOGPILE_HELD : DOGPILE_FREE;
    if (blocker == NULL) {
        return APR_SUCCESS;
    }
    dp_lease_describe(&call->holder, blocker, bucket.now, call->job.pool);
    if (call->mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED
        && !is_wished(disk, &bucket, &call->key)) {
        follow_up(call, pool);
    }
    return APR_SUCCESS;
}

apr_status_t dp_disk_list_bucket(dp_disk_call_t *call, apr_pool_t *pool)
{
    dp_disk_t *disk = call->disk;
    dp_bucket_t bucket;
    apr_status_t status;
    int i;

    status = dp_bucket_look(&bucket, &disk->dir, call->index, pool);
    if (status != APR_SUCCESS) {
        return dp_disk_unavailable(disk, status, bucket.path);
    }
    call->list = apr_array_make(call->job.pool, bucket.leases->nelts + 1,
                                sizeof(dogpile_holder_t));
    for (i = 0; i < bucket.leases->nelts; i++) {
        const dp_lease_t *lease = &APR_ARRAY_IDX(bucket.leases, i, dp_lease_t);

        if (lease->kind != DP_LEASE_WISH && !dp_lease_is_over(lease, bucket.now)
            && !dp_owner_is_dead(&disk->self, &lease->owner)) {
            dp_lease_describe(apr_array_push(call->list), lease, bucket.now,
                              call->job.pool);
        }
    }
    return APR_SUCCESS;
}
