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

#include <apr_strings.h>
#include <pthread.h>

/* Powers of two; 4096 places of 1.4 kB are a few hundred map views. */
#define SETS 1024
#define WAYS 4
#define LOCKS 16

/* 2^64 / the golden ratio: spreads every bit upwards. */
#define MIX 0x9e3779b97f4a7c15u

/* Longest path with its query, bytes. */
#define URI_MAX 640

typedef struct place_t {
    unsigned int hash;
    uint64_t used; /* when, by the count of its set */
    const server_rec *server;
    dp_dir_t dir;
    dp_memo_t memo;
    char uri[URI_MAX]; /* ends with a zero */
} place_t;

struct dp_memos_t {
    pthread_mutex_t locks[LOCKS];
    struct {
        uint64_t count;
        place_t *places[WAYS]; /* made at the first use, and kept */
    } sets[SETS];
    apr_pool_t *pool;
    pthread_mutex_t pool_lock;
};

apr_status_t dp_memos_create(dp_memos_t **memos, apr_pool_t *pool)
{
    dp_memos_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_allocator_t *allocator;
    int i;

    for (i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&made->locks[i], NULL);
    }
    pthread_mutex_init(&made->pool_lock, NULL);
    apr_allocator_create(&allocator);
    *memos = made;
    return apr_pool_create_unmanaged_ex(&made->pool, NULL, allocator);
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
 * 0 where it has no memo. */
static unsigned int hash_of(const request_rec *r)
{
    apr_size_t length;

    if (r->prev != NULL || r->parsed_uri.hostname != NULL) {
        return 0;
    }
    length = strlen(r->unparsed_uri);
    return length < URI_MAX ? mix(r->unparsed_uri, length) : 0;
}

static int is_same(const place_t *place, unsigned int hash,
                   const request_rec *r, const dp_dir_t *dir)
{
    return place != NULL && place->hash == hash && place->server == r->server
           && strcmp(place->uri, r->unparsed_uri) == 0
           && memcmp(&place->dir, dir, sizeof(*dir)) == 0;
}

static place_t *find_locked(dp_memos_t *memos, unsigned int hash,
                            const request_rec *r, const dp_dir_t *dir)
{
    place_t *const *places = memos->sets[hash % SETS].places;
    int i;

    for (i = 0; i < WAYS; i++) {
        if (is_same(places[i], hash, r, dir)) {
            places[i]->used = ++memos->sets[hash % SETS].count;
            return places[i];
        }
    }
    return NULL;
}

dp_memo_t *dp_memo_find(dp_memos_t *memos, const request_rec *r,
                        const dp_dir_t *dir)
{
    unsigned int hash = hash_of(r);
    pthread_mutex_t *lock = &memos->locks[hash % LOCKS];
    dp_memo_t *memo = NULL;
    const place_t *place;

    if (hash == 0) {
        return NULL;
    }
    pthread_mutex_lock(lock);
    place = find_locked(memos, hash, r, dir);
    if (place != NULL) {
        memo = apr_pmemdup(r->pool, &place->memo, sizeof(*memo));
    }
    pthread_mutex_unlock(lock);
    return memo;
}

static place_t *make_place(dp_memos_t *memos)
{
    place_t *place;

    pthread_mutex_lock(&memos->pool_lock);
    place = apr_palloc(memos->pool, sizeof(*place));
    pthread_mutex_unlock(&memos->pool_lock);
    return place;
}

/* An empty place of the set, or the one that was used least recently. */
static place_t *choose_locked(dp_memos_t *memos, unsigned int hash)
{
    place_t **places = memos->sets[hash % SETS].places;
    place_t **oldest = &places[0];
    int i;

    for (i = 0; i < WAYS; i++) {
        if (places[i] == NULL) {
            places[i] = make_place(memos);
            return places[i];
        }
        if (places[i]->used < (*oldest)->used) {
            oldest = &places[i];
        }
    }
    return *oldest;
}

void dp_memo_keep(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                  const dp_memo_t *memo)
{
    unsigned int hash = hash_of(r);
    pthread_mutex_t *lock = &memos->locks[hash % LOCKS];
    place_t *place;

    if (hash == 0) {
        return;
    }
    pthread_mutex_lock(lock);
    place = find_locked(memos, hash, r, dir);
    if (place == NULL) {
        place = choose_locked(memos, hash);
        place->hash = hash;
        place->used = ++memos->sets[hash % SETS].count;
        place->server = r->server;
        place->dir = *dir;
        strcpy(place->uri, r->unparsed_uri); /* shorter, says hash_of() */
    }
    place->memo = *memo;
    pthread_mutex_unlock(lock);
}
