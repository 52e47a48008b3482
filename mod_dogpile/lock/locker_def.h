/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A locker as it was configured, whoever read that: a block of httpd's
 * configuration, a file (locker_file.h), or nobody, for a default. One tree of
 * these becomes one locker.
 */
#ifndef DP_LOCK_LOCKER_DEF_H
#define DP_LOCK_LOCKER_DEF_H

#include "base/where.h"
#include "dogpile_locker.h"

typedef struct dp_locker_def_t dp_locker_def_t;
struct dp_locker_def_t {
    dogpile_locker_conf_t conf; /* what it says itself; 0 and NULL where it
                                   says nothing */
    const dogpile_locker_provider_t *provider;
    apr_array_header_t *members; /* of dp_locker_def_t *, for a fallback; NULL
                                    is none */
    dogpile_locker_t *locker;    /* made by dp_locker_make() */
    const char *title;           /* in messages: "<DogpileLocker tiles>" */
    dp_where_t where;
};

/* A new definition with empty lists, in the pool. */
dp_locker_def_t *dp_locker_def_new(const char *name, apr_pool_t *result_pool);

/* Times that may be configured, both ends included. */
typedef struct dp_span_t {
    apr_interval_time_t min_usec;
    apr_interval_time_t max_usec;
    const char *allowed; /* the same in words */
} dp_span_t;

extern const dp_span_t dp_span_lease;  /* DogpileLockTimeout */
extern const dp_span_t dp_span_retry;  /* DogpileLockRetry */
extern const dp_span_t dp_span_socket; /* DogpileLockSocketTimeout */

int dp_span_has(const dp_span_t *span, apr_interval_time_t usec);

/* What holds where nobody says anything: these times, all else empty. */
void dp_locker_defaults(dogpile_locker_conf_t *conf);

/*
 * Make the locker of a definition, and before it those inside. What each
 * leaves open it has from the one around it, the outermost from `outer`: the
 * times, the host (at last this one), uid, gid and log. Contacts and creates
 * nothing. NULL, or what is wrong; then `culprit` is whose fault it is.
 */
const char *dp_locker_make(dp_locker_def_t *def,
                           const dogpile_locker_conf_t *outer,
                           const dp_locker_def_t **culprit,
                           apr_pool_t *result_pool);

#endif
