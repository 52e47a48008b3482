/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lockers, when all of the configuration has been read: which there are, which
 * one a location gets that names none, and making them.
 *
 * Called by config_check.c in httpd's check_config hook, in the parent.
 *
 * The order of precedence: a block is before a DogpileLockerFile of the same
 * name. A location that names no locker gets that of the DogpileLockerFile
 * without a name, else that of the environment variable, else its store's own.
 */
#include "httpd/config.h"

#include <ap_provider.h>
#include <apr_strings.h>
#include <stdlib.h>

#include "lock/locker_file.h"

const dogpile_locker_provider_t *dp_locker_provider(const char *type)
{
    return ap_lookup_provider(DOGPILE_LOCKER_GROUP, type,
                              DOGPILE_LOCKER_VERSION_TEXT);
}

static dp_locker_def_t *find(const char *name)
{
    int i;

    for (i = 0; i < dp_global->lockers->nelts; i++) {
        dp_locker_def_t *def =
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *);

        if (strcmp(def->conf.name, name) == 0) {
            return def;
        }
    }
    return NULL;
}

int dp_config_make_locker(dp_locker_def_t *def, const server_rec *s,
                          apr_pool_t *pconf)
{
    dogpile_locker_conf_t *outer = &dp_global->locker_defaults;
    const dp_locker_def_t *culprit;
    const char *wrong;

    dp_config_user(&outer->uid, &outer->gid);
    outer->log = dp_log_of(s, pconf);
    wrong = dp_locker_make(def, outer, &culprit, pconf);
    return wrong ? dp_config_refuse(
               s, &culprit->where, 111,
               apr_psprintf(pconf, "%s: %s", culprit->title, wrong))
                 : OK;
}

/* A block of the same name is before the file. */
static void add_files(const server_rec *s)
{
    int i;

    for (i = 0; i < dp_global->files->nelts; i++) {
        dp_locker_def_t *def =
            APR_ARRAY_IDX(dp_global->files, i, dp_locker_def_t *);

        if (find(def->conf.name)) {
            dp_slog(s, APLOG_NOTICE, 0, 118,
                    "DogpileLockerFile %s isn't used: there is a "
                    "<DogpileLocker %s>",
                    def->where.file, def->conf.name);
            continue;
        }
        APR_ARRAY_PUSH(dp_global->lockers, dp_locker_def_t *) = def;
    }
}

static int add_from_environment(const server_rec *s, apr_pool_t *pconf)
{
    static const dp_where_t nowhere;
    const char *path = getenv(DP_LOCKER_FILE_ENV);
    dp_locker_ref_t *ref;
    const char *wrong;

    if (dp_global->default_locker || path == NULL || path[0] == '\0') {
        return OK;
    }
    ref = apr_pcalloc(pconf, sizeof(*ref));
    ref->name = "of " DP_LOCKER_FILE_ENV;
    wrong = path[0] == '/'
                ? dp_locker_file_read(&ref->def, apr_pstrdup(pconf, path),
                                      ref->name, dp_locker_provider, pconf)
                : apr_psprintf(pconf,
                               "'%s' isn't allowed; allowed: an "
                               "absolute path",
                               path);
    if (wrong) {
        return dp_config_refuse(
            s, &nowhere, 117,
            apr_pstrcat(pconf, "environment variable " DP_LOCKER_FILE_ENV ": ",
                        wrong, NULL));
    }
    dp_global->default_locker = ref;
    APR_ARRAY_PUSH(dp_global->lockers, dp_locker_def_t *) = ref->def;
    return OK;
}

int dp_config_check_lockers(const server_rec *s, apr_pool_t *pconf)
{
    int rc;
    int i;

    add_files(s);
    rc = add_from_environment(s, pconf);
    for (i = 0; i < dp_global->lockers->nelts && rc == OK; i++) {
        rc = dp_config_make_locker(
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *), s, pconf);
    }
    return rc;
}

int dp_config_check_ref(const server_rec *s, dp_locker_ref_t *ref,
                        apr_pool_t *pool)
{
    const char *names = "";
    int i;

    ref->def = find(ref->name);
    if (ref->def) {
        return OK;
    }
    for (i = 0; i < dp_global->lockers->nelts; i++) {
        names = apr_pstrcat(
            pool, names, *names ? ", " : "",
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *)->conf.name,
            NULL);
    }
    return dp_config_refuse(
        s, &ref->where, 113,
        apr_psprintf(pool,
                     "DogpileLocker: there is no <DogpileLocker "
                     "%s>; allowed: %s",
                     ref->name, *names ? names : "none is defined"));
}
