/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query strings of name=value pairs: as they come, and as a bounded list with
 * upper-case names and decoded values. Internal to this room.
 */
#ifndef DP_REQUEST_KVP_H
#define DP_REQUEST_KVP_H

#include "request/request.h"

/* A piece of a query, still escaped. */
typedef struct dp_raw_t {
    const char *text;
    apr_size_t size;
} dp_raw_t;

typedef struct dp_raw_pair_t {
    dp_raw_t name;
    dp_raw_t value;
} dp_raw_pair_t;

/* The next pair of `query`, which moves behind it; empty ones ("&&") are
 * skipped. Returns 0 at the end. */
int dp_kvp_next(const char **query, dp_raw_pair_t *pair);

/* Whether `raw`, once decoded, is `text` but for case. */
int dp_kvp_equal(const dp_raw_t *raw, const char *text);

/* A query that was read. */
typedef struct dp_kvp_t {
    int count;
    int too_many;       /* there were more than fit */
    const char *twice;  /* a name that is there twice, or NULL */
    const char *broken; /* what can't be decoded, or holds a control
                                character, for a detail; or NULL */
    dp_param_t pairs[DP_QUERY_MAX_PARAMS]; /* value is NULL where broken */
} dp_kvp_t;

void dp_kvp_read(dp_kvp_t *kvp, const char *query, apr_pool_t *pool);

/* The value of a parameter, by name in any case, or NULL. */
const char *dp_kvp_get(const dp_kvp_t *kvp, const char *name);

#endif
