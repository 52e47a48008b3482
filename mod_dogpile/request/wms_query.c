/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the module's own GetMap: the query that makes a WMS render a
 * metatile, or one picture that is no cell of a grid.
 *
 * Called once a flight, by whoever fetches; pure. It is formed anew from the
 * canonical request, so that nothing a client wrote gets to the source but
 * what is in the key, in one order and one spelling.
 *
 * Numbers are written with full precision: a box rounded to six decimals
 * shifts maps in degrees at deep levels.
 */
#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>

#include "base/text.h"
#include "request/kvp.h"

/* A query while it is written. */
typedef struct getmap_t {
    const char *fixed; /* DogpileSource's own query, or "" */
    int is_130;
    apr_array_header_t *parts; /* of const char *: "NAME=value" */
    apr_pool_t *pool;
} getmap_t;

/* The fixed parameter of that name. */
static int find_fixed(const getmap_t *map, const char *name,
                      dp_raw_pair_t *pair)
{
    const char *rest = map->fixed;

    while (dp_kvp_next(&rest, pair)) {
        if (dp_kvp_equal(&pair->name, name)) {
            return 1;
        }
    }
    return 0;
}

/* Both texts are ready to be sent. */
static void add(getmap_t *map, const char *name, const char *value)
{
    dp_raw_pair_t fixed;

    if (!find_fixed(map, name, &fixed)) {
        APR_ARRAY_PUSH(map->parts, const char *) =
            apr_pstrcat(map->pool, name, "=", value, NULL);
    }
}

static void add_text(getmap_t *map, const char *name, const char *value)
{
    add(map, name, dp_text_escape(value, map->pool));
}

static const char *bbox_text(const dp_bbox_t *bbox, int yx, apr_pool_t *pool)
{
    char text[4][DP_TEXT_DOUBLE_BYTES];
    int x = yx ? 1 : 0;
    int y = yx ? 0 : 1;

    dp_text_from_double(text[x], bbox->minx);
    dp_text_from_double(text[y], bbox->miny);
    dp_text_from_double(text[2 + x], bbox->maxx);
    dp_text_from_double(text[2 + y], bbox->maxy);
    return apr_pstrcat(pool, text[0], ",", text[1], ",", text[2], ",", text[3],
                       NULL);
}

static void add_frame(getmap_t *map, const dp_request_t *request)
{
    const dp_metatile_t *metatile = &request->metatile;
    int is_tile = request->tile_px > 0;
    const dp_crs_name_t *crs = &request->grid->crs[0];
    const dp_bbox_t *bbox = is_tile ? &metatile->bbox : &request->bbox;
    int width = is_tile ? metatile->width_px : request->width_px;
    int height = is_tile ? metatile->height_px : request->height_px;

    add_text(map, map->is_130 ? "CRS" : "SRS", crs->name);
    /* Escaped too: the plus of an exponent would be read as a space. */
    add_text(map, "BBOX", bbox_text(bbox, map->is_130 && crs->yx, map->pool));
    add(map, "WIDTH", apr_itoa(map->pool, width));
    add(map, "HEIGHT", apr_itoa(map->pool, height));
}

static void add_look(getmap_t *map, const dp_request_t *request)
{
    add_text(map, "FORMAT", request->format);
    add(map, "TRANSPARENT", request->transparent ? "TRUE" : "FALSE");
    if (request->bgcolor[0]) {
        add(map, "BGCOLOR", request->bgcolor);
    }
    /* An error drawn into a picture would be cached as a map. */
    add(map, "EXCEPTIONS", map->is_130 ? "XML" : "application/vnd.ogc.se_xml");
}

const char *dp_wms_query(const dp_request_t *request, const char *fixed,
                         apr_pool_t *pool)
{
    getmap_t map = {.fixed = fixed ? fixed : "", .pool = pool};
    dp_raw_pair_t version;
    int i;

    map.parts = apr_array_make(pool, 16, sizeof(const char *));
    map.is_130 = find_fixed(&map, "VERSION", &version)
                 && dp_kvp_equal(&version.value, "1.3.0");
    if (map.fixed[0]) {
        APR_ARRAY_PUSH(map.parts, const char *) = map.fixed;
    }
    add(&map, "SERVICE", "WMS");
    add(&map, "VERSION", "1.1.1");
    add(&map, "REQUEST", "GetMap");
    add_text(&map, "LAYERS", request->layers);
    add_text(&map, "STYLES", request->styles);
    add_frame(&map, request);
    add_look(&map, request);
    for (i = 0; i < request->nparams; i++) {
        add_text(&map, dp_text_escape(request->params[i].name, pool),
                 request->params[i].value);
    }
    return apr_array_pstrcat(pool, map.parts, '&');
}
