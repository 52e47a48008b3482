/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in the memory of a child. Used by its request threads (look) and
 * fetcher threads (forget).
 *
 * One mutex guards the index, the order of use and every entry's members but
 * `shared`, which doesn't change while anybody holds the entry. Stores are
 * asked without it. The invariant: an entry lives while it is in the index or
 * somebody holds it; its pool goes with the last of these.
 */
#include "store/hot.h"

#include <apr_hash.h>
#include <apr_ring.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <string.h>

/* How old a look at the store may be. */
#define CHECK_USEC apr_time_from_sec(1)

/* Records that were found once are remembered by that many marks. */
#define MARKS 4096

/* What an entry is known by: stores may hold records of the same key. */
typedef struct name_t {
    dogpile_digest_t digest;
    const dogpile_store_t *store;
} name_t;

typedef struct entry_t {
    dp_hot_record_t shared;
    unsigned char *bytes; /* the same, of the arena */
    name_t name;
    dp_hot_t *hot;
    apr_pool_t *pool;
    apr_time_t checked; /* when it was last seen in the store */
    int users;
    int is_indexed;
    APR_RING_ENTRY(entry_t) link;
} entry_t;

APR_RING_HEAD(order_t, entry_t);

struct dp_hot_t {
    apr_thread_mutex_t *mutex;
    const dp_clock_t *clock;
    dp_arena_t *arena;
    apr_hash_t *index;
    apr_pool_t *pool;      /* of the index */
    struct order_t *order; /* the most recently used first */
    apr_size_t bytes;
    apr_size_t bytes_max;
    int records_max;
    uint32_t marks[MARKS];
};

/* Its pool has no cleanups: that costs little. */
static void end(entry_t *entry)
{
    dp_arena_free(entry->hot->arena, entry->bytes);
    apr_pool_destroy(entry->pool);
}

/* At the end nobody holds an entry any more. */
static apr_status_t empty(void *baton)
{
    dp_hot_t *hot = baton;
    entry_t *entry;
    entry_t *next;

    for (entry = APR_RING_FIRST(hot->order);
         entry != APR_RING_SENTINEL(hot->order, entry_t, link); entry = next) {
        next = APR_RING_NEXT(entry, link);
        end(entry);
    }
    apr_pool_destroy(hot->pool);
    return APR_SUCCESS;
}

/* The first bytes of a digest are as good as any hash of it. */
static unsigned int hash_of(const char *name, apr_ssize_t *length)
{
    unsigned int hash;

    (void)length;
    memcpy(&hash, ((const name_t *)name)->digest.bytes, sizeof(hash));
    return hash;
}

apr_status_t dp_hot_create(dp_hot_t **hot, apr_size_t bytes_max,
                           int records_max, dp_arena_t *arena,
                           const dp_clock_t *clock, apr_pool_t *result_pool)
{
    dp_hot_t *made = apr_pcalloc(result_pool, sizeof(*made));

    /* The index grows while others use result_pool: it has a pool of its own,
     * as long-lived. */
    apr_pool_create_unmanaged(&made->pool);
    made->arena = arena;
    made->clock = clock;
    made->index = apr_hash_make_custom(made->pool, hash_of);
    made->order = apr_palloc(result_pool, sizeof(*made->order));
    APR_RING_INIT(made->order, entry_t, link);
    made->bytes_max = bytes_max;
    made->records_max = records_max;
    apr_pool_cleanup_register(result_pool, made, empty, apr_pool_cleanup_null);
    *hot = made;
    return apr_thread_mutex_create(&made->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   result_pool);
}

static void lock(dp_hot_t *hot)
{
    apr_thread_mutex_lock(hot->mutex);
}

static void unlock(dp_hot_t *hot)
{
    apr_thread_mutex_unlock(hot->mutex);
}

/* Padding is compared, too. */
static void name_of(name_t *name, const dogpile_store_t *store,
                    const dogpile_digest_t *digest)
{
    memset(name, 0, sizeof(*name));
    name->digest = *digest;
    name->store = store;
}

/* --- entries ----------------------------------------------------------- */

static entry_t *find_locked(dp_hot_t *hot, const name_t *name)
{
    return apr_hash_get(hot->index, name, sizeof(*name));
}

static void drop_locked(entry_t *entry)
{
    if (!entry->is_indexed && entry->users == 0) {
        end(entry);
    }
}

