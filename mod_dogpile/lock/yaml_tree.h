/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML text as a small tree: texts, lists, maps. The part of YAML 1.1 that
 * people write by hand, and nothing that makes a short text large or a text
 * mean something else than it says: no anchors, aliases, tags, merge keys or
 * several documents.
 */
#ifndef DP_LOCK_YAML_TREE_H
#define DP_LOCK_YAML_TREE_H

#include <apr_tables.h>

/* Far more than lists of lockers need; the work that a text can cause is
 * bounded by these. */
#define DP_YAML_BYTES_MAX 65536
#define DP_YAML_DEPTH_MAX 8
#define DP_YAML_ITEMS_MAX 256 /* of one list or map */

typedef enum dp_yaml_kind_e {
    DP_YAML_TEXT,
    DP_YAML_LIST,
    DP_YAML_MAP
} dp_yaml_kind_e;

typedef struct dp_yaml_t {
    dp_yaml_kind_e kind;
    int line;                  /* where it begins, counted from 1 */
    const char *key;           /* in a map; else NULL */
    int key_line;              /* where that is; else 0 */
    const char *text;          /* UTF-8 without a zero byte; of a text */
    apr_array_header_t *items; /* of dp_yaml_t *, of a list or a map */
} dp_yaml_t;

/*
 * Read `size` bytes. NULL, and `root` is set, in the pool; or what is wrong,
 * and `line` says where.
 */
const char *dp_yaml_read(dp_yaml_t **root, int *line, const char *bytes,
                         apr_size_t size, apr_pool_t *result_pool);

/* The item of a map with that key, or NULL. */
const dp_yaml_t *dp_yaml_get(const dp_yaml_t *map, const char *key);

/* "a text", "a list", "a map". */
const char *dp_yaml_kind(dp_yaml_kind_e kind);

#endif
