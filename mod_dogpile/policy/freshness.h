/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a source's answer is fresh, how long it may be served after that,
 * and whether it may be shared; and what a client asks of a cache.
 *
 * Pure functions of texts, times and numbers: RFC 9111 (HTTP caching) with
 * RFC 9213 (CDN-Cache-Control) and RFC 5861 (stale answers). The module is a
 * shared cache, and its own request carries no credentials.
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

/* Of a time after expiry: the source doesn't say. */
#define DP_WINDOW_UNSET (-1)

typedef struct dp_freshness_t {
    int is_shareable;                  /* 0: private, no-store, or Vary: *  */
    int is_explicit;                   /* the source gave a lifetime */
    int must_revalidate;               /* nobody may serve it stale */
    apr_interval_time_t lifetime_usec; /* what is left of it; 0 or more */
    apr_interval_time_t age_usec;      /* what of it was over before */
    /* After the lifetime: how long it may be served while it is refreshed, and
     * where it can't be refreshed; or DP_WINDOW_UNSET. */
    apr_interval_time_t stale_usec;
    apr_interval_time_t stale_on_error_usec;
} dp_freshness_t;

/*
 * What the source says. A Cache-Control that is there but can't be read
 * counts as its readable part; a CDN-Cache-Control is believed as a whole or
 * not at all.
 */
void dp_freshness_read(dp_freshness_t *freshness,
                       const dp_answer_fields_t *fields);

/* What a client asks for (RFC 9111 section 5.2.1), as far as it counts here. */
typedef struct dp_asked_t {
    int only_if_cached;
    apr_interval_time_t max_age_usec; /* 0 for no-cache; -1: any age will do */
} dp_asked_t;

/* Both texts may be NULL. */
void dp_freshness_asked(dp_asked_t *asked, const char *cache_control,
                        const char *pragma);

/*
 * A lifetime made up to `percent` per cent shorter, so that what was fetched
 * together doesn't expire together. `dice` is any random number.
 */
apr_interval_time_t dp_freshness_jitter(apr_interval_time_t lifetime_usec,
                                        int percent, unsigned int dice);

#endif
