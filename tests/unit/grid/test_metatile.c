/* SPDX-License-Identifier: Apache-2.0 */
#include "grid/metatile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "swiss.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const dp_metatile_rule_t usual = {4, 4, 16, 2048};

static dp_metatile_t metatile_of(const dp_grid_t *grid, int z, uint32_t x,
                                 uint32_t y, const dp_metatile_rule_t *rule,
                                 int tile_px)
{
    dp_cell_t cell = {z, x, y};
    dp_metatile_t m;

    memset(&m, 0, sizeof(m));
    dp_metatile_of(&m, grid, &cell, rule, tile_px);
    return m;
}

START_TEST(max_shrinks_the_block_then_the_buffer)
{
    static const struct {
        dp_metatile_rule_t rule;
        int tile_px;
        dp_metatile_rule_t fit;
    } cases[] = {
        {{4, 4, 16, 2048}, 256, {4, 4, 16, 2048}},
        {{4, 4, 16, 2048}, 512, {3, 3, 16, 2048}},
        {{4, 4, 0, 2048}, 512, {4, 4, 0, 2048}},
        {{8, 2, 0, 2048}, 512, {4, 2, 0, 2048}},
        {{9, 9, 16, 2048}, 256, {7, 7, 16, 2048}},
        {{4, 4, 1000, 2048}, 256, {1, 1, 896, 2048}},
        {{4, 4, 16, 512}, 512, {1, 1, 0, 512}},
        {{4, 4, 16, 520}, 512, {1, 1, 4, 520}},
        {{4, 4, 16, 521}, 512, {1, 1, 4, 521}},
        {{4, 4, 16, 100}, 256, {1, 1, 0, 100}},
        {{4, 4, 896, 2048}, 256, {1, 1, 896, 2048}},
        {{1, 1, 0, 2048}, 256, {1, 1, 0, 2048}},
        {{0, -1, -5, 2048}, 256, {1, 1, 0, 2048}},
        {{4, 4, 2147483647, 2147483647}, 256, {1, 1, 1073741695, 2147483647}},
    };
    size_t i;

    for (i = 0; i < COUNT(cases); i++) {
        dp_metatile_rule_t fit =
            dp_metatile_shrink(&cases[i].rule, cases[i].tile_px);
        dp_metatile_rule_t again = dp_metatile_shrink(&fit, cases[i].tile_px);

        ck_assert_msg(memcmp(&fit, &cases[i].fit, sizeof(fit)) == 0,
                      "%d: %dx%d buffer %d", (int)i, fit.cols, fit.rows,
                      fit.buffer_px);
        ck_assert(memcmp(&fit, &again, sizeof(fit)) == 0);
    }
}
END_TEST

START_TEST(a_block_in_the_middle_has_all_its_cells_and_buffers)
{
    const dp_grid_t *grid = dp_grid_known("WebMercatorQuad");
    dp_metatile_t m = metatile_of(grid, 10, 530, 337, &usual, 256);

    ck_assert_uint_eq(m.x, 132);
    ck_assert_uint_eq(m.y, 84);
    ck_assert_uint_eq(m.first_col, 528);
    ck_assert_uint_eq(m.first_row, 336);
    ck_assert_int_eq(dp_metatile_count(&m), 16);
    ck_assert_int_eq(m.width_px, 4 * 256 + 32);
    ck_assert_int_eq(m.height_px, 4 * 256 + 32);
    ck_assert_int_eq(dp_metatile_index(&m, &(dp_cell_t){10, 530, 337}), 6);
    ck_assert(!dp_metatile_is_plain(&m));
}
END_TEST

