/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as the rest of the glue sees it.
 *
 * dp_dir_t is what holds for one request: settings of the server, virtual
 * host, directory and location, merged by httpd. A merge only copies values
 * and pointers to what directives made, so a dp_dir_t can be copied by value
 * and used after its request. dp_global_t is what there is once in a server:
 * lockers, grids, stores, numbers of threads.
 *
 * Directives only read and check; names are resolved when all of the
 * configuration is known (config_check.c), where configtest still sees it;
 * nothing is created or contacted before the server really starts (start.c).
 */
#ifndef DP_HTTPD_CONFIG_H
#define DP_HTTPD_CONFIG_H

#include "httpd/httpd_priv.h"

#include "base/where.h"
#include "lock/lock.h"
#include "lock/locker_def.h"
#include "request/request.h"
#include "store/store.h"

/* DogpileGrids: names, and what they turn out to mean. */
typedef struct dp_gridset_t {
    const char *const *names;
    const dp_grid_t **grids;
    int n;
    dp_where_t where;
} dp_gridset_t;

typedef struct dp_sizes_t {
    const int *px;
    int n;
} dp_sizes_t;

typedef struct dp_params_t {
    const dp_param_rule_t *rules;
    int n;
} dp_params_t;

typedef struct dp_names_t {
    const char *const *names;
    int n;
} dp_names_t;

typedef struct dp_headers_t {
    const dp_record_header_t *headers;
    int n;
} dp_headers_t;

/* DogpileOnTimeout. */
typedef enum dp_instead_e {
    DP_INSTEAD_STALE,
    DP_INSTEAD_OVERZOOM,
    DP_INSTEAD_BLANK,
    DP_INSTEAD_503
} dp_instead_e;

#define DP_INSTEAD_COUNT (DP_INSTEAD_503 + 1)

typedef struct dp_instead_t {
    dp_instead_e what[DP_INSTEAD_COUNT]; /* in order of preference */
    int n;
} dp_instead_t;

/* A store; locations that name the same one share it. */
typedef struct dp_store_def_t {
    const char *spec; /* "disk:/path", as compared */
    dogpile_store_conf_t conf;
    const dogpile_store_provider_t *provider;
    dogpile_store_t *store; /* made by the check */
    dp_locker_def_t *default_locker;
    dp_where_t where;
} dp_store_def_t;

/* DogpileLocker in a location: a name, and what it turns out to mean. One that
 * stands in no location is of those that name none. */
typedef struct dp_locker_ref_t {
    const char *name;
    dp_locker_def_t *def;
    dp_where_t where;
} dp_locker_ref_t;

/* DogpileSource. */
typedef struct dp_source_t {
    const char *path;  /* escaped, as in a request line */
    const char *query; /* or NULL */
} dp_source_t;

/*
 * The settings that merge by "the inner one, if it is set". One list makes the
 * members, their unset values, their defaults and the merge:
 * X(type, member, unset, default).
 */
#define DP_DIR_SETTINGS(X)                                                     \
    X(int, enable, -1, 0)                                                      \
    X(const dp_source_t *, source, NULL, NULL)                                 \
    X(const char *, source_name, NULL, NULL)                                   \
    X(const char *, named_path, NULL, NULL)                                    \
    X(const dp_headers_t *, source_headers, NULL, &dp_no_headers)              \
    X(const dp_names_t *, keep_headers, NULL, &dp_no_names)                    \
    X(const dp_locker_ref_t *, locker, NULL, dp_global->default_locker)        \
    X(const char *, source_lock, NULL, NULL)                                   \
    X(const dp_store_def_t *, store, NULL, dp_global->default_store)           \
    X(const dp_gridset_t *, grids, NULL, &dp_default_grids)                    \
    X(const dp_sizes_t *, tile_sizes, NULL, &dp_default_tile_sizes)            \
    X(const dp_metatile_rule_t *, metatile, NULL, &dp_default_metatile)        \
    X(const dp_params_t *, params, NULL, &dp_default_params)                   \
    X(const dp_names_t *, ignored, NULL, &dp_default_ignored)                  \
    X(int, unlisted, -1, DP_POLICY_PASS)                                       \
    X(int, off_grid, -1, DP_POLICY_COALESCE)                                   \
    X(apr_interval_time_t, expire_usec, -1, apr_time_from_sec(3600))           \
    X(int, jitter_percent, -1, 10)                                             \
    X(apr_interval_time_t, stale_usec, -1, apr_time_from_sec(86400))           \
    X(apr_interval_time_t, stale_on_error_usec, -1,                            \
      apr_time_from_sec(7 * 86400))                                            \
    X(apr_interval_time_t, error_usec, -1, apr_time_from_sec(5))               \
    X(int, honours_upstream, -1, 1)                                            \
    X(int, shares_credentials, -1, 0)                                          \
    X(apr_interval_time_t, wait_usec, -1, apr_time_from_sec(30))               \
    X(apr_interval_time_t, fetch_usec, -1, apr_time_from_sec(60))              \
    X(const dp_instead_t *, on_timeout, NULL, &dp_default_instead)             \
    X(int, upstream_limit, -1, 16)                                             \
    X(int, says_status, -1, 1)

