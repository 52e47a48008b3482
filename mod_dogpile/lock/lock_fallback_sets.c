/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens that the members of a fallback gave, by the fallback's own.
 *
 * Used by any thread of the process that took the locks, and by nobody else: a
 * process that dies leaves its leases to their end, and a token of its is
 * unknown to others. One mutex guards the table and its pool; nothing is called
 * with it held.
 *
 * A holder that renews or releases works on a copy, as that takes calls to
 * servers. Then dp_sets_update() tells what is still true: a lease that was
 * taken for a set which was given back meanwhile has no place any more. The
 * invariant: a token is in the table, or its caller gives it back.
 */
#include "lock/lock_fallback.h"

#include <apr_hash.h>
#include <pthread.h>
#include <string.h>

#include "base/digest.h"

#define USERDATA "dogpile_fallback_sets"

/* Sets that are over are looked for when this many, or twice as many as were
 * left the last time, are there. */
#define SWEEP_AT 64

typedef struct entry_t entry_t;
struct entry_t {
    dp_set_t set;
    apr_time_t over_at; /* nobody asks for it after that */
    entry_t *next_free;
};

struct dp_sets_t {
    pthread_mutex_t mutex;
    apr_pool_t *pool;
    apr_hash_t *by_name;
    entry_t *free;
    unsigned int sweep_at;
};

static apr_status_t destroy(void *sets)
{
    pthread_mutex_destroy(&((dp_sets_t *)sets)->mutex);
    return APR_SUCCESS;
}

