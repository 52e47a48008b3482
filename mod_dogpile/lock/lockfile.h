/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock record of the disk locker: a list of leases as the content of a
 * file, and back. Pure, no I/O. The format is described for people in
 * docs/design/lock-record.md.
 */
#ifndef DP_LOCK_LOCKFILE_H
#define DP_LOCK_LOCKFILE_H

#include "lock/lease.h"

/*
 * Bounds of one file. One of 256 files holds a lease or two; a lock that
 * every flight of a cluster shares brings some hundred. Every step reads and
 * writes the whole file, which these keep under a few milliseconds.
 */
#define DP_LOCKFILE_LEASES_MAX 1024
#define DP_LOCKFILE_BYTES_MAX 1048576

/* The leases as a file's content, in result_pool. APR_SUCCESS, or APR_ENOSPC
 * when it would pass a bound. */
apr_status_t dp_lockfile_write(const char **bytes, apr_size_t *size,
                               const apr_array_header_t *leases,
                               apr_pool_t *result_pool);

/*
 * Read a file's content; an empty one has no leases. APR_SUCCESS: `leases`,
 * of dp_lease_t, is set. APR_ENOTIMPL: written by another version. APR_EINVAL:
 * torn or foreign. Bytes after the end that the first line tells are ignored:
 * a writer may die before it cuts the file.
 */
apr_status_t dp_lockfile_read(apr_array_header_t **leases, const char *bytes,
                              apr_size_t size, apr_pool_t *result_pool);

#endif
