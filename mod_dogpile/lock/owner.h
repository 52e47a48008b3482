/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process owns a lease, and whether it is certainly dead.
 *
 * A pid alone says nothing: it is used again, it means another process in
 * another container, and machines are cloned together with their ids. So an
 * owner is named by host id, boot id, pid namespace, pid and start time; the
 * first three say whether the last two mean anything here.
 */
#ifndef DP_LOCK_OWNER_H
#define DP_LOCK_OWNER_H

#include <apr_pools.h>

/* Longest host id, bytes. Longer ones are refused by configtest. */
#define DP_HOST_MAX 255

/* What boot ids look like (random(4)); "-" where unknown. */
#define DP_BOOT_MAX 36

typedef struct dp_owner_t {
    const char *host;  /* host id, not empty */
    const char *boot;  /* boot id, or "-" */
    apr_int64_t pidns; /* inode of the pid namespace, 0 where unknown */
    apr_int64_t pid;   /* 0 where unknown */
    apr_int64_t start; /* clock ticks after boot (base/process.h) */
} dp_owner_t;

/* The running process. What can't be found out is set to "unknown". */
void dp_owner_self(dp_owner_t *self, const char *host, apr_pool_t *result_pool);

/* 1 when `other` is certainly gone, as seen by `self`; 0 when it lives, and
 * whenever that can't be known from here. */
int dp_owner_is_dead(const dp_owner_t *self, const dp_owner_t *other);

#endif
