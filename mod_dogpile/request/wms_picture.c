/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a GetMap of ours asks for: how the picture looks, how large it
 * is, and which cell of which grid its box is.
 *
 * Called by wms.c for every request that names only parameters we know, once
 * each, from any thread; pure.
 *
 * Invariant: a request that ends here with DP_VERDICT_TILE or
 * DP_VERDICT_OFF_GRID has nothing left that isn't in its canonical form.
 */
#include "request/wms.h"

#include <apr_strings.h>
#include <string.h>

#include "base/text.h"
#include "request/canon.h"

/* What no server draws; keeps sums of sizes within an int. */
#define SIDE_MAX_PX 1000000

static dp_verdict_e malformed(dp_wms_getmap_t *map, const char *detail)
{
    return dp_wms_end(map, DP_VERDICT_BAD, DP_REASON_MALFORMED, detail);
}

/* A picture instead of an error would be cached as a map: the source is
 * always asked for text, but someone may wonder where the picture went. */
static int wants_inimage(const char *exceptions)
{
    return exceptions
           && (strcasestr(exceptions, "inimage")
               || strcasestr(exceptions, "blank"));
}

static dp_verdict_e read_look(dp_wms_getmap_t *map)
{
    dp_request_t *request = map->request;
    const char *format = map->own[DP_WMS_FORMAT];

    if (format == NULL) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_FORMAT, "no FORMAT");
    }
    request->format = dp_canon_format(format, map->pool);
    if (request->format == NULL) {
        return dp_wms_pass(map, DP_REASON_FORMAT, "format", format);
    }
    if (!dp_canon_boolean(map->own[DP_WMS_TRANSPARENT],
                          &request->transparent)) {
        return dp_wms_pass(map, DP_REASON_PARAM, "transparent",
                           map->own[DP_WMS_TRANSPARENT]);
    }
    request->bgcolor = dp_canon_color(map->own[DP_WMS_BGCOLOR], map->pool);
    if (request->bgcolor == NULL) {
        return dp_wms_pass(map, DP_REASON_PARAM, "bgcolor",
                           map->own[DP_WMS_BGCOLOR]);
    }
    request->inimage = wants_inimage(map->own[DP_WMS_EXCEPTIONS]);
    return DP_VERDICT_TILE;
}

static dp_verdict_e read_layers(dp_wms_getmap_t *map)
{
    dp_request_t *request = map->request;

    request->layers = map->own[DP_WMS_LAYERS];
    request->styles = dp_canon_styles(map->own[DP_WMS_STYLES]);
    if (request->layers == NULL || request->layers[0] == '\0') {
        return malformed(map, "no LAYERS");
    }
    if (strlen(request->layers) > DP_LAYERS_MAX_BYTES
        || strlen(request->styles) > DP_LAYERS_MAX_BYTES) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_SIZE,
                          "long LAYERS or STYLES");
    }
    return DP_VERDICT_TILE;
}

/* Insert `param` into the first `count` of `params`, by name. */
static void insert_param(dp_param_t *params, int count, dp_param_t param)
{
    int i;

    for (i = count; i > 0 && strcmp(params[i - 1].name, param.name) > 0; i--) {
        params[i] = params[i - 1];
    }
    params[i] = param;
}

static dp_verdict_e read_params(dp_wms_getmap_t *map)
{
    const dp_rules_t *rules = map->rules;
    apr_size_t room = (apr_size_t)rules->nparams * sizeof(dp_param_t);
    dp_param_t *params = apr_palloc(map->pool, room);
    int i;

    for (i = 0; i < rules->nparams; i++) {
        const dp_param_rule_t *rule = &rules->params[i];
        const char *asked = dp_kvp_get(&map->kvp, rule->name);
        dp_param_t param = {NULL, asked ? asked : rule->value};

        if (param.value == NULL) {
            continue;
        }
        param.name = dp_canon_upper(rule->name, strlen(rule->name), map->pool);
        if (dp_wms_name(param.name) < DP_WMS_NAMES) {
            continue;
        }
        if (strlen(param.value) > DP_VALUE_MAX_BYTES) {
            return dp_wms_pass(map, DP_REASON_SIZE, "long", param.name);
        }
        insert_param(params, map->request->nparams++, param);
    }
    map->request->params = params;
    return DP_VERDICT_TILE;
}

static int read_side(const char *value, int *px)
{
    apr_int64_t side;

    if (value == NULL || !dp_text_int(value, 1, SIDE_MAX_PX, &side)) {
        return 0;
    }
    *px = (int)side;
    return 1;
}

