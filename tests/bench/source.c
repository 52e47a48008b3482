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
 *     /set?delay=ms&status=n&hold=0|1&fault=name   the count begins anew
 *     /release                                     holds no longer
 *     /count   requests, those under way, and when, in microseconds of
 *              CLOCK_MONOTONIC, the last answer was sent
 *
 * While it holds, nobody is answered. Its faults: source_script.h.
 */
#include "source_script.h"

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
    int was_answered;
    answer_t answer;
    size_t sent; /* of head and body */
} client_t;

typedef struct source_t {
    int epoll;
    int listener;
    album_t album;
    script_t script;
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
    const answer_t *answer = &client->answer;
    size_t whole = answer->head_size + answer->body_size;

    while (client->sent < whole) {
        int in_head = client->sent < answer->head_size;
        const char *from =
            in_head ? answer->head + client->sent
                    : answer->body + client->sent - answer->head_size;
        size_t end = in_head ? answer->head_size : whole;
        int more = in_head && answer->body_size ? MSG_MORE : 0;
        ssize_t n =
            send(client->fd, from, end - client->sent, MSG_NOSIGNAL | more);

        if (n < 0 && errno == EAGAIN) {
            watch(source, client, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            end_client(source, client);
            return;
        }
        client->sent += (size_t)n;
    }
    if (answer->ends) {
        end_client(source, client);
        return;
    }
    client->request_size = 0;
    client->sent = 0;
    watch(source, client, EPOLLIN);
}

static void answer(source_t *source, client_t *client)
{
    client->is_waiting = 0;
    client->was_answered = 1;
    source->nwaiting--;
    script_answer(&source->script, &source->album, client->request,
                  &client->answer);
    source->written = now_usec();
    send_answer(source, client);
}

static int asks_for(const client_t *client, const char *path)
{
    return !strncmp(client->request + 4, path, strlen(path));
}

static int is_order(const client_t *client)
{
    return asks_for(client, "/set") || asks_for(client, "/release")
           || asks_for(client, "/count");
}

static void obey(source_t *source, client_t *client)
{
    static char text[128];
    int size = snprintf(text, sizeof(text), "%d %d %lld\n", source->nrequests,
                        source->nwaiting, source->written);

    if (asks_for(client, "/set")) {
        script_set(&source->script, client->request);
        source->nrequests = 0;
    }
    else if (asks_for(client, "/release")) {
        source->script.is_held = 0;
    }
    answer_make(&client->answer, 200, "Content-Type: text/plain\r\n", text,
                (size_t)size);
    send_answer(source, client);
}

static void begin(source_t *source, client_t *client)
{
    client->request[strcspn(client->request, "\r")] = '\0';
    if (is_order(client)) {
        obey(source, client);
        return;
    }
    source->nrequests++;
    if (client->was_answered && source->script.fault == FAULT_FLEETING) {
        end_client(source, client);
        return;
    }
    source->nwaiting++;
    client->is_waiting = 1;
    client->due = now_usec() + source->script.delay_ms * 1000LL;
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

    if (!source->nwaiting || source->script.is_held) {
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
    static source_t source = {.script.status = 200};
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
