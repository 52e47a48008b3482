/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a cell to the block that is rendered for it, and from the block's
 * picture back to its tiles.
 *
 * Called on every request, from any thread; pure functions of their
 * arguments. Everybody who wants a cell of a block must compute the same
 * block, to the last pixel, on every host: the result depends on nothing but
 * the grid, the rule, the tile size and the block's index.
 */
#include "grid/metatile.h"

#include <math.h>

static int at_least(int value, int least)
{
    return value > least ? value : least;
}

dp_metatile_rule_t dp_metatile_shrink(const dp_metatile_rule_t *rule,
                                      int tile_px)
{
    dp_metatile_rule_t fit = *rule;
    int64_t buffer = at_least(rule->buffer_px, 0);
    int64_t most = (rule->max_px - 2 * buffer) / tile_px;

    if (most < 1) {
        most = 1;
        if (tile_px + 2 * buffer > rule->max_px) {
            buffer = at_least(rule->max_px - tile_px, 0) / 2;
        }
    }
    fit.cols = rule->cols < most ? at_least(rule->cols, 1) : (int)most;
    fit.rows = rule->rows < most ? at_least(rule->rows, 1) : (int)most;
    fit.buffer_px = (int)buffer;
    return fit;
}

/* Cells of a block that begins at `first` of `count` cells. */
static int existing(uint32_t first, uint32_t count, int block)
{
    uint32_t left = count - first;

    return left < (uint32_t)block ? (int)left : block;
}

static dp_bbox_t block_bbox(const dp_metatile_t *m)
{
    dp_cell_t nearest = {m->z, m->first_col, m->first_row};
    dp_cell_t farthest = {m->z, m->first_col + (uint32_t)m->cols - 1,
                          m->first_row + (uint32_t)m->rows - 1};
    dp_bbox_t a = dp_grid_cell_bbox(m->grid, &nearest);
    dp_bbox_t b = dp_grid_cell_bbox(m->grid, &farthest);

    return (dp_bbox_t){a.minx, fmin(a.miny, b.miny), b.maxx,
                       fmax(a.maxy, b.maxy)};
}

/* How much of the buffer fits in `room_px` pixels between block and extent;
 * none where the block itself reaches over the edge. What misses a whole
 * pixel by less than the tolerance is rounding. */
static int clip_buffer(double room_px, int buffer_px)
{
    double whole = floor(room_px + DP_GRID_TOLERANCE_PX);

    if (!(whole > 0)) {
        return 0;
    }
    return whole < buffer_px ? (int)whole : buffer_px;
}

/* Surround the block with its buffer. */
static void set_picture(dp_metatile_t *m)
{
    const dp_bbox_t *e = &m->grid->extent;
    double px = m->grid->resolutions[m->z] * m->grid->tile_px / m->tile_px;
    dp_bbox_t block = block_bbox(m);
    int buffer = m->rule.buffer_px;

    m->left_px = clip_buffer((block.minx - e->minx) / px, buffer);
    m->right_px = clip_buffer((e->maxx - block.maxx) / px, buffer);
    m->top_px = clip_buffer((e->maxy - block.maxy) / px, buffer);
    m->bottom_px = clip_buffer((block.miny - e->miny) / px, buffer);
    m->width_px = m->left_px + m->cols * m->tile_px + m->right_px;
    m->height_px = m->top_px + m->rows * m->tile_px + m->bottom_px;
    m->bbox.minx = block.minx - m->left_px * px;
    m->bbox.miny = block.miny - m->bottom_px * px;
    m->bbox.maxx = block.maxx + m->right_px * px;
    m->bbox.maxy = block.maxy + m->top_px * px;
}

void dp_metatile_of(dp_metatile_t *metatile, const dp_grid_t *grid,
                    const dp_cell_t *cell, const dp_metatile_rule_t *rule,
                    int tile_px)
{
    dp_metatile_t *m = metatile;
    uint32_t cols;
    uint32_t rows;

    dp_grid_size(grid, cell->z, &cols, &rows);
    m->grid = grid;
    m->z = cell->z;
    m->rule = dp_metatile_shrink(rule, tile_px);
    m->tile_px = tile_px;
    m->x = cell->x / (uint32_t)m->rule.cols;
    m->y = cell->y / (uint32_t)m->rule.rows;
    m->first_col = m->x * (uint32_t)m->rule.cols;
    m->first_row = m->y * (uint32_t)m->rule.rows;
    m->cols = existing(m->first_col, cols, m->rule.cols);
    m->rows = existing(m->first_row, rows, m->rule.rows);
    set_picture(m);
}

int dp_metatile_count(const dp_metatile_t *metatile)
{
    return metatile->cols * metatile->rows;
}

int dp_metatile_index(const dp_metatile_t *metatile, const dp_cell_t *cell)
{
    int col = (int)(cell->x - metatile->first_col);
    int row = (int)(cell->y - metatile->first_row);

    return row * metatile->cols + col;
}

dp_window_t dp_metatile_window(const dp_metatile_t *metatile, int index)
{
    int col = index % metatile->cols;
    int row = index / metatile->cols;

    if (metatile->grid->origin == DP_ORIGIN_BOTTOM_LEFT) {
        row = metatile->rows - 1 - row;
    }
    return (dp_window_t){metatile->left_px + col * metatile->tile_px,
                         metatile->top_px + row * metatile->tile_px,
                         metatile->tile_px, metatile->tile_px};
}

int dp_metatile_is_plain(const dp_metatile_t *metatile)
{
    return metatile->width_px == metatile->tile_px
           && metatile->height_px == metatile->tile_px;
}
