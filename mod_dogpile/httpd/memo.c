/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memos of a child: a table of sets, chosen by a hash, with a few places
 * each; a new request takes the place that was used least recently. Used by
 * request threads.
 *
 * Locks are shared by sets that are far apart, so that threads rarely meet.
 * The invariant: a place that is taken holds all of what it compares, so an
 * equal hash is never taken for an equal request.
 */
#include "httpd/memo.h"

#include <pthread.h>
#include <string.h>

/* Powers of two; 8192 requests are a few hundred map views, in 6 MB. */
#define SETS 1024
#define WAYS 8
#define LOCKS 16

/* 2^64 / the golden ratio: spreads every bit upwards. */
#define MIX 0x9e3779b97f4a7c15u

/* Longest path with its query, bytes. */
#define URI_MAX 640

/* Virtual hosts and places with settings of their own. */
#define SITUATIONS 256

/* Under what a request was made; many share one. */
typedef struct situation_t {
    const server_rec *server;
    dp_dir_t dir;
} situation_t;

typedef struct place_t {
    const situation_t *situation;
    dp_memo_t memo;
    apr_size_t size;   /* of the next */
    char uri[URI_MAX]; /* with its zero */
} place_t;

/* What a place takes of the arena. */
#define PLACE_BYTES (sizeof(place_t) + 64)

/* The most recently used first, those that were never used last. */
typedef struct set_t {
    struct {
        unsigned int hash;
        place_t *place; /* made at the first use, and kept; or NULL */
    } ways[WAYS];
} set_t;

struct dp_memos_t {
    pthread_mutex_t locks[LOCKS];
    set_t sets[SETS];
    dp_arena_t *arena; /* of the places */
    pthread_mutex_t situations_lock;
    situation_t situations[SITUATIONS];
    int nsituations;
};

/* A request, as it is compared. */
typedef struct asked_t {
    unsigned int hash;
    const char *uri;
    apr_size_t size; /* with its zero */
    const server_rec *server;
    const dp_dir_t *dir;
} asked_t;

dp_memos_t *dp_memos_create(int huge, apr_pool_t *pool)
{
    dp_memos_t *made = apr_pcalloc(pool, sizeof(*made));
    int i;

    for (i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&made->locks[i], NULL);
    }
    pthread_mutex_init(&made->situations_lock, NULL);
    dp_arena_create(&made->arena, SETS * WAYS * PLACE_BYTES, huge, pool);
    return made;
}

/* Eight bytes at a time: APR's hash goes byte by byte, which for a request of
 * WMS takes as long as all the rest of a memo. */
