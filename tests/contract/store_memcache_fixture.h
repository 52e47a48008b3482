/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memcache store on a server of the test, and what its tests do to it behind
 * its back.
 */
#ifndef DP_TESTS_STORE_MEMCACHE_FIXTURE_H
#define DP_TESTS_STORE_MEMCACHE_FIXTURE_H

#include "memcached_fixture.h"
#include "store/store_memcache.h"
#include "store_contract.h"

extern const store_under_test_t store_memcache_under_test;

/* The test's server, started when first asked for. */
mcd_t *store_memcache_server(void);

/* A store at that place; and after child_init. */
dogpile_store_t *store_memcache_at(const char *where);
dogpile_store_t *store_memcache_open(const char *where);

/* Store bytes as the record of `key`, past all checks. */
void store_memcache_plant(dogpile_store_t *store, const dogpile_key_t *key,
                          const void *bytes, apr_size_t size);

/* A record of `key` with one body of that size, all of it `fill`. */
store_sample_t store_memcache_large(const dogpile_key_t *key, apr_size_t size,
                                    int fill, apr_pool_t *pool);

#endif
