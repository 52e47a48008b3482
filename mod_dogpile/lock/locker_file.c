/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a locker file to a definition. Called by httpd's parent while it reads
 * its configuration, also by configtest, and by the command dogpile-lock at
 * its start; one thread, nothing kept.
 *
 * yaml_tree.c reads the text, locker_entry.c what an entry says of its locker;
 * here is the list. The invariant: every refusal begins with file and line,
 * and a file is refused as a whole.
 */
#include "lock/locker_file.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock/lock.h"
#include "lock/lock_fallback.h"
#include "lock/locker_entry.h"

typedef struct list_t {
    const char *path;
    const char *name;
    dp_locker_lookup_fn *lookup;
    int line; /* of what is wrong */
    apr_pool_t *pool;
} list_t;

/* --- one entry --------------------------------------------------------- */

static const char *find_stranger(list_t *list, const dp_yaml_t *node)
{
    int i;

    for (i = 0; i < node->items->nelts; i++) {
        const dp_yaml_t *item = APR_ARRAY_IDX(node->items, i, dp_yaml_t *);

        if (strcmp(item->key, "type") != 0
            && strcmp(item->key, "config") != 0) {
            list->line = item->key_line;
            return apr_psprintf(list->pool,
                                "an entry has no '%s'; allowed: type, config",
                                dp_lock_label(item->key, list->pool));
        }
    }
    return NULL;
}

static const char *read_type(const dp_entry_type_t **type, list_t *list,
                             const dp_yaml_t *node)
{
    const dp_yaml_t *value = dp_yaml_get(node, "type");
    const char *shown;

    if (value == NULL || value->kind != DP_YAML_TEXT) {
        return apr_pstrcat(list->pool, "an entry needs a type; allowed: ",
                           dp_entry_types(list->pool), NULL);
    }
    list->line = value->line;
    *type = dp_entry_type(value->text);
    if (*type == NULL) {
        shown = dp_lock_label(value->text, list->pool);
        return apr_psprintf(list->pool, "type: '%s' isn't allowed; allowed: %s",
                            shown, dp_entry_types(list->pool));
    }
    return NULL;
}

/* Entries have no names: the type is one, with a number where it is there
 * several times. */
static const char *name_of_entry(const list_t *list,
                                 const dp_entry_type_t *type,
                                 const apr_array_header_t *before)
{
    int same = 1;
    int i;

    for (i = 0; i < before->nelts; i++) {
        const dp_locker_def_t *def =
            APR_ARRAY_IDX(before, i, dp_locker_def_t *);

        same += strcmp(def->provider->type, type->provider) == 0;
    }
    return same == 1 ? type->provider
                     : apr_psprintf(list->pool, "%s-%d", type->provider, same);
}

static const char *read_entry(dp_locker_def_t **def, list_t *list,
                              const dp_yaml_t *node,
                              const apr_array_header_t *before)
{
    const dp_entry_type_t *type = NULL;
    const dp_yaml_t *config;
    const char *wrong;

    list->line = node->line;
    if (node->kind != DP_YAML_MAP) {
        return apr_psprintf(list->pool,
                            "an entry is a map with type and config, not %s",
                            dp_yaml_kind(node->kind));
    }
    wrong = find_stranger(list, node);
    if (wrong == NULL) {
        wrong = read_type(&type, list, node);
    }
    if (wrong) {
        return wrong;
    }
    *def = dp_locker_def_new(name_of_entry(list, type, before), list->pool);
    (*def)->where.file = list->path;
    (*def)->where.line = node->line;
    (*def)->provider = list->lookup(type->provider);
    if ((*def)->provider == NULL) {
        return apr_psprintf(list->pool,
                            "type: '%s' can't be used; is mod_dogpile_lock_%s "
                            "loaded before?",
                            type->name, type->provider);
    }
    config = dp_yaml_get(node, "config");
    list->line = config ? config->line : node->line;
    if (config == NULL || config->kind != DP_YAML_MAP) {
        return "an entry needs a config, which is a map";
    }
    return dp_entry_read(&(*def)->conf, &list->line, type, config, list->pool);
}

/* --- the list ---------------------------------------------------------- */

