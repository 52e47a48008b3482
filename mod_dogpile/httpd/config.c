/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and merging configurations. Called by httpd while it reads the
 * configuration (one thread, in the parent), and for each request whose
 * location needs merging (any thread of a child), which is why a merge
 * allocates nothing but its result.
 */
#include "httpd/config.h"

#include <apr_strings.h>

dp_global_t *dp_global;

const dp_headers_t dp_no_headers = {NULL, 0};
const dp_names_t dp_no_names = {NULL, 0};

static const int default_px[] = {256, 512};
const dp_sizes_t dp_default_tile_sizes = {default_px, 2};

const dp_metatile_rule_t dp_default_metatile = {
    .cols = 4, .rows = 4, .buffer_px = 16, .max_px = 2048};

/* What QGIS and OpenLayers send for dense screens. */
static const dp_param_rule_t default_params[] = {
    {"DPI", NULL}, {"MAP_RESOLUTION", NULL}, {"FORMAT_OPTIONS", NULL}};
const dp_params_t dp_default_params = {default_params, 3};

const dp_instead_t dp_default_instead = {{DP_INSTEAD_STALE, DP_INSTEAD_503}, 2};

/* Hints to GeoServer's own cache. */
static const char *const default_ignored[] = {"TILED", "TILESORIGIN"};
const dp_names_t dp_default_ignored = {default_ignored, 2};

static const char *const default_grid_names[] = {"WebMercatorQuad",
                                                 "WorldCRS84Quad"};
static const dp_grid_t *default_grid_list[2];
const dp_gridset_t dp_default_grids = {
    default_grid_names, default_grid_list, 2, {NULL, 0}};

void dp_config_begin(apr_pool_t *pconf)
{
    dp_global_t *global = apr_pcalloc(pconf, sizeof(*global));

    global->pool = pconf;
    global->grids = apr_array_make(pconf, 2, sizeof(dp_grid_t *));
    global->gridsets = apr_array_make(pconf, 4, sizeof(dp_gridset_t *));
    global->lockers = apr_array_make(pconf, 2, sizeof(dp_locker_def_t *));
    global->files = apr_array_make(pconf, 2, sizeof(dp_locker_def_t *));
    global->refs = apr_array_make(pconf, 4, sizeof(dp_locker_ref_t *));
    global->stores = apr_array_make(pconf, 2, sizeof(dp_store_def_t *));
    global->sections = apr_array_make(pconf, 8, sizeof(dp_section_t));
    dp_locker_defaults(&global->locker_defaults);
    global->lock_namespace = "";
    global->fetch_threads = 32;
    global->max_blocked = -1;
    global->max_waiters = -1;
    global->is_async = 1;
    global->fails_open = 1;
    dp_global = global;
    default_grid_list[0] = dp_grid_known(default_grid_names[0]);
    default_grid_list[1] = dp_grid_known(default_grid_names[1]);
}

void *dp_dir_create(apr_pool_t *pool, char *path)
{
    dp_dir_t *dir = apr_palloc(pool, sizeof(*dir));

    (void)path;
#define DP_DIR_UNSET(type, name, unset, fallback) dir->name = unset;
    DP_DIR_SETTINGS(DP_DIR_UNSET)
#undef DP_DIR_UNSET
    return dir;
}

void *dp_dir_merge(apr_pool_t *pool, void *outer, void *inner)
{
    /* Compared as bytes (memo.c), what lies between the members included. */
    dp_dir_t *merged = apr_pcalloc(pool, sizeof(*merged));
    const dp_dir_t *base = outer;
    const dp_dir_t *over = inner;

#define DP_DIR_MERGE(type, name, unset, fallback)                              \
    merged->name = over->name != (unset) ? over->name : base->name;
    DP_DIR_SETTINGS(DP_DIR_MERGE)
#undef DP_DIR_MERGE
    return merged;
}

void dp_dir_resolve(dp_dir_t *resolved, const dp_dir_t *dir)
{
#define DP_DIR_RESOLVE(type, name, unset, fallback)                            \
    resolved->name = dir->name != (unset) ? dir->name : (fallback);
    DP_DIR_SETTINGS(DP_DIR_RESOLVE)
#undef DP_DIR_RESOLVE
}

const char *dp_source_text(const dp_source_t *source, apr_pool_t *pool)
{
    return source->query
               ? apr_pstrcat(pool, source->path, "?", source->query, NULL)
               : source->path;
}

const char *dp_source_name(const dp_dir_t *dir, const char *path,
                           apr_pool_t *pool)
{
    apr_size_t named = strlen(dir->named_path);

    if (dir->source) {
        return dir->source_name;
    }
    if (named > 0 && dir->named_path[named - 1] == '/') {
        named--; /* so that name and path stay apart */
    }
    if (strncmp(path, dir->named_path, named) == 0) {
        path += named;
    }
    return apr_pstrcat(pool, dir->source_name, path, NULL);
}

dp_store_def_t *dp_store_find(const char *spec, const dp_where_t *where)
{
    apr_array_header_t *stores = dp_global->stores;
    dp_store_def_t *def;
    int i;

    for (i = 0; i < stores->nelts; i++) {
        def = APR_ARRAY_IDX(stores, i, dp_store_def_t *);
        if (strcmp(def->spec, spec) == 0) {
            return def;
        }
    }
    def = apr_pcalloc(dp_global->pool, sizeof(*def));
    def->spec = spec;
    def->conf.where = strchr(spec, ':') + 1;
    def->where = *where;
    APR_ARRAY_PUSH(stores, dp_store_def_t *) = def;
    return def;
}

void dp_rules_of(dp_rules_t *rules, const dp_dir_t *resolved)
{
    rules->grids = resolved->grids->grids;
    rules->ngrids = resolved->grids->n;
    rules->tile_px = resolved->tile_sizes->px;
    rules->ntile_px = resolved->tile_sizes->n;
    rules->params = resolved->params->rules;
    rules->nparams = resolved->params->n;
    rules->ignored = resolved->ignored->names;
    rules->nignored = resolved->ignored->n;
    rules->unlisted = (dp_policy_e)resolved->unlisted;
    rules->off_grid = (dp_policy_e)resolved->off_grid;
    rules->metatile = *resolved->metatile;
}
