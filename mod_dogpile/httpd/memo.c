/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memos of a child: a table with one place for each value of a hash; a
 * newer request takes the place of an older one. Used by request threads.
 *
 * Locks are shared by places that are far apart, so that threads rarely meet.
 * The invariant: a place that is taken holds all of what it compares, so an
 * equal hash is never taken for an equal request.
 */
#include "httpd/memo.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <pthread.h>

/* A power of two; a map view has a few dozen tiles. */
#define PLACES 4096
#define LOCKS 16

/* Longest path with its query, bytes. */
#define URI_MAX 1024

typedef struct place_t {
    unsigned int hash; /* 0: never used */
    const server_rec *server;
    dp_dir_t dir;
    dp_memo_t memo;
    char uri[URI_MAX]; /* ends with a zero */
} place_t;

struct dp_memos_t {
    pthread_mutex_t locks[LOCKS];
    place_t *places[PLACES]; /* made at the first use, and kept */
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

/* Only the request as it was sent: a redirected one may mean something else.
 * 0 where it has no memo. */
static unsigned int hash_of(const request_rec *r)
{
    apr_ssize_t length = APR_HASH_KEY_STRING;
    unsigned int hash;

    if (r->prev != NULL || r->parsed_uri.hostname != NULL) {
        return 0;
    }
    hash = apr_hashfunc_default(r->unparsed_uri, &length);
    return length < URI_MAX ? hash : 0;
}

static int is_same(const place_t *place, unsigned int hash,
                   const request_rec *r, const dp_dir_t *dir)
{
    return place != NULL && place->hash == hash && place->server == r->server
           && strcmp(place->uri, r->unparsed_uri) == 0
           && memcmp(&place->dir, dir, sizeof(*dir)) == 0;
}

int dp_memo_find(dp_memos_t *memos, const request_rec *r, const dp_dir_t *dir,
                 dp_memo_t *memo)
{
    unsigned int hash = hash_of(r);
    pthread_mutex_t *lock = &memos->locks[hash % LOCKS];
    const place_t *place;
    int is_known;

    if (hash == 0) {
        return 0;
    }
    pthread_mutex_lock(lock);
    place = memos->places[hash % PLACES];
    is_known = is_same(place, hash, r, dir);
    if (is_known) {
        *memo = place->memo;
    }
    pthread_mutex_unlock(lock);
    return is_known;
}

static place_t *make_place(dp_memos_t *memos)
{
    place_t *place;

    pthread_mutex_lock(&memos->pool_lock);
    place = apr_palloc(memos->pool, sizeof(*place));
    pthread_mutex_unlock(&memos->pool_lock);
    return place;
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
    place = memos->places[hash % PLACES];
    if (place == NULL) {
        place = make_place(memos);
        memos->places[hash % PLACES] = place;
    }
    place->hash = hash;
    place->server = r->server;
    place->dir = *dir;
    place->memo = *memo;
    strcpy(place->uri, r->unparsed_uri); /* shorter, says hash_of() */
    pthread_mutex_unlock(lock);
}
