/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of tile matrix sets (OGC 17-083r4, section 6): cells to
 * rectangles and back.
 *
 * Called at configuration (dp_grid_check) and on every request, from any
 * thread; pure functions of their arguments.
 *
 * Rectangles come from strangers: any double may arrive, infinities
 * included. Comparisons are written so that what isn't a number fails them,
 * and a double becomes an integer only once it is known to be an index of the
 * matrix. A grid that passed dp_grid_check() has at most CELLS_MAX columns
 * and rows a level, so sums of an index and a block size never wrap.
 */
#include "grid/grid.h"

#include <math.h>
#include <stddef.h>

/* Columns or rows of one level. */
#define CELLS_MAX 2147483648.0

/* Larger than any coordinate on Earth in any unit; sums stay finite. */
#define COORDINATE_MAX 1e12

/* A picture a cell wide must be possible; codecs end at 65535. */
#define TILE_PX_MAX 16384

/* A pixel must be this many times larger than the steps between neighbouring
 * doubles at the extent's edge, or the tolerance means nothing. */
#define STEPS_PER_PIXEL 64

/* ASCII only: the process's locale must not decide what EPSG means. */
static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int same_name(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

/* Width and height of a level's cells, units. */
static double span_of(const dp_grid_t *grid, int z)
{
    return grid->resolutions[z] * grid->tile_px;
}

/* What sticks out by less than the tolerance is rounding, not a cell. */
static double cells_across(const dp_grid_t *grid, int z, double length)
{
    double cells =
        ceil(length / span_of(grid, z) - DP_GRID_TOLERANCE_PX / grid->tile_px);

    return cells > 1 ? cells : 1;
}

static int is_coordinate(double value)
{
    return fabs(value) <= COORDINATE_MAX;
}

static const char *check_extent(const dp_bbox_t *extent)
{
    if (!is_coordinate(extent->minx) || !is_coordinate(extent->miny)
        || !is_coordinate(extent->maxx) || !is_coordinate(extent->maxy)) {
        return "the extent's numbers must lie between -1e12 and 1e12";
    }
    if (extent->minx >= extent->maxx || extent->miny >= extent->maxy) {
        return "the extent must be given as minx miny maxx maxy and not be "
               "empty";
    }
    return NULL;
}

static const char *check_levels(const dp_grid_t *grid)
{
    const dp_bbox_t *e = &grid->extent;
    double farthest = fmax(fmax(fabs(e->minx), fabs(e->maxx)),
                           fmax(fabs(e->miny), fabs(e->maxy)));
    double step = nextafter(farthest, INFINITY) - farthest;
    int z;

    for (z = 0; z < grid->nlevels; z++) {
        double resolution = grid->resolutions[z];

        if (!(resolution > 0) || !is_coordinate(resolution)) {
            return "resolutions must be greater than 0 and at most 1e12";
        }
        if (z > 0 && resolution >= grid->resolutions[z - 1]) {
            return "resolutions must fall from level to level";
        }
        if (resolution < STEPS_PER_PIXEL * step
            || cells_across(grid, z, e->maxx - e->minx) > CELLS_MAX
            || cells_across(grid, z, e->maxy - e->miny) > CELLS_MAX) {
            return "the finest resolution is too fine for the extent";
        }
    }
    return NULL;
}

const char *dp_grid_check(const dp_grid_t *grid)
{
    const char *wrong;
    int i;

    if (grid->name == NULL || grid->name[0] == '\0') {
        return "a grid needs a name";
    }
    if (grid->ncrs < 1) {
        return "a grid needs the name of its reference system";
    }
    for (i = 0; i < grid->ncrs; i++) {
        if (grid->crs[i].name == NULL || grid->crs[i].name[0] == '\0') {
            return "the name of a reference system must not be empty";
        }
    }
    if (grid->tile_px < 1 || grid->tile_px > TILE_PX_MAX) {
        return "the tile size must be 1 to 16384 pixels";
    }
    if (grid->nlevels < 1 || grid->nlevels > DP_GRID_LEVELS_MAX) {
        return "a grid needs 1 to 32 resolutions";
    }
    wrong = check_extent(&grid->extent);
    return wrong ? wrong : check_levels(grid);
}

const dp_crs_name_t *dp_grid_crs(const dp_grid_t *grid, const char *name)
{
    int i;

    for (i = 0; i < grid->ncrs; i++) {
        if (same_name(grid->crs[i].name, name)) {
            return &grid->crs[i];
        }
    }
    return NULL;
}

void dp_grid_size(const dp_grid_t *grid, int z, uint32_t *cols, uint32_t *rows)
{
    const dp_bbox_t *e = &grid->extent;

    *cols = (uint32_t)fmin(cells_across(grid, z, e->maxx - e->minx), CELLS_MAX);
    *rows = (uint32_t)fmin(cells_across(grid, z, e->maxy - e->miny), CELLS_MAX);
}

dp_bbox_t dp_grid_cell_bbox(const dp_grid_t *grid, const dp_cell_t *cell)
{
    const dp_bbox_t *e = &grid->extent;
    double span = span_of(grid, cell->z);
    double x = cell->x;
    double y = cell->y;
    dp_bbox_t bbox;

    bbox.minx = e->minx + x * span;
    bbox.maxx = e->minx + (x + 1) * span;
    if (grid->origin == DP_ORIGIN_TOP_LEFT) {
        bbox.miny = e->maxy - (y + 1) * span;
        bbox.maxy = e->maxy - y * span;
    }
    else {
        bbox.miny = e->miny + y * span;
        bbox.maxy = e->miny + (y + 1) * span;
    }
    return bbox;
}

/* The index nearest to `distance` from the origin, if there is one. */
static int nearest_index(double distance, double span, uint32_t count,
                         uint32_t *index)
{
    double nearest = floor(distance / span + 0.5);

    if (!(nearest >= 0 && nearest < count)) {
        return 0;
    }
    *index = (uint32_t)nearest;
    return 1;
}

static int same_bbox(const dp_bbox_t *a, const dp_bbox_t *b, double tolerance)
{
    return fabs(a->minx - b->minx) <= tolerance
           && fabs(a->miny - b->miny) <= tolerance
           && fabs(a->maxx - b->maxx) <= tolerance
           && fabs(a->maxy - b->maxy) <= tolerance;
}

static int find_in_level(const dp_grid_t *grid, const dp_bbox_t *bbox, int z,
                         double tolerance, dp_cell_t *cell)
{
    double from_top = grid->extent.maxy - bbox->maxy;
    double from_bottom = bbox->miny - grid->extent.miny;
    double span = span_of(grid, z);
    dp_cell_t found = {.z = z};
    dp_bbox_t exact;
    uint32_t cols;
    uint32_t rows;

    dp_grid_size(grid, z, &cols, &rows);
    if (!nearest_index(bbox->minx - grid->extent.minx, span, cols, &found.x)
        || !nearest_index(grid->origin == DP_ORIGIN_TOP_LEFT ? from_top
                                                             : from_bottom,
                          span, rows, &found.y)) {
        return 0;
    }
    exact = dp_grid_cell_bbox(grid, &found);
    if (!same_bbox(bbox, &exact, tolerance)) {
        return 0;
    }
    *cell = found;
    return 1;
}

int dp_grid_find(const dp_grid_t *grid, const dp_bbox_t *bbox, int px,
                 dp_cell_t *cell)
{
    double width = bbox->maxx - bbox->minx;
    int z;

    if (px < 1) {
        return 0;
    }
    for (z = 0; z < grid->nlevels; z++) {
        double span = span_of(grid, z);
        double tolerance = DP_GRID_TOLERANCE_PX * span / px;

        if (fabs(width - span) <= 2 * tolerance
            && find_in_level(grid, bbox, z, tolerance, cell)) {
            return 1;
        }
    }
    return 0;
}

/* Numbers of columns and rows are exact up to rounding of this size. */
#define NEST_TOLERANCE 1e-6

int dp_grid_parent(const dp_grid_t *grid, const dp_cell_t *cell, int z,
                   dp_cell_t *parent, dp_place_t *place)
{
    double side = span_of(grid, cell->z) / span_of(grid, z);
    dp_bbox_t inner = dp_grid_cell_bbox(grid, cell);
    dp_bbox_t outer;

    parent->z = z;
    parent->x = (uint32_t)((cell->x + 0.5) * side);
    parent->y = (uint32_t)((cell->y + 0.5) * side);
    outer = dp_grid_cell_bbox(grid, parent);
    place->side = side;
    place->x = (inner.minx - outer.minx) / span_of(grid, z);
    place->y = (outer.maxy - inner.maxy) / span_of(grid, z);
    return place->x >= -NEST_TOLERANCE && place->y >= -NEST_TOLERANCE
           && place->x + side <= 1 + NEST_TOLERANCE
           && place->y + side <= 1 + NEST_TOLERANCE;
}