static dp_verdict_e read_frame(dp_wms_getmap_t *map)
{
    const char *wrong;

    if (map->own[DP_WMS_BBOX] == NULL) {
        return malformed(map, "no BBOX");
    }
    wrong = dp_canon_bbox(map->own[DP_WMS_BBOX], map->bbox);
    if (wrong) {
        return malformed(map, wrong);
    }
    if (!read_side(map->own[DP_WMS_WIDTH], &map->width_px)
        || !read_side(map->own[DP_WMS_HEIGHT], &map->height_px)) {
        return malformed(map, "WIDTH or HEIGHT isn't a size");
    }
    return DP_VERDICT_TILE;
}

static int is_tile_size(const dp_wms_getmap_t *map)
{
    int i;

    for (i = 0; i < map->rules->ntile_px; i++) {
        if (map->rules->tile_px[i] == map->width_px) {
            return map->width_px == map->height_px;
        }
    }
    return 0;
}

/* The box with x first, if the grid has the request's CRS. */
static int orient(const dp_wms_getmap_t *map, const dp_grid_t *grid,
                  dp_bbox_t *bbox)
{
    const dp_crs_name_t *crs = dp_grid_crs(grid, map->crs);
    int first;

    if (crs == NULL) {
        return 0;
    }
    first = map->is_130 && crs->yx;
    *bbox = (dp_bbox_t){map->bbox[first], map->bbox[!first],
                        map->bbox[2 + first], map->bbox[2 + !first]};
    return 1;
}

static void set_tile(dp_wms_getmap_t *map, const dp_grid_t *grid,
                     const dp_cell_t *cell)
{
    dp_request_t *request = map->request;
    dp_metatile_rule_t rule = map->rules->metatile;

    if (!dp_format_is_cuttable(request->format)) {
        rule.cols = 1;
        rule.rows = 1;
        rule.buffer_px = 0;
    }
    request->grid = grid;
    request->cell = *cell;
    request->tile_px = map->width_px;
    dp_metatile_of(&request->metatile, grid, cell, &rule, map->width_px);
}

static dp_verdict_e set_off_grid(dp_wms_getmap_t *map, const dp_grid_t *grid,
                                 const dp_bbox_t *bbox)
{
    dp_request_t *request = map->request;

    if (map->rules->off_grid != DP_POLICY_COALESCE) {
        return dp_wms_end(map,
                          map->rules->off_grid == DP_POLICY_DENY
                              ? DP_VERDICT_DENY
                              : DP_VERDICT_PASS,
                          DP_REASON_OFF_GRID,
                          dp_canon_detail("no cell of", grid->name, map->pool));
    }
    if (map->width_px > map->rules->metatile.max_px
        || map->height_px > map->rules->metatile.max_px) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_SIZE,
                          apr_psprintf(map->pool, "size %dx%d", map->width_px,
                                       map->height_px));
    }
    request->grid = grid;
    request->bbox = *bbox;
    request->width_px = map->width_px;
    request->height_px = map->height_px;
    return DP_VERDICT_OFF_GRID;
}

/* The first grid that has the cell; else the first that has the CRS. */
static dp_verdict_e find_place(dp_wms_getmap_t *map)
{
    const dp_grid_t *nearest = NULL;
    int may_be_tile = is_tile_size(map);
    dp_bbox_t bbox;
    dp_cell_t cell;
    int i;

    for (i = 0; i < map->rules->ngrids; i++) {
        const dp_grid_t *grid = map->rules->grids[i];

        if (!orient(map, grid, &bbox)) {
            continue;
        }
        if (may_be_tile && dp_grid_find(grid, &bbox, map->width_px, &cell)) {
            set_tile(map, grid, &cell);
            return DP_VERDICT_TILE;
        }
        nearest = nearest ? nearest : grid;
    }
    orient(map, nearest, &bbox);
    return set_off_grid(map, nearest, &bbox);
}

dp_verdict_e dp_wms_picture(dp_wms_getmap_t *map)
{
    static dp_verdict_e (*const steps[])(dp_wms_getmap_t *) = {
        read_look, read_layers, read_params, read_frame, find_place};
    dp_verdict_e verdict = DP_VERDICT_TILE;
    apr_size_t i;

    for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        verdict = steps[i](map);
        if (verdict != DP_VERDICT_TILE) {
            break;
        }
    }
    return verdict;
}