static void take_out_locked(dp_hot_t *hot, entry_t *entry)
{
    apr_hash_set(hot->index, &entry->name, sizeof(entry->name), NULL);
    APR_RING_REMOVE(entry, link);
    hot->bytes -= entry->shared.record.length;
    entry->is_indexed = 0;
    drop_locked(entry);
}

/* Of those that nobody uses, which alone makes room. Whether there was one. */
static int take_out_oldest(dp_hot_t *hot)
{
    entry_t *none = APR_RING_SENTINEL(hot->order, entry_t, link);
    entry_t *entry;

    lock(hot);
    entry = APR_RING_LAST(hot->order);
    while (entry != none && entry->users > 0) {
        entry = APR_RING_PREV(entry, link);
    }
    if (entry != none) {
        take_out_locked(hot, entry);
    }
    unlock(hot);
    return entry != none;
}

static apr_status_t let_go(void *baton)
{
    entry_t *entry = baton;
    dp_hot_t *hot = entry->hot;

    lock(hot);
    entry->users--;
    drop_locked(entry);
    unlock(hot);
    return APR_SUCCESS;
}

/* The caller holds it until `user_pool` is cleared. */
static void hold_locked(entry_t *entry, apr_pool_t *user_pool)
{
    entry->users++;
    apr_pool_cleanup_register(user_pool, entry, let_go, apr_pool_cleanup_null);
    APR_RING_REMOVE(entry, link);
    APR_RING_INSERT_HEAD(entry->hot->order, entry, entry_t, link);
}

static void forget(dp_hot_t *hot, const name_t *name)
{
    entry_t *entry;

    lock(hot);
    entry = find_locked(hot, name);
    if (entry != NULL) {
        take_out_locked(hot, entry);
    }
    unlock(hot);
}

/* --- getting in -------------------------------------------------------- */

/* Found before, as far as the marks know. */
static int is_known_locked(dp_hot_t *hot, const dogpile_digest_t *digest)
{
    uint32_t words[2];
    uint32_t *mark;
    int is_known;

    memcpy(words, digest->bytes, sizeof(words));
    mark = &hot->marks[words[0] % MARKS];
    is_known = *mark == words[1];
    *mark = words[1];
    return is_known;
}

static void *alloc(dp_hot_t *hot, apr_size_t size)
{
    void *block = dp_arena_alloc(hot->arena, size);

    while (block == NULL && take_out_oldest(hot)) {
        block = dp_arena_alloc(hot->arena, size);
    }
    return block;
}

/* All bytes of what was found, copied; NULL where they can't be read. */
static unsigned char *copy_bytes(dp_hot_t *hot, const dp_found_t *found)
{
    apr_size_t length = found->record.length;
    apr_pool_t *scratch_pool;
    unsigned char *block = NULL;
    const unsigned char *bytes;

    apr_pool_create_unmanaged(&scratch_pool);
    if (dp_blob_bytes(&bytes, &found->blob, 0, length, scratch_pool)
        == APR_SUCCESS) {
        block = alloc(hot, length);
    }
    if (block != NULL) {
        memcpy(block, bytes, length);
    }
    apr_pool_destroy(scratch_pool);
    return block;
}

/* An entry with a copy of what was found; NULL where there can't be one. */
static entry_t *copy(dp_hot_t *hot, const name_t *name, const dp_found_t *found,
                     apr_time_t now)
{
    apr_size_t length = found->record.length;
    unsigned char *bytes = copy_bytes(hot, found);
    apr_pool_t *pool;
    apr_size_t need;
    entry_t *entry;

    if (bytes == NULL) {
        return NULL;
    }
    apr_pool_create_unmanaged(&pool); /* whoever ends it */
    entry = apr_pcalloc(pool, sizeof(*entry));
    entry->hot = hot;
    entry->pool = pool;
    entry->name = *name;
    entry->checked = now;
    entry->bytes = bytes;
    entry->shared.bytes = bytes;
    dp_hex(entry->shared.key, name->digest.bytes, DOGPILE_DIGEST_BYTES);
    if (dp_record_read(&entry->shared.record, bytes, length, length,
                       &name->digest, &need, pool)
        != APR_SUCCESS) {
        end(entry);
        return NULL;
    }
    return entry;
}

