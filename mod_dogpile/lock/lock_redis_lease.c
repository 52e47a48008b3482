/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease as text, between the redis locker and its scripts. Called by any
 * thread; no state.
 *
 *     <token> <kind> <until> <since> <lease>
 *         <store> <host> <boot> <pidns> <pid> <start> <label>
 *
 * One line, one space between fields, texts percent-escaped, times in
 * microseconds of redis' clock. The first five are the scripts', the others
 * the holder's.
 *
 * The invariant: others may write to a redis too. A lease is accepted only if
 * every field is what a writer of this version would have written, and what
 * isn't accepted makes the lock unavailable, never free.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "lock/lease_text.h"
#include "lock/lock.h"
#include "lock/lock_redis.h"

/* Their order in a line. */
enum {
    TOKEN,
    KIND,
    UNTIL,
    SINCE,
    LEASE,
    STORE,
    HOLDER,
    NFIELDS = HOLDER + DP_LEASE_HOLDER_FIELDS
};

const char *dp_redis_lease_text(const dogpile_lock_key_t *key,
                                const dp_owner_t *owner, apr_pool_t *pool)
{
    char store[DP_ID_HEX_BYTES];
    const char *label = dp_lock_label(key->label, pool);

    return apr_pstrcat(pool,
                       dp_hex(store, key->store_id.bytes, DOGPILE_ID_BYTES),
                       " ", dp_lease_write_holder(owner, label, pool), NULL);
}

static int read_lease(dp_lease_t *lease, char *line, apr_pool_t *pool)
{
    char *fields[NFIELDS];

    return dp_lease_split(line, fields, NFIELDS)
           && dp_lease_read_kind(lease, fields[KIND])
           && dp_unhex(lease->token.bytes, DOGPILE_ID_BYTES, fields[TOKEN])
           && dp_unhex(lease->store_id.bytes, DOGPILE_ID_BYTES, fields[STORE])
           && dp_lease_read_times(lease, fields[SINCE], fields[UNTIL],
                                  fields[LEASE])
           && dp_lease_read_holder(lease, fields + HOLDER, pool);
}

int dp_redis_leases_read(apr_array_header_t **leases, apr_time_t *now,
                         const char *text, const dogpile_digest_t *digest,
                         apr_pool_t *result_pool)
{
    apr_array_header_t *list =
        apr_array_make(result_pool, 4, sizeof(dp_lease_t));
    char *line = apr_pstrdup(result_pool, text);
    char *next = strchr(line, '\n');

    if (next) {
        *next++ = '\0';
    }
    if (!dp_text_int(line, 0, DP_LEASE_TIME_MAX, now)) {
        return 0;
    }
    for (line = next; line && *line; line = next) {
        dp_lease_t *lease = apr_array_push(list);

        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        lease->digest = *digest;
        if (!read_lease(lease, line, result_pool)) {
            return 0;
        }
    }
    *leases = list;
    return 1;
}
