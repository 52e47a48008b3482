/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tile matrix sets: which cell of which level a bounding box is.
 *
 * Terms and numbering follow OGC 17-083r4 (Two Dimensional Tile Matrix Set).
 * Coordinates are always x (easting, longitude) first, in units of the CRS;
 * the axis order of a protocol is undone before it gets here. Pure
 * arithmetic: no allocation, no state.
 */
#ifndef DP_GRID_GRID_H
#define DP_GRID_GRID_H

#include <stdint.h>

typedef struct dp_bbox_t {
    double minx;
    double miny;
    double maxx;
    double maxy;
} dp_bbox_t;

/* Where column 0, row 0 is. Rows count away from the origin. */
typedef enum dp_grid_origin_e {
    DP_ORIGIN_TOP_LEFT,
    DP_ORIGIN_BOTTOM_LEFT
} dp_grid_origin_e;

/* A name under which clients ask for the grid's CRS. */
typedef struct dp_crs_name_t {
    const char *name; /* "EPSG:4326", compared without case */
    int yx;           /* WMS 1.3.0 gives its BBOX as y, x */
} dp_crs_name_t;

/* Deeper levels would not fit the 32-bit indices of a cell. */
#define DP_GRID_LEVELS_MAX 32

typedef struct dp_grid_t {
    const char *name;
    const dp_crs_name_t *crs; /* the first one is what the source is asked */
    int ncrs;
    dp_bbox_t extent;
    const double *resolutions; /* units per pixel, falling, a level each */
    int nlevels;
    dp_grid_origin_e origin;
    int tile_px; /* a cell's width and height at its level's resolution */
} dp_grid_t;

/* A cell of a grid. */
typedef struct dp_cell_t {
    int z;      /* level, index into resolutions */
    uint32_t x; /* column from the origin */
    uint32_t y; /* row from the origin */
} dp_cell_t;

/* How far an edge of a request may be from a cell's, in pixels asked for. */
#define DP_GRID_TOLERANCE_PX 0.25

/* WebMercatorQuad and WorldCRS84Quad, or NULL. */
const dp_grid_t *dp_grid_known(const char *name);

/* Whether the numbers make a grid. Returns NULL, or what is wrong. */
const char *dp_grid_check(const dp_grid_t *grid);

/* The entry of grid->crs with that name, or NULL. */
const dp_crs_name_t *dp_grid_crs(const dp_grid_t *grid, const char *name);

/* Columns and rows of a level: as many cells as touch the extent. */
void dp_grid_size(const dp_grid_t *grid, int z, uint32_t *cols, uint32_t *rows);

/* The rectangle of a cell. */
dp_bbox_t dp_grid_cell_bbox(const dp_grid_t *grid, const dp_cell_t *cell);

/* A square within a cell: from its top left corner, in parts of its side. */
typedef struct dp_place_t {
    double x;
    double y;
    double side;
} dp_place_t;

/*
 * The cell of the lower level z in which a cell lies, and where. Returns 1, or
 * 0 where it lies in several: the levels of a grid need not nest.
 */
int dp_grid_parent(const dp_grid_t *grid, const dp_cell_t *cell, int z,
                   dp_cell_t *parent, dp_place_t *place);

/*
 * Which cell `bbox` is when asked for in px by px pixels: each edge within
 * DP_GRID_TOLERANCE_PX of the cell's. Returns 1 and sets `cell`, or 0.
 */
int dp_grid_find(const dp_grid_t *grid, const dp_bbox_t *bbox, int px,
                 dp_cell_t *cell);

#endif
