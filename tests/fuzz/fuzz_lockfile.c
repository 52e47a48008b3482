/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock record's parser. A checksum guards the body, which no fuzzer gets
 * past, so each input is read twice: as it is, and as the body of a file whose
 * first line is right. What is accepted must read back the same.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lockfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_same(const apr_array_header_t *leases, apr_pool_t *pool)
{
    apr_array_header_t *again;
    const char *first;
    const char *second;
    apr_size_t nfirst;
    apr_size_t nsecond;

    /* Escaping may lengthen what a stranger wrote unescaped. */
    if (dp_lockfile_write(&first, &nfirst, leases, pool) != APR_SUCCESS) {
        return;
    }
    must(dp_lockfile_read(&again, first, nfirst, pool) == APR_SUCCESS);
    must(again->nelts == leases->nelts);
    must(dp_lockfile_write(&second, &nsecond, again, pool) == APR_SUCCESS);
    must(nfirst == nsecond && memcmp(first, second, nfirst) == 0);
}

static void read_one(const char *bytes, apr_size_t size, apr_pool_t *pool)
{
    apr_array_header_t *leases;

    if (dp_lockfile_read(&leases, bytes, size, pool) == APR_SUCCESS) {
        must(leases->nelts <= DP_LOCKFILE_LEASES_MAX);
        check_same(leases, pool);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    dogpile_digest_t digest;
    char hex[33];
    apr_pool_t *pool;
    char *bytes;
    char *head;

    if (!ready) {
        apr_initialize();
        ready = 1;
    }
    apr_pool_create(&pool, NULL);
    read_one((const char *)data, size, pool);
    if (size < DP_LOCKFILE_BYTES_MAX / 2) {
        dp_digest(&digest, data, size);
        head = apr_psprintf(pool, "dogpile-locks 1 %08u %s\n",
                            (unsigned int)size, dp_hex(hex, digest.bytes, 16));
        bytes = apr_palloc(pool, strlen(head) + size + 1);
        memcpy(bytes, head, strlen(head));
        memcpy(bytes + strlen(head), data, size);
        read_one(bytes, strlen(head) + size, pool);
    }
    apr_pool_destroy(pool);
    return 0;
}
