/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <DogpileLocker name type> and what stands inside, other lockers included.
 * Called while httpd reads its configuration. Outside of a block the
 * directives set what every locker starts from, the stores' own ones too.
 */
#include "httpd/commands.h"

#include <ap_provider.h>
#include <apr_strings.h>

/* The innermost block that is being read, or NULL outside of any. */
static dp_locker_def_t *current;

static dogpile_locker_conf_t *conf_of(void)
{
    return current ? &current->conf : &dp_global->locker_defaults;
}

static const char *not_inside(const cmd_parms *cmd)
{
    return current ? NULL
                   : apr_pstrcat(cmd->temp_pool, cmd->cmd->name,
                                 " stands inside of <DogpileLocker>", NULL);
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
static const char *begin_locker(cmd_parms *cmd, const apr_array_header_t *words,
                                dp_locker_def_t *outer)
{
    const char *name = APR_ARRAY_IDX(words, 0, const char *);
    char *type = apr_pstrdup(
        cmd->temp_pool, APR_ARRAY_IDX(words, words->nelts - 1, const char *));

    ap_str_tolower(type);
    current = apr_pcalloc(cmd->pool, sizeof(*current));
    current->outer = outer;
    current->members = apr_array_make(cmd->pool, 2, sizeof(dp_locker_def_t *));
    current->conf.name = name; /* the check completes the rest */
    current->conf.servers = apr_array_make(cmd->pool, 2, sizeof(const char *));
    current->where = dp_where_of(cmd);
    current->provider = ap_lookup_provider(DOGPILE_LOCKER_GROUP, type,
                                           DOGPILE_LOCKER_VERSION_TEXT);
    if (current->provider == NULL) {
        return dp_no_such_type(cmd, type, DOGPILE_LOCKER_GROUP,
                               DOGPILE_LOCKER_VERSION_TEXT,
                               "mod_dogpile_lock_");
    }
    if (outer == NULL && is_taken(name)) {
        return dp_refuse(cmd, name, "a name that no other locker has");
    }
    return NULL;
}

static const char *read_block(cmd_parms *cmd, const apr_array_header_t *words)
{
    dp_locker_def_t *outer = current;
    const char *wrong = begin_locker(cmd, words, outer);
    apr_array_header_t *list = outer ? outer->members : dp_global->lockers;

    if (wrong == NULL) {
        wrong = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    }
    APR_ARRAY_PUSH(list, dp_locker_def_t *) = current;
    current = outer;
    return wrong;
}

const char *dp_cmd_locker_section(cmd_parms *cmd, void *dir, const char *args)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_array_header_t *words;

    (void)dir;
    if (wrong == NULL) {
        wrong = dp_section_words(cmd, args, 1, 2, "a name and a type",
                                 "DogpileLock", cmd->cmd->name, &words);
    }
    return wrong ? wrong : read_block(cmd, words);
}

static const char *read_span(cmd_parms *cmd, const char *value,
                             apr_interval_time_t min, apr_interval_time_t max,
                             const char *allowed, apr_interval_time_t *usec)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (wrong == NULL) {
        wrong = dp_read_time(cmd, value, usec);
    }
    if (wrong == NULL && (*usec < min || *usec > max)) {
        wrong = dp_refuse(cmd, value, allowed);
    }
    return wrong;
}

const char *dp_cmd_lock_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    return read_span(cmd, value, apr_time_from_sec(1), APR_INT64_MAX,
                     "1 second or more", &conf_of()->lease_usec);
}

const char *dp_cmd_lock_retry(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    return read_span(cmd, value, apr_time_from_msec(10), apr_time_from_sec(10),
                     "10ms to 10s", &conf_of()->retry_usec);
}

const char *dp_cmd_lock_socket_timeout(cmd_parms *cmd, void *dir,
                                       const char *value)
{
    (void)dir;
    return read_span(cmd, value, apr_time_from_msec(10), apr_time_from_sec(60),
                     "10ms to 60s", &conf_of()->socket_usec);
}

const char *dp_cmd_lock_directory(cmd_parms *cmd, void *dir, const char *path,
                                  const char *group)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    if (wrong) {
        return wrong;
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

const char *dp_cmd_lock_server(cmd_parms *cmd, void *dir, const char *server)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    if (wrong == NULL) {
        APR_ARRAY_PUSH((apr_array_header_t *)current->conf.servers,
                       const char *) = server;
    }
    return wrong;
}

const char *dp_cmd_lock_secret_file(cmd_parms *cmd, void *dir, const char *path)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    if (wrong == NULL && path[0] != '/') {
        wrong = dp_refuse(cmd, path, "an absolute path");
    }
    if (wrong == NULL) {
        current->conf.secret_file = path;
    }
    return wrong;
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

const char *dp_cmd_fail_open(cmd_parms *cmd, void *dir, int on)
{
    (void)dir;
    dp_global->fails_open = on;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}
