/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call to one memcached: a connection of the pool, in the hands of one
 * thread from dp_mc_begin() to dp_mc_end(), and a deadline. The commands are
 * in lock_memcache_command.c, what is shared in lock_memcache_servers.c.
 *
 * libmemcached needs supervision: it reconnects on its own when it finds its
 * connection closed, and it takes any reply that begins with a digit or with
 * "OK" for a success. So a connection is only used after the server has told
 * its version, which the library forgets when it closes the connection: no
 * version, no command.
 *
 * The invariant: after the first failure a call sends nothing more.
 */
#include "lock/lock_memcache_servers.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"

/* What libmemcached says of a server whose version it doesn't know. */
#define NO_VERSION UINT8_MAX

/* Pauses of who waits for a free connection. */
#define PAUSE_MIN_USEC apr_time_from_msec(1)
#define PAUSE_MAX_USEC apr_time_from_msec(16)

static apr_interval_time_t time_left(const dp_mc_call_t *call)
{
    return call->deadline - dp_clock_now(&dp_clock_monotonic);
}

int dp_mc_has_time(const dp_mc_call_t *call)
{
    return call->failed == APR_SUCCESS && time_left(call) > 0;
}

static void set_timeouts(memcached_st *connection, apr_interval_time_t usec)
{
    /* Rounded up: who wakes too early has time left and no answer. */
    apr_uint64_t msec = usec > 0 ? (apr_uint64_t)(usec + 999) / 1000 : 1;

    memcached_behavior_set(connection, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, msec);
    memcached_behavior_set(connection, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT,
                           msec);
}

static int is_connected(memcached_st *connection)
{
    return memcached_server_major_version(
               memcached_server_instance_by_position(connection, 0))
           != NO_VERSION;
}

/* A connection that nobody takes up where this call leaves off. */
static void discard(memcached_st *connection)
{
    set_timeouts(connection, 0);
    memcached_servers_reset(connection);
    memcached_set_user_data(connection, NULL);
}

/* ---- failures ---- */

static apr_status_t give_up(dp_mc_call_t *call, apr_status_t failure,
                            const char *reason)
{
    if (call->failed == APR_SUCCESS) {
        call->failed = failure;
        dp_mc_note_down(call->mc, call->server, failure, reason);
    }
    return call->failed;
}

apr_status_t dp_mc_fail(dp_mc_call_t *call, memcached_return_t rc)
{
    int error = memcached_last_error_errno(call->connection);

    if (call->failed != APR_SUCCESS) {
        return call->failed;
    }
    if (rc == MEMCACHED_TIMEOUT || time_left(call) <= 0) {
        return give_up(call, APR_TIMEUP, "no answer in time");
    }
    if (call->is_used && !is_connected(call->connection)) {
        call->is_lost = 1;
        call->failed = APR_ECONNRESET;
        return call->failed;
    }
    return give_up(call, error ? APR_FROM_OS_ERROR(error) : APR_EGENERAL,
                   memcached_strerror(NULL, rc));
}

apr_status_t dp_mc_refused(dp_mc_call_t *call, apr_status_t status)
{
    if (call->failed == APR_SUCCESS) {
        call->failed = status;
    }
    return call->failed;
}

/* ---- connections ---- */

/* Connect, and hear that it is a memcached. */
static apr_status_t greet(dp_mc_call_t *call)
{
    memcached_return_t error;
    memcached_return_t rc;

    /* One half for connecting, the other for the answer. */
    set_timeouts(call->connection, time_left(call) / 2);
    rc = memcached_version(call->connection);
    if (is_connected(call->connection)) {
        return APR_SUCCESS;
    }
    if (memcached_success(rc)) {
        return give_up(call, APR_EGENERAL, "what answers is not a memcached");
    }
    error = memcached_last_error(call->connection);
    return dp_mc_fail(call, error == MEMCACHED_SUCCESS ? rc : error);
}

