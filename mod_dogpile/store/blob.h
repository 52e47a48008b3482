/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from a blob: from what is in memory where that is enough, else from
 * its file. Thread-safe on blobs that aren't shared; the file's own position
 * isn't used, so the same file may meanwhile be sent to a client.
 */
#ifndef DP_STORE_BLOB_H
#define DP_STORE_BLOB_H

#include "store/record.h"

/*
 * The header of the record in `blob`, for `key` (NULL: any). Takes more of
 * the blob into memory where the header is longer than what is there.
 * APR_SUCCESS; APR_EINVAL when it is torn or foreign; or the error of reading.
 */
apr_status_t dp_blob_record(dp_record_t *record, dogpile_blob_t *blob,
                            const dogpile_digest_t *key,
                            apr_pool_t *result_pool);

/*
 * `length` bytes from `offset`; they stay as long as the pool and the blob.
 * APR_SUCCESS; APR_EINVAL outside the blob; APR_EOF when the file is shorter
 * than it was; or the error of reading.
 */
apr_status_t dp_blob_bytes(const unsigned char **bytes,
                           const dogpile_blob_t *blob, apr_size_t offset,
                           apr_size_t length, apr_pool_t *result_pool);

#endif
