/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that people name: of the data of a source (DogpileSourceLock) and of
 * the command dogpile-lock. Both make the same key of the same name.
 */
#ifndef DP_LOCK_NAME_H
#define DP_LOCK_NAME_H

#include "dogpile_locker.h"

/* Longest name, bytes: as much as a file of names may hold, and little enough
 * to hash at once. */
#define DP_LOCK_NAME_MAX 65536

/*
 * The key of a name of any bytes, 1 to DP_LOCK_NAME_MAX of them. Such keys
 * belong to no store. `lock_namespace` is DogpileLockNamespace, "" for none.
 * The label, in `result_pool`, is the name as far as it can be shown.
 */
void dp_lock_named(dogpile_lock_key_t *key, const char *lock_namespace,
                   const void *name, apr_size_t length,
                   apr_pool_t *result_pool);

#endif
