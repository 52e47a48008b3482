/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one entry of a locker file says of its locker: only for locker_file.c.
 */
#ifndef DP_LOCK_LOCKER_ENTRY_H
#define DP_LOCK_LOCKER_ENTRY_H

#include "dogpile_locker.h"
#include "lock/yaml_tree.h"

/* A type of such files. */
typedef struct dp_entry_type_t {
    const char *name;     /* as written */
    const char *provider; /* the type of the back end */
    unsigned bit;         /* in the table of keys */
} dp_entry_type_t;

/* The type of that name, or NULL. */
const dp_entry_type_t *dp_entry_type(const char *name);

/* "file, disk, memcache, ..." */
const char *dp_entry_types(apr_pool_t *pool);

/*
 * Read the map `config` of an entry into `conf`, whose servers are an array.
 * NULL, or what is wrong, and `line` says where.
 */
const char *dp_entry_read(dogpile_locker_conf_t *conf, int *line,
                          const dp_entry_type_t *type, const dp_yaml_t *config,
                          apr_pool_t *result_pool);

#endif
