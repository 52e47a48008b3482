/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcache store: metatiles in memcached servers, for hosts that share no
 * disk.
 *
 * create runs in the parent and contacts nothing; child_init once in each
 * child; look in any thread. A look reads the whole record into the memory of
 * its request. Calls end after a second, with whatever they have.
 *
 * The store's id is an item of its own, made by whoever comes first. A server
 * that has lost its memory has lost it, too: every child tells it anew now and
 * then, and takes on what another one has told before. `id` is read by other
 * threads meanwhile; whoever reads half of it compares it with something it
 * isn't equal to, and at worst fetches for itself once.
 *
 * Invariant: what comes from a server is trusted as little as a request.
 */
#include "store/store_memcache.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"

/* Of a call: the store's contract. */
#define TIMEOUT_USEC APR_USEC_PER_SEC

/* How often a child asks for the id: the time for which children may disagree
 * after a server was flushed. */
#define ID_PERIOD_SEC 10

static const char *memcache_create(dogpile_store_t **store,
                                   const dogpile_store_conf_t *conf,
                                   apr_pool_t *result_pool)
{
    dp_store_memcache_t *memcache = apr_pcalloc(result_pool, sizeof(*memcache));
    apr_array_header_t *servers =
        apr_array_make(result_pool, 1, sizeof(const char *));
    const char *error;

    APR_ARRAY_PUSH(servers, const char *) = conf->where;
    error = dp_mc_create(
        &memcache->mc,
        apr_pstrcat(result_pool, "store memcache:", conf->where, NULL), servers,
        TIMEOUT_USEC, conf->log, result_pool);
    if (error) {
        return apr_psprintf(result_pool, "memcache:%s: %s", conf->where, error);
    }
    if (conf->limit_bytes != 0) {
        return "limit= is not known to the memcache store: memcached has its "
               "own limit, option -m";
    }
    memcache->store.provider = &dp_store_memcache;
    memcache->store.conf = conf;
    memcache->servers = servers;
    *store = &memcache->store;
    return NULL;
}

apr_time_t dp_memcache_deadline(void)
{
    return dp_clock_now(&dp_clock_monotonic) + TIMEOUT_USEC;
}

/* ---- the id ---- */

/* Add ours, or a new one; what then stands there is it. */
static void agree_on_id(dp_store_memcache_t *memcache, dp_mc_call_t *call,
                        apr_pool_t *pool)
{
    dp_mc_value_t value = {.size = 2 * DOGPILE_ID_BYTES};
    dogpile_id_t id = memcache->store.id;
    char hex[DP_ID_HEX_BYTES];
    dp_mc_item_t item;
    apr_status_t status;

    if (dp_id_is_none(&id)) {
        dp_id_make(&id);
    }
    value.bytes = dp_hex(hex, id.bytes, sizeof(id.bytes));
    status = dp_mc_add(call, DP_MEMCACHE_ID_KEY, &value);
    if (status == APR_EEXIST) {
        status = dp_mc_get(call, DP_MEMCACHE_ID_KEY, value.size, &item, pool);
        if (status == APR_SUCCESS
            && (item.bytes == NULL
                || !dp_unhex(id.bytes, sizeof(id.bytes),
                             (const char *)item.bytes))) {
            status = APR_EINVAL;
        }
    }
    if (status == APR_SUCCESS && !dp_id_equal(&memcache->store.id, &id)) {
        memcache->store.id = id;
    }
}

static void ask_for_id(dp_store_memcache_t *memcache, apr_time_t deadline,
                       apr_pool_t *scratch_pool)
{
    dogpile_digest_t digest;
    dp_mc_call_t call;

    dp_digest(&digest, DP_MEMCACHE_ID_KEY, strlen(DP_MEMCACHE_ID_KEY));
    if (dp_mc_begin(&call, memcache->mc, &digest, deadline) == APR_SUCCESS) {
        do {
            agree_on_id(memcache, &call, scratch_pool);
        } while (dp_mc_again(&call));
    }
    dp_mc_end(&call);
}

void dp_memcache_refresh_id(dp_store_memcache_t *memcache, apr_time_t deadline,
                            apr_pool_t *scratch_pool)
{
    apr_time_t clock = dp_clock_now(&dp_clock_monotonic);
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(clock);
    apr_uint32_t before = apr_atomic_read32(&memcache->id_sec);

    if (clock < deadline && now - before >= ID_PERIOD_SEC
        && apr_atomic_cas32(&memcache->id_sec, now, before) == before) {
        ask_for_id(memcache, deadline, scratch_pool);
    }
}

/* Never fails for a server that can't be reached: it may come back. */
static apr_status_t memcache_child_init(dogpile_store_t *store,
                                        apr_pool_t *child_pool)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;
    apr_status_t status = dp_mc_child_init(memcache->mc, child_pool);

    if (status == APR_SUCCESS) {
        memcache->id_sec =
            (apr_uint32_t)apr_time_sec(dp_clock_now(&dp_clock_monotonic));
        ask_for_id(memcache, dp_memcache_deadline(), child_pool);
    }
    return status;
}

/* ---- reading ---- */

const char *dp_memcache_tile_name(const dogpile_key_t *key, apr_pool_t *pool)
{
    char hex[DP_DIGEST_HEX_BYTES];

    dp_hex(hex, key->digest.bytes, sizeof(key->digest.bytes));
    return apr_pstrcat(pool, DP_MEMCACHE_TILE_PREFIX, hex, NULL);
}