/* Give the connection its server, if it has none or had another. */
static apr_status_t connect_to(dp_mc_call_t *call)
{
    const dp_net_server_t *net = &call->server->net;
    memcached_st *connection = call->connection;
    char address[INET6_ADDRSTRLEN];
    memcached_return_t rc;
    unsigned generation;

    if (!dp_mc_where(call->mc, call->server, address, &generation)) {
        return give_up(call, APR_EHOSTUNREACH, "its name has no address");
    }
    call->is_used =
        memcached_get_user_data(connection) == (void *)(uintptr_t)generation
        && is_connected(connection);
    if (call->is_used) {
        return APR_SUCCESS;
    }
    discard(connection);
    rc = net->path
             ? memcached_server_add_unix_socket(connection, net->path)
             : memcached_server_add(connection, address, (in_port_t)net->port);
    if (memcached_failed(rc)) {
        return dp_mc_refused(call, APR_ENOMEM);
    }
    memcached_set_user_data(connection, (void *)(uintptr_t)generation);
    return greet(call);
}

/* A connection of the pool, when there is one. */
static apr_status_t borrow(dp_mc_call_t *call)
{
    apr_interval_time_t pause = PAUSE_MIN_USEC;
    memcached_return_t rc;

    for (;;) {
        call->connection = memcached_pool_fetch(call->server->pool, NULL, &rc);
        if (call->connection) {
            return APR_SUCCESS;
        }
        if (time_left(call) <= pause) {
            return dp_mc_refused(call, APR_TIMEUP);
        }
        apr_sleep(pause);
        pause = 2 * pause < PAUSE_MAX_USEC ? 2 * pause : PAUSE_MAX_USEC;
    }
}

apr_status_t dp_mc_begin(dp_mc_call_t *call, dp_mc_t *mc,
                         const dogpile_digest_t *digest, apr_time_t deadline)
{
    memset(call, 0, sizeof(*call));
    call->mc = mc;
    call->server = dp_mc_server_of(mc, digest);
    call->deadline = deadline
                         ? deadline
                         : dp_clock_now(&dp_clock_monotonic) + mc->timeout_usec;
    call->failed = dp_mc_admit(mc, call->server);
    if (call->failed == APR_SUCCESS && borrow(call) == APR_SUCCESS) {
        connect_to(call);
    }
    return call->failed;
}

int dp_mc_again(dp_mc_call_t *call)
{
    if (!call->is_lost || time_left(call) <= 0) {
        return 0;
    }
    /* The server has closed them all, or soon will. */
    dp_mc_renew(call->mc, call->server, NULL);
    call->is_lost = 0;
    call->failed = APR_SUCCESS;
    return connect_to(call) == APR_SUCCESS;
}

/* What a connection in order says about its server. */
static void note_answer(dp_mc_call_t *call)
{
    const memcached_instance_st *server =
        memcached_server_instance_by_position(call->connection, 0);
    int version[3];

    version[0] = memcached_server_major_version(server);
    version[1] = memcached_server_minor_version(server);
    version[2] = memcached_server_micro_version(server);
    dp_mc_note_up(call->mc, call->server, version);
}

void dp_mc_end(dp_mc_call_t *call)
{
    if (call->connection == NULL) {
        return;
    }
    if (call->failed == APR_SUCCESS) {
        note_answer(call);
    }
    else {
        discard(call->connection);
    }
    memcached_pool_release(call->server->pool, call->connection);
    call->connection = NULL;
}

apr_status_t dp_mc_ready(dp_mc_call_t *call)
{
    if (call->failed != APR_SUCCESS) {
        return call->failed;
    }
    if (time_left(call) <= 0) {
        return give_up(call, APR_TIMEUP, "no answer in time");
    }
    if (!is_connected(call->connection)) {
        return dp_mc_fail(call, MEMCACHED_CONNECTION_FAILURE);
    }
    set_timeouts(call->connection, time_left(call));
    return APR_SUCCESS;
}
