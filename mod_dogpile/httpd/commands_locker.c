/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <DogpileLocker name type> and what stands inside, other lockers included,
 * and DogpileLockerFile. Called while httpd reads its configuration. Outside of
 * a block the directives set what every locker starts from, the stores' own
 * ones too.
 */
#include "httpd/commands.h"

#include <apr_strings.h>

#include "lock/locker_file.h"

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

static int is_taken(const apr_array_header_t *defs, const char *name)
{
    int i;

    for (i = 0; i < defs->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(defs, i, dp_locker_def_t *)->conf.name, name)
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
    current = dp_locker_def_new(name, cmd->pool);
    current->title = apr_pstrcat(cmd->pool, "<DogpileLocker ", name, ">", NULL);
    current->where = dp_where_of(cmd);
    current->provider = dp_locker_provider(type);
    if (current->provider == NULL) {
        return dp_no_such_type(cmd, type, DOGPILE_LOCKER_GROUP,
                               DOGPILE_LOCKER_VERSION_TEXT,
                               "mod_dogpile_lock_");
    }
    if (outer == NULL && is_taken(dp_global->lockers, name)) {
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

/* Where `name` is missing, the file is of the locations that name no locker. */
static void add_file(cmd_parms *cmd, dp_locker_def_t *def, int is_named)
{
    dp_locker_ref_t *ref = apr_pcalloc(cmd->pool, sizeof(*ref));

    APR_ARRAY_PUSH(dp_global->files, dp_locker_def_t *) = def;
    if (is_named) {
        return;
    }
    ref->name = def->conf.name;
    ref->where = dp_where_of(cmd);
    APR_ARRAY_PUSH(dp_global->refs, dp_locker_ref_t *) = ref;
    dp_global->default_locker = ref;
}

const char *dp_cmd_locker_file(cmd_parms *cmd, void *dir, const char *path,
                               const char *name)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *whole = ap_server_root_relative(cmd->pool, path);
    dp_locker_def_t *def = NULL;

    (void)dir;
    if (wrong == NULL && current) {
        wrong = "DogpileLockerFile stands outside of <DogpileLocker>";
    }
    if (wrong) {
        return wrong;
    }
    if (path[0] == '\0' || whole == NULL) {
        return dp_refuse(cmd, path, "the path of a file");
    }
    if (name == NULL && dp_global->default_locker) {
        return "DogpileLockerFile: only one may be without a name: it is that "
               "of the locations that name no locker";
    }
    wrong = dp_locker_file_read(
        &def, whole, name ? name : dp_locker_file_name(whole, cmd->pool),
        dp_locker_provider, cmd->pool);
    if (wrong) {
        return apr_pstrcat(cmd->temp_pool, "DogpileLockerFile: ", wrong, NULL);
    }
    if (is_taken(dp_global->files, def->conf.name)) {
        return dp_refuse(cmd, def->conf.name,
                         "a name that no other file of lockers has");
    }
    add_file(cmd, def, name != NULL);
    return NULL;
}

static const char *read_span(cmd_parms *cmd, const char *value,
                             const dp_span_t *span, apr_interval_time_t *usec)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (wrong == NULL) {
        wrong = dp_read_time(cmd, value, usec);
    }
    if (wrong == NULL && !dp_span_has(span, *usec)) {
        wrong = dp_refuse(cmd, value, span->allowed);
    }
    return wrong;
}

const char *dp_cmd_lock_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    return read_span(cmd, value, &dp_span_lease, &conf_of()->lease_usec);
}

const char *dp_cmd_lock_retry(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    return read_span(cmd, value, &dp_span_retry, &conf_of()->retry_usec);
}

const char *dp_cmd_lock_socket_timeout(cmd_parms *cmd, void *dir,
                                       const char *value)
{
    (void)dir;
    return read_span(cmd, value, &dp_span_socket, &conf_of()->socket_usec);
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
