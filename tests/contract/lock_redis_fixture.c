/* SPDX-License-Identifier: Apache-2.0 */
#include "lock_redis_fixture.h"

#include <apr_strings.h>

#include "base/digest.h"
#include "lock/lock_redis.h"

static void set_server(dogpile_locker_conf_t *conf, const char *server)
{
    apr_array_header_t *servers =
        apr_array_make(unit_pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(servers, const char *) = server;
    conf->servers = servers;
}

static void configure(dogpile_locker_conf_t *conf)
{
    set_server(conf, redis_socket());
}

static void flush(void)
{
    redis_do("FLUSHALL");
}

const contract_locker_t lock_redis_contract = {.name = "lock/redis",
                                               .provider = &dp_lock_redis,
                                               .configure = configure,
                                               .break_server = redis_kill,
                                               .flush = flush,
                                               .knows_the_dead = 1};

static dogpile_locker_conf_t *conf_at(const char *server)
{
    dogpile_locker_conf_t *conf;

    contract_under_test = &lock_redis_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);
    set_server(conf, server);
    return conf;
}

dogpile_locker_t *lock_redis_locker(const char *server, const char *secret_file)
{
    dogpile_locker_conf_t *conf = conf_at(server);

    conf->secret_file = secret_file;
    return contract_locker(conf);
}

dogpile_locker_t *lock_redis_hasty_locker(const char *server)
{
    dogpile_locker_conf_t *conf = conf_at(server);

    conf->socket_usec = apr_time_from_msec(500);
    return contract_locker(conf);
}

void lock_redis_await(dogpile_locker_t *locker)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_lock_key_t key = contract_key("nobody's");
    dogpile_lock_state_e state;

    while (dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool)
           != APR_SUCCESS) {
        ck_assert_msg(apr_time_now() < deadline, "never came back");
        apr_sleep(CONTRACT_LOOK_USEC);
    }
}

void lock_redis_take_and_release(dogpile_locker_t *locker)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}

apr_status_t lock_redis_try(dogpile_locker_t *locker)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    return contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token);
}

const char *lock_redis_name(const dogpile_lock_key_t *key)
{
    char hex[DP_DIGEST_HEX_BYTES];

    dp_hex(hex, key->digest.bytes, sizeof(key->digest.bytes));
    return apr_psprintf(unit_pool, "dogpile:{%s}:lock", hex);
}
