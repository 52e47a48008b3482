/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a query string of a stranger, from reading to the source's
 * query and the key. The first byte chooses the rules, the rest is the query.
 *
 * Beside what sanitizers see, it holds these to be true of any input: a
 * verdict that isn't a map has a reason and a harmless detail; a map's
 * metatile is bounded and holds the tile; and what the source is asked for a
 * metatile of one cell reads back as the same request.
 */
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "request/request.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const double resolutions[] = {4000, 1500, 250, 100, 0.25};
static const dp_crs_name_t names[] = {{"EPSG:2056", 0}, {"EPSG:31468", 1}};
static const dp_grid_t national = {
    .name = "national",
    .crs = names,
    .ncrs = COUNT(names),
    .extent = {2420000, 1030000, 2900000, 1350000},
    .resolutions = resolutions,
    .nlevels = COUNT(resolutions),
    .origin = DP_ORIGIN_BOTTOM_LEFT,
    .tile_px = 256,
};

static const int sizes[] = {256, 512};
static const dp_param_rule_t params[] = {{"DPI", NULL}, {"Time", "current"}};
static const char *const ignored[] = {"TILED"};
static const dp_metatile_rule_t blocks[] = {
    {1, 1, 0, 2048}, {4, 4, 16, 2048}, {3, 7, 500, 1000}, {9, 1, 0, 600}};

/* Whether the statement holds; a finding if not. */
static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_refusal(const dp_request_t *request)
{
    const char *c = request->detail;

    must(request->reason != DP_REASON_NONE && c && strlen(c) < 100);
    for (; *c; c++) {
        must(*c >= ' ' && *c <= '~' && *c != '"' && *c != '\\');
    }
}

static void check_metatile(const dp_request_t *request)
{
    const dp_metatile_t *m = &request->metatile;
    int index = dp_metatile_index(m, &request->cell);
    dp_window_t window;

    must(index >= 0 && index < dp_metatile_count(m));
    window = dp_metatile_window(m, index);
    must(window.x >= 0 && window.x + window.width <= m->width_px);
    must(window.y >= 0 && window.y + window.height <= m->height_px);
    must(m->width_px <= m->rule.max_px && m->height_px <= m->rule.max_px);
}

static void check_map(const dp_request_t *request, const dp_rules_t *rules,
                      apr_pool_t *pool)
{
    int is_plain =
        request->tile_px == 0
        || (request->metatile.rule.cols == 1 && request->metatile.rule.rows == 1
            && dp_metatile_is_plain(&request->metatile));
    const char *query = dp_wms_query(request, NULL, pool);
    dp_request_t back;
    dogpile_key_t key;
    dogpile_key_t key_back;

    dp_key_make(&key, request, "source", "", pool);
    if (request->tile_px > 0) {
        check_metatile(request);
    }
    /* Escapes may make a query longer than what is read. */
    if (is_plain && strlen(query) <= DP_QUERY_MAX_BYTES) {
        dp_protocol_wms.read(&back, "", query, rules, pool);
        must(back.grid == request->grid && back.tile_px == request->tile_px);
        dp_key_make(&key_back, &back, "source", "", pool);
        must(dp_digest_equal(&key.digest, &key_back.digest));
    }
}

static dp_rules_t rules_of(uint8_t choice, const dp_grid_t *grids[3])
{
    grids[0] = dp_grid_known("WebMercatorQuad");
    grids[1] = dp_grid_known("WorldCRS84Quad");
    grids[2] = &national;
    return (dp_rules_t){
        .grids = grids,
        .ngrids = 3,
        .tile_px = sizes,
        .ntile_px = COUNT(sizes),
        .params = params,
        .nparams = COUNT(params),
        .ignored = ignored,
        .nignored = COUNT(ignored),
        .unlisted = choice & 4 ? DP_POLICY_DENY : DP_POLICY_PASS,
        .off_grid = choice & 8 ? DP_POLICY_PASS : DP_POLICY_COALESCE,
        .metatile = blocks[choice & 3]};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    const dp_grid_t *grids[3];
    dp_rules_t rules = rules_of(size ? data[0] : 0, grids);
    dp_request_t request;
    dp_verdict_e verdict;

    if (pool == NULL) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    verdict = dp_protocol_wms.read(
        &request, "",
        size ? apr_pstrmemdup(pool, (const char *)data + 1, size - 1) : NULL,
        &rules, pool);
    if (verdict == DP_VERDICT_TILE || verdict == DP_VERDICT_OFF_GRID) {
        check_map(&request, &rules, pool);
    }
    else {
        check_refusal(&request);
    }
    apr_pool_clear(pool);
    return 0;
}
