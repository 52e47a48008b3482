/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what was configured to lockers. Called by whoever has read a
 * configuration, once, by one thread: by httpd's parent when all of it is
 * known, by the command before anything else. Keeps nothing.
 *
 * The invariant: a locker is made only of a definition that is complete, and
 * what it lacks comes from the nearest one around it that says it.
 */
#include "lock/locker_def.h"

#include <apr_strings.h>

#include "lock/lock.h"
#include "lock/lock_fallback.h"

/* Shorter leases end while their holder is merely busy; longer ones are a slip
 * of the pen. */
const dp_span_t dp_span_lease = {APR_TIME_C(1000000),
                                 APR_TIME_C(7) * 24 * 3600 * 1000000,
                                 "1 second or more, at most 7 days"};
const dp_span_t dp_span_retry = {10000, 10000000, "10ms to 10s"};
const dp_span_t dp_span_socket = {10000, 60000000, "10ms to 60s"};

int dp_span_has(const dp_span_t *span, apr_interval_time_t usec)
{
    return usec >= span->min_usec && usec <= span->max_usec;
}

dp_locker_def_t *dp_locker_def_new(const char *name, apr_pool_t *result_pool)
{
    dp_locker_def_t *def = apr_pcalloc(result_pool, sizeof(*def));

    def->conf.name = name;
    def->conf.servers = apr_array_make(result_pool, 2, sizeof(const char *));
    def->members = apr_array_make(result_pool, 2, sizeof(dp_locker_def_t *));
    def->title = apr_pstrcat(result_pool, "locker ", name, NULL);
    return def;
}

void dp_locker_defaults(dogpile_locker_conf_t *conf)
{
    static const dogpile_locker_conf_t nothing;

    *conf = nothing;
    conf->lease_usec = apr_time_from_sec(15);
    conf->retry_usec = apr_time_from_msec(100);
    conf->socket_usec = apr_time_from_sec(1);
}

static void complete(dogpile_locker_conf_t *conf,
                     const dogpile_locker_conf_t *outer, apr_pool_t *pool)
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
        conf->host = outer->host ? outer->host : dp_lock_this_host(pool);
    }
    conf->uid = outer->uid;
    conf->gid = outer->gid;
    conf->log = outer->log;
}

const char *dp_locker_make(dp_locker_def_t *def,
                           const dogpile_locker_conf_t *outer,
                           const dp_locker_def_t **culprit,
                           apr_pool_t *result_pool)
{
    int n = def->members ? def->members->nelts : 0;
    apr_array_header_t *members =
        apr_array_make(result_pool, n + 1, sizeof(dogpile_locker_t *));
    int i;

    *culprit = def;
    complete(&def->conf, outer, result_pool);
    if (n > 0 && def->provider != &dp_lock_fallback) {
        return "only a fallback has lockers inside";
    }
    for (i = 0; i < n; i++) {
        dp_locker_def_t *member =
            APR_ARRAY_IDX(def->members, i, dp_locker_def_t *);
        const char *wrong =
            dp_locker_make(member, &def->conf, culprit, result_pool);

        if (wrong) {
            return wrong;
        }
        APR_ARRAY_PUSH(members, dogpile_locker_t *) = member->locker;
    }
    *culprit = def;
    def->conf.members = members;
    return def->provider->create(&def->locker, &def->conf, result_pool);
}
