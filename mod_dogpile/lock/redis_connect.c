/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address to a connected socket, and bytes over it: sockets that never
 * block, poll(2) with what is left of the call's time, TLS where configured.
 * Called by redis_link.c in any thread of a child; no state but the
 * resolver's.
 *
 * The invariant: nothing here waits without a deadline, and nothing raises
 * SIGPIPE.
 */
#include <apr_strings.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "lock/redis_link.h"
#include "lock/redis_tls.h"

/* A step of the network that doesn't block; see redis_tls.h. */
typedef apr_status_t step_fn(dp_redis_link_t *link, char *bytes,
                             apr_size_t *size, short *events);

apr_status_t dp_redis_fail(dp_redis_call_t *call, apr_status_t status,
                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(call->why, sizeof(call->why), format, args);
    va_end(args);
    return status;
}

static apr_status_t fail_errno(dp_redis_call_t *call, apr_status_t status,
                               const char *what)
{
    char text[128];

    if (status == APR_TIMEUP) {
        return dp_redis_fail(call, status, "no answer in time (%s)", what);
    }
    return dp_redis_fail(call, status, "%s: %s", what,
                         status == APR_EOF
                             ? "the server has closed the connection"
                             : apr_strerror(status, text, sizeof(text)));
}

/* APR_EINTR: nobody wants the call any more. */
static apr_status_t wait_for(int fd, short events, const dp_redis_call_t *call,
                             apr_time_t deadline)
{
    struct pollfd entries[2] = {{.fd = fd, .events = events},
                                {.fd = call->end_fd, .events = POLLIN}};
    apr_interval_time_t left;
    int ready;

    do {
        left = deadline - dp_clock_now(&dp_clock_monotonic);
        if (left <= 0) {
            return APR_TIMEUP;
        }
        ready = poll(entries, 2, (int)(left / 1000) + 1);
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    if (ready < 0) {
        return errno;
    }
    return entries[1].revents ? APR_EINTR : APR_SUCCESS;
}

/* One step, however often it has to be tried. */
static apr_status_t run(step_fn *step, dp_redis_link_t *link, char *bytes,
                        apr_size_t *size, const dp_redis_call_t *call)
{
    apr_size_t wanted = *size;
    apr_status_t status;
    short events = 0;

    do {
        *size = wanted;
        status = step(link, bytes, size, &events);
        if (status != APR_EAGAIN) {
            return status;
        }
        status = wait_for(link->fd, events, call, call->deadline);
    } while (status == APR_SUCCESS);
    return status;
}

static apr_status_t step_shake(dp_redis_link_t *link, char *bytes,
                               apr_size_t *size, short *events)
{
    (void)bytes;
    (void)size;
    return dp_redis_tls_shake(link->tls, events);
}

static apr_status_t step_send(dp_redis_link_t *link, char *bytes,
                              apr_size_t *size, short *events)
{
    ssize_t sent;

    if (link->tls) {
        return dp_redis_tls_send(link->tls, bytes, size, events);
    }
    do {
        sent = send(link->fd, bytes, *size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    *events = POLLOUT;
    *size = sent > 0 ? (apr_size_t)sent : 0;
    return sent < 0 ? errno : APR_SUCCESS;
}

static apr_status_t step_receive(dp_redis_link_t *link, char *bytes,
                                 apr_size_t *size, short *events)
{
    ssize_t got;

    if (link->tls) {
        return dp_redis_tls_receive(link->tls, bytes, size, events);
    }
    do {
        got = recv(link->fd, bytes, *size, 0);
    } while (got < 0 && errno == EINTR);
    *events = POLLIN;
    *size = got > 0 ? (apr_size_t)got : 0;
    return got < 0 ? errno : got == 0 ? APR_EOF : APR_SUCCESS;
}

apr_status_t dp_redis_send(dp_redis_link_t *link, const char *bytes,
                           apr_size_t size, dp_redis_call_t *call)
{
    apr_status_t status = APR_SUCCESS;

    while (size > 0 && status == APR_SUCCESS) {
        apr_size_t moved = size;

        /* No step writes to what it sends. */
        status = run(step_send, link, (char *)bytes, &moved, call);
        if (status == APR_SUCCESS) {
            bytes += moved;
            size -= moved;
        }
    }
    return status == APR_SUCCESS ? status : fail_errno(call, status, "send");
}

apr_status_t dp_redis_receive(dp_redis_link_t *link, char *bytes,
                              apr_size_t *size, dp_redis_call_t *call)
{
    apr_status_t status = run(step_receive, link, bytes, size, call);

    return status == APR_SUCCESS ? status : fail_errno(call, status, "receive");
}

/* ---- connecting ---- */

static apr_status_t connect_to(dp_redis_link_t *link,
                               const struct sockaddr *address, socklen_t size,
                               const dp_redis_call_t *call, apr_time_t deadline)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int error = 0;
    socklen_t length = sizeof(error);
    apr_status_t status;

    link->fd = socket(address->sa_family, type, 0);
    if (link->fd < 0) {
        return errno;
    }
    if (connect(link->fd, address, size) == 0) {
        return APR_SUCCESS;
    }
    status = errno;
    if (status == EINPROGRESS || status == EINTR) {
        status = wait_for(link->fd, POLLOUT, call, deadline);
        if (status == APR_SUCCESS) {
            getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length);
            status = error;
        }
    }
    if (status != APR_SUCCESS) {
        close(link->fd);
        link->fd = -1;
    }
    return status;
}

static apr_status_t connect_path(dp_redis_link_t *link, const char *path,
                                 dp_redis_call_t *call)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    apr_status_t status;

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    status = connect_to(link, (const struct sockaddr *)&address,
                        sizeof(address), call, call->deadline);
    return status == APR_SUCCESS ? status : fail_errno(call, status, "connect");
}

