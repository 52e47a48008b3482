/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a lease as text: see lease_text.h. Called from any thread; no state.
 *
 * The invariant: lines come from files and servers that others may write to.
 * What isn't exactly what we would have written isn't read, and no field makes
 * more work than its own length.
 */
#include "lock/lease_text.h"

#include <apr_strings.h>
#include <string.h>

#include "base/text.h"

const char *dp_lease_write_holder(const dp_owner_t *owner, const char *label,
                                  apr_pool_t *result_pool)
{
    return apr_psprintf(result_pool,
                        "%s %s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT
                        " %" APR_INT64_T_FMT " %s",
                        dp_text_escape(owner->host, result_pool), owner->boot,
                        owner->pidns, owner->pid, owner->start,
                        dp_text_escape(label, result_pool));
}

int dp_lease_split(char *line, char *fields[], int nfields)
{
    int i;

    for (i = 0; i < nfields; i++) {
        fields[i] = line;
        line = strchr(line, ' ');
        if (line == NULL) {
            return i == nfields - 1;
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

int dp_lease_read_kind(dp_lease_t *lease, const char *kind)
{
    if (strlen(kind) != 1 || strchr("xsw", kind[0]) == NULL) {
        return 0;
    }
    lease->kind = (dp_lease_kind_e)kind[0];
    return 1;
}

int dp_lease_read_times(dp_lease_t *lease, const char *since, const char *until,
                        const char *lease_usec)
{
    return dp_text_int(since, 0, DP_LEASE_TIME_MAX, &lease->since)
           && dp_text_int(until, 0, DP_LEASE_TIME_MAX, &lease->until)
           && dp_text_int(lease_usec, 1, DP_LEASE_TIME_MAX, &lease->lease_usec);
}

static int is_boot_id(const char *boot)
{
    apr_size_t size = strlen(boot);

    return size > 0 && size <= DP_BOOT_MAX
           && strspn(boot, "0123456789abcdef-") == size;
}

int dp_lease_read_holder(dp_lease_t *lease,
                         char *const fields[DP_LEASE_HOLDER_FIELDS],
                         apr_pool_t *result_pool)
{
    dp_owner_t *owner = &lease->owner;

    owner->host = read_escaped(fields[DP_LEASE_HOST], DP_HOST_MAX, result_pool);
    owner->boot = fields[DP_LEASE_BOOT];
    lease->label =
        read_escaped(fields[DP_LEASE_LABEL], DOGPILE_LABEL_MAX, result_pool);
    return owner->host && owner->host[0] && is_boot_id(owner->boot)
           && dp_text_int(fields[DP_LEASE_PIDNS], 0, DP_LEASE_TIME_MAX,
                          &owner->pidns)
           && dp_text_int(fields[DP_LEASE_PID], 0, APR_INT32_MAX, &owner->pid)
           && dp_text_int(fields[DP_LEASE_START], 0, DP_LEASE_TIME_MAX,
                          &owner->start)
           && lease->label;
}
