/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for what a child reads again and again, here and there: one mapping,
 * that comes to be in huge pages where the system has some for who asks. In
 * pages of 4 KiB the processor finds its way to one of a thousand tiles anew
 * each time.
 */
#ifndef DP_BASE_ARENA_H
#define DP_BASE_ARENA_H

#include <apr_pools.h>

typedef struct dp_arena_t dp_arena_t;

/* Of that many bytes, which are the system's until they are used; where it has
 * none to give, of no bytes at all. Huge pages are used whole: they are for
 * processes of many threads. Ends with the pool. APR_SUCCESS, or why there is
 * no mutex. */
apr_status_t dp_arena_create(dp_arena_t **arena, apr_size_t size, int huge,
                             apr_pool_t *pool);

/* NULL where there is no room. Aligned as what apr_palloc() gives. The more
 * blocks there are, the longer it takes: 0.02 ms where there are 8192. From any
 * thread, as is the next. */
void *dp_arena_alloc(dp_arena_t *arena, apr_size_t size);

void dp_arena_free(dp_arena_t *arena, void *block);

#endif
