/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which metatile holds a cell, what to ask for it, and where its tiles are in
 * the picture. Pure arithmetic.
 *
 * A metatile is a block of rule->cols x rule->rows cells aligned at the
 * grid's origin. At the far edges of the matrix it is smaller, because cells
 * beyond the matrix don't exist, but keeps its index. Around it lies a buffer
 * of pixels that is rendered and cut away, so that labels meet; it ends at
 * the grid's extent, where there is nothing to render.
 */
#ifndef DP_GRID_METATILE_H
#define DP_GRID_METATILE_H

#include "grid/grid.h"

/* DogpileMetatile. */
typedef struct dp_metatile_rule_t {
    int cols;      /* cells across, at least 1 */
    int rows;      /* cells down, at least 1 */
    int buffer_px; /* on each side, 0 or more */
    int max_px;    /* no side of the picture is longer, buffer included */
} dp_metatile_rule_t;

/* A rectangle of the picture: pixels from its top left corner. */
typedef struct dp_window_t {
    int x;
    int y;
    int width;
    int height;
} dp_window_t;

typedef struct dp_metatile_t {
    const dp_grid_t *grid;
    int z;
    uint32_t x; /* index of the metatile, from the grid's origin */
    uint32_t y;
    dp_metatile_rule_t rule; /* after shrinking to max_px: part of the key */
    int tile_px;             /* width and height of each tile */
    uint32_t first_col;      /* of the grid's matrix */
    uint32_t first_row;
    int cols; /* that exist */
    int rows;
    int left_px; /* buffer on each side, after clipping */
    int top_px;
    int right_px;
    int bottom_px;
    int width_px; /* of the picture */
    int height_px;
    dp_bbox_t bbox; /* of the picture, x first */
} dp_metatile_t;

/*
 * The rule that holds for tiles of tile_px: max_px shrinks the block, and if
 * one tile with its buffer is still too large, the buffer.
 */
dp_metatile_rule_t dp_metatile_shrink(const dp_metatile_rule_t *rule,
                                      int tile_px);

/* The metatile of a cell that exists, for tiles of tile_px by tile_px. */
void dp_metatile_of(dp_metatile_t *metatile, const dp_grid_t *grid,
                    const dp_cell_t *cell, const dp_metatile_rule_t *rule,
                    int tile_px);

/* How many tiles it has, and which of them (0, 1, ... from the origin, rows
 * of columns) a cell of its block is. */
int dp_metatile_count(const dp_metatile_t *metatile);
int dp_metatile_index(const dp_metatile_t *metatile, const dp_cell_t *cell);

/* Where the tile of that index is in the picture. */
dp_window_t dp_metatile_window(const dp_metatile_t *metatile, int index);

/* One tile and no buffer: the source's bytes are the tile's. */
int dp_metatile_is_plain(const dp_metatile_t *metatile);

#endif
