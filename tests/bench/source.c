/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map server for benchmarks: exact in its delay, cheap in its answers.
 *
 *     source -p port -d directory
 *
 * One thread and one epoll. Answers a GetMap with the file
 * LAYERS-WIDTHxHEIGHT.png of the directory, read at the start, after the delay.
 * Requests are counted when they come. A path that begins with /short is fresh
 * for a second, any other for an hour. Scripted by requests:
 *
 *     /set?delay=ms&status=n&hold=0|1   and the count begins anew
 *     /count                            requests, those under way, and when,
 *                                       in microseconds of CLOCK_MONOTONIC,
 *                                       the last answer was sent
 *
 * While it holds, nobody is answered.
 */
#include "source_album.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 4096, REQUEST_MAX = 8192 };

typedef struct client_t {
    int fd; /* -1: free */
    char request[REQUEST_MAX];
    int request_size;
    int is_waiting; /* for its answer, until due */
    long long due;  /* usec */
    char head[256]; /* of the answer */
    size_t head_size;
    const char *body;
    size_t body_size;
    size_t sent; /* of head and body */
} client_t;

typedef struct source_t {
    int epoll;
    int listener;
    album_t album;
    int delay_ms;
    int status;
    int is_held;
    int nrequests;
    int nwaiting;
    long long written; /* when it began to send the last picture, usec */
    int nseats;        /* clients that were ever in use */
    client_t clients[CLIENTS_MAX];
} source_t;

static long long now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void end_client(source_t *source, client_t *client)
{
    if (client->is_waiting) {
        source->nwaiting--;
    }
    close(client->fd);
    client->fd = -1;
}

