/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What else may stand where a memcached should: an impostor, and a way that
 * loses answers. A thread for each and for each connection; all of them end
 * with the test's process.
 */
#include <apr_strings.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "memcached_fixture.h"

#define BUFFER_BYTES 65536

static int listen_on_loopback(const char **address)
{
    struct sockaddr_in where = {.sin_family = AF_INET};
    socklen_t size = sizeof(where);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&where, size), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&where, &size), 0);
    *address = apr_psprintf(unit_pool, "127.0.0.1:%d", ntohs(where.sin_port));
    return fd;
}

/* A connection in the hands of its thread. */
typedef struct guest_t {
    int fd;
    void *host;
} guest_t;

static void start_thread(void *(*body)(void *), int fd, void *host)
{
    guest_t *guest = malloc(sizeof(*guest));
    pthread_t thread;

    guest->fd = fd;
    guest->host = host;
    if (pthread_create(&thread, NULL, body, guest) != 0) {
        abort();
    }
    pthread_detach(thread);
}

/* ---- the impostor ---- */

typedef struct impostor_t {
    int listener;
    const char *greeting;
    const impostor_line_t *lines;
} impostor_t;

/* 0 when the connection is over. */
static int answer_line(const impostor_t *impostor, int fd, const char *line)
{
    const impostor_line_t *one;

    for (one = impostor->lines; one && one->line; one++) {
        if (strncmp(line, one->line, strlen(one->line)) == 0) {
            return one->answer
                   && send(fd, one->answer, strlen(one->answer), MSG_NOSIGNAL)
                          > 0;
        }
    }
    return 1;
}

static void *entertain(void *baton)
{
    guest_t guest = *(guest_t *)baton;
    const impostor_t *impostor = guest.host;
    char line[BUFFER_BYTES];
    FILE *in = fdopen(dup(guest.fd), "r");

    free(baton);
    if (impostor->greeting) {
        send(guest.fd, impostor->greeting, strlen(impostor->greeting),
             MSG_NOSIGNAL);
    }
    while (in && fgets(line, sizeof(line), in)
           && answer_line(impostor, guest.fd, line)) {
    }
    if (in) {
        fclose(in);
    }
    close(guest.fd);
    return NULL;
}

static void *receive(void *baton)
{
    guest_t *self = baton;
    impostor_t *impostor = self->host;

    free(self);
    for (;;) {
        int fd = accept(impostor->listener, NULL, NULL);

        if (fd >= 0) {
            start_thread(entertain, fd, impostor);
        }
    }
    return NULL;
}

const char *mcd_impostor(const char *greeting, const impostor_line_t *lines)
{
    impostor_t *impostor = calloc(1, sizeof(*impostor));
    const char *address;

    impostor->greeting = greeting;
    impostor->lines = lines;
    impostor->listener = listen_on_loopback(&address);
    start_thread(receive, -1, impostor);
    return address;
}

/* ---- the proxy ---- */

static int reach(const mcd_t *server)
{
    struct sockaddr_in where = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons((in_port_t)server->port);
    if (connect(fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Something of the one to the other; 0 at its end. */
static ssize_t forward(int from, int to, char *buffer)
{
    ssize_t got = recv(from, buffer, BUFFER_BYTES - 1, 0);

    if (got <= 0) {
        return 0;
    }
    buffer[got] = '\0';
    return to < 0 || send(to, buffer, (size_t)got, MSG_NOSIGNAL) == got ? got
                                                                        : 0;
}

/* As forward(), of what the server says; its clock may be changed. */
static ssize_t forward_answer(const mcd_proxy_t *proxy, int from, int to,
                              char *buffer)
{
    static const char clock[] = "STAT time 1";
    ssize_t got = forward(from, -1, buffer);
    char *time = got ? strstr(buffer, clock) : NULL;

    if (time && proxy->is_late) {
        time[sizeof(clock) - 2] = '2';
    }
    return got && send(to, buffer, (size_t)got, MSG_NOSIGNAL) == got ? got : 0;
}

/* The rest of the command still goes there; the server's answer is lost. */
static void lose_answer(mcd_proxy_t *proxy, struct pollfd ends[2], char *buffer)
{
    while (poll(ends, 2, -1) > 0) {
        if (ends[1].revents) {
            proxy->lost += forward(ends[1].fd, -1, buffer) > 0;
            break;
        }
        if (!forward(ends[0].fd, ends[1].fd, buffer)) {
            return;
        }
    }
    if (!proxy->closes) {
        /* Until the other one gives up. */
        while (forward(ends[0].fd, -1, buffer)) {
        }
    }
}

static void *carry(void *baton)
{
    guest_t guest = *(guest_t *)baton;
    mcd_proxy_t *proxy = guest.host;
    struct pollfd ends[2] = {{.events = POLLIN}, {.events = POLLIN}};
    char *buffer = malloc(BUFFER_BYTES);
    int is_open;

    free(baton);
    ends[0].fd = guest.fd;
    ends[1].fd = reach(proxy->server);
    is_open = ends[1].fd >= 0;
    while (is_open && poll(ends, 2, -1) > 0) {
        if (ends[0].revents) {
            const char *armed = proxy->armed;

            is_open = forward(ends[0].fd, ends[1].fd, buffer) > 0;
            if (armed && strncmp(buffer, armed, strlen(armed)) == 0) {
                proxy->armed = NULL;
                lose_answer(proxy, ends, buffer);
                is_open = 0;
            }
        }
        else if (ends[1].revents) {
            is_open = forward_answer(proxy, ends[1].fd, ends[0].fd, buffer) > 0;
        }
    }
    close(ends[0].fd);
    close(ends[1].fd);
    free(buffer);
    return NULL;
}

static void *accept_all(void *baton)
{
    guest_t *self = baton;
    mcd_proxy_t *proxy = self->host;

    free(self);
    for (;;) {
        int fd = accept(proxy->listener, NULL, NULL);

        if (fd >= 0) {
            start_thread(carry, fd, proxy);
        }
    }
    return NULL;
}

mcd_proxy_t *mcd_proxy(const mcd_t *server)
{
    mcd_proxy_t *proxy = calloc(1, sizeof(*proxy));

    proxy->server = server;
    proxy->listener = listen_on_loopback(&proxy->address);
    start_thread(accept_all, -1, proxy);
    return proxy;
}
