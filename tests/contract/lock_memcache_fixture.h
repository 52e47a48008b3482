/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memcache lockers to test with, and hands on what they keep.
 */
#ifndef DP_TESTS_LOCK_MEMCACHE_FIXTURE_H
#define DP_TESTS_LOCK_MEMCACHE_FIXTURE_H

#include "locker_contract.h"
#include "memcached_fixture.h"

extern const contract_locker_t lock_memcache_contract;

/* The test's server, started when first asked for. */
mcd_t *lock_memcache_server(void);

/* A locker whose leases don't end, at those addresses; and one that doesn't
 * wait long for an answer, and on a busy machine sometimes not long enough. */
dogpile_locker_t *lock_memcache_at(const char *addresses);
dogpile_locker_t *lock_memcache_hasty_at(const char *addresses);

/* Under which name the leases on a key are kept. */
const char *lock_memcache_item(const dogpile_lock_key_t *key);

/* As contract_assert_unavailable(), for renewing and giving back as well. */
void lock_memcache_assert_unavailable(dogpile_locker_t *locker,
                                      const dogpile_lock_key_t *key);

/* Try until it is mine. */
dogpile_id_t lock_memcache_await(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key);

#endif
