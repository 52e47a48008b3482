/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through to a locker back end, and the built-in back ends.
 *
 * Callers use these, never the provider's members: arguments are made safe
 * and results outside the contract's closed sets become "unavailable" here,
 * once. `holder` may be NULL for whoever doesn't care who it is.
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
apr_status_t dp_lock_break(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           apr_pool_t *scratch_pool);

/* As the provider's list(); APR_ENOTIMPL where it has none. */
apr_status_t dp_lock_list(dogpile_locker_t *locker,
                          void (*visit)(void *baton,
                                        const dogpile_holder_t *holder),
                          void *baton, apr_pool_t *scratch_pool);

/* As the provider's listen(); APR_ENOTIMPL where it has none. */
apr_status_t dp_lock_listen(dogpile_locker_t *locker,
                            dogpile_released_fn *released, void *baton,
                            apr_pool_t *child_pool);

/* As the provider's describe(); says nothing where it has none. */
void dp_lock_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                      void *baton, apr_pool_t *scratch_pool);

/*
 * A label as a back end may keep it: at most DOGPILE_LABEL_MAX bytes, not cut
 * inside a UTF-8 character, control characters replaced. NULL becomes "".
 */
const char *dp_lock_label(const char *label, apr_pool_t *result_pool);

/*
 * This host's id, the default of DogpileLockHost: 32 hexadecimal digits
 * derived from the machine id, or the host name where there is none. Derived,
 * because machine-id(5) asks not to show the id itself on a network.
 */
const char *dp_lock_this_host(apr_pool_t *pool);

/* The host id of a configuration, or this host's. */
const char *dp_lock_host(const dogpile_locker_conf_t *conf, apr_pool_t *pool);

/* What every back end that writes records asks of host id and lease: NULL, or
 * what is wrong. */
const char *dp_lock_check(const dogpile_locker_conf_t *conf, const char *host,
                          apr_pool_t *pool);

#endif
