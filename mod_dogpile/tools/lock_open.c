/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which locker the command uses, and making it ready. Called once, by the only
 * thread there is, after the command's process was forked.
 *
 * A directory of locks that is there is taken as it is, whoever owns it: it is
 * httpd's, and new files in it are given to its owner. One that isn't there is
 * made as httpd would make it, for whoever runs this.
 */
#include <apr_strings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock/lock.h"
#include "lock/lock_fallback.h"
#include "lock/lock_memcache.h"
#include "lock/lock_redis.h"
#include "lock/lock_zookeeper.h"
#include "lock/locker_file.h"
#include "store/store.h"
#include "store/store_disk.h"
#include "tools/lock_tool.h"

static const dogpile_locker_provider_t *lookup(const char *type)
{
    static const dogpile_locker_provider_t *const all[] = {
        &dp_lock_disk, &dp_lock_memcache, &dp_lock_redis, &dp_lock_zookeeper};
    apr_size_t i;

    for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(all[i]->type, type) == 0) {
            return all[i];
        }
    }
    return NULL;
}

/* --- messages of lockers ----------------------------------------------- */

static int is_unwritable(apr_status_t status)
{
    return APR_STATUS_IS_EACCES(status) || status == EROFS || status == EPERM;
}

static void write_log(void *baton, dogpile_log_level_e level, int id,
                      apr_status_t status, const char *text)
{
    const dp_tool_t *tool = baton;
    char why[128];

    if (level > (tool->is_verbose ? DOGPILE_LOG_INFO : DOGPILE_LOG_WARNING)
        || (tool->runs_unlocked && is_unwritable(status))) {
        return;
    }
    dp_tool_say("DP%04d: %s%s%s", id, text, status ? ": " : "",
                status ? apr_strerror(status, why, sizeof(why)) : "");
}

/* --- the definition ---------------------------------------------------- */

static const char *path_of_config(const dp_tool_t *tool)
{
    const char *path = tool->config ? tool->config : getenv(DP_LOCKER_FILE_ENV);

    return path && path[0] ? path : NULL;
}

/* The locks of the default store: DogpileLockServer and DogpileLocker say
 * nothing there. */
static int use_default(dp_tool_t *tool)
{
    static const char directory[] = DP_DEFAULT_STORE "/" DP_DISK_LOCKS;
    struct stat info;

    if (stat(directory, &info) != 0 && errno == ENOENT) {
        dp_tool_say("which locker? There is no default store (%s); name a "
                    "file of lockers with -c or " DP_LOCKER_FILE_ENV,
                    directory);
        return EX_CONFIG;
    }
    tool->def = dp_locker_def_new("of disk:" DP_DEFAULT_STORE, tool->pool);
    tool->def->provider = &dp_lock_disk;
    tool->def->conf.directory = directory;
    return 0;
}

static int read_config(dp_tool_t *tool, const char *path)
{
    const char *wrong = dp_locker_file_read(
        &tool->def, path, dp_locker_file_name(path, tool->pool), lookup,
        tool->pool);

    if (wrong) {
        dp_tool_say("%s", wrong);
    }
    return wrong ? EX_CONFIG : 0;
}

static int make(dp_tool_t *tool)
{
    dogpile_locker_conf_t defaults;
    const dp_locker_def_t *culprit;
    const char *wrong;

    dp_locker_defaults(&defaults);
    defaults.uid = geteuid();
    defaults.gid = getegid();
    defaults.log = &tool->log;
    wrong = dp_locker_make(tool->def, &defaults, &culprit, tool->pool);
    if (wrong) {
        dp_tool_say("%s:%d: %s: %s",
                    culprit->where.file ? culprit->where.file : "default",
                    culprit->where.line, culprit->title, wrong);
    }
    return wrong ? EX_CONFIG : 0;
}

/* --- making it ready --------------------------------------------------- */

/* Returns what is wrong, or NULL. */
static const char *make_directory(const dp_locker_def_t *def, apr_pool_t *pool)
{
    struct stat info;

    if (def->conf.directory == NULL || stat(def->conf.directory, &info) == 0
        || errno != ENOENT) {
        return NULL;
    }
    return def->provider->prepare(def->locker, pool);
}

static int make_directories(const dp_tool_t *tool)
{
    const char *wrong = make_directory(tool->def, tool->pool);
    int i;

    for (i = 0; i < tool->def->members->nelts; i++) {
        const char *its = make_directory(
            APR_ARRAY_IDX(tool->def->members, i, dp_locker_def_t *),
            tool->pool);

        wrong = wrong ? wrong : its;
    }
    if (wrong) {
        dp_tool_say("%s", wrong);
    }
    return wrong && !tool->runs_unlocked ? EX_CANTCREAT : 0;
}

static int begin(const dp_tool_t *tool)
{
    const dp_locker_def_t *def = tool->def;
    apr_status_t status =
        def->provider->child_init
            ? def->provider->child_init(def->locker, tool->pool)
            : APR_SUCCESS;

    if (status != APR_SUCCESS) {
        dp_tool_say("locker %s can't be used: %s", def->conf.name,
                    dp_tool_why(status, tool->pool));
        return EX_UNAVAILABLE;
    }
    return 0;
}

int dp_tool_open(dp_tool_t *tool)
{
    const char *path = path_of_config(tool);
    int code;

    tool->log.write = write_log;
    tool->log.baton = tool;
    code = path ? read_config(tool, path) : use_default(tool);
    if (code == 0) {
        code = make(tool);
    }
    if (code == 0 && tool->verb == DP_VERB_RUN) {
        code = make_directories(tool);
    }
    return code ? code : begin(tool);
}
