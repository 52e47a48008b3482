/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules and requests that the tests of this room start from.
 */
#ifndef DP_TESTS_SAMPLE_H
#define DP_TESTS_SAMPLE_H

#include <apr_strings.h>
#include <string.h>

#include "../grid/swiss.h"
#include "base/digest.h"
#include "request/request.h"
#include "unit.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Cell 3/4/2 of WebMercatorQuad. */
#define SAMPLE_BBOX "0,5009377.085697311,5009377.085697311,10018754.171394622"

#define SAMPLE_REST                                                            \
    "&LAYERS=a,b&STYLES=&FORMAT=image/png&TRANSPARENT=TRUE&WIDTH=256"          \
    "&HEIGHT=256"
#define SAMPLE_LOOK "SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap" SAMPLE_REST
#define SAMPLE SAMPLE_LOOK "&SRS=EPSG:3857&BBOX=" SAMPLE_BBOX

/* The rules of DogpileEnable On alone, with a national grid. */
static inline dp_rules_t sample_rules(void)
{
    static const dp_grid_t *grids[3];
    static const int sizes[] = {256, 512};
    static const dp_param_rule_t params[] = {{"DPI", NULL},
                                             {"Map_Resolution", NULL},
                                             {"FORMAT_OPTIONS", NULL},
                                             {"TIME", "current"}};
    static const char *const ignored[] = {"TILED", "TilesOrigin"};

    grids[0] = dp_grid_known("WebMercatorQuad");
    grids[1] = dp_grid_known("WorldCRS84Quad");
    grids[2] = &swiss;
    return (dp_rules_t){.grids = grids,
                        .ngrids = COUNT(grids),
                        .tile_px = sizes,
                        .ntile_px = COUNT(sizes),
                        .params = params,
                        .nparams = COUNT(params),
                        .ignored = ignored,
                        .nignored = COUNT(ignored),
                        .unlisted = DP_POLICY_PASS,
                        .off_grid = DP_POLICY_COALESCE,
                        .metatile = {4, 4, 16, 2048}};
}

static inline dp_verdict_e sample_read_by(dp_request_t *request,
                                          const dp_rules_t *rules,
                                          const char *query)
{
    return dp_protocol_wms.read(request, "", query, rules, unit_pool);
}

static inline dp_verdict_e sample_read(dp_request_t *request, const char *query)
{
    dp_rules_t rules = sample_rules();

    return sample_read_by(request, &rules, query);
}

/* The key of a query that must be a map, as text. */
static inline const char *sample_key_by(const dp_rules_t *rules,
                                        const char *query)
{
    dp_request_t request;
    dogpile_key_t key;
    dp_verdict_e verdict = sample_read_by(&request, rules, query);

    ck_assert_msg(verdict == DP_VERDICT_TILE || verdict == DP_VERDICT_OFF_GRID,
                  "%s: %s", query, request.detail ? request.detail : "");
    dp_key_make(&key, &request, "source", "", unit_pool);
    return dp_hex(apr_palloc(unit_pool, DP_DIGEST_HEX_BYTES), &key.digest,
                  sizeof(key.digest));
}

static inline const char *sample_key(const char *query)
{
    dp_rules_t rules = sample_rules();

    return sample_key_by(&rules, query);
}

/* SAMPLE with its first `from` replaced by `to`. */
static inline const char *sample_with(const char *from, const char *to)
{
    const char *at = strstr(SAMPLE, from);

    ck_assert_msg(at != NULL, "no %s in the sample", from);
    return apr_psprintf(unit_pool, "%.*s%s%s", (int)(at - SAMPLE), SAMPLE, to,
                        at + strlen(from));
}

#endif
