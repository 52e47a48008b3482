/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through to a store back end, and the built-in back ends.
 *
 * Callers use these, never the provider's members: arguments are checked
 * once, and a torn record is a miss everywhere.
 */
#ifndef DP_STORE_STORE_H
#define DP_STORE_STORE_H

#include "store/blob.h"
#include "store/record.h"

extern const dogpile_store_provider_t dp_store_disk;

/* The place of the disk store that is used where none is named. */
#define DP_DEFAULT_STORE "/var/cache/apache2/mod_dogpile"

/* A record found: its header, and where its bodies are. */
typedef struct dp_found_t {
    dp_record_t record;
    dogpile_blob_t blob;
} dp_found_t;

/*
 * APR_SUCCESS: `found` is set, in result_pool. APR_NOTFOUND: there is none
 * that can be read; torn and foreign ones are reported once and set aside,
 * those of another version's format are left to be replaced.
 * Anything else: the store could not be asked; a miss for the caller. A key
 * that is on no grid (z < 0) is never found.
 */
apr_status_t dp_store_look(dogpile_store_t *store, const dogpile_key_t *key,
                           dp_found_t *found, apr_pool_t *result_pool);

/*
 * As the provider's put(), of a record of dp_record_write() for that key.
 * `base` NULL is the zero id: over nothing. APR_EINVAL for what isn't that,
 * and for a key that is on no grid; APR_ENOSPC for more than
 * DP_RECORD_BYTES_MAX.
 */
apr_status_t dp_store_put(dogpile_store_t *store, const dogpile_key_t *key,
                          const dogpile_id_t *base, const void *bytes,
                          apr_size_t size, apr_pool_t *scratch_pool);

#endif
