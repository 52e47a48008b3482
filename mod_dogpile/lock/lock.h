/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through to a locker back end, and the built-in back ends.
 *
 * Callers use these, never the provider's members: results outside the
 * contract's closed sets become "unavailable" here, once.
 */
#ifndef DP_LOCK_LOCK_H
#define DP_LOCK_LOCK_H

#include "dogpile_locker.h"

extern const dogpile_locker_provider_t dp_lock_disk;

/* See the members of dogpile_locker_provider_t. */
apr_status_t dp_lock_acquire(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, dogpile_id_t *token,
                             dogpile_holder_t *holder, apr_pool_t *pool);
apr_status_t dp_lock_renew(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool);
apr_status_t dp_lock_release(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token,
                             apr_pool_t *scratch_pool);
apr_status_t dp_lock_probe(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode,
                           dogpile_lock_state_e *state,
                           dogpile_holder_t *holder, apr_pool_t *pool);

/* This host's machine id (machine-id(5)), or its host name where there is
 * none: the default of DogpileLockHost. */
const char *dp_lock_this_host(apr_pool_t *pool);

#endif
