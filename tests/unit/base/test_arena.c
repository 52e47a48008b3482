/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "unit.h"

enum { SIZE = 1 << 20, BLOCK = 10000, BLOCKS_MAX = SIZE / BLOCK };

static int fill(dp_arena_t *arena, unsigned char **blocks)
{
    int n = 0;

    for (blocks[n] = dp_arena_alloc(arena, BLOCK); blocks[n] != NULL;
         blocks[n] = dp_arena_alloc(arena, BLOCK)) {
        memset(blocks[n], n, BLOCK);
        n++;
        ck_assert_int_le(n, BLOCKS_MAX);
    }
    return n;
}

START_TEST(blocks_are_apart_and_aligned)
{
    unsigned char *blocks[BLOCKS_MAX + 1];
    dp_arena_t *arena;
    int n;
    int i;

    ck_assert_int_eq(dp_arena_create(&arena, SIZE, 0, unit_pool), 0);
    n = fill(arena, blocks);
    ck_assert_int_ge(n, BLOCKS_MAX - 1);
    for (i = 0; i < n; i++) {
        ck_assert_int_eq((uintptr_t)blocks[i] % APR_ALIGN_DEFAULT(1), 0);
        ck_assert_int_eq(blocks[i][0], i);
        ck_assert_int_eq(blocks[i][BLOCK - 1], i);
    }
}
END_TEST

START_TEST(what_was_freed_has_room_for_others)
{
    unsigned char *blocks[BLOCKS_MAX + 1];
    dp_arena_t *arena;
    void *large;
    int n;
    int i;

    ck_assert_int_eq(dp_arena_create(&arena, SIZE, 1, unit_pool), 0);
    n = fill(arena, blocks);
    dp_arena_free(arena, blocks[7]);
    ck_assert_ptr_null(dp_arena_alloc(arena, 2 * BLOCK));
    ck_assert_ptr_eq(dp_arena_alloc(arena, BLOCK), blocks[7]);
    for (i = 0; i < n; i++) {
        dp_arena_free(arena, blocks[i]);
    }
    large = dp_arena_alloc(arena, (apr_size_t)n * BLOCK);
    ck_assert_ptr_nonnull(large);
    memset(large, 1, (apr_size_t)n * BLOCK);
}
END_TEST

START_TEST(where_there_is_no_memory_there_is_no_room)
{
    dp_arena_t *arena;

    ck_assert_int_eq(dp_arena_create(&arena, SIZE_MAX / 2, 1, unit_pool), 0);
    ck_assert_ptr_null(dp_arena_alloc(arena, 1));
}
END_TEST

UNIT_MAIN("base/arena", blocks_are_apart_and_aligned,
          what_was_freed_has_room_for_others,
          where_there_is_no_memory_there_is_no_room)