/* Set values are read with DP_SETTING(), which knows the defaults. */
typedef struct dp_dir_t {
#define DP_DIR_MEMBER(type, name, unset, fallback) type name;
    DP_DIR_SETTINGS(DP_DIR_MEMBER)
#undef DP_DIR_MEMBER
} dp_dir_t;

extern const dp_headers_t dp_no_headers;
extern const dp_names_t dp_no_names;
extern const dp_gridset_t dp_default_grids;
extern const dp_sizes_t dp_default_tile_sizes;
extern const dp_metatile_rule_t dp_default_metatile;
extern const dp_params_t dp_default_params;
extern const dp_instead_t dp_default_instead;
extern const dp_names_t dp_default_ignored;

/* A section in which DogpileEnable, DogpileSource or DogpileSourceName is set,
 * for the cross-checks. */
typedef struct dp_section_t {
    const server_rec *server;
    const char *path; /* of the section, NULL outside of any */
    const dp_dir_t *dir;
    dp_where_t where;
} dp_section_t;

typedef struct dp_global_t {
    apr_pool_t *pool;
    apr_array_header_t *grids;    /* of dp_grid_t *: <DogpileGrid> */
    apr_array_header_t *gridsets; /* of dp_gridset_t * */
    apr_array_header_t *lockers;  /* of dp_locker_def_t *: blocks and files */
    apr_array_header_t *files;    /* of dp_locker_def_t *: DogpileLockerFile */
    apr_array_header_t *refs;     /* of dp_locker_ref_t * */
    apr_array_header_t *stores;   /* of dp_store_def_t * */
    apr_array_header_t *sections; /* of dp_section_t * */
    dp_store_def_t *default_store;
    dp_locker_ref_t *default_locker; /* instead of the stores' own, or NULL */
    dogpile_locker_conf_t locker_defaults; /* DogpileLockTimeout and others
                                              outside of a block */
    const char *lock_namespace;
    int fetch_threads;       /* DogpileFetchThreads */
    int max_blocked;         /* DogpileMaxBlocked, -1 for the default */
    int max_waiters;         /* DogpileMaxWaiters, -1 for the default */
    int is_async;            /* DogpileAsync */
    int fails_open;          /* DogpileFailOpen */
    int is_enabled;          /* some section says DogpileEnable On */
    int needs_default_store; /* and some such section names no store */
} dp_global_t;

/* Of the configuration that is being read or is in force. */
extern dp_global_t *dp_global;

/* config.c: httpd's callbacks. */
void dp_config_begin(apr_pool_t *pconf);
void *dp_dir_create(apr_pool_t *pool, char *path);
void *dp_dir_merge(apr_pool_t *pool, void *outer, void *inner);

/* What is set for a request. */
static inline const dp_dir_t *dp_dir_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &dogpile_module);
}

/* The same, with the defaults filled in. */
void dp_dir_resolve(dp_dir_t *resolved, const dp_dir_t *dir);

/* The store that a specification names, made known when it is new. */
dp_store_def_t *dp_store_find(const char *provider_and_place,
                              const dp_where_t *where);

/* Rules for the request room. */
void dp_rules_of(dp_rules_t *rules, const dp_dir_t *resolved);

/* commands.c and others: the table of directives. */
extern const command_rec dp_commands[];

/* The path and query of a DogpileSource. */
const char *dp_source_text(const dp_source_t *source, apr_pool_t *pool);

/*
 * The name in keys of what `path` asks for, where DogpileSourceName is given.
 * DogpileSource makes one source of all paths of a location; without it the
 * part of the path below the named section belongs to the name, since
 * different paths are different maps.
 */
const char *dp_source_name(const dp_dir_t *dir, const char *path,
                           apr_pool_t *pool);

/* As whom children run: User and Group, or, where httpd wasn't started by root,
 * whoever did that. */
void dp_config_user(uid_t *uid, gid_t *gid);

/* config_lockers.c: make the lockers and find those that are named. */
int dp_config_check_lockers(const server_rec *s, apr_pool_t *pconf);
int dp_config_check_ref(const server_rec *s, dp_locker_ref_t *ref,
                        apr_pool_t *pool);

/* The same for the locker of those who share a store and name no other. */
int dp_config_make_locker(dp_locker_def_t *def, const server_rec *s,
                          apr_pool_t *pconf);

/* The back end of a type, or NULL where no module has brought it. */
const dogpile_locker_provider_t *dp_locker_provider(const char *type);

/* config_sources.c */
int dp_config_check_sources(const server_rec *s, apr_pool_t *pool);

/* Log what is wrong with the directive at that place. Not OK. */
int dp_config_refuse(const server_rec *s, const dp_where_t *where, int id,
                     const char *text);

/* config_check.c: OK, or an error that has been logged. */
int dp_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                    server_rec *s);

#endif
