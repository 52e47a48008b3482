/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lockers from a file: a list in YAML, the one to be asked first on top.
 *
 *     - type: redis
 *       config: {host: cache1, port: 6379, timeout: 15}
 *     - type: file
 *       config: {directory: /srv/locks}
 *
 * A list of one is that locker, of more a fallback of them. httpd
 * (DogpileLockerFile) and the command dogpile-lock read the same files.
 */
#ifndef DP_LOCK_LOCKER_FILE_H
#define DP_LOCK_LOCKER_FILE_H

#include "lock/locker_def.h"

/* The environment variable that names such a file where nobody else does. */
#define DP_LOCKER_FILE_ENV "DOGPILE_LOCK_CONFIG"

/* The back end of a type, or NULL where there is none. */
typedef const dogpile_locker_provider_t *dp_locker_lookup_fn(const char *type);

/*
 * Read a file. `name` is that of the locker. NULL, and `def` is set, in the
 * pool; or "file:line: what is wrong; allowed: what". What lies at the places
 * that it names isn't looked at. At most DP_YAML_BYTES_MAX bytes are read.
 */
const char *dp_locker_file_read(dp_locker_def_t **def, const char *path,
                                const char *name, dp_locker_lookup_fn *lookup,
                                apr_pool_t *result_pool);

/* The same of a text; `path` is for messages. */
const char *dp_locker_text_read(dp_locker_def_t **def, const char *bytes,
                                apr_size_t size, const char *path,
                                const char *name, dp_locker_lookup_fn *lookup,
                                apr_pool_t *result_pool);

/* The name of a file without folders and the last extension: "tiles" of
 * "/etc/apache2/tiles.yaml". */
const char *dp_locker_file_name(const char *path, apr_pool_t *result_pool);

#endif
