/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WMS GetMap while it is read. Internal to wms.c, which decides whether it
 * is ours, and wms_picture.c, which reads what it asks for.
 */
#ifndef DP_REQUEST_WMS_H
#define DP_REQUEST_WMS_H

#include "request/kvp.h"

/* Parameters that WMS itself defines for GetMap. TIME, ELEVATION, DIM_x, SLD
 * and vendors' parameters are the administrator's to list. */
typedef enum dp_wms_name_e {
    DP_WMS_SERVICE,
    DP_WMS_VERSION,
    DP_WMS_REQUEST,
    DP_WMS_LAYERS,
    DP_WMS_STYLES,
    DP_WMS_SRS,
    DP_WMS_CRS,
    DP_WMS_BBOX,
    DP_WMS_WIDTH,
    DP_WMS_HEIGHT,
    DP_WMS_FORMAT,
    DP_WMS_TRANSPARENT,
    DP_WMS_BGCOLOR,
    DP_WMS_EXCEPTIONS,
    DP_WMS_NAMES
} dp_wms_name_e;

typedef struct dp_wms_getmap_t {
    dp_request_t *request;
    const char *query;
    const dp_rules_t *rules;
    apr_pool_t *pool;
    dp_kvp_t kvp;
    const char *own[DP_WMS_NAMES]; /* decoded values, NULL if not given */
    int is_130;
    const char *crs; /* a name that one of the grids has */
    double bbox[4];  /* in the order of the version's axes */
    int width_px;
    int height_px;
} dp_wms_getmap_t;

/* Which of WMS's own parameters an upper-case name is, or DP_WMS_NAMES. */
dp_wms_name_e dp_wms_name(const char *name);

/* Set why the reading ends, and return `verdict`. */
dp_verdict_e dp_wms_end(dp_wms_getmap_t *map, dp_verdict_e verdict,
                        dp_reason_e reason, const char *detail);

/* The same for what passes because of a text that the client sent. */
dp_verdict_e dp_wms_pass(dp_wms_getmap_t *map, dp_reason_e reason,
                         const char *what, const char *text);

/* Read the picture and its place: DP_VERDICT_TILE or DP_VERDICT_OFF_GRID with
 * the canonical request complete, or why not. */
dp_verdict_e dp_wms_picture(dp_wms_getmap_t *map);

#endif
