/* SPDX-License-Identifier: Apache-2.0 */
#include "grid/grid.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "swiss.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const dp_grid_t *mercator(void)
{
    return dp_grid_known("WebMercatorQuad");
}

static const dp_grid_t *crs84(void)
{
    return dp_grid_known("WorldCRS84Quad");
}

/* The cell as text, or "none". */
static const char *found(const dp_grid_t *grid, double minx, double miny,
                         double maxx, double maxy, int px)
{
    static char text[64];
    dp_bbox_t bbox = {minx, miny, maxx, maxy};
    dp_cell_t cell;

    if (!dp_grid_find(grid, &bbox, px, &cell)) {
        return "none";
    }
    snprintf(text, sizeof(text), "%d/%u/%u", cell.z, cell.x, cell.y);
    return text;
}

START_TEST(known_grids_have_the_numbers_of_the_registry)
{
    uint32_t cols;
    uint32_t rows;
    int z;

    ck_assert_ptr_null(dp_grid_check(mercator()));
    ck_assert_ptr_null(dp_grid_check(crs84()));
    ck_assert_ptr_null(dp_grid_known("WebMercator"));
    ck_assert_int_eq(mercator()->nlevels, 25);
    ck_assert_int_eq(crs84()->nlevels, 24);
    ck_assert(mercator()->resolutions[0] == 156543.03392804097);
    ck_assert(mercator()->resolutions[1] == 78271.51696402048);
    ck_assert(crs84()->resolutions[0] == 0.703125);
    for (z = 0; z < 24; z++) {
        dp_grid_size(mercator(), z, &cols, &rows);
        ck_assert_uint_eq(cols, 1u << z);
        ck_assert_uint_eq(rows, 1u << z);
        dp_grid_size(crs84(), z, &cols, &rows);
        ck_assert_uint_eq(cols, 2u << z);
        ck_assert_uint_eq(rows, 1u << z);
        ck_assert(mercator()->resolutions[z]
                  == 2 * mercator()->resolutions[z + 1]);
    }
}
END_TEST

START_TEST(reference_systems_are_found_in_any_case)
{
    ck_assert_str_eq(dp_grid_crs(mercator(), "epsg:3857")->name, "EPSG:3857");
    ck_assert_ptr_nonnull(dp_grid_crs(mercator(), "EPSG:900913"));
    ck_assert_ptr_nonnull(dp_grid_crs(mercator(), "Epsg:102100"));
    ck_assert_ptr_null(dp_grid_crs(mercator(), "EPSG:385"));
    ck_assert_ptr_null(dp_grid_crs(mercator(), "EPSG:38571"));
    ck_assert_ptr_null(dp_grid_crs(mercator(), ""));
    ck_assert_ptr_null(dp_grid_crs(mercator(), "EPSG:4326"));
    ck_assert_str_eq(crs84()->crs[0].name, "EPSG:4326");
    ck_assert(dp_grid_crs(crs84(), "EPSG:4326")->yx);
    ck_assert(!dp_grid_crs(crs84(), "crs:84")->yx);
    ck_assert(!dp_grid_crs(mercator(), "EPSG:3857")->yx);
}
END_TEST

START_TEST(cells_have_the_rectangles_of_the_standard)
{
    dp_cell_t world = {0, 0, 0};
    dp_cell_t south_east = {1, 1, 1};
    dp_bbox_t bbox = dp_grid_cell_bbox(mercator(), &world);

    ck_assert(memcmp(&bbox, &mercator()->extent, sizeof(bbox)) == 0);
    bbox = dp_grid_cell_bbox(mercator(), &south_east);
    ck_assert(bbox.minx == 0 && bbox.maxy == 0);
    ck_assert(bbox.maxx == 20037508.342789244);
    ck_assert(bbox.miny == -20037508.342789244);
    bbox = dp_grid_cell_bbox(crs84(), &south_east);
    ck_assert(bbox.minx == -90 && bbox.miny == -90);
    ck_assert(bbox.maxx == 0 && bbox.maxy == 0);
}
END_TEST

START_TEST(neighbours_share_their_edge_to_the_last_bit)
{
    int i;

    srand(1);
    for (i = 0; i < 10000; i++) {
        int z = rand() % 25;
        dp_cell_t cell = {z, (uint32_t)rand() % (1u << z), 0};
        dp_cell_t east = {z, cell.x + 1, 0};

        ck_assert(dp_grid_cell_bbox(mercator(), &cell).maxx
                  == dp_grid_cell_bbox(mercator(), &east).minx);
    }
}
END_TEST

