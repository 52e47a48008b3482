/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a lease as text, for all formats that write one as a line of fields
 * with one space between them: lockfile.c and lock_redis_lease.c. Pure, no I/O.
 */
#ifndef DP_LOCK_LEASE_TEXT_H
#define DP_LOCK_LEASE_TEXT_H

#include "lock/lease.h"

/* Who holds it and what for: the last fields of every line. */
enum {
    DP_LEASE_HOST,
    DP_LEASE_BOOT,
    DP_LEASE_PIDNS,
    DP_LEASE_PID,
    DP_LEASE_START,
    DP_LEASE_LABEL,
    DP_LEASE_HOLDER_FIELDS
};

/* These fields, texts percent-escaped. */
const char *dp_lease_write_holder(const dp_owner_t *owner, const char *label,
                                  apr_pool_t *result_pool);

/* Cut `line` at its spaces; 1 if there are exactly `nfields`, or 0. */
int dp_lease_split(char *line, char *fields[], int nfields);

/* Read fields. 1, or 0 where one isn't what a writer of this version would
 * have written. The holder points into `fields`. */
int dp_lease_read_kind(dp_lease_t *lease, const char *kind);
int dp_lease_read_times(dp_lease_t *lease, const char *since, const char *until,
                        const char *lease_usec);
int dp_lease_read_holder(dp_lease_t *lease,
                         char *const fields[DP_LEASE_HOLDER_FIELDS],
                         apr_pool_t *result_pool);

#endif
