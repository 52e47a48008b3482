/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can only be judged when all of the configuration has been read: names
 * of grids and lockers, stores, and the sources (config_sources.c).
 *
 * Called as httpd's check_config hook, so that configtest says it too, once a
 * start, in the parent. Every message begins with the file and line of the
 * directive that it is about.
 */
#include "httpd/config.h"

#include <ap_provider.h>
#include <apr_strings.h>
#include <unixd.h>

#include "lock/lock_fallback.h"

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

/* --- lockers and stores ------------------------------------------------ */

/* Whatever a block leaves open is as outside of it, wherever that stands. */
static void inherit(dogpile_locker_conf_t *conf,
                    const dogpile_locker_conf_t *outer)
{
    if (conf->lease_usec == 0) {
        conf->lease_usec = outer->lease_usec;
    }
    if (conf->retry_usec == 0) {
        conf->retry_usec = outer->retry_usec;
    }
    if (conf->socket_usec == 0) {
        conf->socket_usec = outer->socket_usec;
    }
    if (conf->host == NULL) {
        conf->host = outer->host;
    }
}

static void complete_locker(dp_locker_def_t *def, const server_rec *s,
                            apr_pool_t *pconf)
{
    inherit(&def->conf,
            def->outer ? &def->outer->conf : &dp_global->locker_defaults);
    if (def->conf.host == NULL) {
        def->conf.host = dp_lock_this_host(pconf);
    }
    def->conf.uid = ap_unixd_config.user_id;
    def->conf.gid = ap_unixd_config.group_id;
    def->conf.log = dp_log_of(s, pconf);
}

static int refuse_locker(const dp_locker_def_t *def, const server_rec *s,
                         const char *wrong, apr_pool_t *pool)
{
    return dp_config_refuse(
        s, &def->where, 111,
        apr_psprintf(pool, "<DogpileLocker %s>: %s", def->conf.name, wrong));
}

/* The innermost first: a locker is made of what is inside. */
static int make_locker(dp_locker_def_t *def, const server_rec *s,
                       apr_pool_t *pconf)
{
    int n = def->members ? def->members->nelts : 0;
    apr_array_header_t *members =
        apr_array_make(pconf, n + 1, sizeof(dogpile_locker_t *));
    const char *wrong;
    int i;

    complete_locker(def, s, pconf);
    if (n > 0 && def->provider != &dp_lock_fallback) {
        return refuse_locker(def, s, "only a fallback has lockers inside",
                             pconf);
    }
    for (i = 0; i < n; i++) {
        dp_locker_def_t *member =
            APR_ARRAY_IDX(def->members, i, dp_locker_def_t *);
        int rc = make_locker(member, s, pconf);

        if (rc != OK) {
            return rc;
        }
        APR_ARRAY_PUSH(members, dogpile_locker_t *) = member->locker;
    }
    def->conf.members = members;
    wrong = def->provider->create(&def->locker, &def->conf, pconf);
    return wrong ? refuse_locker(def, s, wrong, pconf) : OK;
}

/* The locker of those who share a store and name no other. */
static int make_default_locker(dp_store_def_t *store, const server_rec *s,
                               apr_pool_t *pconf)
{
    dp_locker_def_t *def = apr_pcalloc(pconf, sizeof(*def));
    const dogpile_store_provider_t *provider = store->provider;

    def->provider =
        ap_lookup_provider(DOGPILE_LOCKER_GROUP, provider->locker_type,
                           DOGPILE_LOCKER_VERSION_TEXT);
    if (def->provider == NULL) {
        return dp_config_refuse(
            s, &store->where, 116,
            apr_psprintf(pconf,
                         "DogpileStore %s: its locker is of the type %s; load "
                         "mod_dogpile_lock_%s before",
                         store->spec, provider->locker_type,
                         provider->locker_type));
    }
    def->conf.name = apr_pstrcat(pconf, "of ", store->spec, NULL);
    def->conf.servers = provider->locker_servers
                            ? provider->locker_servers(store->store, pconf)
                            : apr_array_make(pconf, 1, sizeof(const char *));
    if (provider->locker_directory) {
        def->conf.directory = provider->locker_directory(store->store, pconf);
    }
    def->where = store->where;
    store->default_locker = def;
    return make_locker(def, s, pconf);
}

static int make_store(dp_store_def_t *def, const server_rec *s,
                      apr_pool_t *pconf)
{
    const char *wrong;

    def->conf.uid = ap_unixd_config.user_id;
    def->conf.gid = ap_unixd_config.group_id;
    def->conf.log = dp_log_of(s, pconf);
    wrong = def->provider->create(&def->store, &def->conf, pconf);
    if (wrong) {
        return dp_config_refuse(
            s, &def->where, 112,
            apr_psprintf(pconf, "DogpileStore %s: %s", def->spec, wrong));
    }
    return make_default_locker(def, s, pconf);
}

static int check_ref(const server_rec *s, dp_locker_ref_t *ref,
                     apr_pool_t *pool)
{
    const char *names = "";
    int i;

    for (i = 0; i < dp_global->lockers->nelts; i++) {
        dp_locker_def_t *def =
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *);

        if (strcmp(def->conf.name, ref->name) == 0) {
            ref->def = def;
            return OK;
        }
        names =
            apr_pstrcat(pool, names, *names ? ", " : "", def->conf.name, NULL);
    }
    return dp_config_refuse(
        s, &ref->where, 113,
        apr_psprintf(pool,
                     "DogpileLocker: there is no <DogpileLocker "
                     "%s>; allowed: %s",
                     ref->name, *names ? names : "none is defined"));
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
    for (i = 0; i < dp_global->lockers->nelts && rc == OK; i++) {
        rc = make_locker(
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *), s, pconf);
    }
    for (i = 0; i < dp_global->stores->nelts && rc == OK; i++) {
        rc = make_store(APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *),
                        s, pconf);
    }
    for (i = 0; i < dp_global->refs->nelts && rc == OK; i++) {
        rc = check_ref(s, APR_ARRAY_IDX(dp_global->refs, i, dp_locker_ref_t *),
                       ptemp);
    }
    return rc == OK ? dp_config_check_sources(s, ptemp) : rc;
}
