/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A redis store to test with, over the server of redis_fixture.h.
 */
#ifndef DP_TESTS_STORE_REDIS_FIXTURE_H
#define DP_TESTS_STORE_REDIS_FIXTURE_H

#include "redis_fixture.h"
#include "store/store_redis.h"
#include "store_contract.h"

extern const store_under_test_t store_redis_under_test;

/* What create() says to that place; NULL, and the store, where it's right. */
const char *store_redis_create(dogpile_store_t **store, const char *where,
                               apr_int64_t limit);

/* One as made, and one at that place after child_init. */
dogpile_store_t *store_redis_make(void);
dogpile_store_t *store_redis_open(const char *where);

/* Write that where the record of `key` is. */
void store_redis_plant(dogpile_store_t *store, const dogpile_key_t *key,
                       const void *bytes, apr_size_t size);

/* Put a record of that name over nothing; look for it. */
apr_status_t store_redis_put(dogpile_store_t *store, const char *name);
apr_status_t store_redis_look(dogpile_store_t *store, const char *name);

#endif
