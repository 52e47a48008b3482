/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads WMS GetMap requests: 1.1.0 (OGC 01-047r2), 1.1.1 (OGC 01-068r3) and
 * 1.3.0 (OGC 06-042), section 7 of each. Here: whether it is ours at all.
 *
 * Called through dp_protocol_wms on every request, from any thread; a pure
 * function of the query and the rules.
 *
 * The reading is a list of steps. The order matters: first whatever shows that
 * the request is none of our business, so that it passes however odd it is;
 * then what makes it malformed; then the picture. A request becomes a tile
 * only if every one of its parameters was understood, and nothing that can
 * change the picture is missing from the canonical request.
 */
#include "request/wms.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <string.h>

#include "base/text.h"
#include "request/canon.h"

/* Longer names get no advice on what to write. */
#define ADVICE_MAX 64

static const char *const own_names[DP_WMS_NAMES] = {
    [DP_WMS_SERVICE] = "SERVICE", [DP_WMS_VERSION] = "VERSION",
    [DP_WMS_REQUEST] = "REQUEST", [DP_WMS_LAYERS] = "LAYERS",
    [DP_WMS_STYLES] = "STYLES",   [DP_WMS_SRS] = "SRS",
    [DP_WMS_CRS] = "CRS",         [DP_WMS_BBOX] = "BBOX",
    [DP_WMS_WIDTH] = "WIDTH",     [DP_WMS_HEIGHT] = "HEIGHT",
    [DP_WMS_FORMAT] = "FORMAT",   [DP_WMS_TRANSPARENT] = "TRANSPARENT",
    [DP_WMS_BGCOLOR] = "BGCOLOR", [DP_WMS_EXCEPTIONS] = "EXCEPTIONS",
};

dp_verdict_e dp_wms_end(dp_wms_getmap_t *map, dp_verdict_e verdict,
                        dp_reason_e reason, const char *detail)
{
    map->request->reason = reason;
    map->request->detail = detail;
    return verdict;
}

dp_verdict_e dp_wms_pass(dp_wms_getmap_t *map, dp_reason_e reason,
                         const char *what, const char *text)
{
    return dp_wms_end(map, DP_VERDICT_PASS, reason,
                      dp_canon_detail(what, text, map->pool));
}

/* For what may hold a parameter that nobody allowed. */
static dp_verdict_e pass_or_deny(dp_wms_getmap_t *map, dp_reason_e reason,
                                 const char *detail)
{
    return dp_wms_end(map,
                      map->rules->unlisted == DP_POLICY_DENY ? DP_VERDICT_DENY
                                                             : DP_VERDICT_PASS,
                      reason, detail);
}

static const char *raw_text(const dp_wms_getmap_t *map, const dp_raw_t *raw)
{
    const char *text = dp_text_unescape(raw->text, raw->size, 1, map->pool);

    return text ? text : apr_pstrmemdup(map->pool, raw->text, raw->size);
}

/* Ours only if it says GetMap, and WMS or nothing. Of parameters given twice
 * the one that makes it ours counts, so that a second one hides nothing. */
static dp_verdict_e read_operation(dp_wms_getmap_t *map)
{
    dp_raw_t request = {NULL, 0};
    dp_raw_t service = {"WMS", 3};
    int is_getmap = 0;
    int is_wms = 0;
    const char *rest = map->query;
    dp_raw_pair_t pair;

    while (dp_kvp_next(&rest, &pair)) {
        if (!is_getmap && dp_kvp_equal(&pair.name, "REQUEST")) {
            request = pair.value;
            is_getmap = dp_kvp_equal(&request, "GetMap");
        }
        else if (!is_wms && dp_kvp_equal(&pair.name, "SERVICE")) {
            service = pair.value;
            is_wms = dp_kvp_equal(&service, "WMS");
        }
    }
    if (request.text == NULL) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_REQUEST,
                          "no REQUEST");
    }
    if (!is_getmap) {
        return dp_wms_pass(map, DP_REASON_REQUEST, "request",
                           raw_text(map, &request));
    }
    if (!dp_kvp_equal(&service, "WMS")) {
        return dp_wms_pass(map, DP_REASON_REQUEST, "service",
                           raw_text(map, &service));
    }
    return DP_VERDICT_TILE;
}

dp_wms_name_e dp_wms_name(const char *name)
{
    int i;

    for (i = 0; i < DP_WMS_NAMES; i++) {
        if (strcmp(own_names[i], name) == 0) {
            break;
        }
    }
    return (dp_wms_name_e)i;
}

