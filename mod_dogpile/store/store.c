/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to every store: for request threads (look) and fetcher threads
 * (look, put) of a child. Holds nothing; what a back end needs to guard, it
 * guards itself.
 *
 * Invariant: whoever gets APR_SUCCESS of dp_store_look() has a record of the
 * key it asked for, whose header is whole and whose bodies lie inside it.
 */
#include "store/store.h"

#include <string.h>

#include "base/log.h"

/* A back end that can put a bad record away says so itself, once and knowing
 * its path; for the others, whose records are gone soon, it is said here. */
static void report_bad(dogpile_store_t *store, const dogpile_key_t *key,
                       apr_pool_t *pool)
{
    if (store->provider->set_aside != NULL) {
        store->provider->set_aside(store, key, pool);
        return;
    }
    dp_log(store->conf->log, DOGPILE_LOG_WARNING, 406, APR_SUCCESS,
           "store %s:%s: the record of source %s, grid %s, metatile %d/%u/%u "
           "is torn or foreign; it counts as absent",
           store->provider->type, store->conf->where, key->source, key->grid,
           key->z, key->x, key->y);
}

apr_status_t dp_store_look(dogpile_store_t *store, const dogpile_key_t *key,
                           dp_found_t *found, apr_pool_t *result_pool)
{
    apr_status_t status;

    if (key->z < 0) {
        return APR_NOTFOUND;
    }
    status = store->provider->look(store, key, &found->blob, result_pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    status =
        dp_blob_record(&found->record, &found->blob, &key->digest, result_pool);
    if (status == APR_EINVAL) {
        report_bad(store, key, result_pool);
        return APR_NOTFOUND;
    }
    return status;
}

apr_status_t dp_store_put(dogpile_store_t *store, const dogpile_key_t *key,
                          const dogpile_id_t *base, const void *bytes,
                          apr_size_t size, apr_pool_t *scratch_pool)
{
    /* iovec has no const; put() only reads. */
    struct iovec whole = {.iov_base = (void *)bytes, .iov_len = size};
    dogpile_id_t none;
    dp_record_t record;
    apr_size_t need;

    if (size > DP_RECORD_BYTES_MAX) {
        return APR_ENOSPC;
    }
    if (key->z < 0
        || dp_record_read(&record, bytes, size, size, &key->digest, &need,
                          scratch_pool)
               != APR_SUCCESS) {
        return APR_EINVAL;
    }
    memset(&none, 0, sizeof(none));
    return store->provider->put(store, key, base ? base : &none, &whole, 1,
                                scratch_pool);
}
