/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as another process would have written them, for back ends that keep
 * them in the format of lock/lockfile.h.
 */
#ifndef DP_TESTS_LOCKER_RECORDS_H
#define DP_TESTS_LOCKER_RECORDS_H

#include "lock/lease.h"
#include "locker_contract.h"

/* A record of `n` leases of `owner`, each given at `since` for long. */
const char *contract_record(apr_size_t *size, const dogpile_lock_key_t *key,
                            dp_lease_kind_e kind, const dp_owner_t *owner,
                            apr_time_t since, int n);

/* Put a lease of that owner on the key, in place of what is there. */
typedef void contract_plant_fn(const dogpile_lock_key_t *key,
                               const dp_owner_t *owner);

/* Leases of the dead are taken over, and only of those who are certainly dead:
 * processes of this host, boot and pid namespace. */
void contract_assert_judges_owners(dogpile_locker_t *locker,
                                   contract_plant_fn *plant);

#endif