static void watch(source_t *source, client_t *client, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};

    epoll_ctl(source->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

/* Sends what the socket takes; then the client may ask again. */
static void send_answer(source_t *source, client_t *client)
{
    while (client->sent < client->head_size + client->body_size) {
        int in_head = client->sent < client->head_size;
        const char *from =
            in_head ? client->head + client->sent
                    : client->body + client->sent - client->head_size;
        size_t size =
            in_head ? client->head_size - client->sent
                    : client->head_size + client->body_size - client->sent;
        ssize_t n =
            send(client->fd, from, size,
                 MSG_NOSIGNAL | (in_head && client->body_size ? MSG_MORE : 0));

        if (n < 0 && errno == EAGAIN) {
            watch(source, client, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            end_client(source, client);
            return;
        }
        client->sent += n;
    }
    client->request_size = 0;
    watch(source, client, EPOLLIN);
}

static void prepare(client_t *client, int status, const char *more,
                    const char *body, size_t size)
{
    client->head_size = snprintf(client->head, sizeof(client->head),
                                 "HTTP/1.1 %d Said\r\n%s"
                                 "Content-Length: %zu\r\n\r\n",
                                 status, more, size);
    client->body = body;
    client->body_size = size;
    client->sent = 0;
}

static void answer(source_t *source, client_t *client)
{
    const picture_t *picture = album_find(&source->album, client->request);
    int is_short = !strncmp(client->request, "GET /short", 10);

    client->is_waiting = 0;
    source->nwaiting--;
    if (source->status != 200 || !picture) {
        prepare(client, picture ? source->status : 404,
                "Content-Type: text/plain\r\n", "broken\n", 7);
    }
    else {
        prepare(client, 200,
                is_short ? "Content-Type: image/png\r\n"
                           "Cache-Control: max-age=1\r\n"
                         : "Content-Type: image/png\r\n"
                           "Cache-Control: max-age=3600\r\n",
                picture->bytes, picture->size);
    }
    source->written = now_usec();
    send_answer(source, client);
}

static void set(source_t *source, const char *request)
{
    int delay = query_number(request, "delay=");
    int status = query_number(request, "status=");
    int hold = query_number(request, "hold=");

    source->delay_ms = delay >= 0 ? delay : source->delay_ms;
    source->status = status >= 0 ? status : source->status;
    source->is_held = hold >= 0 ? hold : source->is_held;
    source->nrequests = 0;
}

static void obey(source_t *source, client_t *client)
{
    static char text[128];
    int size = snprintf(text, sizeof(text), "%d %d %lld\n", source->nrequests,
                        source->nwaiting, source->written);

    if (!strncmp(client->request, "GET /set", 8)) {
        set(source, client->request);
    }
    prepare(client, 200, "Content-Type: text/plain\r\n", text, size);
    send_answer(source, client);
}

static void begin(source_t *source, client_t *client)
{
    client->request[strcspn(client->request, "\r")] = '\0';
    if (!strncmp(client->request, "GET /set", 8)
        || !strncmp(client->request, "GET /count", 10)) {
        obey(source, client);
        return;
    }
    source->nrequests++;
    source->nwaiting++;
    client->is_waiting = 1;
    client->due = now_usec() + source->delay_ms * 1000LL;
}

static void take(source_t *source, client_t *client)
{
    int space = REQUEST_MAX - 1 - client->request_size;
    ssize_t n = read(client->fd, client->request + client->request_size, space);

    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        end_client(source, client);
        return;
    }
    client->request_size += (int)n;
    client->request[client->request_size] = '\0';
    if (!client->is_waiting && strstr(client->request, "\r\n\r\n")) {
        begin(source, client);
    }
}

static void welcome(source_t *source)
{
    int on = 1;
    int fd = accept4(source->listener, NULL, NULL, SOCK_NONBLOCK);
    int seat = 0;
    client_t *client;
    struct epoll_event event = {.events = EPOLLIN};

    if (fd < 0) {
        return;
    }
    while (seat < source->nseats && source->clients[seat].fd >= 0) {
        seat++;
    }
    if (seat == CLIENTS_MAX) {
        give_up("source: too many clients");
    }
    source->nseats = seat < source->nseats ? source->nseats : seat + 1;
    client = &source->clients[seat];
    *client = (client_t){.fd = fd};
    event.data.ptr = client;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_ctl(source->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Answers whoever has waited long enough; when the next one will have. */
static long long answer_due(source_t *source)
{
    long long next = now_usec() + 1000000;

    if (!source->nwaiting || source->is_held) {
        return next;
    }
    for (int i = 0; i < source->nseats; i++) {
        client_t *client = &source->clients[i];

        if (client->fd < 0 || !client->is_waiting) {
            continue;
        }
        if (client->due <= now_usec()) {
            answer(source, client);
        }
        else if (client->due < next) {
            next = client->due;
        }
    }
    return next;
}

static void serve(source_t *source)
{
    struct epoll_event events[256];
    long long rest = answer_due(source) - now_usec();
    struct timespec pause = {0, 0};
    int n;

    if (rest > 0) {
        pause = (struct timespec){rest / 1000000, rest % 1000000 * 1000};
    }
    n = epoll_pwait2(source->epoll, events, 256, &pause, NULL);
    for (int i = 0; i < n; i++) {
        client_t *client = events[i].data.ptr;

        if (!client) {
            welcome(source);
        }
        else if (events[i].events & EPOLLOUT) {
            send_answer(source, client);
        }
        else if (client->fd >= 0) {
            take(source, client);
        }
    }
}

static void listen_at(source_t *source, int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN};
    int on = 1;

    own.sin_port = htons(port);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    source->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(source->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(source->listener, (struct sockaddr *)&own, sizeof(own)) != 0
        || listen(source->listener, 4096) != 0) {
        give_up("source: listen");
    }
    source->epoll = epoll_create1(0);
    epoll_ctl(source->epoll, EPOLL_CTL_ADD, source->listener, &event);
}

int main(int argc, char **argv)
{
    static source_t source = {.status = 200};
    const char *folder = ".";
    int port = 0;
    int option;

    for (option = getopt(argc, argv, "p:d:"); option != -1;
         option = getopt(argc, argv, "p:d:")) {
        if (option == 'p') {
            port = atoi(optarg);
        }
        else if (option == 'd') {
            folder = optarg;
        }
        else {
            return 2;
        }
    }
    album_read(&source.album, folder);
    listen_at(&source, port);
    while (1) {
        serve(&source);
    }
}
