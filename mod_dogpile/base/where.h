/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where something was configured, for messages.
 */
#ifndef DP_BASE_WHERE_H
#define DP_BASE_WHERE_H

typedef struct dp_where_t {
    const char *file; /* NULL: nowhere, as a default */
    int line;         /* counted from 1 */
} dp_where_t;

#endif
