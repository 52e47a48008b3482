/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key of a lock's name. Pure; called when a configuration is read and by
 * the command, once a name.
 *
 * The digest is taken over a word of our own, the namespace and the name, each
 * ended or measured, so that no name can be taken for another one in another
 * namespace, nor for the key of a metatile (request/key.c).
 */
#include "lock/name.h"

#include <string.h>

#include "base/digest.h"
#include "lock/lock.h"

#define FORMAT "dogpile-name-1"

void dp_lock_named(dogpile_lock_key_t *key, const char *lock_namespace,
                   const void *name, apr_size_t length, apr_pool_t *result_pool)
{
    apr_size_t format_size = sizeof(FORMAT);
    apr_size_t space_size = strlen(lock_namespace) + 1;
    char *bytes = apr_palloc(result_pool, format_size + space_size + length);
    apr_size_t shown = length < DOGPILE_LABEL_MAX ? length : DOGPILE_LABEL_MAX;
    char *label = apr_pcalloc(result_pool, shown + 1);

    memcpy(bytes, FORMAT, format_size);
    memcpy(bytes + format_size, lock_namespace, space_size);
    memcpy(bytes + format_size + space_size, name, length);
    memset(key, 0, sizeof(*key));
    dp_digest(&key->digest, bytes, format_size + space_size + length);
    memcpy(label, name, shown);
    key->label = dp_lock_label(label, result_pool);
}
