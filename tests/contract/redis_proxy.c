/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a client and a redis: a proxy that loses an answer when told to, and
 * listeners that are no redis at all. Threads of the test's process; they end
 * with it.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "redis_fixture.h"

static volatile apr_uint32_t next_answer;
static volatile apr_uint32_t visits;

/* ---- the proxy ---- */

/* One client and its line to the redis. */
typedef struct line_t {
    int client;
    int server;
    int is_silent;
} line_t;

static int at_path(const char *path, int is_listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct sockaddr *to = (const struct sockaddr *)&address;

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    if (is_listener ? bind(fd, to, sizeof(address)) || listen(fd, 64)
                    : connect(fd, to, sizeof(address))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Move what has come. 0: the line is closed. */
static int relay(line_t *line, int from, int to)
{
    static const char more[] = "+MINE\r\n";
    char bytes[65536 + sizeof(more)];
    ssize_t got = recv(from, bytes, 65536, 0);

    if (got <= 0) {
        return 0;
    }
    if (from == line->server) {
        switch (apr_atomic_xchg32(&next_answer, REDIS_PROXY_PASS)) {
        case REDIS_PROXY_CUT:
            return 0;
        case REDIS_PROXY_SWALLOW:
            line->is_silent = 1;
            break;
        case REDIS_PROXY_ADD:
            memcpy(bytes + got, more, sizeof(more) - 1);
            got += (ssize_t)sizeof(more) - 1;
        }
        if (line->is_silent) {
            return 1;
        }
    }
    return send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void *serve_line(void *baton)
{
    line_t *line = baton;
    struct pollfd ends[2] = {{.fd = line->client, .events = POLLIN},
                             {.fd = line->server, .events = POLLIN}};
    int is_open = line->server >= 0;

    while (is_open && poll(ends, 2, -1) > 0) {
        if (ends[0].revents) {
            is_open = relay(line, line->client, line->server);
        }
        if (is_open && ends[1].revents) {
            is_open = relay(line, line->server, line->client);
        }
    }
    close(line->client);
    close(line->server);
    free(line);
    return NULL;
}

typedef struct proxy_t {
    int listener;
    char upstream[256];
} proxy_t;

static void *serve_proxy(void *baton)
{
    proxy_t *proxy = baton;

    for (;;) {
        line_t *line = calloc(1, sizeof(*line));
        pthread_t thread;

        line->client = accept(proxy->listener, NULL, NULL);
        line->server = at_path(proxy->upstream, 0);
        pthread_create(&thread, NULL, serve_line, line);
        pthread_detach(thread);
    }
    return NULL;
}

const char *redis_proxy(void)
{
    proxy_t *proxy = apr_pcalloc(unit_pool, sizeof(*proxy));
    const char *path = redis_path("proxy.sock");
    pthread_t thread;

    apr_cpystrn(proxy->upstream, redis_socket() + strlen("unix:"),
                sizeof(proxy->upstream));
    proxy->listener = at_path(path, 1);
    ck_assert_int_ge(proxy->listener, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve_proxy, proxy), 0);
    pthread_detach(thread);
    return apr_pstrcat(unit_pool, "unix:", path, NULL);
}

void redis_proxy_next(redis_proxy_e what)
{
    apr_atomic_set32(&next_answer, what);
}

/* ---- what is no redis ---- */

typedef struct impostor_t {
    int listener;
    const char *text;
} impostor_t;

static void *serve_impostor(void *baton)
{
    const impostor_t *impostor = baton;

    for (;;) {
        int fd = accept(impostor->listener, NULL, NULL);

        apr_atomic_inc32(&visits);
        if (impostor->text == NULL
            || send(fd, impostor->text, strlen(impostor->text), MSG_NOSIGNAL)
                   < 0) {
            close(fd);
        }
    }
    return NULL;
}

const char *redis_impostor(const char *text)
{
    impostor_t *impostor = apr_pcalloc(unit_pool, sizeof(*impostor));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    pthread_t thread;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    impostor->text = text;
    impostor->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(
        bind(impostor->listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(impostor->listener, 64), 0);
    ck_assert_int_eq(
        getsockname(impostor->listener, (struct sockaddr *)&address, &size), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve_impostor, impostor),
                     0);
    pthread_detach(thread);
    return apr_psprintf(unit_pool, "127.0.0.1:%d", ntohs(address.sin_port));
}

unsigned redis_impostor_visits(void)
{
    return apr_atomic_read32(&visits);
}
