/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the disk locker share: lock_disk.c is the provider,
 * lock_disk_step.c takes, renews and releases, lock_disk_dir.c makes and
 * tries the directory, and lock_disk_file.c is the short exclusive section on
 * one bucket file.
 *
 * A bucket is the list of leases on all keys whose digest begins with the
 * same byte. The others know no more of a bucket than its four calls
 * (enter, save, leave, look), so another way to exclude others from it, for
 * file systems without flock(2), is another file beside lock_disk_file.c.
 */
#ifndef DP_LOCK_LOCK_DISK_H
#define DP_LOCK_LOCK_DISK_H

#include "lock/lease.h"

/* Files in the directory: 00 to ff, 00.bad to ff.bad, and this one, whose
 * only use is its time of modification: the file server's clock for those
 * who only look. */
#define DP_BUCKETS 256
#define DP_CLOCK_FILE "clock"

/* Where the buckets are. Constant once the child runs. */
typedef struct dp_lockdir_t {
    const char *path;         /* absolute */
    const char *name;         /* of the locker, for messages */
    const dogpile_log_t *log; /* or NULL */
    int is_remote;            /* writes may fail after write(2) has returned */
} dp_lockdir_t;

/* One bucket, in the hands of one call. */
typedef struct dp_bucket_t {
    const dp_lockdir_t *dir;
    const char *path;
    int fd;                     /* -1 outside the exclusive section */
    apr_time_t now;             /* by the file server's clock */
    apr_array_header_t *leases; /* of dp_lease_t */
    const char *before;         /* content as it was read, for taking back */
    apr_size_t before_size;
    apr_pool_t *pool;
} dp_bucket_t;

/* How long any call may try to have a bucket for itself. */
#define DP_BUCKET_WAIT_USEC 250000

/*
 * Begin the exclusive section within `wait_usec` (0: one try): nobody else is
 * in it, in any thread, process or host, until dp_bucket_leave(). APR_SUCCESS,
 * or unavailable (never APR_EEXIST or APR_NOTFOUND): APR_TIMEUP when others
 * kept it busy. A torn file is set aside, reported and emptied, and the call
 * fails with APR_EINVAL, since who held what is not known.
 */
apr_status_t dp_bucket_enter(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                             int index, apr_interval_time_t wait_usec,
                             apr_pool_t *pool);

/* Write `leases` back. On failure what was there before is put back. */
apr_status_t dp_bucket_save(dp_bucket_t *bucket);

/* End the section. */
void dp_bucket_leave(dp_bucket_t *bucket);

/* Read `now` and `leases` without entering; they are as of one moment and
 * may be out of date. Results as of dp_bucket_enter(), but a torn file is
 * left alone: APR_EINVAL. Takes DP_BUCKET_WAIT_USEC at most. */
apr_status_t dp_bucket_look(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                            int index, apr_pool_t *pool);

/* How leases are kept apart from each other, for the status page. */
const char *dp_bucket_form(void);

/* Make the directory, give it to `uid` and `gid` (`with_group`: so that the
 * group may write) and try it as that user. NULL or what is wrong. */
const char *dp_lockdir_prepare(const char *path, apr_uid_t uid, apr_gid_t gid,
                               int with_group, apr_pool_t *scratch_pool);

/* Is the directory on a network file system? */
int dp_lockdir_is_remote(const char *path);

/* The locker. Constant after child_init but for the counters. */
typedef struct dp_disk_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    dp_lockdir_t dir;
    apr_gid_t gid; /* of the files: group=, or conf->gid */
    dp_owner_t self;
    volatile apr_uint32_t failures;     /* answers "unavailable" */
    volatile apr_uint32_t last_failure; /* apr_status_t of the last */
    volatile apr_uint32_t reported_sec; /* when one was logged */
} dp_disk_t;

static inline dp_disk_t *dp_disk_of(dogpile_locker_t *locker)
{
    return (dp_disk_t *)locker;
}

/* Counts an answer "unavailable" and says so now and then. */
apr_status_t dp_disk_unavailable(dp_disk_t *disk, apr_status_t status,
                                 const char *path);

/* Members of the provider. */
apr_status_t dp_disk_acquire(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, dogpile_id_t *token,
                             dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_disk_renew(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool);
apr_status_t dp_disk_release(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token,
                             apr_pool_t *scratch_pool);
apr_status_t dp_disk_probe(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode,
                           dogpile_lock_state_e *state,
                           dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_disk_break(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           apr_pool_t *scratch_pool);

#endif