START_TEST(every_cell_is_found_by_its_rectangle)
{
    const dp_grid_t *const grids[] = {mercator(), crs84(), &swiss,
                                      &swiss_from_south};
    static const int sizes[] = {256, 512, 100, 1024};
    dp_cell_t back;
    int i;

    srand(2);
    for (i = 0; i < 20000; i++) {
        const dp_grid_t *grid = grids[rand() % 4];
        dp_cell_t cell = {.z = rand() % grid->nlevels};
        uint32_t cols;
        uint32_t rows;
        dp_bbox_t bbox;

        dp_grid_size(grid, cell.z, &cols, &rows);
        cell.x = (uint32_t)rand() % cols;
        cell.y = (uint32_t)rand() % rows;
        bbox = dp_grid_cell_bbox(grid, &cell);
        ck_assert(dp_grid_find(grid, &bbox, sizes[rand() % 4], &back));
        ck_assert_int_eq(back.z, cell.z);
        ck_assert_uint_eq(back.x, cell.x);
        ck_assert_uint_eq(back.y, cell.y);
    }
}
END_TEST

START_TEST(each_edge_may_be_a_quarter_pixel_off)
{
    dp_cell_t cell = {14, 8500, 5600};
    dp_bbox_t exact = dp_grid_cell_bbox(mercator(), &cell);
    static const int sizes[] = {256, 512};
    dp_cell_t back;
    size_t s;
    int edge;
    int sign;

    for (s = 0; s < COUNT(sizes); s++) {
        double pixel = (exact.maxx - exact.minx) / sizes[s];

        for (edge = 0; edge < 4; edge++) {
            for (sign = -1; sign <= 1; sign += 2) {
                dp_bbox_t near = exact;
                dp_bbox_t far = exact;

                (&near.minx)[edge] += sign * 0.24 * pixel;
                (&far.minx)[edge] += sign * 0.26 * pixel;
                ck_assert(dp_grid_find(mercator(), &near, sizes[s], &back));
                ck_assert(back.x == cell.x && back.y == cell.y);
                ck_assert(!dp_grid_find(mercator(), &far, sizes[s], &back));
            }
        }
    }
}
END_TEST

START_TEST(what_clients_round_is_still_the_cell)
{
    /* OpenLayers with an extent of two decimals, level 20. */
    double span = 2 * 20037508.34 / (1 << 20);
    double minx = -20037508.34 + 555555 * span;
    double maxy = 20037508.34 - 333333 * span;
    /* Degrees with six decimals, level 14 of EPSG:4326. */
    dp_cell_t cell = {14, 17000, 5555};
    dp_bbox_t b = dp_grid_cell_bbox(crs84(), &cell);

    ck_assert_str_eq(
        found(mercator(), minx, maxy - span, minx + span, maxy, 256),
        "20/555555/333333");
    ck_assert_str_eq(found(crs84(), round(b.minx * 1e6) / 1e6,
                           round(b.miny * 1e6) / 1e6, round(b.maxx * 1e6) / 1e6,
                           round(b.maxy * 1e6) / 1e6, 256),
                     "14/17000/5555");
}
END_TEST

/* OpenLayers' own grid for EPSG:4326 begins with one cell of 360 degrees: its
 * level 1 is our 0, and that first cell is none of ours. */
START_TEST(the_cell_counts_and_not_the_number_of_its_level)
{
    ck_assert_str_eq(found(crs84(), -180, -90, 0, 90, 256), "0/0/0");
    ck_assert_str_eq(found(crs84(), 0, -90, 180, 90, 256), "0/1/0");
    ck_assert_str_eq(found(crs84(), -180, 0, -90, 90, 256), "1/0/0");
    ck_assert_str_eq(found(crs84(), -180, -270, 180, 90, 256), "none");
    ck_assert_str_eq(found(crs84(), -180, -90, 180, 90, 256), "none");
}
END_TEST

START_TEST(rows_count_from_the_origin)
{
    double span = 250 * 256.0;

    ck_assert_str_eq(
        found(&swiss, 2420000, 1350000 - span, 2420000 + span, 1350000, 256),
        "16/0/0");
    ck_assert_str_eq(found(&swiss_from_south, 2420000, 1030000, 2420000 + span,
                           1030000 + span, 256),
                     "16/0/0");
    ck_assert_str_eq(found(&swiss_from_south, 2420000 + span,
                           1030000 + 2 * span, 2420000 + 2 * span,
                           1030000 + 3 * span, 256),
                     "16/1/2");
}
END_TEST

