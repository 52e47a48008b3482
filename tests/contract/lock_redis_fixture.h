/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A redis locker to test with, over the server of redis_fixture.h.
 */
#ifndef DP_TESTS_LOCK_REDIS_FIXTURE_H
#define DP_TESTS_LOCK_REDIS_FIXTURE_H

#include "locker_contract.h"
#include "redis_fixture.h"

extern const contract_locker_t lock_redis_contract;

/* Whose leases don't end, at that server; `secret_file` may be NULL. */
dogpile_locker_t *lock_redis_locker(const char *server,
                                    const char *secret_file);

/* The same, with little time for a call. */
dogpile_locker_t *lock_redis_hasty_locker(const char *server);

/* Key "a", exclusive: as it should go, and only a try. */
void lock_redis_take_and_release(dogpile_locker_t *locker);
apr_status_t lock_redis_try(dogpile_locker_t *locker);

/* Where the leases on a key are, in redis. */
const char *lock_redis_name(const dogpile_lock_key_t *key);

/* Until looks are answered. */
void lock_redis_await(dogpile_locker_t *locker);

#endif