START_TEST(buffers_end_at_the_extent)
{
    const dp_grid_t *grid = dp_grid_known("WebMercatorQuad");
    dp_metatile_t m = metatile_of(grid, 3, 1, 2, &usual, 256);

    ck_assert_int_eq(m.left_px, 0);
    ck_assert_int_eq(m.top_px, 0);
    ck_assert_int_eq(m.right_px, 16);
    ck_assert_int_eq(m.bottom_px, 16);
    ck_assert(m.bbox.minx == grid->extent.minx);
    ck_assert(m.bbox.maxy == grid->extent.maxy);
    ck_assert_double_eq_tol(m.bbox.maxx, 16 * grid->resolutions[3], 1e-6);
    m = metatile_of(grid, 3, 7, 7, &usual, 256);
    ck_assert_int_eq(m.left_px, 16);
    ck_assert_int_eq(m.top_px, 16);
    ck_assert_int_eq(m.right_px, 0);
    ck_assert_int_eq(m.bottom_px, 0);
    /* The whole world: fewer cells than the block, nothing around. */
    m = metatile_of(grid, 0, 0, 0, &usual, 256);
    ck_assert(memcmp(&m.bbox, &grid->extent, sizeof(m.bbox)) == 0);
    ck_assert_int_eq(m.width_px, 256);
    ck_assert(dp_metatile_is_plain(&m));
    ck_assert_int_eq(m.rule.cols, 4);
}
END_TEST

/* Level 16 is 7.5 by 5 cells of 64 km. */
START_TEST(the_last_block_of_a_national_grid_is_smaller)
{
    dp_metatile_t m = metatile_of(&swiss, 16, 7, 4, &usual, 256);

    ck_assert_uint_eq(m.x, 1);
    ck_assert_uint_eq(m.y, 1);
    ck_assert_int_eq(m.cols, 4);
    ck_assert_int_eq(m.rows, 1);
    ck_assert_int_eq(m.left_px, 16);
    ck_assert_int_eq(m.top_px, 16);
    ck_assert_int_eq(m.right_px, 0);
    ck_assert_int_eq(m.bottom_px, 0);
    ck_assert_double_eq(m.bbox.maxx, 2420000 + 8 * 64000.0);
    ck_assert_double_eq(m.bbox.miny, 1030000);
    ck_assert_int_eq(dp_metatile_index(&m, &(dp_cell_t){16, 7, 4}), 3);
    /* 6 columns: half a cell is left beyond, which is all buffer. */
    m = metatile_of(&swiss, 16, 6, 0, &(dp_metatile_rule_t){7, 1, 200, 9999},
                    256);
    ck_assert_int_eq(m.right_px, 128);
    ck_assert_double_eq(m.bbox.maxx, 2900000);
}
END_TEST

START_TEST(the_same_country_from_the_south)
{
    dp_metatile_t m = metatile_of(&swiss_from_south, 16, 1, 4, &usual, 256);
    dp_window_t window = dp_metatile_window(&m, 1);

    ck_assert_uint_eq(m.y, 1);
    ck_assert_int_eq(m.rows, 1);
    ck_assert_int_eq(m.top_px, 0);
    ck_assert_int_eq(m.bottom_px, 16);
    ck_assert_int_eq(window.x, 256);
    ck_assert_int_eq(window.y, 0);
    /* Index 0 is the origin's tile, at the bottom of the picture. */
    m = metatile_of(&swiss_from_south, 16, 0, 0, &usual, 256);
    window = dp_metatile_window(&m, 0);
    ck_assert_int_eq(m.bottom_px, 0);
    ck_assert_int_eq(m.top_px, 16);
    ck_assert_int_eq(window.y, 16 + 3 * 256);
}
END_TEST

/* Where the window lies on the ground, compared with its cell. */
static void check_window(const dp_metatile_t *m, const dp_cell_t *cell)
{
    double px = (m->bbox.maxx - m->bbox.minx) / m->width_px;
    dp_bbox_t bbox = dp_grid_cell_bbox(m->grid, cell);
    dp_window_t w = dp_metatile_window(m, dp_metatile_index(m, cell));

    ck_assert(w.width == m->tile_px && w.height == m->tile_px);
    ck_assert(w.x >= 0 && w.x + w.width <= m->width_px);
    ck_assert(w.y >= 0 && w.y + w.height <= m->height_px);
    ck_assert(fabs((bbox.minx - m->bbox.minx) / px - w.x) < 1e-3);
    ck_assert(fabs((m->bbox.maxy - bbox.maxy) / px - w.y) < 1e-3);
    ck_assert(fabs((bbox.maxx - bbox.minx) / px - w.width) < 1e-3);
}

