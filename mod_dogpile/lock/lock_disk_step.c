/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of the disk locker: take, renew, release, look.
 *
 * Called by any thread of any child. Each step is: enter the bucket's
 * exclusive section, judge what stands there, write, leave; lock_disk_file.c
 * has the section, lease.c the judgement. What a step needs is constant but
 * for the counters, which are atomic; no mutex is held across a file
 * operation.
 *
 * The invariant: a record counts only while its bucket is in our hands. What
 * a look without entering has shown is told to people and waiters and never
 * acted upon.
 */
#include "lock/lock_disk.h"

#include <apr_atomic.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"

/* A wish outlives two looks of its owner, and a stalled machine's pause. */
#define WISH_MIN_USEC apr_time_from_sec(1)

/* One complaint a minute says as much as thousands. */
#define REPORT_SEC 60

apr_status_t dp_disk_unavailable(dp_disk_t *disk, apr_status_t status,
                                 const char *path)
{
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t before = apr_atomic_read32(&disk->reported_sec);

    apr_atomic_inc32(&disk->failures);
    apr_atomic_set32(&disk->last_failure, (apr_uint32_t)status);
    if (now - before >= REPORT_SEC
        && apr_atomic_cas32(&disk->reported_sec, now, before) == before) {
        dp_log(disk->dir.log, DOGPILE_LOG_WARNING, 700, status,
               "locker %s: lock file %s can't be used%s", disk->dir.name, path,
               status == APR_ENOTIMPL
                   ? ": another version of mod_dogpile has written it"
                   : "");
    }
    return status;
}

static int bucket_index(const dogpile_lock_key_t *key)
{
    return key->digest.bytes[0];
}

static apr_status_t enter(dp_bucket_t *bucket, dp_disk_t *disk,
                          const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    apr_status_t status = dp_bucket_enter(bucket, &disk->dir, bucket_index(key),
                                          DP_BUCKET_WAIT_USEC, pool);

    return status == APR_SUCCESS
               ? status
               : dp_disk_unavailable(disk, status, bucket->path);
}

