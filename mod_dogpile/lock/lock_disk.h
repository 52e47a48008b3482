/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the disk locker share:
 *
 *     lock_disk.c         the provider: configuration, start, list, status
 *     lock_disk_call.c    its calls, made here or on a thread of their own
 *     lock_disk_step.c    a step: take, renew, release, look
 *     lock_disk_bucket.c  what buckets of both forms have in common
 *     lock_disk_file.c    a bucket as one file under flock
 *     lock_disk_rename.c  a bucket as versions that follow by rename
 *     lock_disk_form.c    which of these two it is in this directory
 *     lock_disk_dir.c     makes and tries the directory
 *     lock_disk_mount.c   what kind of file system it is on
 *     lock_disk_work.c    the threads
 *
 * A bucket is the list of leases on all keys whose digest begins alike. How
 * others are kept from changing it meanwhile is the business of its form; the
 * steps know no more of it than the five calls below. docs/design/disk.md has
 * the reasons.
 */
#ifndef DP_LOCK_LOCK_DISK_H
#define DP_LOCK_LOCK_DISK_H

#include "base/digest.h"
#include "lock/failures.h"
#include "lock/lease.h"
#include "lock/lock_disk_work.h"

/* Files in the directory: 00 to ff and 00.bad to ff.bad in the flock form,
 * this one, which says the form, and another, whose only use is its time of
 * modification: the file server's clock for those who only look. */
#define DP_BUCKETS 256
#define DP_FORM_DIRECTORY "form"
#define DP_CLOCK_FILE "clock"
/* The beginning of names of what is in the making, or was tried. */
#define DP_FORM_DRAFT ".form-"
#define DP_TRY_DRAFT ".try-"

typedef struct dp_bucket_t dp_bucket_t;
typedef struct dp_form_t dp_form_t;

/* Where the buckets are. Constant once the child runs but for the form and
 * is_remote, which wait for a directory that hangs when the child starts. */
typedef struct dp_lockdir_t {
    const char *path;               /* absolute */
    const char *name;               /* of the locker, for messages */
    const dogpile_log_t *log;       /* or NULL */
    const dp_form_t *form;          /* NULL until known; atomic */
    apr_interval_time_t lease_usec; /* of this locker's leases */
    int is_remote; /* the file system may hang, and writes may fail
                                 after write(2) has returned; atomic */
} dp_lockdir_t;

/* One bucket, in the hands of one call. */
struct dp_bucket_t {
    const dp_lockdir_t *dir;
    const char *path;
    int fd;                     /* -1 outside the exclusive section */
    apr_time_t now;             /* by the file server's clock */
    apr_array_header_t *leases; /* of dp_lease_t */
    const char *before;         /* content as it was read, for taking back */
    apr_size_t before_size;
    const char *version;     /* rename: what was read */
    char *passed;            /* rename: DP_ID_HEX_BYTES of the call's */
    apr_time_t written;      /* rename: when, by the file server's clock */
    apr_array_header_t *old; /* rename: of const char *, what may be removed */
    apr_pool_t *pool;
};

/* How long a call may try to have a bucket for itself, or to look at it. Over a
 * network it may try to have it for longer: dp_disk_wait_usec(). */
#define DP_BUCKET_WAIT_USEC 250000

/* A way to keep a bucket's changes apart. */
struct dp_form_t {
    const char *name;
    int nbuckets;

    /*
     * One try to begin a change: `now` and `leases` are as of this moment.
     * APR_SUCCESS, or unavailable (never APR_EEXIST or APR_NOTFOUND); EAGAIN
     * when another try may do. A bucket that is damaged is set aside, reported
     * and emptied, and the call fails with APR_EINVAL, since who held what is
     * not known.
     */
    apr_status_t (*enter)(dp_bucket_t *bucket);

    /* Make `leases` the bucket's content, if nobody has changed it since
     * enter(). EAGAIN: somebody has; begin the change anew. On failure what
     * was there before is there. */
    apr_status_t (*save)(dp_bucket_t *bucket);

    /* Is the bucket certainly as enter() has shown it? For an answer that
     * comes without a change. EAGAIN: no; begin the change anew. */
    apr_status_t (*confirm)(dp_bucket_t *bucket);

    /* End the change, or forget it where save() wasn't called. */
    void (*leave)(dp_bucket_t *bucket);

    /* One try to read `leases`, which are as of one moment and may be out of
     * date. As enter(), but what is damaged is left alone. APR_ENOENT: never
     * used yet. */
    apr_status_t (*look)(dp_bucket_t *bucket);
};

extern const dp_form_t dp_form_flock;
extern const dp_form_t dp_form_rename;

/* A bucket that isn't entered. */
void dp_bucket_init(dp_bucket_t *bucket, const dp_lockdir_t *dir, int index,
                    apr_pool_t *pool);

