/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of directives, and what all setters share.
 *
 * The last text of each row is the Description of the directive in
 * docs/mod/mod_dogpile.md, word for word.
 */
#include "httpd/commands.h"

#include <ap_provider.h>
#include <apr_strings.h>

#include "base/text.h"

const char *dp_refuse(const cmd_parms *cmd, const char *value,
                      const char *allowed)
{
    const char *end = cmd->cmd->name[0] == '<' ? ">" : "";

    return apr_psprintf(cmd->temp_pool, "%s%s: '%s' isn't allowed; allowed: %s",
                        cmd->cmd->name, end, value, allowed);
}

const char *dp_no_such_type(const cmd_parms *cmd, const char *type,
                            const char *group, const char *version,
                            const char *module_prefix)
{
    const apr_array_header_t *types =
        ap_list_provider_names(cmd->temp_pool, group, version);
    const char *names = "";
    int i;

    for (i = 0; i < types->nelts; i++) {
        names = apr_pstrcat(
            cmd->temp_pool, names, i ? ", " : "",
            APR_ARRAY_IDX(types, i, ap_list_provider_names_t).provider_name,
            NULL);
    }
    return dp_refuse(cmd, type,
                     apr_psprintf(cmd->temp_pool,
                                  "the types %s; is %s%s loaded before?", names,
                                  module_prefix, type));
}

dp_where_t dp_where_of(const cmd_parms *cmd)
{
    dp_where_t where = {cmd->directive->filename, cmd->directive->line_num};

    return where;
}

const char *dp_read_time(const cmd_parms *cmd, const char *value,
                         apr_interval_time_t *usec)
{
    return dp_text_duration(value, usec)
               ? NULL
               : dp_refuse(cmd, value,
                           "a time, in seconds or with a unit (ms, s, min, h, "
                           "d), as in 1.5 or 10min");
}

const char *dp_read_int(const cmd_parms *cmd, const char *value, int min,
                        int max, int *number)
{
    apr_int64_t parsed;

    if (!dp_text_int(value, min, max, &parsed)) {
        return dp_refuse(cmd, value,
                         apr_psprintf(cmd->temp_pool,
                                      "a whole number from %d to %d", min,
                                      max));
    }
    *number = (int)parsed;
    return NULL;
}

static const char *set_fetch_threads(cmd_parms *cmd, void *dir,
                                     const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return wrong ? wrong
                 : dp_read_int(cmd, value, 1, 1024, &dp_global->fetch_threads);
}

static const char *set_async(cmd_parms *cmd, void *dir, int on)
{
    (void)dir;
    dp_global->is_async = on;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_max_waiters(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return wrong ? wrong
                 : dp_read_int(cmd, value, 0, 1000000, &dp_global->max_waiters);
}

static const char *set_max_blocked(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return wrong ? wrong
                 : dp_read_int(cmd, value, 0, 1000000, &dp_global->max_blocked);
}

/* Where a directive may stand: never in .htaccess. That AllowOverrideList
 * could let it in there is what the setters below are for: what is read for one
 * request must not be kept longer (dp_dir_t), nor is it resolved. */
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

typedef const char *flag_fn(cmd_parms *cmd, void *dir, int on);
typedef const char *one_fn(cmd_parms *cmd, void *dir, const char *value);
typedef const char *two_fn(cmd_parms *cmd, void *dir, const char *value,
                           const char *other);
typedef const char *list_fn(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[]);

static const char *here_flag(cmd_parms *cmd, void *dir, int on)
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : ((flag_fn *)cmd->info)(cmd, dir, on);
}

static const char *here_one(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : ((one_fn *)cmd->info)(cmd, dir, value);
}

static const char *here_two(cmd_parms *cmd, void *dir, const char *value,
                            const char *other)
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : ((two_fn *)cmd->info)(cmd, dir, value, other);
}

static const char *here_list(cmd_parms *cmd, void *dir, int argc,
                             char *const argv[])
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return wrong ? wrong : ((list_fn *)cmd->info)(cmd, dir, argc, argv);
}

