/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a source's answer is fresh, and whether it may be shared.
 *
 * Pure functions of texts, times and numbers: RFC 9111 (HTTP caching) with
 * RFC 9213 (CDN-Cache-Control). The module is a shared cache, and its own
 * request carries no credentials.
 */
#ifndef DP_POLICY_FRESHNESS_H
#define DP_POLICY_FRESHNESS_H

#include <apr_time.h>

/* The fields of an answer that matter; NULL where there is none. */
typedef struct dp_answer_fields_t {
    const char *cache_control;
    const char *cdn_cache_control;
    const char *expires;
    const char *date;
    const char *age;
    const char *vary;
} dp_answer_fields_t;

typedef struct dp_freshness_t {
    int is_shareable;                  /* 0: private, no-store, or Vary: *  */
    int is_explicit;                   /* the source gave a lifetime */
    apr_interval_time_t lifetime_usec; /* what is left of it; 0 or more */
} dp_freshness_t;

/* What the source says. A Cache-Control that is there but can't be read
 * counts as its readable part. */
void dp_freshness_read(dp_freshness_t *freshness,
                       const dp_answer_fields_t *fields);

/*
 * A lifetime made up to `percent` per cent shorter, so that what was fetched
 * together doesn't expire together. `dice` is any random number.
 */
apr_interval_time_t dp_freshness_jitter(apr_interval_time_t lifetime_usec,
                                        int percent, unsigned int dice);

#endif
