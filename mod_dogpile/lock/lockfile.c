/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Format 1 of the lock record.
 *
 *     dogpile-locks 1 <bytes of all that follows> <its checksum>
 *     <token> <digest> <kind> <store> <since> <until> <lease> <host> <boot>
 *         <pidns> <pid> <start> <label>       (one line a lease)
 *
 * Called by the disk locker inside its exclusive section, from any thread,
 * and by the fuzzer. The bytes come from a file that others share: a lease
 * is accepted only if the checksum is right and every field is what a writer
 * of this version would have written. Work is linear in the file's size.
 */
#include "lock/lockfile.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "lock/lease_text.h"

#define MAGIC "dogpile-locks "
#define FORMAT "1"
#define LENGTH_DIGITS 8
#define CHECKSUM_BYTES 16
#define CHECKSUM_DIGITS 32 /* two a byte */
#define LENGTH_AT (sizeof(MAGIC FORMAT " ") - 1)
#define CHECKSUM_AT (LENGTH_AT + LENGTH_DIGITS + 1)
#define HEAD_BYTES (CHECKSUM_AT + CHECKSUM_DIGITS + 1)

/* Their order in a line. */
enum {
    TOKEN,
    DIGEST,
    KIND,
    STORE,
    SINCE,
    UNTIL,
    LEASE,
    HOLDER,
    NFIELDS = HOLDER + DP_LEASE_HOLDER_FIELDS
};

static void checksum(char hex[CHECKSUM_DIGITS + 1], const char *bytes,
                     apr_size_t size)
{
    dogpile_digest_t digest;

    dp_digest(&digest, bytes, size);
    dp_hex(hex, digest.bytes, CHECKSUM_BYTES);
}

static const char *lease_line(const dp_lease_t *lease, apr_pool_t *pool)
{
    char token[DP_ID_HEX_BYTES];
    char store[DP_ID_HEX_BYTES];
    char digest[DP_DIGEST_HEX_BYTES];

    return apr_psprintf(
        pool,
        "%s %s %c %s %" APR_TIME_T_FMT " %" APR_TIME_T_FMT " %" APR_TIME_T_FMT
        " %s\n",
        dp_hex(token, lease->token.bytes, DOGPILE_ID_BYTES),
        dp_hex(digest, lease->digest.bytes, DOGPILE_DIGEST_BYTES),
        (int)lease->kind,
        dp_hex(store, lease->store_id.bytes, DOGPILE_ID_BYTES), lease->since,
        lease->until, lease->lease_usec,
        dp_lease_write_holder(&lease->owner, lease->label, pool));
}

apr_status_t dp_lockfile_write(const char **bytes, apr_size_t *size,
                               const apr_array_header_t *leases,
                               apr_pool_t *result_pool)
{
    apr_array_header_t *lines;
    char hex[CHECKSUM_DIGITS + 1];
    const char *body;
    apr_size_t length;
    int i;

    if (leases->nelts > DP_LOCKFILE_LEASES_MAX) {
        return APR_ENOSPC;
    }
    lines = apr_array_make(result_pool, leases->nelts, sizeof(const char *));
    for (i = 0; i < leases->nelts; i++) {
        APR_ARRAY_PUSH(lines, const char *) =
            lease_line(&APR_ARRAY_IDX(leases, i, dp_lease_t), result_pool);
    }
    body = apr_array_pstrcat(result_pool, lines, '\0');
    length = strlen(body);
    if (HEAD_BYTES + length > DP_LOCKFILE_BYTES_MAX) {
        return APR_ENOSPC;
    }
    checksum(hex, body, length);
    *bytes = apr_psprintf(result_pool, MAGIC FORMAT " %0*u %s\n%s",
                          LENGTH_DIGITS, (unsigned int)length, hex, body);
    *size = HEAD_BYTES + length;
    return APR_SUCCESS;
}

static int read_lease(dp_lease_t *lease, char *line, apr_pool_t *pool)
{
    char *fields[NFIELDS];

    return dp_lease_split(line, fields, NFIELDS)
           && dp_lease_read_kind(lease, fields[KIND])
           && dp_unhex(lease->token.bytes, DOGPILE_ID_BYTES, fields[TOKEN])
           && dp_unhex(lease->digest.bytes, DOGPILE_DIGEST_BYTES,
                       fields[DIGEST])
           && dp_unhex(lease->store_id.bytes, DOGPILE_ID_BYTES, fields[STORE])
           && dp_lease_read_times(lease, fields[SINCE], fields[UNTIL],
                                  fields[LEASE])
           && dp_lease_read_holder(lease, fields + HOLDER, pool);
}

/* The first line: how long the rest is, if the rest is as it was written. */
static apr_status_t read_head(apr_size_t *length, const char *bytes,
                              apr_size_t size)
{
    char digits[LENGTH_DIGITS + 1];
    char hex[CHECKSUM_DIGITS + 1];
    apr_int64_t told;

    if (size < HEAD_BYTES || memcmp(bytes, MAGIC, sizeof(MAGIC) - 1) != 0) {
        return APR_EINVAL;
    }
    if (memcmp(bytes, MAGIC FORMAT " ", LENGTH_AT) != 0) {
        return APR_ENOTIMPL;
    }
    apr_cpystrn(digits, bytes + LENGTH_AT, sizeof(digits));
    if (!dp_text_int(digits, 0, DP_LOCKFILE_BYTES_MAX, &told)
        || size - HEAD_BYTES < (apr_size_t)told) {
        return APR_EINVAL;
    }
    *length = (apr_size_t)told;
    checksum(hex, bytes + HEAD_BYTES, *length);
    if (bytes[CHECKSUM_AT - 1] != ' ' || bytes[HEAD_BYTES - 1] != '\n'
        || memcmp(bytes + CHECKSUM_AT, hex, CHECKSUM_DIGITS) != 0) {
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

apr_status_t dp_lockfile_read(apr_array_header_t **leases, const char *bytes,
                              apr_size_t size, apr_pool_t *result_pool)
{
    apr_array_header_t *list =
        apr_array_make(result_pool, 4, sizeof(dp_lease_t));
    apr_size_t length = 0;
    apr_status_t status = APR_SUCCESS;
    char *line;
    char *end;

    if (size > 0) {
        status = read_head(&length, bytes, size);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    line = length ? apr_pstrmemdup(result_pool, bytes + HEAD_BYTES, length)
                  : apr_pstrdup(result_pool, "");
    if (strlen(line) != length) {
        return APR_EINVAL;
    }
    for (; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL || list->nelts == DP_LOCKFILE_LEASES_MAX) {
            return APR_EINVAL;
        }
        *end = '\0';
        if (!read_lease(apr_array_push(list), line, result_pool)) {
            return APR_EINVAL;
        }
    }
    *leases = list;
    return APR_SUCCESS;
}
