/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers say of the age of a tile, and a table of what they said last.
 * Used by request threads, and by the lot's.
 *
 * Writing a handful of numbers and dates takes longer than the rest of a hit,
 * so those of a hit are kept for the second in which they are true: a place
 * for each record, chosen by its id, the newer one pushing out the older. The
 * invariant: a place tells of the very version of a record that it names.
 */
#include "httpd/lines.h"

#include <apr_strings.h>
#include <pthread.h>

#include "base/digest.h"

/* How long others may keep a stale tile, seconds. */
#define STALE_LEFT_SEC 5

/* Powers of two. */
#define PLACES 1024
#define LOCKS 16

typedef struct place_t {
    dogpile_id_t write_id; /* of the record */
    apr_int64_t age_sec;   /* 0 and an id of zeros: nobody's */
    dp_lines_t lines;
} place_t;

struct dp_known_lines_t {
    pthread_mutex_t locks[LOCKS];
    place_t places[PLACES];
};

/* Caches behind us keep it for what is left of its life; a stale one for a
 * moment, in which it is refreshed, unless its source forbids that. */
static apr_time_t fresh_until(const dp_record_t *record, apr_time_t now)
{
    int grace = record->stale_usec == 0 ? 0 : STALE_LEFT_SEC;

    return record->expires > now ? record->expires
                                 : now + apr_time_from_sec(grace);
}

/* RFC 9111 section 4.2.3: Age counts as used, and so does what was over when
 * the source gave it. */
void dp_lines_make(dp_lines_t *lines, const dp_record_t *record,
                   const char *how, apr_time_t now)
{
    apr_time_t born = record->created - record->age_usec;
    apr_time_t until = fresh_until(record, now);
    apr_int64_t age =
        apr_time_sec((now > record->created ? now : record->created) - born);

    apr_rfc822_date(lines->last_modified, record->created);
    apr_rfc822_date(lines->expires, until);
    apr_snprintf(lines->cache_control, sizeof(lines->cache_control),
                 "max-age=%" APR_INT64_T_FMT "%s", apr_time_sec(until - born),
                 record->must_revalidate ? ", must-revalidate" : "");
    apr_snprintf(lines->age, sizeof(lines->age), "%" APR_INT64_T_FMT, age);
    apr_snprintf(lines->cache_status, sizeof(lines->cache_status),
                 "mod_dogpile; %s; ttl=%" APR_INT64_T_FMT, how,
                 apr_time_sec(record->expires - born) - age);
}

dp_known_lines_t *dp_known_lines_create(apr_pool_t *pool)
{
    dp_known_lines_t *made = apr_pcalloc(pool, sizeof(*made));
    int i;

    for (i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&made->locks[i], NULL);
    }
    return made;
}

const dp_lines_t *dp_lines_of_hit(dp_known_lines_t *known,
                                  const dp_record_t *record, apr_time_t now,
                                  apr_pool_t *result_pool)
{
    apr_int64_t age_sec = apr_time_sec(now - record->created);
    pthread_mutex_t *lock;
    unsigned int number;
    dp_lines_t *lines;
    place_t *place;

    memcpy(&number, record->write_id.bytes, sizeof(number));
    place = &known->places[number % PLACES];
    lock = &known->locks[number % LOCKS];
    pthread_mutex_lock(lock);
    if (place->age_sec != age_sec
        || !dp_id_equal(&place->write_id, &record->write_id)) {
        dp_lines_make(&place->lines, record, "hit", now);
        place->age_sec = age_sec;
        place->write_id = record->write_id;
    }
    lines = apr_pmemdup(result_pool, &place->lines, sizeof(*lines));
    pthread_mutex_unlock(lock);
    return lines;
}
