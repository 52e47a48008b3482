/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts whose fallbacks have the played servers of fallback_fakes.h as members,
 * and short forms of what tests do with them.
 */
#ifndef DP_TESTS_LOCK_FALLBACK_HOSTS_H
#define DP_TESTS_LOCK_FALLBACK_HOSTS_H

#include "fallback_fakes.h"

static fake_t *fake_make(int host, int server)
{
    fake_t *fake = apr_pcalloc(unit_pool, sizeof(*fake));

    fake->host = host;
    fake->server = server;
    fake->conf.name = apr_psprintf(unit_pool, "server%d", server);
    fake->conf.lease_usec = LEASE;
    fake->conf.socket_usec = TIMEOUT;
    fake->conf.log = &unit_log;
    fake->locker.provider = &fake_provider;
    fake->locker.conf = &fake->conf;
    return fake;
}

static dogpile_locker_conf_t *chain_conf(int host, int nservers)
{
    dogpile_locker_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));
    apr_array_header_t *members =
        apr_array_make(unit_pool, nservers, sizeof(dogpile_locker_t *));
    int i;

    for (i = 0; i < nservers; i++) {
        APR_ARRAY_PUSH(members, dogpile_locker_t *) =
            &fake_make(host, i)->locker;
    }
    conf->name = "chain";
    conf->lease_usec = LEASE;
    conf->socket_usec = TIMEOUT;
    conf->members = members;
    conf->log = &unit_log;
    return conf;
}

/* A host with a pool of its own, as it shares nothing with the others. */
static inline dogpile_locker_t *chain_make(int host, int nservers)
{
    dogpile_locker_t *locker = NULL;
    apr_pool_t *pool;
    const char *wrong;

    apr_pool_create(&pool, unit_pool);
    wrong = dp_lock_fallback.create(&locker, chain_conf(host, nservers), pool);
    ck_assert_msg(wrong == NULL, "%s", wrong ? wrong : "");
    dp_fallback_of(locker)->clock = &world_clock;
    return locker;
}

static inline dogpile_lock_key_t chain_key(const char *name)
{
    dogpile_lock_key_t key = {.label = name};

    dp_digest(&key.digest, name, strlen(name));
    return key;
}

static inline apr_status_t chain_try(dogpile_locker_t *locker,
                                     const dogpile_lock_key_t *key,
                                     dogpile_id_t *token)
{
    return dp_lock_acquire(locker, key, DOGPILE_EXCLUSIVE, token, NULL,
                           unit_pool);
}

static inline dogpile_id_t chain_take(dogpile_locker_t *locker,
                                      const dogpile_lock_key_t *key)
{
    dogpile_id_t token;

    ck_assert_int_eq(chain_try(locker, key, &token), APR_SUCCESS);
    return token;
}

static inline apr_status_t chain_renew(dogpile_locker_t *locker,
                                       const dogpile_lock_key_t *key,
                                       const dogpile_id_t *token)
{
    return dp_lock_renew(locker, key, token, unit_pool);
}

static inline apr_status_t chain_release(dogpile_locker_t *locker,
                                         const dogpile_lock_key_t *key,
                                         const dogpile_id_t *token)
{
    return dp_lock_release(locker, key, token, unit_pool);
}

/* -1 for "unavailable". */
static inline int chain_look(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key)
{
    dogpile_lock_state_e state;
    apr_status_t status =
        dp_lock_probe(locker, key, DOGPILE_EXCLUSIVE, &state, NULL, unit_pool);

    ck_assert(status == APR_SUCCESS || state == DOGPILE_HELD);
    return status == APR_SUCCESS ? (int)state : -1;
}

static inline int is_unavailable(apr_status_t status)
{
    return status != APR_SUCCESS && status != APR_EEXIST
           && status != APR_NOTFOUND;
}

/* Which servers have a lease on the key: "02". */
static inline const char *chain_where(const dogpile_lock_key_t *key)
{
    char *where = apr_pcalloc(unit_pool, SERVERS + 1);
    int n = 0;
    int i;

    for (i = 0; i < SERVERS; i++) {
        if (server_blocker(i, &key->digest, DOGPILE_EXCLUSIVE)) {
            where[n++] = (char)('0' + i);
        }
    }
    return where;
}

/* What was asked since the last time. */
static inline const char *trace(void)
{
    const char *text = apr_pstrdup(unit_pool, world->trace);

    world->trace[0] = '\0';
    return text;
}

static inline dp_health_t *health_of(dogpile_locker_t *locker, int member)
{
    return dp_fallback_of(locker)->members[member].health;
}

/* Until a member that is left out may be tried again. */
static inline void await_turn(dogpile_locker_t *locker, int member)
{
    ck_assert_int_gt(health_of(locker, member)->left_until, world->now);
    world->now = health_of(locker, member)->left_until;
}

#endif