START_TEST(cells_beyond_the_matrix_are_none)
{
    double edge = 20037508.342789244;
    double span = 250 * 256.0;
    uint32_t cols;
    uint32_t rows;

    ck_assert_str_eq(found(mercator(), edge, -edge, 3 * edge, edge, 256),
                     "none");
    ck_assert_str_eq(found(mercator(), -3 * edge, -edge, -edge, edge, 256),
                     "none");
    ck_assert_str_eq(found(mercator(), -edge, edge, edge, 3 * edge, 256),
                     "none");
    /* 7.5 by 5 cells: the last column is there, half outside. */
    dp_grid_size(&swiss, 16, &cols, &rows);
    ck_assert_uint_eq(cols, 8);
    ck_assert_uint_eq(rows, 5);
    ck_assert_str_eq(found(&swiss, 2420000 + 7 * span, 1350000 - span,
                           2420000 + 8 * span, 1350000, 256),
                     "16/7/0");
    ck_assert_str_eq(found(&swiss, 2420000 + 8 * span, 1350000 - span,
                           2420000 + 9 * span, 1350000, 256),
                     "none");
    /* One cell larger than the country. */
    dp_grid_size(&swiss, 0, &cols, &rows);
    ck_assert_uint_eq(cols, 1);
    ck_assert_uint_eq(rows, 1);
}
END_TEST

START_TEST(odd_boxes_are_no_cell)
{
    static const double odd[] = {NAN,     INFINITY,     -INFINITY, 1e308,
                                 -1e308,  DBL_MIN,      5e-324,    0,
                                 DBL_MAX, 4294967296.0, -0.5,      1e19};
    const size_t n = COUNT(odd);
    size_t i;
    dp_cell_t cell;

    for (i = 0; i < n * n * n * n; i++) {
        dp_bbox_t bbox = {odd[i % n], odd[i / n % n], odd[i / n / n % n],
                          odd[i / n / n / n]};

        ck_assert(!dp_grid_find(mercator(), &bbox, 256, &cell));
        ck_assert(!dp_grid_find(&swiss_from_south, &bbox, 512, &cell));
    }
    ck_assert(!dp_grid_find(mercator(), &mercator()->extent, 0, &cell));
    ck_assert(!dp_grid_find(mercator(), &mercator()->extent, -256, &cell));
    ck_assert(dp_grid_find(mercator(), &mercator()->extent, 1 << 30, &cell));
    /* A level's width, but not its height. */
    ck_assert_str_eq(found(crs84(), -180, -90, 0, 0, 256), "none");
}
END_TEST

static const double falling[] = {2, 1};
static const double rising[] = {1, 2};
static const double equal[] = {1, 1};
static const double zero[] = {0};
static const double not_a_number[] = {NAN};
static const double endless[] = {INFINITY};
static const double tiny[] = {1e-9};
static const dp_crs_name_t nameless[] = {{"", 0}};

START_TEST(grids_that_are_none_are_refused)
{
    const struct {
        const char *wrong;
        const char *name;
        const dp_crs_name_t *crs;
        int ncrs;
        dp_bbox_t extent;
        const double *resolutions;
        int nlevels;
        int tile_px;
    } cases[] = {
        {NULL, "g", swiss_names, 1, {0, 0, 9, 9}, falling, 2, 256},
        {"name", "", swiss_names, 1, {0, 0, 9, 9}, falling, 2, 256},
        {"name", NULL, swiss_names, 1, {0, 0, 9, 9}, falling, 2, 256},
        {"reference", "g", NULL, 0, {0, 0, 9, 9}, falling, 2, 256},
        {"reference", "g", nameless, 1, {0, 0, 9, 9}, falling, 2, 256},
        {"empty", "g", swiss_names, 1, {0, 0, 0, 9}, falling, 2, 256},
        {"empty", "g", swiss_names, 1, {0, 9, 9, 0}, falling, 2, 256},
        {"1e12", "g", swiss_names, 1, {0, 0, NAN, 9}, falling, 2, 256},
        {"1e12", "g", swiss_names, 1, {-1e300, 0, 9, 9}, falling, 2, 256},
        {"fall", "g", swiss_names, 1, {0, 0, 9, 9}, rising, 2, 256},
        {"fall", "g", swiss_names, 1, {0, 0, 9, 9}, equal, 2, 256},
        {"greater", "g", swiss_names, 1, {0, 0, 9, 9}, zero, 1, 256},
        {"greater", "g", swiss_names, 1, {0, 0, 9, 9}, not_a_number, 1, 256},
        {"greater", "g", swiss_names, 1, {0, 0, 9, 9}, endless, 1, 256},
        {"fine", "g", swiss_names, 1, {0, 0, 999, 9}, tiny, 1, 256},
        {"fine", "g", swiss_names, 1, {9e8, 0, 900000001, 9}, tiny, 1, 256},
        {"fine", "g", swiss_names, 1, {0, 0, 1e11, 9}, falling, 2, 1},
        {"1 to 32", "g", swiss_names, 1, {0, 0, 9, 9}, falling, 0, 256},
        {"1 to 32", "g", swiss_names, 1, {0, 0, 9, 9}, falling, 33, 256},
        {"tile size", "g", swiss_names, 1, {0, 0, 9, 9}, falling, 2, 0},
        {"tile size", "g", swiss_names, 1, {0, 0, 9, 9}, falling, 2, 99999},
    };
    size_t i;

    for (i = 0; i < COUNT(cases); i++) {
        dp_grid_t grid = {.name = cases[i].name,
                          .crs = cases[i].crs,
                          .ncrs = cases[i].ncrs,
                          .extent = cases[i].extent,
                          .resolutions = cases[i].resolutions,
                          .nlevels = cases[i].nlevels,
                          .tile_px = cases[i].tile_px};
        const char *wrong = dp_grid_check(&grid);

        if (cases[i].wrong == NULL) {
            ck_assert_msg(wrong == NULL, "%d: %s", (int)i, wrong);
            continue;
        }
        ck_assert_msg(wrong && strstr(wrong, cases[i].wrong), "%d: %s", (int)i,
                      wrong ? wrong : "accepted");
    }
    ck_assert_ptr_null(dp_grid_check(&swiss));
}
END_TEST