static apr_status_t save(dp_bucket_t *bucket, dp_disk_t *disk)
{
    apr_status_t status = dp_bucket_save(bucket);

    return status == APR_SUCCESS
               ? status
               : dp_disk_unavailable(disk, status, bucket->path);
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
    apr_interval_time_t two_looks = 2 * disk->locker.conf->retry_usec;

    return two_looks > WISH_MIN_USEC ? two_looks : WISH_MIN_USEC;
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
 * go before us once more: no reason to change the answer. */
static void wish(dp_bucket_t *bucket, const dp_disk_t *disk,
                 const dogpile_lock_key_t *key)
{
    if (is_wished(disk, bucket, key)) {
        return;
    }
    dp_lease_drop_over(bucket->leases, bucket->now);
    dp_lease_drop(bucket->leases, &key->digest, "w", bucket->now);
    add_lease(bucket, disk, key, DP_LEASE_WISH, wish_usec(disk));
    (void)dp_bucket_save(bucket);
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

/* In the section: take the lock, or say who stands in the way. */
static apr_status_t take(dp_bucket_t *bucket, dp_disk_t *disk,
                         const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_id_t *token,
                         dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_lease_t before;
    int was_held = find_predecessor(&before, bucket, key);
    const dp_lease_t *blocker = dp_lease_blocker(
        bucket->leases, &key->digest, mode, bucket->now, &disk->self);
    apr_status_t status;

    if (blocker) {
        dp_lease_describe(holder, blocker, bucket->now, pool);
        if (mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED) {
            wish(bucket, disk, key);
        }
        return APR_EEXIST;
    }
    dp_lease_drop_over(bucket->leases, bucket->now);
    if (mode == DOGPILE_EXCLUSIVE) {
        dp_lease_drop(bucket->leases, &key->digest, "w", bucket->now);
    }
    *token =
        add_lease(bucket, disk, key,
                  mode == DOGPILE_SHARED ? DP_LEASE_SHARED : DP_LEASE_EXCLUSIVE,
                  disk->locker.conf->lease_usec)
            ->token;
    status = save(bucket, disk);
    if (status == APR_SUCCESS && was_held && mode == DOGPILE_EXCLUSIVE) {
        dp_log(disk->dir.log, DOGPILE_LOG_INFO, 703, APR_SUCCESS,
               "locker %s: took a lock over from pid %" APR_INT64_T_FMT
               " of host %s, which has died or hasn't renewed it: %s",
               disk->dir.name, before.owner.pid, before.owner.host,
               before.label);
    }
    return status;
}

apr_status_t dp_disk_acquire(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, dogpile_id_t *token,
                             dogpile_holder_t *holder, apr_pool_t *pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    apr_pool_t *scratch;
    dp_bucket_t bucket;
    apr_status_t status;

    apr_pool_create(&scratch, pool);
    status = enter(&bucket, disk, key, scratch);
    if (status == APR_SUCCESS) {
        status = take(&bucket, disk, key, mode, token, holder, pool);
        dp_bucket_leave(&bucket);
    }
    apr_pool_destroy(scratch);
    return status;
}

apr_status_t dp_disk_renew(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    dp_bucket_t bucket;
    dp_lease_t *lease;
    apr_status_t status = enter(&bucket, disk, key, scratch_pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = APR_NOTFOUND;
    lease = dp_lease_find(bucket.leases, &key->digest, token, bucket.now);
    if (lease) {
        lease->lease_usec = locker->conf->lease_usec;
        lease->until = bucket.now + lease->lease_usec;
        status = save(&bucket, disk);
    }
    dp_bucket_leave(&bucket);
    return status;
}

apr_status_t dp_disk_release(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token,
                             apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    dp_bucket_t bucket;
    const dp_lease_t *lease;
    apr_status_t status = enter(&bucket, disk, key, scratch_pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = APR_NOTFOUND;
    lease = dp_lease_find(bucket.leases, &key->digest, token, bucket.now);
    if (lease) {
        dp_lease_remove(bucket.leases, lease);
        dp_lease_drop_over(bucket.leases, bucket.now);
        status = save(&bucket, disk);
    }
    dp_bucket_leave(&bucket);
    return status;
}

apr_status_t dp_disk_break(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           apr_pool_t *scratch_pool)
{
    dp_disk_t *disk = dp_disk_of(locker);
    dp_bucket_t bucket;
    apr_status_t status = enter(&bucket, disk, key, scratch_pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    dp_lease_drop(bucket.leases, &key->digest, "w", bucket.now);
    status = APR_NOTFOUND;
    if (dp_lease_drop(bucket.leases, &key->digest, "xs", bucket.now) > 0) {
        status = save(&bucket, disk);
    }
    dp_bucket_leave(&bucket);
    return status;
}

/* A look may have found something that only the section can mend: a torn
 * file, or a waiter's wish that is running out. One try, since the look has
 * had its time; the next look comes soon. */
static void follow_up(const dp_disk_t *disk, const dogpile_lock_key_t *key,
                      dogpile_lock_mode_e mode, apr_pool_t *pool)
{
    const dp_lease_t *blocker;
    dp_bucket_t bucket;

    if (dp_bucket_enter(&bucket, &disk->dir, bucket_index(key), 0, pool)
        != APR_SUCCESS) {
        return;
    }
    blocker = dp_lease_blocker(bucket.leases, &key->digest, mode, bucket.now,
                               &disk->self);
    if (mode == DOGPILE_EXCLUSIVE && blocker
        && blocker->kind == DP_LEASE_SHARED) {
        wish(&bucket, disk, key);
    }
    dp_bucket_leave(&bucket);
}

static apr_status_t look(dp_disk_t *disk, const dogpile_lock_key_t *key,
                         dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                         dogpile_holder_t *holder, apr_pool_t *pool,
                         apr_pool_t *scratch)
{
    const dp_lease_t *blocker;
    dp_bucket_t bucket;
    apr_status_t status =
        dp_bucket_look(&bucket, &disk->dir, bucket_index(key), scratch);

    if (status != APR_SUCCESS) {
        if (status == APR_EINVAL) {
            follow_up(disk, key, mode, scratch);
        }
        return dp_disk_unavailable(disk, status, bucket.path);
    }
    blocker = dp_lease_blocker(bucket.leases, &key->digest, mode, bucket.now,
                               &disk->self);
    *state = blocker ? DOGPILE_HELD : DOGPILE_FREE;
    if (blocker == NULL) {
        return APR_SUCCESS;
    }
    dp_lease_describe(holder, blocker, bucket.now, pool);
    if (mode == DOGPILE_EXCLUSIVE && blocker->kind == DP_LEASE_SHARED
        && !is_wished(disk, &bucket, key)) {
        follow_up(disk, key, mode, scratch);
    }
    return APR_SUCCESS;
}

apr_status_t dp_disk_probe(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode,
                           dogpile_lock_state_e *state,
                           dogpile_holder_t *holder, apr_pool_t *pool)
{
    apr_pool_t *scratch;
    apr_status_t status;

    apr_pool_create(&scratch, pool);
    status = look(dp_disk_of(locker), key, mode, state, holder, pool, scratch);
    apr_pool_destroy(scratch);
    return status;
}
