/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <DogpileLocker name type> and what stands inside. Called while httpd reads
 * its configuration. Outside of a block the directives set what every locker
 * starts from, the stores' own ones included.
 */
#include "httpd/commands.h"

#include <apr_strings.h>

/* What the directives set: a block's, or what blocks that don't say it and the
 * stores' own lockers start from. */
static dp_locker_def_t *current;

static dogpile_locker_conf_t *conf_of(void)
{
    return current ? &current->conf : &dp_global->locker_defaults;
}

static const dogpile_locker_provider_t *find_type(const char *type)
{
    return ap_cstr_casecmp(type, dp_lock_disk.type) == 0 ? &dp_lock_disk : NULL;
}

static int is_taken(const char *name)
{
    int i;

    for (i = 0; i < dp_global->lockers->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *)
                       ->conf.name,
                   name)
            == 0) {
            return 1;
        }
    }
    return 0;
}

/* The last word is the type; the name before it may be missing where the type
 * says it all. */
static const char *begin_locker(cmd_parms *cmd, const apr_array_header_t *words)
{
    const char *name = APR_ARRAY_IDX(words, 0, const char *);
    const char *type = APR_ARRAY_IDX(words, words->nelts - 1, const char *);

    current = apr_pcalloc(cmd->pool, sizeof(*current));
    current->conf.name = name; /* the check completes the rest */
    current->where = dp_where_of(cmd);
    current->provider = find_type(type);
    if (current->provider == NULL) {
        return dp_refuse(cmd, type, "disk");
    }
    if (is_taken(name)) {
        return dp_refuse(cmd, name, "a name that no other locker has");
    }
    return NULL;
}

const char *dp_cmd_locker_section(cmd_parms *cmd, void *dir, const char *args)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_array_header_t *words;

    (void)dir;
    if (wrong == NULL) {
        wrong = dp_section_words(cmd, args, 1, 2, "a name and a type",
                                 "DogpileLock", &words);
    }
    if (wrong == NULL) {
        wrong = begin_locker(cmd, words);
        if (wrong == NULL) {
            wrong =
                ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
        }
        APR_ARRAY_PUSH(dp_global->lockers, dp_locker_def_t *) = current;
        current = NULL;
    }
    return wrong;
}

const char *dp_cmd_lock_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    dogpile_locker_conf_t *conf = conf_of();

    (void)dir;
    if (wrong == NULL) {
        wrong = dp_read_time(cmd, value, &conf->lease_usec);
    }
    if (wrong == NULL && conf->lease_usec < apr_time_from_sec(1)) {
        wrong = dp_refuse(cmd, value, "1 second or more");
    }
    return wrong;
}

const char *dp_cmd_lock_retry(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    dogpile_locker_conf_t *conf = conf_of();

    (void)dir;
    if (wrong == NULL) {
        wrong = dp_read_time(cmd, value, &conf->retry_usec);
    }
    if (wrong == NULL
        && (conf->retry_usec < apr_time_from_msec(10)
            || conf->retry_usec > apr_time_from_sec(10))) {
        wrong = dp_refuse(cmd, value, "10ms to 10s");
    }
    return wrong;
}

const char *dp_cmd_lock_directory(cmd_parms *cmd, void *dir, const char *path,
                                  const char *group)
{
    (void)dir;
    if (current == NULL) {
        return "DogpileLockDirectory stands inside of <DogpileLocker>";
    }
    if (path[0] != '/') {
        return dp_refuse(cmd, path, "an absolute path");
    }
    if (group != NULL
        && (strncmp(group, "group=", 6) != 0 || group[6] == '\0')) {
        return dp_refuse(cmd, group, "group=name");
    }
    current->conf.directory = path;
    current->conf.group = group ? group + 6 : NULL;
    return NULL;
}

const char *dp_cmd_lock_namespace(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    dp_global->lock_namespace = value;
    return wrong;
}

const char *dp_cmd_lock_host(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    if (wrong == NULL && (value[0] == '\0' || strlen(value) > 64)) {
        wrong = dp_refuse(cmd, value, "a name of 1 to 64 bytes");
    }
    conf_of()->host = value;
    return wrong;
}
