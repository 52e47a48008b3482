/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A national grid, as swisstopo publishes it for EPSG:2056: odd steps between
 * levels, and an extent that is no multiple of its cells. And the same from
 * the bottom left.
 */
#ifndef DP_TESTS_SWISS_H
#define DP_TESTS_SWISS_H

#include "grid/grid.h"

static const double swiss_resolutions[] = {
    4000, 3750, 3500, 3250, 3000, 2750, 2500, 2250, 2000, 1750,
    1500, 1250, 1000, 750,  650,  500,  250,  100,  50,   20,
    10,   5,    2.5,  2,    1.5,  1,    0.5,  0.25};

#define SWISS_LEVELS                                                           \
    ((int)(sizeof(swiss_resolutions) / sizeof(*swiss_resolutions)))

static const dp_crs_name_t swiss_names[] = {{"EPSG:2056", 0}};

#define SWISS(its_name, its_origin)                                            \
    {                                                                          \
        .name = its_name, .crs = swiss_names, .ncrs = 1,                       \
        .extent = {2420000, 1030000, 2900000, 1350000},                        \
        .resolutions = swiss_resolutions, .nlevels = SWISS_LEVELS,             \
        .origin = its_origin, .tile_px = 256                                   \
    }

static const dp_grid_t swiss = SWISS("swiss", DP_ORIGIN_TOP_LEFT);
static const dp_grid_t swiss_from_south __attribute__((unused)) =
    SWISS("swiss-from-south", DP_ORIGIN_BOTTOM_LEFT);

#endif