/* As look() of the form, with `now`, and tried for DP_BUCKET_WAIT_USEC. */
apr_status_t dp_bucket_look(dp_bucket_t *bucket, const dp_lockdir_t *dir,
                            int index, apr_pool_t *pool);

/* The file server's time, without touching anything that holds a lease. */
apr_status_t dp_lockdir_now(apr_time_t *now, const dp_lockdir_t *dir,
                            apr_pool_t *pool);

/* The leases as `before` has them, or as of dp_lockfile_read(). */
apr_status_t dp_bucket_parse(dp_bucket_t *bucket);

/* Tell that a bucket was damaged; `copy` is where its content is, or NULL. */
void dp_bucket_report(const dp_bucket_t *bucket, const char *copy);

/*
 * Learn which form this directory has; the first who asks decides for all.
 * Sets form and is_remote. APR_SUCCESS, or the reason; then `why` says it in
 * words that follow the directory's name. Needs nothing but rights of whoever
 * uses the directory, and may hang with it.
 */
apr_status_t dp_form_settle(dp_lockdir_t *dir, const char **why,
                            apr_pool_t *pool);

/* Make that form the directory's, if it has none yet. */
apr_status_t dp_form_publish(const char *path, const dp_form_t *form,
                             apr_pool_t *scratch_pool);

/* Remove what those left who died while they tried or made something. */
void dp_form_tidy(const dp_lockdir_t *dir, apr_pool_t *pool);

/* Make the directory, give it to `uid` and `gid` (`with_group`: so that the
 * group may write) and try it as that user. NULL or what is wrong. A
 * directory that doesn't answer is not wrong: that is logged. */
const char *dp_lockdir_prepare(const dp_lockdir_t *dir, apr_uid_t uid,
                               apr_gid_t gid, int with_group,
                               apr_pool_t *scratch_pool);

/* Is an open file on a file system whose server may be another host? */
int dp_mount_is_remote(int fd);

/* Can flock(2) be believed to exclude other hosts there? NULL, or why not. */
const char *dp_mount_distrust(int fd, apr_pool_t *pool);

/* The locker. Constant after child_init but for the counters. */
typedef struct dp_disk_t {
    dogpile_locker_t locker; /* first, so that one is the other */
    dp_lockdir_t dir;
    apr_gid_t gid; /* of the files: group=, or conf->gid */
    dp_owner_t self;
    dp_work_t *work;
    dp_failures_t failures;
} dp_disk_t;

static inline dp_disk_t *dp_disk_of(dogpile_locker_t *locker)
{
    return (dp_disk_t *)locker;
}

/* Counts an answer "unavailable" and says so now and then. */
apr_status_t dp_disk_unavailable(dp_disk_t *disk, apr_status_t status,
                                 const char *path);

/* One call of the provider: what goes in, what comes out. Texts of `holder`
 * and of the list are allocated from `pool`. */
typedef struct dp_disk_call_t {
    dp_job_t job;
    dp_disk_t *disk;
    apr_status_t (*step)(struct dp_disk_call_t *call, apr_pool_t *pool);
    dogpile_lock_key_t key;
    dogpile_lock_mode_e mode;
    dogpile_id_t token;
    dogpile_lock_state_e state;
    dogpile_holder_t holder;
    int is_refused;               /* take: `holder` is in the way */
    char passed[DP_ID_HEX_BYTES]; /* rename: a version that counts no more,
                                     or "" */
    int index;                    /* list: which bucket */
    apr_array_header_t *list;     /* of dogpile_holder_t */
} dp_disk_call_t;

/* How long a step may try to have its bucket. */
apr_interval_time_t dp_disk_wait_usec(const dp_disk_t *disk);

/* The steps. `token` of a call to take is made by the caller. */
apr_status_t dp_disk_take(dp_disk_call_t *call, apr_pool_t *pool);
apr_status_t dp_disk_prolong(dp_disk_call_t *call, apr_pool_t *pool);
apr_status_t dp_disk_give_back(dp_disk_call_t *call, apr_pool_t *pool);
apr_status_t dp_disk_end_all(dp_disk_call_t *call, apr_pool_t *pool);
apr_status_t dp_disk_look(dp_disk_call_t *call, apr_pool_t *pool);
apr_status_t dp_disk_list_bucket(dp_disk_call_t *call, apr_pool_t *pool);

/* Make the threads, and look where and what the directory is. */
apr_status_t dp_disk_start(dp_disk_t *disk, apr_pool_t *child_pool);

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
apr_status_t dp_disk_list(dogpile_locker_t *locker,
                          void (*visit)(void *baton,
                                        const dogpile_holder_t *holder),
                          void *baton, apr_pool_t *scratch_pool);

#endif
