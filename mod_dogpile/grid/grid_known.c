/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two tile matrix sets that nearly every web map uses, with the numbers
 * of the OGC registry (https://www.opengis.net/def/tms/OGC/1.0), and the
 * names under which deployed clients ask for their reference systems.
 *
 * Constant data, read at configuration and by every request; nobody writes.
 * Each level halves the one before, and halving a double is exact, so the
 * tables hold the registry's values to the last bit.
 */
#include "grid/grid.h"

#include <string.h>

#define LEVEL(r, z) ((r) / (1 << (z)))
#define FOUR_LEVELS(r, z)                                                      \
    LEVEL(r, z), LEVEL(r, (z) + 1), LEVEL(r, (z) + 2), LEVEL(r, (z) + 3)
#define LEVELS_0_TO_23(r)                                                      \
    FOUR_LEVELS(r, 0), FOUR_LEVELS(r, 4), FOUR_LEVELS(r, 8),                   \
        FOUR_LEVELS(r, 12), FOUR_LEVELS(r, 16), FOUR_LEVELS(r, 20)

/* Half the equator of the sphere with WGS 84's semi-major axis, metres. */
#define MERCATOR_EDGE 20037508.342789244
#define MERCATOR_LEVEL_0 156543.03392804097
#define CRS84_LEVEL_0 0.703125

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const double mercator_resolutions[] = {LEVELS_0_TO_23(MERCATOR_LEVEL_0),
                                              LEVEL(MERCATOR_LEVEL_0, 24)};
static const double crs84_resolutions[] = {LEVELS_0_TO_23(CRS84_LEVEL_0)};

/* What came before EPSG had a code: 900913 of the first tile clients, 102113
 * and 102100 of ArcGIS. The same plane, the same axes. */
static const dp_crs_name_t mercator_names[] = {{"EPSG:3857", 0},
                                               {"EPSG:900913", 0},
                                               {"EPSG:102100", 0},
                                               {"EPSG:102113", 0}};

/* EPSG:4326 first: WMS 1.1.1 servers know it, and not all know CRS:84. */
static const dp_crs_name_t crs84_names[] = {{"EPSG:4326", 1}, {"CRS:84", 0}};

static const dp_grid_t mercator = {
    .name = "WebMercatorQuad",
    .crs = mercator_names,
    .ncrs = COUNT(mercator_names),
    .extent = {-MERCATOR_EDGE, -MERCATOR_EDGE, MERCATOR_EDGE, MERCATOR_EDGE},
    .resolutions = mercator_resolutions,
    .nlevels = COUNT(mercator_resolutions),
    .origin = DP_ORIGIN_TOP_LEFT,
    .tile_px = 256,
};

static const dp_grid_t crs84 = {
    .name = "WorldCRS84Quad",
    .crs = crs84_names,
    .ncrs = COUNT(crs84_names),
    .extent = {-180, -90, 180, 90},
    .resolutions = crs84_resolutions,
    .nlevels = COUNT(crs84_resolutions),
    .origin = DP_ORIGIN_TOP_LEFT,
    .tile_px = 256,
};

const dp_grid_t *dp_grid_known(const char *name)
{
    static const dp_grid_t *const known[] = {&mercator, &crs84};
    int i;

    for (i = 0; i < COUNT(known); i++) {
        if (strcmp(known[i]->name, name) == 0) {
            return known[i];
        }
    }
    return NULL;
}
