/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a look has found. Called from any thread, for the length of one
 * pread(2) of a file that is usually in the page cache.
 *
 * Invariant: never reads outside the blob, never allocates more than the
 * blob's length.
 */
#include "store/blob.h"

#include <apr_portable.h>
#include <errno.h>
#include <unistd.h>

/* The whole of [offset, offset + length), or an error. */
static apr_status_t read_fully(apr_file_t *file, unsigned char *bytes,
                               apr_size_t offset, apr_size_t length)
{
    apr_size_t done = 0;
    apr_os_file_t fd;

    apr_os_file_get(&fd, file);
    while (done < length) {
        ssize_t got =
            pread(fd, bytes + done, length - done, (off_t)(offset + done));

        if (got == 0) {
            return APR_EOF;
        }
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        done += got > 0 ? (apr_size_t)got : 0;
    }
    return APR_SUCCESS;
}

apr_status_t dp_blob_bytes(const unsigned char **bytes,
                           const dogpile_blob_t *blob, apr_size_t offset,
                           apr_size_t length, apr_pool_t *result_pool)
{
    unsigned char *copy;
    apr_status_t status;

    if (offset > blob->length || length > blob->length - offset) {
        return APR_EINVAL;
    }
    if (offset + length <= blob->have) {
        *bytes = blob->bytes + offset;
        return APR_SUCCESS;
    }
    if (blob->file == NULL) {
        return APR_EINVAL;
    }
    copy = apr_palloc(result_pool, length);
    status = read_fully(blob->file, copy, offset, length);
    *bytes = copy;
    return status;
}

apr_status_t dp_blob_record(dp_record_t *record, dogpile_blob_t *blob,
                            const dogpile_digest_t *key,
                            apr_pool_t *result_pool)
{
    apr_status_t status;
    apr_size_t need = 0;
    int tries;

    /* The fixed part says how long the header is: two looks are enough. */
    for (tries = 0; tries < 2; tries++) {
        status = dp_record_read(record, blob->bytes, blob->have, blob->length,
                                key, &need, result_pool);
        if (status != APR_INCOMPLETE) {
            return status;
        }
        status = dp_blob_bytes(&blob->bytes, blob, 0, need, result_pool);
        if (status != APR_SUCCESS) {
            return status == APR_EOF ? APR_EINVAL : status;
        }
        blob->have = need;
    }
    status = dp_record_read(record, blob->bytes, blob->have, blob->length, key,
                            &need, result_pool);
    return status == APR_INCOMPLETE ? APR_EINVAL : status;
}