START_TEST(a_cell_lies_in_one_of_each_lower_level_where_levels_nest)
{
    const dp_cell_t cell = {8, 133, 86};
    dp_place_t place;
    dp_cell_t parent;
    int up;

    for (up = 1; up <= 8; up++) {
        ck_assert(dp_grid_parent(mercator(), &cell, 8 - up, &parent, &place));
        ck_assert_int_eq(parent.z, 8 - up);
        ck_assert_uint_eq(parent.x, 133u >> up);
        ck_assert_uint_eq(parent.y, 86u >> up);
        ck_assert_double_eq_tol(place.side, 1.0 / (1 << up), 1e-12);
        ck_assert_double_eq_tol(place.x, (133 % (1 << up)) * place.side, 1e-6);
        ck_assert_double_eq_tol(place.y, (86 % (1 << up)) * place.side, 1e-6);
    }
}
END_TEST

START_TEST(where_rows_count_from_below_places_dont)
{
    const dp_cell_t cell = {16, 1, 1}; /* 250 in 500 */
    const dp_cell_t lowest = {16, 0, 0};
    dp_place_t place;
    dp_cell_t parent;

    ck_assert(dp_grid_parent(&swiss_from_south, &cell, 15, &parent, &place));
    ck_assert_uint_eq(parent.y, 0);
    ck_assert_double_eq_tol(place.x, 0.5, 1e-9);
    ck_assert_double_eq_tol(place.y, 0, 1e-9);
    ck_assert(dp_grid_parent(&swiss_from_south, &lowest, 15, &parent, &place));
    ck_assert_double_eq_tol(place.y, 0.5, 1e-9);
}
END_TEST

START_TEST(where_levels_dont_nest_some_cells_have_no_parent)
{
    const dp_cell_t first = {19, 0, 0}; /* 20 in 50 */
    const dp_cell_t third = {19, 2, 0};
    dp_place_t place;
    dp_cell_t parent;

    ck_assert(dp_grid_parent(&swiss, &first, 18, &parent, &place));
    ck_assert_double_eq_tol(place.side, 0.4, 1e-12);
    ck_assert(!dp_grid_parent(&swiss, &third, 18, &parent, &place));
}
END_TEST

UNIT_MAIN("grid/grid", a_cell_lies_in_one_of_each_lower_level_where_levels_nest,
          where_rows_count_from_below_places_dont,
          where_levels_dont_nest_some_cells_have_no_parent,
          known_grids_have_the_numbers_of_the_registry,
          reference_systems_are_found_in_any_case,
          cells_have_the_rectangles_of_the_standard,
          neighbours_share_their_edge_to_the_last_bit,
          every_cell_is_found_by_its_rectangle,
          each_edge_may_be_a_quarter_pixel_off,
          what_clients_round_is_still_the_cell,
          the_cell_counts_and_not_the_number_of_its_level,
          rows_count_from_the_origin, cells_beyond_the_matrix_are_none,
          odd_boxes_are_no_cell, grids_that_are_none_are_refused)