/* All addresses in order, each with its share of what time is left. */
static apr_status_t connect_any(dp_redis_link_t *link,
                                const struct addrinfo *all,
                                dp_redis_call_t *call)
{
    const struct addrinfo *one;
    apr_status_t status = APR_EGENERAL;
    int left = 0;

    for (one = all; one; one = one->ai_next) {
        left++;
    }
    for (one = all; one && status != APR_SUCCESS && status != APR_EINTR;
         one = one->ai_next) {
        apr_time_t now = dp_clock_now(&dp_clock_monotonic);

        status = connect_to(link, one->ai_addr, one->ai_addrlen, call,
                            now + (call->deadline - now) / left--);
    }
    return status == APR_SUCCESS ? status : fail_errno(call, status, "connect");
}

static apr_status_t connect_host(dp_redis_link_t *link,
                                 const dp_net_server_t *at,
                                 dp_redis_resolver_t *resolver,
                                 dp_redis_call_t *call)
{
    struct addrinfo *all;
    const char *why = NULL;
    int on = 1;
    apr_status_t status = dp_redis_resolve(&all, &why, resolver, at->host,
                                           at->port, call->deadline);

    if (status != APR_SUCCESS) {
        return why ? dp_redis_fail(call, status, "name %s: %s", at->host, why)
                   : fail_errno(call, status, "look-up of the name");
    }
    status = connect_any(link, all, call);
    freeaddrinfo(all);
    if (status == APR_SUCCESS) {
        (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return status;
}

static apr_status_t shake_hands(dp_redis_link_t *link,
                                const dp_redis_server_t *server,
                                dp_redis_call_t *call)
{
    const char *host = server->at.host ? server->at.host : "localhost";
    apr_size_t nothing = 0;
    apr_status_t status;

    link->tls = dp_redis_tls_begin(server->tls, link->fd, host);
    if (link->tls == NULL) {
        return dp_redis_fail(call, APR_ENOMEM, "TLS can't begin");
    }
    status = run(step_shake, link, NULL, &nothing, call);
    if (status == APR_SUCCESS) {
        return status;
    }
    return status == EPROTO ? dp_redis_fail(call, status, "TLS: %s",
                                            dp_redis_tls_why(link->tls))
                            : fail_errno(call, status, "TLS");
}

apr_status_t dp_redis_connect(dp_redis_link_t *link,
                              const dp_redis_server_t *server,
                              dp_redis_resolver_t *resolver,
                              dp_redis_call_t *call)
{
    apr_status_t status = server->at.path
                              ? connect_path(link, server->at.path, call)
                              : connect_host(link, &server->at, resolver, call);

    return status == APR_SUCCESS && server->tls
               ? shake_hands(link, server, call)
               : status;
}