static void put_in(dp_hot_t *hot, entry_t *entry, apr_pool_t *user_pool)
{
    entry_t *before;

    lock(hot);
    before = find_locked(hot, &entry->name);
    if (before != NULL) {
        take_out_locked(hot, before);
    }
    apr_hash_set(hot->index, &entry->name, sizeof(entry->name), entry);
    APR_RING_INSERT_HEAD(hot->order, entry, entry_t, link);
    hot->bytes += entry->shared.record.length;
    entry->is_indexed = 1;
    hold_locked(entry, user_pool);
    while (hot->bytes > hot->bytes_max
           || (int)apr_hash_count(hot->index) > hot->records_max) {
        take_out_locked(hot, APR_RING_LAST(hot->order));
    }
    unlock(hot);
}

/* --- looking ----------------------------------------------------------- */

/* What was seen in the store a moment ago, and expires later than `unexpired`,
 * or NULL. */
static const dp_hot_record_t *seen_entry(dp_hot_t *hot, const name_t *name,
                                         apr_time_t now, apr_time_t unexpired,
                                         apr_pool_t *user_pool)
{
    const dp_hot_record_t *shared = NULL;
    entry_t *entry;

    lock(hot);
    entry = find_locked(hot, name);
    if (entry != NULL && now - entry->checked < CHECK_USEC
        && now >= entry->checked && entry->shared.record.expires > unexpired) {
        hold_locked(entry, user_pool);
        shared = &entry->shared;
    }
    unlock(hot);
    return shared;
}

/* The entry, when the store still has the same version of it. */
static const dp_hot_record_t *same_entry(dp_hot_t *hot, const name_t *name,
                                         const dogpile_id_t *write_id,
                                         apr_time_t now, apr_pool_t *user_pool)
{
    const dp_hot_record_t *shared = NULL;
    entry_t *entry;

    lock(hot);
    entry = find_locked(hot, name);
    if (entry != NULL
        && dp_id_equal(&entry->shared.record.write_id, write_id)) {
        entry->checked = now;
        hold_locked(entry, user_pool);
        shared = &entry->shared;
    }
    unlock(hot);
    return shared;
}

static int should_get_in(dp_hot_t *hot, const dp_found_t *found,
                         const name_t *name)
{
    int is_known;

    if (found->record.length > hot->bytes_max / 16) {
        return 0;
    }
    lock(hot);
    is_known = is_known_locked(hot, &name->digest);
    unlock(hot);
    return is_known;
}

const dp_hot_record_t *dp_hot_find(dp_hot_t *hot, const dogpile_store_t *store,
                                   const dogpile_digest_t *digest,
                                   apr_pool_t *user_pool)
{
    name_t name;

    name_of(&name, store, digest);
    return seen_entry(hot, &name, dp_clock_now(hot->clock), 0, user_pool);
}

apr_status_t dp_hot_look(dp_hot_t *hot, dogpile_store_t *store,
                         const dogpile_key_t *key,
                         const dp_hot_record_t **shared, dp_found_t *found,
                         apr_pool_t *user_pool)
{
    apr_time_t now = dp_clock_now(hot->clock);
    apr_status_t status;
    entry_t *entry;
    name_t name;

    name_of(&name, store, &key->digest);
    *shared = seen_entry(hot, &name, now, now, user_pool);
    if (*shared != NULL) {
        return APR_SUCCESS;
    }
    status = dp_store_look(store, key, found, user_pool);
    if (status != APR_SUCCESS) {
        forget(hot, &name);
        return status;
    }
    *shared = same_entry(hot, &name, &found->record.write_id, now, user_pool);
    if (*shared == NULL && should_get_in(hot, found, &name)) {
        entry = copy(hot, &name, found, now);
        if (entry != NULL) {
            put_in(hot, entry, user_pool);
            *shared = &entry->shared;
        }
    }
    return APR_SUCCESS;
}

void dp_hot_forget(dp_hot_t *hot, const dogpile_store_t *store,
                   const dogpile_key_t *key)
{
    name_t name;

    name_of(&name, store, &key->digest);
    forget(hot, &name);
}

void dp_hot_count(dp_hot_t *hot, int *records, apr_size_t *bytes)
{
    lock(hot);
    *records = (int)apr_hash_count(hot->index);
    *bytes = hot->bytes;
    unlock(hot);
}
