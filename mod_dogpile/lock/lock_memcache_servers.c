/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of memcached servers and their health.
 *
 * Made by the parent, used by any thread of a child. One pool of libmemcached
 * for each server, with that server alone in it: whose turn it is, is decided
 * here, so that the library's own ideas of failure (eject a server, hash its
 * keys elsewhere, wait a while) never come into play. What changes after
 * child_init is guarded by one mutex, which is never held across I/O.
 *
 * A server that doesn't answer in time is left alone for as long as a call
 * may take, so that at most half of anybody's time goes to waiting for it.
 *
 * The invariant: which server a key belongs to depends on the key and on the
 * configured names, and on nothing else.
 */
#include "lock/lock_memcache_servers.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

/* A server that refuses connections costs nothing to ask, but isn't asked by
 * everybody at once. */
#define RETRY_MIN_USEC apr_time_from_msec(100)

/* Well below what firewalls and address translators forget. */
#define KEEPALIVE_SEC 60

/* Longer waits than this are a slip of the pen; libmemcached counts
 * milliseconds. */
#define TIMEOUT_MAX_USEC apr_time_from_sec(60)

const char *dp_mc_create(dp_mc_t **mc, const char *owner,
                         const apr_array_header_t *texts,
                         apr_interval_time_t timeout_usec,
                         const dogpile_log_t *log, apr_pool_t *result_pool)
{
    apr_array_header_t *servers;
    const char *error =
        dp_net_servers(&servers, texts, DP_MC_PORT, result_pool);
    int i;

    if (error) {
        return error;
    }
    if (timeout_usec < apr_time_from_msec(1)
        || timeout_usec > TIMEOUT_MAX_USEC) {
        return "DogpileLockSocketTimeout: 1ms to 60s is allowed";
    }
    *mc = apr_pcalloc(result_pool, sizeof(**mc));
    (*mc)->owner = owner;
    (*mc)->log = log;
    (*mc)->timeout_usec = timeout_usec;
    (*mc)->nservers = servers->nelts;
    (*mc)->servers = apr_pcalloc(result_pool, sizeof(dp_mc_server_t)
                                                  * (apr_size_t)servers->nelts);
    for (i = 0; i < servers->nelts; i++) {
        (*mc)->servers[i].net = APR_ARRAY_IDX(servers, i, dp_net_server_t);
    }
    return NULL;
}

static int is_address(const dp_net_server_t *net)
{
    struct in_addr ipv4;

    return net->host
           && (net->is_ipv6 || inet_pton(AF_INET, net->host, &ipv4) == 1);
}

/* Connections without a server: each gets the address of its time. */
static memcached_pool_st *make_pool(void)
{
    memcached_st *master = memcached_create(NULL);
    memcached_pool_st *pool;

    if (master == NULL) {
        return NULL;
    }
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    /* So that a peer that vanished is noticed before the next call. */
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_TCP_KEEPALIVE, 1);
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_TCP_KEEPIDLE,
                           KEEPALIVE_SEC);
    /* The library's own back-off, which counts in whole seconds: never. */
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, 0);
    memcached_behavior_set(master, MEMCACHED_BEHAVIOR_SERVER_TIMEOUT_LIMIT,
                           UINT32_MAX);
    pool = memcached_pool_create(master, 1, DP_MC_CONNECTIONS);
    if (pool == NULL) {
        memcached_free(master);
    }
    return pool;
}

static apr_status_t close_pools(void *data)
{
    dp_mc_t *mc = data;
    int i;

    for (i = 0; i < mc->nservers; i++) {
        if (mc->servers[i].pool) {
            memcached_free(memcached_pool_destroy(mc->servers[i].pool));
            mc->servers[i].pool = NULL;
        }
    }
    return APR_SUCCESS;
}

