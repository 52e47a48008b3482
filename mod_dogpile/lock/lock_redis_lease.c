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
    HOST,
    BOOT,
    PIDNS,
    PID,
    START,
    LABEL,
    NFIELDS
};

const char *dp_redis_lease_text(const dogpile_lock_key_t *key,
                                const dp_owner_t *owner, apr_pool_t *pool)
{
    char store[DP_ID_HEX_BYTES];
    const char *label = dp_lock_label(key->label, pool);

    return apr_psprintf(pool,
                        "%s %s %s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT
                        " %" APR_INT64_T_FMT " %s",
                        dp_hex(store, key->store_id.bytes, DOGPILE_ID_BYTES),
                        dp_text_escape(owner->host, pool), owner->boot,
                        owner->pidns, owner->pid, owner->start,
                        dp_text_escape(label, pool));
}

/* Cuts `line` at its spaces; exactly NFIELDS or 0. */
static int split(char *line, char *fields[NFIELDS])
{
    int i;

    for (i = 0; i < NFIELDS; i++) {
        fields[i] = line;
        line = strchr(line, ' ');
        if (line == NULL) {
            return i == NFIELDS - 1;
        }
        *line++ = '\0';
    }
    return 0;
}

/* An escaped text of at most `max` bytes, or NULL. */
static const char *read_escaped(const char *field, apr_size_t max,
                                apr_pool_t *pool)
{
    apr_size_t size = strlen(field);
    const char *text = NULL;

    if (size <= 3 * max) {
        text = dp_text_unescape(field, size, 0, pool);
    }
    return text && strlen(text) <= max ? text : NULL;
}

static int read_owner(dp_owner_t *owner, char *fields[NFIELDS],
                      apr_pool_t *pool)
{
    apr_size_t boot = strlen(fields[BOOT]);

    owner->host = read_escaped(fields[HOST], DP_HOST_MAX, pool);
    owner->boot = fields[BOOT];
    return owner->host && owner->host[0] && boot > 0 && boot <= DP_BOOT_MAX
           && strspn(fields[BOOT], "0123456789abcdef-") == boot
           && dp_text_int(fields[PIDNS], 0, DP_LEASE_TIME_MAX, &owner->pidns)
           && dp_text_int(fields[PID], 0, APR_INT32_MAX, &owner->pid)
           && dp_text_int(fields[START], 0, DP_LEASE_TIME_MAX, &owner->start);
}

static int read_lease(dp_lease_t *lease, char *line, apr_pool_t *pool)
{
    char *fields[NFIELDS];

    if (!split(line, fields) || strlen(fields[KIND]) != 1
        || strchr("xsw", fields[KIND][0]) == NULL) {
        return 0;
    }
    lease->kind = (dp_lease_kind_e)fields[KIND][0];
    lease->label = read_escaped(fields[LABEL], DOGPILE_LABEL_MAX, pool);
    return lease->label
           && dp_unhex(lease->token.bytes, DOGPILE_ID_BYTES, fields[TOKEN])
           && dp_unhex(lease->store_id.bytes, DOGPILE_ID_BYTES, fields[STORE])
           && dp_text_int(fields[UNTIL], 0, DP_LEASE_TIME_MAX, &lease->until)
           && dp_text_int(fields[SINCE], 0, DP_LEASE_TIME_MAX, &lease->since)
           && dp_text_int(fields[LEASE], 1, DP_LEASE_TIME_MAX,
                          &lease->lease_usec)
           && read_owner(&lease->owner, fields, pool);
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
