/* SPDX-License-Identifier: Apache-2.0 */
#include "store_memcache_fixture.h"

#include <string.h>

#include "base/digest.h"

mcd_t *store_memcache_server(void)
{
    void *server = NULL;

    apr_pool_userdata_get(&server, "memcached of the store", unit_pool);
    if (server == NULL) {
        server = mcd_start();
        apr_pool_userdata_setn(server, "memcached of the store", NULL,
                               unit_pool);
    }
    return server;
}

dogpile_store_t *store_memcache_at(const char *where)
{
    dogpile_store_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));
    dogpile_store_t *store = NULL;
    const char *error;

    conf->where = where;
    conf->log = &unit_log;
    error = dp_store_memcache.create(&store, conf, unit_pool);
    ck_assert_msg(error == NULL, "%s", error ? error : "");
    return store;
}

dogpile_store_t *store_memcache_open(const char *where)
{
    dogpile_store_t *store = store_memcache_at(where);

    ck_assert_int_eq(store->provider->child_init(store, unit_pool),
                     APR_SUCCESS);
    return store;
}

static dogpile_store_t *make(void)
{
    return store_memcache_at(store_memcache_server()->address);
}

void store_memcache_plant(dogpile_store_t *store, const dogpile_key_t *key,
                          const void *bytes, apr_size_t size)
{
    const char *at = bytes;
    apr_size_t first =
        size < DP_MEMCACHE_ITEM_BYTES ? size : DP_MEMCACHE_ITEM_BYTES;
    unsigned n = 0;
    dogpile_id_t id;

    (void)store;
    for (; first + n * DP_MEMCACHE_ITEM_BYTES < size; n++) {
        apr_size_t offset = first + n * DP_MEMCACHE_ITEM_BYTES;
        apr_size_t left = size - offset;

        memcpy(id.bytes, at + DOGPILE_RECORD_WRITE_ID, sizeof(id.bytes));
        mcd_plant(store_memcache_server(),
                  dp_memcache_part_name(&id, (int)n, unit_pool), at + offset,
                  left < DP_MEMCACHE_ITEM_BYTES ? left : DP_MEMCACHE_ITEM_BYTES,
                  0);
    }
    mcd_plant(store_memcache_server(), dp_memcache_tile_name(key, unit_pool),
              bytes, first, n);
}

static void remove_record(dogpile_store_t *store, const dogpile_key_t *key)
{
    (void)store;
    mcd_delete(store_memcache_server(), dp_memcache_tile_name(key, unit_pool));
}

const store_under_test_t store_memcache_under_test = {
    .make = make,
    .plant = store_memcache_plant,
    .remove = remove_record,
    .too_large_bytes = DP_MEMCACHE_BYTES_MAX + 1024,
};

store_sample_t store_memcache_large(const dogpile_key_t *key, apr_size_t size,
                                    int fill, apr_pool_t *pool)
{
    unsigned char *bytes = apr_palloc(pool, size);
    dp_record_body_t body = {bytes, size};
    store_sample_t sample;

    memset(bytes, fill, size);
    memset(&sample, 0, sizeof(sample));
    sample.record.key = key->digest;
    sample.record.media_type = "image/png";
    sample.record.created = apr_time_now();
    sample.record.expires = sample.record.created + apr_time_from_sec(3600);
    dp_id_make(&sample.record.write_id);
    ck_assert_int_eq(
        dp_record_write(&sample.bytes, &sample.record, &body, 1, pool),
        APR_SUCCESS);
    return sample;
}
