/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do two locations get in each other's way? Tiles are told apart by the name
 * of their source, so two sources of one name would serve each other's tiles.
 *
 * Called by the check_config hook, after httpd has merged the settings of the
 * virtual hosts. What is compared is what holds in a section: its own settings
 * over those of its host. A section inside of another one isn't known as such;
 * httpd merges these for each request.
 */
#include "httpd/config.h"

#include <apr_strings.h>

static const dp_dir_t *defaults_of(const server_rec *s)
{
    return ap_get_module_config(s->lookup_defaults, &dogpile_module);
}

/* What the directive is that enables a host without a section of its own. */
static dp_where_t where_enabled(const server_rec *s)
{
    dp_where_t where = {NULL, 0};
    int i;

    for (i = 0; i < dp_global->sections->nelts; i++) {
        const dp_section_t *of =
            &APR_ARRAY_IDX(dp_global->sections, i, dp_section_t);

        if (of->path == NULL && of->dir->enable == 1
            && (of->server == s || where.file == NULL)) {
            where = of->where;
        }
    }
    return where;
}

/* All sections that tiles can come from, with what holds there. */
static apr_array_header_t *doors_of(const server_rec *main_server,
                                    apr_pool_t *pool)
{
    apr_array_header_t *doors = apr_array_make(pool, 8, sizeof(dp_section_t));
    const server_rec *s;
    int i;

    for (i = 0; i < dp_global->sections->nelts; i++) {
        dp_section_t door = APR_ARRAY_IDX(dp_global->sections, i, dp_section_t);

        door.dir = dp_dir_merge(pool, (void *)defaults_of(door.server),
                                (void *)door.dir);
        if (door.path != NULL && door.dir->enable != 0) {
            APR_ARRAY_PUSH(doors, dp_section_t) = door;
        }
    }
    for (s = main_server; s; s = s->next) {
        if (defaults_of(s)->enable == 1) {
            APR_ARRAY_PUSH(doors, dp_section_t) =
                (dp_section_t){s, NULL, defaults_of(s), where_enabled(s)};
        }
    }
    return doors;
}

/* What stands for the source of a section: its DogpileSource or its path. */
static const char *source_text(const dp_section_t *of, apr_pool_t *pool)
{
    const dp_source_t *source = of->dir->source;

    return source ? dp_source_text(source, pool) : of->path;
}

/* The name in keys, NULL where it differs from path to path or, as the host's
 * name is part of it, from host to host. */
static const char *name_in_keys(const dp_section_t *of, apr_pool_t *pool)
{
    if (of->dir->source_name == NULL
        || (of->dir->source == NULL && of->path == NULL)) {
        return NULL;
    }
    return dp_source_name(of->dir, of->path, pool);
}

static int check_same_name(const server_rec *s, const dp_section_t *one,
                           const dp_section_t *other, apr_pool_t *pool)
{
    const char *name = name_in_keys(one, pool);
    const char *same = name ? name_in_keys(other, pool) : NULL;

    if (same == NULL || strcmp(name, same) != 0
        || strcmp(source_text(one, pool), source_text(other, pool)) == 0) {
        return OK;
    }
    return dp_config_refuse(
        s, &other->where, 114,
        apr_psprintf(pool,
                     "DogpileSourceName %s: %s:%d has the same name for "
                     "another source, %s instead of %s; they would serve each "
                     "other's tiles",
                     name, one->where.file, one->where.line,
                     source_text(one, pool), source_text(other, pool)));
}

/* Enabled, and named after its server. */
static int is_nameless(const dp_section_t *of)
{
    return of->dir->enable == 1 && of->dir->source_name == NULL;
}

static int check_same_host(const server_rec *s, const dp_section_t *one,
                           const dp_section_t *other, apr_pool_t *pool)
{
    const char *host = one->server->server_hostname;

    if (one->server == other->server || !is_nameless(one) || !is_nameless(other)
        || ap_cstr_casecmp(host, other->server->server_hostname) != 0) {
        return OK;
    }
    return dp_config_refuse(
        s, &other->where, 115,
        apr_psprintf(pool,
                     "DogpileEnable: this virtual host and that of %s:%d have "
                     "the same ServerName %s, so their tiles would have the "
                     "same names; give each location a DogpileSourceName, the "
                     "same one where they show the same maps",
                     one->where.file, one->where.line, host));
}

int dp_config_check_sources(const server_rec *s, apr_pool_t *pool)
{
    const apr_array_header_t *doors = doors_of(s, pool);
    int rc = OK;
    int i;
    int j;

    for (i = 0; i < doors->nelts && rc == OK; i++) {
        const dp_section_t *one = &APR_ARRAY_IDX(doors, i, dp_section_t);

        for (j = i + 1; j < doors->nelts && rc == OK; j++) {
            const dp_section_t *other = &APR_ARRAY_IDX(doors, j, dp_section_t);

            rc = check_same_name(s, one, other, pool);
            if (rc == OK) {
                rc = check_same_host(s, one, other, pool);
            }
        }
    }
    return rc;
}