/* The pool's allocator is ours alone, as nobody else knows our mutex. */
static apr_status_t make(dp_sets_t **sets, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_status_t status = apr_allocator_create(&allocator);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = apr_pool_create_ex(&pool, parent, NULL, allocator);
    if (status != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return status;
    }
    apr_allocator_owner_set(allocator, pool);
    apr_pool_tag(pool, USERDATA);
    *sets = apr_pcalloc(pool, sizeof(**sets));
    (*sets)->pool = pool;
    (*sets)->by_name = apr_hash_make(pool);
    (*sets)->sweep_at = SWEEP_AT;
    pthread_mutex_init(&(*sets)->mutex, NULL);
    apr_pool_cleanup_register(pool, *sets, destroy, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

apr_status_t dp_sets_of(dp_sets_t **sets, apr_pool_t *pool)
{
    void *found = NULL;
    apr_status_t status = apr_pool_userdata_get(&found, USERDATA, pool);

    if (status == APR_SUCCESS && found != NULL) {
        *sets = found;
        return APR_SUCCESS;
    }
    status = make(sets, pool);
    if (status == APR_SUCCESS) {
        status = apr_pool_userdata_setn(*sets, USERDATA, NULL, pool);
    }
    return status;
}

/* --- under the mutex --------------------------------------------------- */

static entry_t *find_locked(dp_sets_t *sets, const dogpile_id_t *name,
                            const dogpile_digest_t *digest)
{
    entry_t *entry = apr_hash_get(sets->by_name, name->bytes, DOGPILE_ID_BYTES);

    return entry && dp_digest_equal(&entry->set.digest, digest) ? entry : NULL;
}

static void remove_locked(dp_sets_t *sets, entry_t *entry)
{
    apr_hash_set(sets->by_name, entry->set.name.bytes, DOGPILE_ID_BYTES, NULL);
    entry->next_free = sets->free;
    sets->free = entry;
}

static void sweep_locked(dp_sets_t *sets, apr_time_t now)
{
    apr_hash_index_t *at = apr_hash_first(NULL, sets->by_name);
    unsigned int left;

    while (at) {
        entry_t *entry = apr_hash_this_val(at);

        at = apr_hash_next(at); /* before what it stands on goes */
        if (entry->over_at <= now) {
            remove_locked(sets, entry);
        }
    }
    left = apr_hash_count(sets->by_name);
    sets->sweep_at = left < SWEEP_AT / 2 ? SWEEP_AT : 2 * left;
}

static entry_t *make_entry_locked(dp_sets_t *sets)
{
    entry_t *entry = sets->free;

    if (entry == NULL) {
        return apr_palloc(sets->pool, sizeof(*entry));
    }
    sets->free = entry->next_free;
    return entry;
}

/* --- one set ----------------------------------------------------------- */

int dp_set_has(const dp_set_t *set, int index)
{
    return !dp_id_is_none(&set->holds[index].token);
}

int dp_set_is_held(const dp_set_t *set)
{
    int i;

    for (i = 0; i < DP_MEMBERS_MAX; i++) {
        if (dp_set_has(set, i)) {
            return 1;
        }
    }
    return 0;
}

/* --- for callers ------------------------------------------------------- */

apr_status_t dp_sets_add(dp_sets_t *sets, const dp_set_t *set, apr_time_t now,
                         apr_time_t over_at)
{
    apr_status_t status = APR_ENOSPC;
    unsigned int count;
    entry_t *entry;

    pthread_mutex_lock(&sets->mutex);
    count = apr_hash_count(sets->by_name);
    if (count >= sets->sweep_at || count >= DP_SETS_MAX) {
        sweep_locked(sets, now);
    }
    if (apr_hash_count(sets->by_name) < DP_SETS_MAX) {
        entry = make_entry_locked(sets);
        entry->set = *set;
        entry->over_at = over_at;
        apr_hash_set(sets->by_name, entry->set.name.bytes, DOGPILE_ID_BYTES,
                     entry);
        status = APR_SUCCESS;
    }
    pthread_mutex_unlock(&sets->mutex);
    return status;
}

int dp_sets_find(dp_sets_t *sets, dp_set_t *set, const dogpile_id_t *name,
                 const dogpile_digest_t *digest)
{
    entry_t *entry;

    pthread_mutex_lock(&sets->mutex);
    entry = find_locked(sets, name, digest);
    if (entry) {
        *set = entry->set;
    }
    pthread_mutex_unlock(&sets->mutex);
    return entry != NULL;
}

int dp_sets_take(dp_sets_t *sets, dp_set_t *set, const dogpile_id_t *name,
                 const dogpile_digest_t *digest)
{
    entry_t *entry;

    pthread_mutex_lock(&sets->mutex);
    entry = find_locked(sets, name, digest);
    if (entry) {
        *set = entry->set;
        remove_locked(sets, entry);
    }
    pthread_mutex_unlock(&sets->mutex);
    return entry != NULL;
}

static void merge_locked(dp_set_t *kept, const dp_set_t *before,
                         const dp_set_t *after, dp_set_t *spare)
{
    int i;

    for (i = 0; i < DP_MEMBERS_MAX; i++) {
        dp_hold_t *hold = &kept->holds[i];

        if (dp_id_equal(&hold->token, &before->holds[i].token)) {
            *hold = after->holds[i];
        }
        else if (!dp_id_equal(&after->holds[i].token,
                              &before->holds[i].token)) {
            spare->holds[i] = after->holds[i];
        }
    }
}

int dp_sets_update(dp_sets_t *sets, const dp_set_t *before,
                   const dp_set_t *after, apr_time_t over_at, dp_set_t *spare)
{
    dp_set_t gone = {.mode = after->mode};
    entry_t *entry;

    memset(spare, 0, sizeof(*spare));
    /* That nothing can be equal to. */
    memset(gone.holds, 0xff, sizeof(gone.holds));
    pthread_mutex_lock(&sets->mutex);
    entry = find_locked(sets, &before->name, &before->digest);
    if (entry == NULL) {
        merge_locked(&gone, before, after, spare);
    }
    else {
        entry->over_at = over_at;
        merge_locked(&entry->set, before, after, spare);
        if (!dp_set_is_held(&entry->set)) {
            remove_locked(sets, entry);
        }
    }
    pthread_mutex_unlock(&sets->mutex);
    return entry != NULL;
}

int dp_sets_count(dp_sets_t *sets)
{
    int count;

    pthread_mutex_lock(&sets->mutex);
    count = (int)apr_hash_count(sets->by_name);
    pthread_mutex_unlock(&sets->mutex);
    return count;
}
