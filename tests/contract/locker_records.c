/* SPDX-License-Identifier: Apache-2.0 */
#include "locker_records.h"

#include "base/digest.h"
#include "lock/lockfile.h"

const char *contract_record(apr_size_t *size, const dogpile_lock_key_t *key,
                            dp_lease_kind_e kind, const dp_owner_t *owner,
                            apr_time_t since, int n)
{
    apr_array_header_t *leases =
        apr_array_make(unit_pool, n, sizeof(dp_lease_t));
    const char *bytes;
    int i;

    for (i = 0; i < n; i++) {
        dp_lease_t *lease = apr_array_push(leases);

        dp_id_make(&lease->token);
        lease->digest = key->digest;
        lease->kind = kind;
        lease->owner = *owner;
        lease->since = since;
        lease->until = since + CONTRACT_LONG_USEC;
        lease->lease_usec = CONTRACT_LONG_USEC;
        lease->label = "";
    }
    ck_assert_int_eq(dp_lockfile_write(&bytes, size, leases, unit_pool),
                     APR_SUCCESS);
    return bytes;
}

/* Is an exclusive lock given over a lease of that process? */
static int gives_over(dogpile_locker_t *locker, contract_plant_fn *plant,
                      const dp_owner_t *owner)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    plant(&key, owner);
    return contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token) == APR_SUCCESS;
}

void contract_assert_judges_owners(dogpile_locker_t *locker,
                                   contract_plant_fn *plant)
{
    dp_owner_t self;
    dp_owner_t other;

    dp_owner_self(&self, "host-a", unit_pool);
    other = self;
    ck_assert(!gives_over(locker, plant, &other));
    other.start = self.start + 1;
    ck_assert(gives_over(locker, plant, &other));
    other.pidns = self.pidns + 1;
    ck_assert(!gives_over(locker, plant, &other));
    other.pidns = self.pidns;
    /* A clone has our host id, and has booted by itself. */
    other.boot = "01234567-89ab-cdef-0123-456789abcdef";
    ck_assert(!gives_over(locker, plant, &other));
    other.boot = self.boot;
    other.host = "host-b";
    ck_assert(!gives_over(locker, plant, &other));
}