static int is_known(const dp_rules_t *rules, const char *name)
{
    int i;

    for (i = 0; i < rules->nparams; i++) {
        if (apr_cstr_casecmp(rules->params[i].name, name) == 0) {
            return 1;
        }
    }
    for (i = 0; i < rules->nignored; i++) {
        if (apr_cstr_casecmp(rules->ignored[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static dp_verdict_e unlisted(dp_wms_getmap_t *map, const char *name)
{
    apr_size_t size = strlen(name);

    /* Only what an administrator could write down. */
    if (size <= ADVICE_MAX
        && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:") == size
        && size > 0) {
        map->request->remedy =
            apr_pstrcat(map->pool, "DogpileParams ", name, NULL);
    }
    return pass_or_deny(map, DP_REASON_PARAM,
                        dp_canon_detail("param", name, map->pool));
}

static dp_verdict_e read_names(dp_wms_getmap_t *map)
{
    int i;

    if (strlen(map->query) > DP_QUERY_MAX_BYTES) {
        return pass_or_deny(map, DP_REASON_SIZE, "long query");
    }
    dp_kvp_read(&map->kvp, map->query, map->pool);
    for (i = 0; i < map->kvp.count; i++) {
        const dp_param_t *pair = &map->kvp.pairs[i];
        dp_wms_name_e own = dp_wms_name(pair->name);

        if (own < DP_WMS_NAMES) {
            map->own[own] = pair->value;
        }
        else if (!is_known(map->rules, pair->name)) {
            return unlisted(map, pair->name);
        }
    }
    if (map->kvp.too_many) {
        return pass_or_deny(map, DP_REASON_SIZE, "many parameters");
    }
    if (map->kvp.twice) {
        return dp_wms_pass(map, DP_REASON_DUPLICATE, "twice", map->kvp.twice);
    }
    return map->kvp.broken ? dp_wms_end(map, DP_VERDICT_BAD,
                                        DP_REASON_MALFORMED, map->kvp.broken)
                           : DP_VERDICT_TILE;
}

static dp_verdict_e read_version(dp_wms_getmap_t *map)
{
    const char *version = map->own[DP_WMS_VERSION];

    if (version == NULL) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_REQUEST,
                          "no VERSION");
    }
    map->is_130 = strcmp(version, "1.3.0") == 0;
    if (!map->is_130 && strcmp(version, "1.1.1") != 0
        && strcmp(version, "1.1.0") != 0) {
        return dp_wms_pass(map, DP_REASON_REQUEST, "version", version);
    }
    return DP_VERDICT_TILE;
}

/* Each version has its own name for the parameter, and its own order of axes:
 * what has the other's name only can't be told apart. */
static dp_verdict_e read_crs(dp_wms_getmap_t *map)
{
    const char *other = map->own[map->is_130 ? DP_WMS_SRS : DP_WMS_CRS];
    int i;

    map->crs = map->own[map->is_130 ? DP_WMS_CRS : DP_WMS_SRS];
    if (map->crs == NULL) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_CRS,
                          map->is_130 ? "no CRS" : "no SRS");
    }
    if (other && apr_cstr_casecmp(other, map->crs) != 0) {
        return dp_wms_end(map, DP_VERDICT_PASS, DP_REASON_CRS, "CRS and SRS");
    }
    for (i = 0; i < map->rules->ngrids; i++) {
        if (dp_grid_crs(map->rules->grids[i], map->crs)) {
            return DP_VERDICT_TILE;
        }
    }
    map->request->remedy = "<DogpileGrid>";
    return dp_wms_pass(map, DP_REASON_CRS, "crs", map->crs);
}

static dp_verdict_e read_wms(dp_request_t *request, const char *path,
                             const char *query, const dp_rules_t *rules,
                             apr_pool_t *pool)
{
    static dp_verdict_e (*const steps[])(dp_wms_getmap_t *) = {
        read_operation, read_names, read_version, read_crs, dp_wms_picture};
    dp_verdict_e verdict = DP_VERDICT_TILE;
    dp_wms_getmap_t map;
    apr_size_t i;

    (void)path; /* a WMS is one URL */
    memset(request, 0, sizeof(*request));
    map.request = request;
    map.query = query ? query : "";
    map.rules = rules;
    map.pool = pool;
    memset(map.own, 0, sizeof(map.own));
    for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        verdict = steps[i](&map);
        if (verdict != DP_VERDICT_TILE) {
            break;
        }
    }
    return verdict;
}

const dp_protocol_t dp_protocol_wms = {.name = "wms", .read = read_wms};
