/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting records into the memcache store, and removing bad ones: fetcher
 * threads of a child.
 *
 * A put reads what is there, compares its write id, writes the parts under
 * names that nobody knows yet, and then the first item over the version that
 * it read: the server compares and replaces in one step. Before that step
 * nothing has happened that anyone can see, after it everything has.
 *
 * What is torn or foreign, or has lost a part to eviction, counts as absent.
 *
 * Invariant: a first item is written only when all its parts were.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "store/blob.h"
#include "store/store_memcache.h"

/* One complaint a minute says as much as thousands. */
#define REPORT_SEC 60

/* A record on its way. */
typedef struct record_t {
    const dogpile_key_t *key;
    const dogpile_id_t *base;
    const unsigned char *bytes;
    apr_size_t size;
    dp_record_t header;
    apr_int64_t expire_sec;
} record_t;

/* ---- what is put ---- */

static const unsigned char *in_one_piece(const struct iovec *parts, int nparts,
                                         apr_size_t size, apr_pool_t *pool)
{
    unsigned char *bytes;
    int i;

    if (nparts == 1) {
        return parts[0].iov_base;
    }
    bytes = apr_palloc(pool, size);
    for (size = 0, i = 0; i < nparts; i++) {
        memcpy(bytes + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    return bytes;
}

/* For how long memcached keeps it at most; 0, as long as it has room. */
static apr_int64_t keep_sec(apr_time_t expires)
{
    apr_time_t now = apr_time_now();
    apr_interval_time_t fresh = expires > now ? expires - now : 0;
    apr_int64_t seconds =
        apr_time_sec(fresh) + apr_time_sec(DP_MEMCACHE_STALE_USEC);

    return seconds < DP_MC_EXPIRE_MAX_SEC ? seconds : 0;
}

static apr_status_t make_record(record_t *record, const dogpile_key_t *key,
                                const dogpile_id_t *base,
                                const struct iovec *parts, int nparts,
                                apr_pool_t *pool)
{
    apr_size_t need;
    int i;

    memset(record, 0, sizeof(*record));
    record->key = key;
    record->base = base;
    for (i = 0; i < nparts; i++) {
        record->size += parts[i].iov_len;
    }
    if (record->size > DP_MEMCACHE_BYTES_MAX) {
        return APR_ENOSPC;
    }
    record->bytes = in_one_piece(parts, nparts, record->size, pool);
    if (dp_record_read(&record->header, record->bytes, record->size,
                       record->size, &key->digest, &need, pool)
        != APR_SUCCESS) {
        return APR_EINVAL;
    }
    record->expire_sec = keep_sec(record->header.expires);
    return APR_SUCCESS;
}

/* ---- parts ---- */

static int parts_of(apr_size_t size)
{
    return size <= DP_MEMCACHE_ITEM_BYTES
               ? 0
               : (int)((size - 1) / DP_MEMCACHE_ITEM_BYTES);
}

/* The bytes of an item: 0 is the first one, 1 the first part. */
static dp_mc_value_t value_of(const record_t *record, int number)
{
    apr_size_t offset = (apr_size_t)number * DP_MEMCACHE_ITEM_BYTES;
    apr_size_t left = record->size - offset;
    dp_mc_value_t value = {.bytes = record->bytes + offset,
                           .expire_sec = record->expire_sec};

    value.size = left < DP_MEMCACHE_ITEM_BYTES ? left : DP_MEMCACHE_ITEM_BYTES;
    value.flags = number == 0 ? (apr_uint32_t)parts_of(record->size) : 0;
    return value;
}

static apr_status_t write_parts(const record_t *record, dp_mc_call_t *call,
                                apr_pool_t *pool)
{
    int n = parts_of(record->size);
    apr_status_t status = APR_SUCCESS;
    int i;

    for (i = 0; i < n && status == APR_SUCCESS; i++) {
        dp_mc_value_t value = value_of(record, i + 1);

        status = dp_mc_set(
            call, dp_memcache_part_name(&record->header.write_id, i, pool),
            &value);
    }
    return status;
}

/* Those that can't be removed end by themselves. */
static void drop_parts(const dogpile_id_t *id, int n, dp_mc_call_t *call,
                       apr_pool_t *pool)
{
    int i;

    for (i = 0; i < n && dp_mc_has_time(call); i++) {
        (void)dp_mc_drop(call, dp_memcache_part_name(id, i, pool));
    }
}

/* ---- putting ---- */

/* The write id of what is there, none for what counts as absent. */
static dogpile_id_t id_of(dp_present_t *present, const dogpile_key_t *key,
                          apr_pool_t *pool)
{
    dogpile_id_t none = {{0}};
    dp_record_t record;

    if (!present->exists || !present->is_whole
        || dp_blob_record(&record, &present->blob, &key->digest, pool)
               != APR_SUCCESS) {
        return none;
    }
    return record.write_id;
}

static apr_status_t replace(const record_t *record, dp_mc_call_t *call,
                            apr_pool_t *pool)
{
    dp_mc_value_t value = value_of(record, 0);
    dp_present_t present;
    dogpile_id_t there;
    apr_status_t status = dp_memcache_read(&present, call, record->key, pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    there = id_of(&present, record->key, pool);
    if (dp_id_equal(&there, &record->header.write_id)) {
        return APR_SUCCESS; /* by a try before this, whose answer was lost */
    }
    if (!dp_id_equal(&there, record->base)) {
        return APR_EEXIST;
    }
    status = write_parts(record, call, pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    status = present.exists ? dp_mc_cas(call, present.name, &value, present.cas)
                            : dp_mc_add(call, present.name, &value);
    if (status == APR_SUCCESS) {
        drop_parts(&present.id, present.nparts, call, pool);
    }
    else if (status == APR_EEXIST || status == APR_NOTFOUND) {
        drop_parts(&record->header.write_id, parts_of(record->size), call,
                   pool);
        status = APR_EEXIST;
    }
    return status;
}

static void report_refusal(dp_store_memcache_t *memcache,
                           const dp_mc_server_t *server, apr_size_t size)
{
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t before = apr_atomic_read32(&memcache->refused_sec);

    if (now - before >= REPORT_SEC
        && apr_atomic_cas32(&memcache->refused_sec, now, before) == before) {
        dp_log(memcache->store.conf->log, DOGPILE_LOG_WARNING, 411, APR_ENOSPC,
               "store memcache:%s: memcached %s has no room for a metatile of "
               "%" APR_SIZE_T_FMT " bytes; clients still get it, but it will "
               "be rendered anew for the next ones (options -m and -I)",
               memcache->store.conf->where, server->net.name, size);
    }
}

apr_status_t dp_memcache_put(dogpile_store_t *store, const dogpile_key_t *key,
                             const dogpile_id_t *base,
                             const struct iovec *parts, int nparts,
                             apr_pool_t *scratch_pool)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;
    apr_time_t deadline = dp_memcache_deadline();
    dp_mc_call_t call;
    record_t record;
    apr_status_t status;

    status = make_record(&record, key, base, parts, nparts, scratch_pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    status = dp_mc_begin(&call, memcache->mc, &key->digest, deadline);
    if (status == APR_SUCCESS) {
        do {
            status = replace(&record, &call, scratch_pool);
        } while (dp_mc_again(&call));
    }
    dp_mc_end(&call);
    if (status == APR_ENOSPC) {
        report_refusal(memcache, call.server, record.size);
    }
    dp_memcache_refresh_id(memcache, deadline, scratch_pool);
    return status;
}

/* ---- removing ---- */

/* What is still there and still bad; whoever stumbled over it may be late. */
static apr_status_t remove_bad(dp_mc_call_t *call, const dogpile_key_t *key,
                               apr_pool_t *pool)
{
    dp_present_t present;
    dogpile_id_t there;
    apr_status_t status = dp_memcache_read(&present, call, key, pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    there = id_of(&present, key, pool);
    if (!present.exists || !dp_id_is_none(&there)) {
        return APR_NOTFOUND;
    }
    status = dp_mc_remove(call, present.name, present.cas);
    if (status == APR_SUCCESS) {
        drop_parts(&present.id, present.nparts, call, pool);
    }
    return status;
}

void dp_memcache_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                           apr_pool_t *scratch_pool)
{
    dp_store_memcache_t *memcache = (dp_store_memcache_t *)store;
    dp_mc_call_t call;
    apr_status_t status;

    status =
        dp_mc_begin(&call, memcache->mc, &key->digest, dp_memcache_deadline());
    if (status == APR_SUCCESS) {
        do {
            status = remove_bad(&call, key, scratch_pool);
        } while (dp_mc_again(&call));
    }
    dp_mc_end(&call);
    if (status == APR_SUCCESS) {
        dp_log(store->conf->log, DOGPILE_LOG_WARNING, 410, APR_SUCCESS,
               "store memcache:%s: the record of source %s, grid %s, metatile "
               "%d/%u/%u was torn or foreign; it counts as absent, and is "
               "removed",
               store->conf->where, key->source, key->grid, key->z, key->x,
               key->y);
    }
}