const command_rec dp_commands[] = {
    /* what may differ from location to location */
    AP_INIT_FLAG("DogpileEnable", here_flag, (void *)dp_cmd_enable, ANYWHERE,
                 "Turns coalescing and metatiles on for a location"),
    AP_INIT_TAKE1("DogpileSource", here_one, (void *)dp_cmd_source, ANYWHERE,
                  "The path and fixed parameters that render"),
    AP_INIT_TAKE1("DogpileSourceName", here_one, (void *)dp_cmd_source_name,
                  ANYWHERE, "The name of the source in keys, status and logs"),
    AP_INIT_TAKE2("DogpileSourceHeader", here_two, (void *)dp_cmd_source_header,
                  ANYWHERE, "Adds a header to the module's own requests"),
    AP_INIT_TAKE_ARGV("DogpileKeepHeader", here_list,
                      (void *)dp_cmd_keep_header, ANYWHERE,
                      "Headers of the source that are kept with its tiles"),
    AP_INIT_TAKE1("DogpileLocker", here_one, (void *)dp_cmd_locker, ANYWHERE,
                  "The locker that a location uses"),
    AP_INIT_TAKE1("DogpileSourceLock", here_one, (void *)dp_cmd_source_lock,
                  ANYWHERE,
                  "A lock that scripts take while they change the data"),
    AP_INIT_TAKE1("DogpileStore", here_one, (void *)dp_cmd_store, ANYWHERE,
                  "Where metatiles are kept"),
    AP_INIT_TAKE1("DogpileCredentials", here_one, (void *)dp_cmd_credentials,
                  ANYWHERE, "Whether requests with credentials share tiles"),
    AP_INIT_TAKE1("DogpileUpstreamHeaders", here_one,
                  (void *)dp_cmd_upstream_headers, ANYWHERE,
                  "Whether the source says how long tiles are fresh"),
    AP_INIT_TAKE12("DogpileExpire", here_two, (void *)dp_cmd_expire, ANYWHERE,
                   "How long a metatile is fresh"),
    AP_INIT_TAKE1("DogpileStale", here_one, (void *)dp_cmd_stale, ANYWHERE,
                  "How long an expired tile is served while it is refreshed"),
    AP_INIT_TAKE1("DogpileStaleOnError", here_one,
                  (void *)dp_cmd_stale_on_error, ANYWHERE,
                  "How long an expired tile is served where its source fails"),
    AP_INIT_TAKE1("DogpileErrorExpire", here_one, (void *)dp_cmd_error_expire,
                  ANYWHERE, "How long a failure of the source is remembered"),
    AP_INIT_TAKE_ARGV("DogpileOnTimeout", here_list, (void *)dp_cmd_on_timeout,
                      ANYWHERE,
                      "What clients get whose tile doesn't come in time"),
    AP_INIT_TAKE1("DogpileWaitTimeout", here_one, (void *)dp_cmd_wait_timeout,
                  ANYWHERE, "How long a client waits for its tile"),
    AP_INIT_TAKE1("DogpileFetchTimeout", here_one, (void *)dp_cmd_fetch_timeout,
                  ANYWHERE, "How long a source may take"),
    AP_INIT_TAKE1("DogpileUpstreamLimit", here_one,
                  (void *)dp_cmd_upstream_limit, ANYWHERE,
                  "How many requests a source gets at once"),
    AP_INIT_FLAG("DogpileHeader", here_flag, (void *)dp_cmd_header, ANYWHERE,
                 "Whether answers carry Cache-Status"),

    /* what a request must look like */
    AP_INIT_TAKE_ARGV("DogpileGrids", here_list, (void *)dp_cmd_grids, ANYWHERE,
                      "The grids that tiles may belong to"),
    AP_INIT_TAKE_ARGV("DogpileTileSizes", here_list, (void *)dp_cmd_tile_sizes,
                      ANYWHERE, "The widths that tiles may have"),
    AP_INIT_TAKE_ARGV("DogpileMetatile", here_list, (void *)dp_cmd_metatile,
                      ANYWHERE, "How many tiles one rendering answers"),
    AP_INIT_TAKE_ARGV("DogpileParams", here_list, (void *)dp_cmd_params,
                      ANYWHERE,
                      "Parameters that are kept and make a tile another one"),
    AP_INIT_TAKE_ARGV("DogpileIgnoreParams", here_list,
                      (void *)dp_cmd_ignore_params, ANYWHERE,
                      "Parameters that don't matter"),
    AP_INIT_TAKE1("DogpileUnlisted", here_one, (void *)dp_cmd_unlisted,
                  ANYWHERE, "What becomes of requests with other parameters"),
    AP_INIT_TAKE1("DogpileOffGrid", here_one, (void *)dp_cmd_off_grid, ANYWHERE,
                  "What becomes of maps that are no tile"),

    /* of the server */
    AP_INIT_RAW_ARGS("<DogpileGrid", dp_cmd_grid_section, NULL, RSRC_CONF,
                     "Describes a grid of one's own"),
    AP_INIT_TAKE_ARGV("DogpileGridCRS", dp_cmd_grid_crs, NULL, RSRC_CONF,
                      "The names of the grid's coordinate system"),
    AP_INIT_TAKE_ARGV("DogpileGridExtent", dp_cmd_grid_extent, NULL, RSRC_CONF,
                      "The box that the grid covers"),
    AP_INIT_TAKE_ARGV("DogpileGridResolutions", dp_cmd_grid_resolutions, NULL,
                      RSRC_CONF, "Units per pixel, a number a level"),
    AP_INIT_TAKE1("DogpileGridOrigin", dp_cmd_grid_origin, NULL, RSRC_CONF,
                  "The corner from which the grid's cells are counted"),
    AP_INIT_TAKE1("DogpileGridTileSize", dp_cmd_grid_tile_size, NULL, RSRC_CONF,
                  "The width of a cell in pixels"),
    AP_INIT_TAKE1("DogpileGridAxis", dp_cmd_grid_axis, NULL, RSRC_CONF,
                  "The axis order of the coordinate system in WMS 1.3.0"),
    AP_INIT_RAW_ARGS("<DogpileLocker", dp_cmd_locker_section, NULL, RSRC_CONF,
                     "Describes a locker"),
    AP_INIT_TAKE12("DogpileLockerFile", dp_cmd_locker_file, NULL, RSRC_CONF,
                   "A file that describes a locker"),
    AP_INIT_TAKE1("DogpileLockTimeout", dp_cmd_lock_timeout, NULL, RSRC_CONF,
                  "After how long without a renewal a lock is over"),
    AP_INIT_TAKE1("DogpileLockRetry", dp_cmd_lock_retry, NULL, RSRC_CONF,
                  "The longest pause between two looks at a lock"),
    AP_INIT_TAKE12("DogpileLockDirectory", dp_cmd_lock_directory, NULL,
                   RSRC_CONF, "The directory of a disk locker"),
    AP_INIT_ITERATE("DogpileLockServer", dp_cmd_lock_server, NULL, RSRC_CONF,
                    "The servers of a locker"),
    AP_INIT_TAKE1("DogpileLockSecretFile", dp_cmd_lock_secret_file, NULL,
                  RSRC_CONF, "The file with the password of a lock server"),
    AP_INIT_TAKE1("DogpileLockSocketTimeout", dp_cmd_lock_socket_timeout, NULL,
                  RSRC_CONF, "How long a lock server may take to answer"),
    AP_INIT_FLAG("DogpileFailOpen", dp_cmd_fail_open, NULL, RSRC_CONF,
                 "Whether tiles are fetched when no locker answers"),
    AP_INIT_TAKE1("DogpileLockNamespace", dp_cmd_lock_namespace, NULL,
                  RSRC_CONF, "Keeps installations apart that share servers"),
    AP_INIT_TAKE1("DogpileLockHost", dp_cmd_lock_host, NULL, RSRC_CONF,
                  "The name of this host in lock records"),
    AP_INIT_TAKE1("DogpileFetchThreads", set_fetch_threads, NULL, RSRC_CONF,
                  "How many fetches a child runs at once"),
    AP_INIT_FLAG("DogpileAsync", set_async, NULL, RSRC_CONF,
                 "Whether requests may wait without a thread"),
    AP_INIT_TAKE1("DogpileMaxWaiters", set_max_waiters, NULL, RSRC_CONF,
                  "How many requests may wait in a child without a thread"),
    AP_INIT_TAKE1("DogpileMaxBlocked", set_max_blocked, NULL, RSRC_CONF,
                  "How many requests may hold a thread while they wait"),
    {NULL},
};