static apr_interval_time_t shorter(apr_interval_time_t a, apr_interval_time_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A file has no place for what concerns the whole of it: the shortest times
 * of its entries hold for it, and so for the entries without. */
static dp_locker_def_t *make_fallback(list_t *list,
                                      const apr_array_header_t *entries)
{
    dp_locker_def_t *whole = dp_locker_def_new(list->name, list->pool);
    int i;

    whole->provider = &dp_lock_fallback;
    for (i = 0; i < entries->nelts; i++) {
        dp_locker_def_t *def = APR_ARRAY_IDX(entries, i, dp_locker_def_t *);

        def->title = apr_psprintf(list->pool, "locker %s, its entry %d (%s)",
                                  list->name, i + 1, def->provider->type);
        whole->conf.lease_usec =
            shorter(whole->conf.lease_usec, def->conf.lease_usec);
        whole->conf.retry_usec =
            shorter(whole->conf.retry_usec, def->conf.retry_usec);
        APR_ARRAY_PUSH(whole->members, dp_locker_def_t *) = def;
    }
    return whole;
}

static dp_locker_def_t *only_one(list_t *list, dp_locker_def_t *def)
{
    def->conf.name = list->name;
    def->title = apr_pstrcat(list->pool, "locker ", list->name, NULL);
    return def;
}

static const char *read_list(dp_locker_def_t **def, list_t *list,
                             const dp_yaml_t *root)
{
    apr_array_header_t *entries =
        apr_array_make(list->pool, 4, sizeof(dp_locker_def_t *));
    const char *wrong = NULL;
    int i;

    list->line = root->line;
    if (root->kind != DP_YAML_LIST || root->items->nelts == 0) {
        return "a list of lockers is needed, each beginning with '- type:'";
    }
    if (root->items->nelts > DP_MEMBERS_MAX) {
        return "more than " APR_STRINGIFY(
            DP_MEMBERS_MAX) " lockers are not allowed";
    }
    for (i = 0; i < root->items->nelts && wrong == NULL; i++) {
        dp_locker_def_t *entry = NULL;

        wrong = read_entry(&entry, list,
                           APR_ARRAY_IDX(root->items, i, dp_yaml_t *), entries);
        APR_ARRAY_PUSH(entries, dp_locker_def_t *) = entry;
    }
    if (wrong) {
        return wrong;
    }
    *def = entries->nelts == 1
               ? only_one(list, APR_ARRAY_IDX(entries, 0, dp_locker_def_t *))
               : make_fallback(list, entries);
    (*def)->where.file = list->path;
    (*def)->where.line = root->line;
    return NULL;
}

const char *dp_locker_text_read(dp_locker_def_t **def, const char *bytes,
                                apr_size_t size, const char *path,
                                const char *name, dp_locker_lookup_fn *lookup,
                                apr_pool_t *result_pool)
{
    list_t list = {
        .path = path, .name = name, .lookup = lookup, .pool = result_pool};
    dp_yaml_t *root;
    const char *wrong =
        dp_yaml_read(&root, &list.line, bytes, size, result_pool);

    if (wrong == NULL) {
        wrong = read_list(def, &list, root);
    }
    return wrong
               ? apr_psprintf(result_pool, "%s:%d: %s", path, list.line, wrong)
               : NULL;
}

/* --- the file ---------------------------------------------------------- */

/* Up to one byte more than a text may have. */
static apr_status_t read_bytes(char **bytes, apr_size_t *size, int fd,
                               apr_pool_t *pool)
{
    struct stat info;
    ssize_t got = 1;

    if (fstat(fd, &info) != 0) {
        return errno;
    }
    if (!S_ISREG(info.st_mode)) {
        return S_ISDIR(info.st_mode) ? EISDIR : APR_EINVAL;
    }
    *bytes = apr_palloc(pool, DP_YAML_BYTES_MAX + 1);
    *size = 0;
    while (got != 0 && *size <= DP_YAML_BYTES_MAX) {
        got = read(fd, *bytes + *size, DP_YAML_BYTES_MAX + 1 - *size);
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        *size += got > 0 ? (apr_size_t)got : 0;
    }
    return APR_SUCCESS;
}

const char *dp_locker_file_read(dp_locker_def_t **def, const char *path,
                                const char *name, dp_locker_lookup_fn *lookup,
                                apr_pool_t *result_pool)
{
    /* Non-blocking, so that a pipe put there can't hold us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    apr_status_t status = fd < 0 ? errno : APR_SUCCESS;
    apr_size_t size = 0;
    char *bytes = NULL;
    char why[128];

    if (fd >= 0) {
        status = read_bytes(&bytes, &size, fd, result_pool);
        close(fd);
    }
    if (status != APR_SUCCESS) {
        return apr_psprintf(result_pool, "%s: can't be read: %s", path,
                            apr_strerror(status, why, sizeof(why)));
    }
    return dp_locker_text_read(def, bytes, size, path, name, lookup,
                               result_pool);
}

const char *dp_locker_file_name(const char *path, apr_pool_t *result_pool)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');

    return dot && dot > base
               ? apr_pstrmemdup(result_pool, base, (apr_size_t)(dot - base))
               : apr_pstrdup(result_pool, base);
}
