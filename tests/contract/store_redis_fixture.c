/* SPDX-License-Identifier: Apache-2.0 */
#include "store_redis_fixture.h"

static const dogpile_id_t none;

/* What create() says to that place; NULL and the store where it's right. */
const char *store_redis_create(dogpile_store_t **store, const char *where,
                               apr_int64_t limit)
{
    dogpile_store_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));

    conf->where = where;
    conf->limit_bytes = limit;
    conf->log = &unit_log;
    return dp_store_redis.create(store, conf, unit_pool);
}

static dogpile_store_t *store_redis_at(const char *where)
{
    dogpile_store_t *store = NULL;
    const char *error = store_redis_create(&store, where, 0);

    ck_assert_msg(error == NULL, "%s", error);
    return store;
}

dogpile_store_t *store_redis_open(const char *where)
{
    dogpile_store_t *store = store_redis_at(where);

    ck_assert_int_eq(dp_store_redis.child_init(store, unit_pool), APR_SUCCESS);
    return store;
}

dogpile_store_t *store_redis_make(void)
{
    return store_redis_at(redis_socket());
}

void store_redis_plant(dogpile_store_t *store, const dogpile_key_t *key,
                       const void *bytes, apr_size_t size)
{
    (void)store;
    redis_put(dp_store_redis_name(key, unit_pool), bytes, size);
}

static void remove_record(dogpile_store_t *store, const dogpile_key_t *key)
{
    (void)store;
    ck_assert_int_eq(
        redis_do("DEL %s", dp_store_redis_name(key, unit_pool))->integer, 1);
}

const store_under_test_t store_redis_under_test = {
    .make = store_redis_make,
    .plant = store_redis_plant,
    .remove = remove_record,
    .too_large_bytes = DP_RECORD_BYTES_MAX + 1,
};

apr_status_t store_redis_put(dogpile_store_t *store, const char *name)
{
    dogpile_key_t key = store_contract_key(name);
    store_sample_t sample = store_contract_sample(&key, unit_pool);

    return store_contract_put(store, &key, &none, &sample);
}

apr_status_t store_redis_look(dogpile_store_t *store, const char *name)
{
    dogpile_key_t key = store_contract_key(name);
    dp_found_t found;

    return dp_store_look(store, &key, &found, unit_pool);
}
