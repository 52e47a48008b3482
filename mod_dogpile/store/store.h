/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through to a store back end, and the built-in back ends.
 *
 * Callers use these, never the provider's members: arguments are checked
 * once, and a torn record is a miss everywhere.
 */
#ifndef DP_STORE_STORE_H
#define DP_STORE_STORE_H

#include "store/record.h"

extern const dogpile_store_provider_t dp_store_disk;

/* A record found: its header, and where its bodies are. */
typedef struct dp_found_t {
    dp_record_t record;
    dogpile_blob_t blob;
} dp_found_t;

/*
 * APR_SUCCESS: `found` is set, in result_pool. APR_NOTFOUND: there is none
 * that can be read; torn and foreign ones are reported once and set aside.
 * Anything else: the store could not be asked; a miss for the caller.
 */
apr_status_t dp_store_look(dogpile_store_t *store, const dogpile_key_t *key,
                           dp_found_t *found, apr_pool_t *result_pool);

/* As the provider's put(). */
apr_status_t dp_store_put(dogpile_store_t *store, const dogpile_key_t *key,
                          const dogpile_id_t *base, const void *bytes,
                          apr_size_t size, apr_pool_t *scratch_pool);

#endif
