/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a client asked to one canonical tile request, whatever the
 * protocol, version, axis order, spelling and order of parameters.
 *
 * Everything here is a pure function of its arguments; texts are allocated
 * from the pool given or point into the rules. No httpd, no I/O.
 */
#ifndef DP_REQUEST_REQUEST_H
#define DP_REQUEST_REQUEST_H

#include <apr_pools.h>

#include "dogpile_store.h"
#include "grid/metatile.h"

/* Bounds on what is read at all. A map request beyond them isn't ours: it
 * passes, or is refused where DogpileUnlisted is deny, because it may hold
 * parameters that nobody looked at. */
#define DP_QUERY_MAX_BYTES 8192 /* httpd's own LimitRequestLine is 8190 */
#define DP_QUERY_MAX_PARAMS 64  /* a GetMap has a dozen */
#define DP_VALUE_MAX_BYTES 1024 /* of DogpileParams: they go into every key */
/* Of LAYERS and of STYLES: a GIS project's lists are longer than other
 * values. */
#define DP_LAYERS_MAX_BYTES 4096

/* What becomes of a request. */
typedef enum dp_verdict_e {
    DP_VERDICT_TILE,     /* a cell of a grid */
    DP_VERDICT_OFF_GRID, /* a map that is no cell: coalesce, don't store */
    DP_VERDICT_PASS,     /* not ours; goes on untouched */
    DP_VERDICT_DENY,     /* the configuration refuses it: 403 */
    DP_VERDICT_BAD       /* malformed or hostile: 400 */
} dp_verdict_e;

/* Why a request isn't served as a tile; dp_reason_name() has the words of the
 * counters and of Cache-Status. */
typedef enum dp_reason_e {
    DP_REASON_NONE,
    DP_REASON_METHOD,        /* neither GET nor HEAD (set by the caller) */
    DP_REASON_AUTHORIZATION, /* credentials (set by the caller) */
    DP_REASON_REQUEST,       /* not a GetMap of a version that we know */
    DP_REASON_PARAM,         /* an unlisted parameter, or a value that a server
                                may read in its own way */
    DP_REASON_DUPLICATE,     /* a parameter given twice */
    DP_REASON_CRS,           /* no grid of ours has that CRS */
    DP_REASON_FORMAT,        /* not an image */
    DP_REASON_SIZE,          /* more pixels than a metatile may have, or a
                                query or value beyond the bounds above */
    DP_REASON_OFF_GRID,      /* no cell, and DogpileOffGrid isn't coalesce */
    DP_REASON_MALFORMED,     /* can't be read: broken escapes, no numbers */
    DP_REASON_UNSHAREABLE,   /* the source's answer (set by the caller) */
    DP_REASON_COUNT
} dp_reason_e;

const char *dp_reason_name(dp_reason_e reason);

/* DogpileUnlisted and DogpileOffGrid. */
typedef enum dp_policy_e {
    DP_POLICY_PASS,
    DP_POLICY_DENY,
    DP_POLICY_COALESCE
} dp_policy_e;

/* DogpileParams: kept, keyed and sent to the source. A name that the protocol
 * has itself (LAYERS) has no effect here. */
typedef struct dp_param_rule_t {
    const char *name;  /* compared without case */
    const char *value; /* when the client doesn't give it, or NULL */
} dp_param_rule_t;

/* What the configuration says about one location. */
typedef struct dp_rules_t {
    const dp_grid_t *const *grids; /* in order of preference */
    int ngrids;
    const int *tile_px; /* DogpileTileSizes */
    int ntile_px;
    const dp_param_rule_t *params;
    int nparams;
    const char *const *ignored; /* DogpileIgnoreParams */
    int nignored;
    dp_policy_e unlisted;
    dp_policy_e off_grid;
    dp_metatile_rule_t metatile;
} dp_rules_t;

/* A parameter with its canonical (upper-case) name. */
typedef struct dp_param_t {
    const char *name;
    const char *value;
} dp_param_t;

/*
 * The canonical request. For DP_VERDICT_TILE everything but bbox, width_px and
 * height_px is set; for DP_VERDICT_OFF_GRID everything but cell, tile_px and
 * metatile; for the others reason and detail only.
 */
typedef struct dp_request_t {
    dp_reason_e reason;
    const char *detail; /* for Cache-Status and log: "param MAP"; or NULL */
    const char *remedy; /* what to write: "DogpileParams MAP"; or NULL */

    const char *layers;
    const char *styles; /* "" for the defaults */
    const char *format; /* media type as asked, lower-case, no blanks; its
                           parameters stay: MapServer picks the encoder
                           by them */
    int transparent;
    const char *bgcolor;      /* "0xFFFFFF"; "" when not asked for, and then not
                                 sent: a map may have a background of its own */
    const dp_param_t *params; /* by name */
    int nparams;

    const dp_grid_t *grid;
    dp_cell_t cell;
    int tile_px;            /* 0 when off-grid */
    dp_metatile_t metatile; /* the block that the cell belongs to */

    dp_bbox_t bbox;
    int width_px;
    int height_px;

    int inimage; /* the client wants exceptions as a picture: ignored, known
                    for the log */
} dp_request_t;

/* One protocol. `path` is what follows the location's own path, `query` the
 * client's query string without '?', or NULL. */
typedef struct dp_protocol_t {
    const char *name; /* "wms" */
    dp_verdict_e (*read)(dp_request_t *request, const char *path,
                         const char *query, const dp_rules_t *rules,
                         apr_pool_t *pool);
} dp_protocol_t;

extern const dp_protocol_t dp_protocol_wms;

/*
 * The query that asks a WMS for `request`'s metatile, or for its own box when
 * it is off-grid. `fixed` is the query of DogpileSource or NULL: its
 * parameters are sent as they are, before ours, and win over ours of the same
 * name; VERSION=1.3.0 there changes SRS into CRS and the axis order.
 * WMS 1.1.1 (OGC 01-068r3) otherwise.
 */
const char *dp_wms_query(const dp_request_t *request, const char *fixed,
                         apr_pool_t *pool);

/* Whether images of that media type can be cut into tiles: PNG and JPEG.
 * Others are asked for one by one, without a buffer. */
int dp_format_is_cuttable(const char *format);

/*
 * The key of the request's metatile (or, off-grid, of its one picture):
 * SHA-256 over all of the canonical request, the metatile's rule, the source's
 * name and DogpileLockNamespace, each with its length before it, so that no
 * two different requests write the same bytes.
 */
void dp_key_make(dogpile_key_t *key, const dp_request_t *request,
                 const char *source_name, const char *lock_namespace,
                 apr_pool_t *pool);

#endif