const char *dp_memcache_part_name(const dogpile_id_t *id, int part,
                                  apr_pool_t *pool)
{
    char hex[DP_ID_HEX_BYTES];

    dp_hex(hex, id->bytes, sizeof(id->bytes));
    return apr_psprintf(pool, DP_MEMCACHE_PART_PREFIX "%s-%d", hex, part);
}

/* The parts of the record behind its first item. */
static apr_status_t read_parts(dp_present_t *present, dp_mc_call_t *call,
                               const dp_mc_item_t *first, apr_pool_t *pool)
{
    apr_size_t n = (apr_size_t)present->nparts;
    const char **names = apr_palloc(pool, n * sizeof(*names));
    dp_mc_item_t *items = apr_palloc(pool, n * sizeof(*items));
    apr_size_t length = first->size;
    apr_status_t status;
    unsigned char *bytes;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        names[i] = dp_memcache_part_name(&present->id, (int)i, pool);
    }
    status = dp_mc_get_all(call, names, present->nparts, DP_MEMCACHE_ITEM_BYTES,
                           items, pool);
    for (i = 0; status == APR_SUCCESS && i < n; i++) {
        status = items[i].bytes ? APR_SUCCESS : APR_NOTFOUND;
        length += items[i].size;
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    bytes = apr_palloc(pool, length);
    memcpy(bytes, first->bytes, first->size);
    for (length = first->size, i = 0; i < n; i++) {
        memcpy(bytes + length, items[i].bytes, items[i].size);
        length += items[i].size;
    }
    present->blob.bytes = bytes;
    present->blob.have = present->blob.length = length;
    return APR_SUCCESS;
}

apr_status_t dp_memcache_read(dp_present_t *present, dp_mc_call_t *call,
                              const dogpile_key_t *key, apr_pool_t *result_pool)
{
    dp_mc_item_t first;
    apr_status_t status;

    memset(present, 0, sizeof(*present));
    present->name = dp_memcache_tile_name(key, result_pool);
    status = dp_mc_get(call, present->name, DP_MEMCACHE_ITEM_BYTES, &first,
                       result_pool);
    if (status != APR_SUCCESS) {
        return status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    present->exists = 1;
    present->is_whole = 1;
    present->cas = first.cas;
    if (first.bytes == NULL) {
        return APR_SUCCESS; /* none of ours: a blob without bytes */
    }
    present->blob.bytes = first.bytes;
    present->blob.have = present->blob.length = first.size;
    if (first.flags == 0 || first.flags > DP_MEMCACHE_PARTS_MAX
        || first.size < DOGPILE_RECORD_WRITE_ID + DOGPILE_ID_BYTES) {
        return APR_SUCCESS;
    }
    present->nparts = (int)first.flags;
    memcpy(present->id.bytes, first.bytes + DOGPILE_RECORD_WRITE_ID,
           DOGPILE_ID_BYTES);
    status = read_parts(present, call, &first, result_pool);
    present->is_whole = status == APR_SUCCESS;
    return status == APR_NOTFOUND ? APR_SUCCESS : status;
}

/* A record whose parts are missing was replaced while it was read, or a part
 * was evicted: then it is the same again. */
static apr_status_t look_up(dp_present_t *present, dp_mc_call_t *call,
                            const dogpile_key_t *key, apr_pool_t *pool)
{
    apr_uint64_t before;
    apr_status_t status;

    present->cas = 0;
    do {
        before = present->cas;
        status = dp_memcache_read(present, call, key, pool);
    } while (status == APR_SUCCESS && present->exists && !present->is_whole
             && present->cas != before);
    return status;
}

static apr_status_t memcache_look(dogpile_store_t *store,
                                  const dogpile_key_t *key,
                                  dogpile_blob_t *blob, apr_pool_t *result_pool)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;
    apr_time_t deadline = dp_memcache_deadline();
    dp_present_t present;
    dp_mc_call_t call;
    apr_status_t status;

    status = dp_mc_begin(&call, memcache->mc, &key->digest, deadline);
    if (status == APR_SUCCESS) {
        do {
            status = look_up(&present, &call, key, result_pool);
        } while (dp_mc_again(&call));
    }
    dp_mc_end(&call);
    if (status != APR_SUCCESS) {
        return status;
    }
    dp_memcache_refresh_id(memcache, deadline, result_pool);
    if (!present.exists || !present.is_whole) {
        return APR_NOTFOUND;
    }
    *blob = present.blob;
    return APR_SUCCESS;
}

/* ---- for others ---- */

static const apr_array_header_t *memcache_servers(dogpile_store_t *store,
                                                  apr_pool_t *pool)
{
    (void)pool;
    return ((const dp_store_memcache_t *)store)->servers;
}

static void memcache_describe(dogpile_store_t *store, dogpile_row_fn *row,
                              void *baton, apr_pool_t *scratch_pool)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;
    char hex[DP_ID_HEX_BYTES];

    row(baton, "type", store->provider->type);
    dp_mc_describe(memcache->mc, row, baton, scratch_pool);
    row(baton, "id",
        dp_id_is_none(&store->id)
            ? "unknown"
            : dp_hex(hex, store->id.bytes, sizeof(store->id.bytes)));
}

const dogpile_store_provider_t dp_store_memcache = {
    .version = DOGPILE_STORE_VERSION,
    .type = "memcache",
    .create = memcache_create,
    .child_init = memcache_child_init,
    .look = memcache_look,
    .put = dp_memcache_put,
    .set_aside = dp_memcache_set_aside,
    .locker_type = "memcache",
    .locker_servers = memcache_servers,
    .describe = memcache_describe,
};