apr_status_t dp_mc_child_init(dp_mc_t *mc, apr_pool_t *child_pool)
{
    apr_status_t status;
    int i;

    status = apr_thread_mutex_create(&mc->mutex, APR_THREAD_MUTEX_DEFAULT,
                                     child_pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    apr_pool_cleanup_register(child_pool, mc, close_pools,
                              apr_pool_cleanup_null);
    for (i = 0; i < mc->nservers; i++) {
        dp_mc_server_t *server = &mc->servers[i];

        memset(&server->health, 0, sizeof(server->health));
        server->generation = 1;
        server->address[0] = '\0';
        if (is_address(&server->net)) {
            apr_cpystrn(server->address, server->net.host,
                        sizeof(server->address));
        }
        server->pool = make_pool();
        if (server->pool == NULL) {
            return APR_ENOMEM;
        }
    }
    return dp_mc_names_start(mc, mc->timeout_usec, child_pool);
}

/* How much this server wants the key (rendezvous hashing). */
static dogpile_digest_t wish_of(const dp_mc_server_t *server,
                                const dogpile_digest_t *digest)
{
    unsigned char text[DOGPILE_DIGEST_BYTES + DP_NET_HOST_MAX + 8];
    apr_size_t length = strlen(server->net.name);
    dogpile_digest_t wish;

    memcpy(text, digest->bytes, DOGPILE_DIGEST_BYTES);
    memcpy(text + DOGPILE_DIGEST_BYTES, server->net.name, length);
    dp_digest(&wish, text, DOGPILE_DIGEST_BYTES + length);
    return wish;
}

dp_mc_server_t *dp_mc_server_of(const dp_mc_t *mc,
                                const dogpile_digest_t *digest)
{
    dp_mc_server_t *best = &mc->servers[0];
    dogpile_digest_t most;
    int i;

    if (mc->nservers == 1) {
        return best;
    }
    most = wish_of(best, digest);
    for (i = 1; i < mc->nservers; i++) {
        dogpile_digest_t wish = wish_of(&mc->servers[i], digest);

        if (memcmp(wish.bytes, most.bytes, sizeof(most.bytes)) > 0) {
            best = &mc->servers[i];
            most = wish;
        }
    }
    return best;
}

apr_status_t dp_mc_admit(dp_mc_t *mc, dp_mc_server_t *server)
{
    apr_time_t now = dp_clock_now(&dp_clock_monotonic);
    apr_status_t status;

    apr_thread_mutex_lock(mc->mutex);
    status = server->health.failure;
    if (status != APR_SUCCESS && now >= server->health.retry_at) {
        /* This one tries; the others wait for what it finds. */
        server->health.retry_at = now + mc->timeout_usec;
        status = APR_SUCCESS;
    }
    apr_thread_mutex_unlock(mc->mutex);
    return status;
}

void dp_mc_note_up(dp_mc_t *mc, dp_mc_server_t *server, const int version[3])
{
    dp_mc_health_t *health = &server->health;
    int was_down;

    apr_thread_mutex_lock(mc->mutex);
    was_down = health->failure != APR_SUCCESS;
    if (was_down || health->since == 0) {
        health->since = apr_time_now();
    }
    health->failure = APR_SUCCESS;
    memcpy(health->version, version, sizeof(health->version));
    apr_thread_mutex_unlock(mc->mutex);
    if (was_down) {
        dp_log(mc->log, DOGPILE_LOG_NOTICE, 721, APR_SUCCESS,
               "%s: memcached %s can be used again", mc->owner,
               server->net.name);
    }
}

void dp_mc_note_down(dp_mc_t *mc, dp_mc_server_t *server, apr_status_t failure,
                     const char *reason)
{
    dp_mc_health_t *health = &server->health;
    int was_up;

    apr_thread_mutex_lock(mc->mutex);
    was_up = health->failure == APR_SUCCESS;
    if (was_up) {
        health->since = apr_time_now();
    }
    health->failure = failure;
    health->reason = reason;
    health->retry_at =
        dp_clock_now(&dp_clock_monotonic)
        + (APR_STATUS_IS_TIMEUP(failure) ? mc->timeout_usec : RETRY_MIN_USEC);
    server->generation++;
    apr_thread_mutex_unlock(mc->mutex);
    if (was_up) {
        dp_log(mc->log, DOGPILE_LOG_WARNING, 720, failure,
               "%s: memcached %s can't be used: %s; the keys that are its "
               "are unavailable until it answers",
               mc->owner, server->net.name, reason);
    }
}

void dp_mc_renew(dp_mc_t *mc, dp_mc_server_t *server, const char *address)
{
    apr_thread_mutex_lock(mc->mutex);
    if (address) {
        apr_cpystrn(server->address, address, sizeof(server->address));
    }
    server->generation++;
    apr_thread_mutex_unlock(mc->mutex);
}

int dp_mc_where(dp_mc_t *mc, dp_mc_server_t *server,
                char address[INET6_ADDRSTRLEN], unsigned *generation)
{
    apr_thread_mutex_lock(mc->mutex);
    memcpy(address, server->address, INET6_ADDRSTRLEN);
    *generation = server->generation;
    apr_thread_mutex_unlock(mc->mutex);
    return address[0] != '\0' || server->net.path != NULL;
}

static const char *describe_health(const dp_mc_health_t *health,
                                   apr_pool_t *pool)
{
    char since[APR_RFC822_DATE_LEN];

    if (health->since == 0) {
        return "not used yet";
    }
    apr_rfc822_date(since, health->since);
    if (health->failure != APR_SUCCESS) {
        return apr_psprintf(pool, "down since %s: %s", since, health->reason);
    }
    return apr_psprintf(pool, "up since %s, version %d.%d.%d", since,
                        health->version[0], health->version[1],
                        health->version[2]);
}

void dp_mc_describe(dp_mc_t *mc, dogpile_row_fn *row, void *baton,
                    apr_pool_t *scratch_pool)
{
    dp_mc_health_t health;
    int i;

    for (i = 0; i < mc->nservers; i++) {
        memset(&health, 0, sizeof(health));
        if (mc->mutex) {
            apr_thread_mutex_lock(mc->mutex);
            health = mc->servers[i].health;
            apr_thread_mutex_unlock(mc->mutex);
        }
        row(baton,
            apr_pstrcat(scratch_pool, "server ", mc->servers[i].net.name, NULL),
            describe_health(&health, scratch_pool));
    }
}
