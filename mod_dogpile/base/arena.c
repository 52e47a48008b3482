/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapping whose blocks are managed by apr_rmm, under a mutex. Called by
 * request threads when something gets into a table, or out of it; those who
 * only read don't come here.
 */
#include "base/arena.h"

#include <apr_rmm.h>
#include <apr_thread_mutex.h>
#include <stdint.h>
#include <sys/mman.h>

/* A huge page of x86-64 and of arm64: where it begins, it is used whole. */
#define HUGE_BYTES ((apr_size_t)2 << 20)

struct dp_arena_t {
    apr_thread_mutex_t *mutex;
    apr_rmm_t *blocks; /* NULL: there is no memory */
    apr_size_t size;
    int huge;
    char *used;   /* the end of what was ever in use */
    char *joined; /* until there the system may make huge pages */
    void *mapping;
};

static apr_size_t mapped(const dp_arena_t *arena)
{
    return arena->size + HUGE_BYTES;
}

static apr_status_t unmap(void *baton)
{
    dp_arena_t *arena = baton;

    munmap(arena->mapping, mapped(arena));
    return APR_SUCCESS;
}

/* From the first whole huge page on. */
static void map(dp_arena_t *arena, apr_pool_t *pool)
{
    apr_size_t before;
    char *begin;

    arena->mapping = mmap(NULL, mapped(arena), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena->mapping == MAP_FAILED) {
        return;
    }
    apr_pool_cleanup_register(pool, arena, unmap, apr_pool_cleanup_null);
    before = HUGE_BYTES - (uintptr_t)arena->mapping % HUGE_BYTES;
    begin = (char *)arena->mapping + before;
    arena->used = begin;
    arena->joined = begin;
    madvise(begin, arena->size, MADV_NOHUGEPAGE);
    apr_rmm_init(&arena->blocks, NULL, begin, arena->size, pool);
}

apr_status_t dp_arena_create(dp_arena_t **arena, apr_size_t size, int huge,
                             apr_pool_t *pool)
{
    dp_arena_t *made = apr_pcalloc(pool, sizeof(*made));

    made->size = size;
    made->huge = huge;
    map(made, pool);
    *arena = made;
    return apr_thread_mutex_create(&made->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   pool);
}

/* Who touches a new huge page first waits until all of it is cleared, for some
 * milliseconds in a virtual machine. So small pages are used first, and those
 * that are full are left to the kernel, which joins them in the background. */
static void use_locked(dp_arena_t *arena, char *end)
{
    while (arena->huge && arena->joined + HUGE_BYTES <= arena->used) {
        madvise(arena->joined, HUGE_BYTES, MADV_HUGEPAGE);
        arena->joined += HUGE_BYTES;
    }
    if (end > arena->used) {
        arena->used = end;
    }
}

void *dp_arena_alloc(dp_arena_t *arena, apr_size_t size)
{
    apr_rmm_off_t offset;
    void *block = NULL;

    apr_thread_mutex_lock(arena->mutex);
    offset = arena->blocks ? apr_rmm_malloc(arena->blocks, size) : 0;
    if (offset != 0) {
        block = apr_rmm_addr_get(arena->blocks, offset);
        use_locked(arena, (char *)block + size);
    }
    apr_thread_mutex_unlock(arena->mutex);
    return block;
}

void dp_arena_free(dp_arena_t *arena, void *block)
{
    apr_thread_mutex_lock(arena->mutex);
    apr_rmm_free(arena->blocks, apr_rmm_offset_get(arena->blocks, block));
    apr_thread_mutex_unlock(arena->mutex);
}
