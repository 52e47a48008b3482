/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can only be judged when all of the configuration has been read: names
 * of grids, stores, the lockers (config_lockers.c), the sources
 * (config_sources.c).
 *
 * Called as httpd's check_config hook, so that configtest says it too, once a
 * start, in the parent. Every message begins with the file and line of the
 * directive that it is about.
 */
#include "httpd/config.h"

#include <apr_strings.h>
#include <unistd.h>
#include <unixd.h>

int dp_config_refuse(const server_rec *s, const dp_where_t *where, int id,
                     const char *text)
{
    if (where->file) {
        dp_slog(s, APLOG_ERR | APLOG_STARTUP, 0, id, "%s:%d: %s", where->file,
                where->line, text);
    }
    else {
        dp_slog(s, APLOG_ERR | APLOG_STARTUP, 0, id, "%s", text);
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* --- grids ------------------------------------------------------------- */

static const dp_grid_t *find_grid(const char *name)
{
    int i;

    for (i = 0; i < dp_global->grids->nelts; i++) {
        const dp_grid_t *grid = APR_ARRAY_IDX(dp_global->grids, i, dp_grid_t *);

        if (strcmp(grid->name, name) == 0) {
            return grid;
        }
    }
    return dp_grid_known(name);
}

static const char *names_of_grids(apr_pool_t *pool)
{
    const char *names = "WebMercatorQuad, WorldCRS84Quad";
    int i;

    for (i = 0; i < dp_global->grids->nelts; i++) {
        names = apr_pstrcat(
            pool, names, ", ",
            APR_ARRAY_IDX(dp_global->grids, i, dp_grid_t *)->name, NULL);
    }
    return names;
}

static int check_gridset(const server_rec *s, dp_gridset_t *set,
                         apr_pool_t *pool)
{
    int i;

    for (i = 0; i < set->n; i++) {
        set->grids[i] = find_grid(set->names[i]);
        if (set->grids[i] == NULL) {
            return dp_config_refuse(
                s, &set->where, 110,
                apr_psprintf(pool,
                             "DogpileGrids: there is no grid '%s'; "
                             "allowed: %s, or describe it in "
                             "<DogpileGrid %s>",
                             set->names[i], names_of_grids(pool),
                             set->names[i]));
        }
    }
    return OK;
}

/* --- stores ------------------------------------------------ */

/* The locker of those who share a store and name no other. */
static int make_default_locker(dp_store_def_t *store, const server_rec *s,
                               apr_pool_t *pconf)
{
    dp_locker_def_t *def =
        dp_locker_def_new(apr_pstrcat(pconf, "of ", store->spec, NULL), pconf);
    const dogpile_store_provider_t *provider = store->provider;

    def->provider = dp_locker_provider(provider->locker_type);
    if (def->provider == NULL) {
        return dp_config_refuse(
            s, &store->where, 116,
            apr_psprintf(pconf,
                         "DogpileStore %s: its locker is of the type %s; load "
                         "mod_dogpile_lock_%s before",
                         store->spec, provider->locker_type,
                         provider->locker_type));
    }
    if (provider->locker_servers) {
        def->conf.servers = provider->locker_servers(store->store, pconf);
    }
    if (provider->locker_directory) {
        def->conf.directory = provider->locker_directory(store->store, pconf);
    }
    def->where = store->where;
    store->default_locker = def;
    return dp_config_make_locker(def, s, pconf);
}

void dp_config_user(uid_t *uid, gid_t *gid)
{
    int is_root = geteuid() == 0;

    *uid = is_root ? ap_unixd_config.user_id : geteuid();
    *gid = is_root ? ap_unixd_config.group_id : getegid();
}

static int make_store(dp_store_def_t *def, const server_rec *s,
                      apr_pool_t *pconf)
{
    const char *wrong;

    dp_config_user(&def->conf.uid, &def->conf.gid);
    def->conf.log = dp_log_of(s, pconf);
    wrong = def->provider->create(&def->store, &def->conf, pconf);
    if (wrong) {
        return dp_config_refuse(
            s, &def->where, 112,
            apr_psprintf(pconf, "DogpileStore %s: %s", def->spec, wrong));
    }
    return make_default_locker(def, s, pconf);
}

/* --- the default store ------------------------------------------------- */

static int names_a_store(const dp_section_t *of, const server_rec *main_server)
{
    const dp_dir_t *host =
        ap_get_module_config(of->server->lookup_defaults, &dogpile_module);
    const dp_dir_t *server =
        ap_get_module_config(main_server->lookup_defaults, &dogpile_module);

    return of->dir->store || (host && host->store) || (server && server->store);
}

static void choose_default_store(const server_rec *s)
{
    static const dp_where_t nowhere;
    int i;

    dp_global->default_store =
        dp_store_find("disk:" DP_DEFAULT_STORE, &nowhere);
    dp_global->default_store->provider = &dp_store_disk;
    for (i = 0; i < dp_global->sections->nelts; i++) {
        const dp_section_t *of =
            &APR_ARRAY_IDX(dp_global->sections, i, dp_section_t);

        if (of->dir->enable == 1 && !names_a_store(of, s)) {
            dp_global->needs_default_store = 1;
        }
    }
}

int dp_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                    server_rec *s)
{
    int rc = OK;
    int i;

    (void)plog;
    choose_default_store(s);
    for (i = 0; i < dp_global->gridsets->nelts && rc == OK; i++) {
        rc = check_gridset(
            s, APR_ARRAY_IDX(dp_global->gridsets, i, dp_gridset_t *), ptemp);
    }
    rc = rc == OK ? dp_config_check_lockers(s, pconf) : rc;
    for (i = 0; i < dp_global->stores->nelts && rc == OK; i++) {
        rc = make_store(APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *),
                        s, pconf);
    }
    for (i = 0; i < dp_global->refs->nelts && rc == OK; i++) {
        rc = dp_config_check_ref(
            s, APR_ARRAY_IDX(dp_global->refs, i, dp_locker_ref_t *), ptemp);
    }
    return rc == OK ? dp_config_check_sources(s, ptemp) : rc;
}
