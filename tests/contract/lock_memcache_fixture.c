/* SPDX-License-Identifier: Apache-2.0 */
#include "lock_memcache_fixture.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "lock/lock_memcache.h"

mcd_t *lock_memcache_server(void)
{
    void *server = NULL;

    apr_pool_userdata_get(&server, "memcached", unit_pool);
    if (server == NULL) {
        server = mcd_start();
        apr_pool_userdata_setn(server, "memcached", NULL, unit_pool);
    }
    return server;
}

static void set_servers(dogpile_locker_conf_t *conf, const char *addresses)
{
    apr_array_header_t *servers =
        apr_array_make(unit_pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(servers, const char *) = addresses;
    conf->servers = servers;
}

static void configure(dogpile_locker_conf_t *conf)
{
    set_servers(conf, lock_memcache_server()->address);
}

static void break_server(void)
{
    mcd_kill(lock_memcache_server());
}

static void flush(void)
{
    ck_assert_str_eq(mcd_ask(lock_memcache_server(), "flush_all\r\n"),
                     "OK\r\n");
}

const contract_locker_t lock_memcache_contract = {.name = "lock/memcache",
                                                  .provider = &dp_lock_memcache,
                                                  .configure = configure,
                                                  .break_server = break_server,
                                                  .flush = flush,
                                                  .knows_the_dead = 1};

dogpile_locker_t *lock_memcache_at(const char *addresses)
{
    dogpile_locker_conf_t *conf;

    contract_under_test = &lock_memcache_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);

    set_servers(conf, addresses);
    return contract_locker(conf);
}

dogpile_locker_t *lock_memcache_hasty_at(const char *addresses)
{
    dogpile_locker_conf_t *conf;

    contract_under_test = &lock_memcache_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);

    set_servers(conf, addresses);
    conf->socket_usec = apr_time_from_msec(200);
    return contract_locker(conf);
}

const char *lock_memcache_item(const dogpile_lock_key_t *key)
{
    char hex[DP_DIGEST_HEX_BYTES];

    return apr_pstrcat(unit_pool, DP_MEMCACHE_KEY_PREFIX,
                       dp_hex(hex, key->digest.bytes, DOGPILE_DIGEST_BYTES),
                       NULL);
}

void lock_memcache_assert_unavailable(dogpile_locker_t *locker,
                                      const dogpile_lock_key_t *key)
{
    dogpile_id_t token;
    apr_status_t status;

    contract_assert_unavailable(locker, key);
    dp_id_make(&token);
    status = contract_renew(locker, key, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_NOTFOUND, "renew: %d",
                  status);
    status = contract_release(locker, key, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_NOTFOUND,
                  "release: %d", status);
}

dogpile_id_t lock_memcache_await(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_id_t token;

    while (contract_try(locker, key, DOGPILE_EXCLUSIVE, &token)
           != APR_SUCCESS) {
        ck_assert_msg(apr_time_now() < deadline, "never became mine");
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    return token;
}