/* Every cell of the block knows the same block and has a window of its own;
 * equal windows on different ground are impossible, so they don't overlap. */
static void check_block(const dp_metatile_t *m)
{
    unsigned char seen[64] = {0};
    int i;

    ck_assert_int_le(dp_metatile_count(m), (int)sizeof(seen));
    for (i = 0; i < dp_metatile_count(m); i++) {
        dp_cell_t cell = {m->z, m->first_col + (uint32_t)(i % m->cols),
                          m->first_row + (uint32_t)(i / m->cols)};
        dp_metatile_t same =
            metatile_of(m->grid, cell.z, cell.x, cell.y, &m->rule, m->tile_px);

        ck_assert(memcmp(&same, m, sizeof(same)) == 0);
        ck_assert_int_eq(dp_metatile_index(m, &cell), i);
        ck_assert(!seen[i]);
        seen[i] = 1;
        check_window(m, &cell);
    }
    ck_assert_int_eq(m->width_px,
                     m->left_px + m->cols * m->tile_px + m->right_px);
    ck_assert_int_eq(m->height_px,
                     m->top_px + m->rows * m->tile_px + m->bottom_px);
}

static void check_bounds(const dp_metatile_t *m)
{
    const dp_bbox_t *e = &m->grid->extent;
    double px = (m->bbox.maxx - m->bbox.minx) / m->width_px;
    int max = m->rule.max_px > m->tile_px ? m->rule.max_px : m->tile_px;

    ck_assert_int_le(m->width_px, max);
    ck_assert_int_le(m->height_px, max);
    ck_assert(fabs((m->bbox.maxy - m->bbox.miny) / px - m->height_px) < 1e-3);
    /* No buffer reaches over the edge. */
    ck_assert(m->left_px == 0 || m->bbox.minx > e->minx - px / 2);
    ck_assert(m->bottom_px == 0 || m->bbox.miny > e->miny - px / 2);
    ck_assert(m->right_px == 0 || m->bbox.maxx < e->maxx + px / 2);
    ck_assert(m->top_px == 0 || m->bbox.maxy < e->maxy + px / 2);
    ck_assert(m->left_px <= m->rule.buffer_px);
}

START_TEST(the_windows_of_any_block_tile_its_picture)
{
    const dp_grid_t *const grids[] = {dp_grid_known("WebMercatorQuad"),
                                      dp_grid_known("WorldCRS84Quad"), &swiss,
                                      &swiss_from_south};
    static const int sizes[] = {256, 512, 300};
    static const dp_metatile_rule_t rules[] = {{4, 4, 16, 2048},
                                               {8, 3, 0, 4096},
                                               {1, 1, 0, 2048},
                                               {5, 5, 700, 2048},
                                               {2, 7, 33, 1000}};
    int i;

    srand(3);
    for (i = 0; i < 20000; i++) {
        const dp_grid_t *grid = grids[rand() % 4];
        int z = rand() % grid->nlevels;
        uint32_t cols;
        uint32_t rows;
        dp_metatile_t m;

        dp_grid_size(grid, z, &cols, &rows);
        m = metatile_of(grid, z, (uint32_t)rand() % cols,
                        (uint32_t)rand() % rows, &rules[rand() % 5],
                        sizes[rand() % 3]);
        check_block(&m);
        check_bounds(&m);
    }
}
END_TEST

UNIT_MAIN("grid/metatile", max_shrinks_the_block_then_the_buffer,
          a_block_in_the_middle_has_all_its_cells_and_buffers,
          buffers_end_at_the_extent,
          the_last_block_of_a_national_grid_is_smaller,
          the_same_country_from_the_south,
          the_windows_of_any_block_tile_its_picture)