static unsigned int mix(const char *text, apr_size_t length)
{
    uint64_t hash = length;
    uint64_t word;

    for (; length >= sizeof(word); length -= sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        text += sizeof(word);
        hash = (hash ^ word) * MIX;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    hash = (hash ^ word) * MIX;
    return (unsigned int)(hash >> 32);
}

/* Only the request as it was sent: a redirected one may mean something else.
 * Returns 0 where it has no memo. */
static int is_askable(asked_t *asked, const request_rec *r, const dp_dir_t *dir)
{
    if (r->prev != NULL || r->parsed_uri.hostname != NULL) {
        return 0;
    }
    asked->uri = r->unparsed_uri;
    asked->size = strlen(asked->uri) + 1;
    if (asked->size > URI_MAX) {
        return 0;
    }
    asked->hash = mix(asked->uri, asked->size);
    asked->server = r->server;
    asked->dir = dir;
    return 1;
}

static set_t *set_of(dp_memos_t *memos, const asked_t *asked)
{
    return &memos->sets[asked->hash % SETS];
}

static pthread_mutex_t *lock_of(dp_memos_t *memos, const asked_t *asked)
{
    return &memos->locks[asked->hash % LOCKS];
}

static int is_situation(const situation_t *situation, const asked_t *asked)
{
    return situation->server == asked->server
           && memcmp(&situation->dir, asked->dir, sizeof(*asked->dir)) == 0;
}

/* A place that wasn't used for a moment is in no cache of the processor: all
 * of it is on its way before the first bytes are compared. */
static void prefetch(const place_t *place, apr_size_t size)
{
    const char *end = place->uri + size;
    const char *line;

    for (line = (const char *)place; line < end; line += 64) {
        __builtin_prefetch(line);
    }
}

static int is_same(const place_t *place, const asked_t *asked)
{
    prefetch(place, asked->size);
    return place->size == asked->size
           && memcmp(place->uri, asked->uri, asked->size) == 0
           && is_situation(place->situation, asked);
}

static void put_first(set_t *set, int from, unsigned int hash, place_t *place)
{
    memmove(&set->ways[1], &set->ways[0], from * sizeof(*set->ways));
    set->ways[0].hash = hash;
    set->ways[0].place = place;
}

/* It comes first then. */
static place_t *find_locked(set_t *set, const asked_t *asked)
{
    place_t *place;
    int i;

    for (i = 0; i < WAYS && set->ways[i].place != NULL; i++) {
        place = set->ways[i].place;
        if (set->ways[i].hash == asked->hash && is_same(place, asked)) {
            put_first(set, i, asked->hash, place);
            return place;
        }
    }
    return NULL;
}

int dp_memo_find(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                 dp_memo_t *memo)
{
    const place_t *place;
    asked_t asked;

    if (!is_askable(&asked, r, dir)) {
        return 0;
    }
    pthread_mutex_lock(lock_of(memos, &asked));
    place = find_locked(set_of(memos, &asked), &asked);
    if (place != NULL) {
        *memo = place->memo;
    }
    pthread_mutex_unlock(lock_of(memos, &asked));
    return place != NULL;
}

/* The request's; NULL where there are too many. */
static const situation_t *situation_of(dp_memos_t *memos, const asked_t *asked)
{
    situation_t *found = NULL;
    int i;

    pthread_mutex_lock(&memos->situations_lock);
    for (i = 0; i < memos->nsituations && found == NULL; i++) {
        if (is_situation(&memos->situations[i], asked)) {
            found = &memos->situations[i];
        }
    }
    if (found == NULL && memos->nsituations < SITUATIONS) {
        found = &memos->situations[memos->nsituations++];
        found->server = asked->server;
        found->dir = *asked->dir;
    }
    pthread_mutex_unlock(&memos->situations_lock);
    return found;
}

/* One that was never used, or the one that was used least recently. NULL where
 * there is no memory. */
static place_t *choose_locked(dp_memos_t *memos, set_t *set, unsigned int hash)
{
    place_t *place;
    int i = 0;

    while (i < WAYS - 1 && set->ways[i].place != NULL) {
        i++;
    }
    place = set->ways[i].place;
    if (place == NULL) {
        place = dp_arena_alloc(memos->arena, sizeof(*place));
    }
    if (place != NULL) {
        put_first(set, i, hash, place);
    }
    return place;
}

static place_t *add_locked(dp_memos_t *memos, set_t *set, const asked_t *asked)
{
    const situation_t *situation = situation_of(memos, asked);
    place_t *place = NULL;

    if (situation != NULL) {
        place = choose_locked(memos, set, asked->hash);
    }
    if (place != NULL) {
        place->situation = situation;
        place->size = asked->size;
        memcpy(place->uri, asked->uri, asked->size);
    }
    return place;
}

void dp_memo_keep(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                  const dp_memo_t *memo)
{
    place_t *place;
    asked_t asked;
    set_t *set;

    if (!is_askable(&asked, r, dir)) {
        return;
    }
    set = set_of(memos, &asked);
    pthread_mutex_lock(lock_of(memos, &asked));
    place = find_locked(set, &asked);
    if (place == NULL) {
        place = add_locked(memos, set, &asked);
    }
    if (place != NULL) {
        place->memo = *memo;
    }
    pthread_mutex_unlock(lock_of(memos, &asked));
}
