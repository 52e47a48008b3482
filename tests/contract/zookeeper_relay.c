/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes whole frames of ZooKeeper's protocol on, in both directions. A frame
 * is its length and so many bytes; the first of a connection is the greeting,
 * all others begin with the request's number, and then its type or, in a
 * reply, other things.
 */
#include "zookeeper_relay.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS 64
#define BUFFER_BYTES 262144

/* Of zookeeper.jute: "create2". */
#define CREATE2 15

/* One direction of a connection. */
typedef struct side_t {
    int fd;
    int greeted;
    size_t used;
    unsigned char bytes[BUFFER_BYTES];
} side_t;

typedef struct pair_t {
    int is_open;
    int is_held;     /* nothing comes back */
    uint32_t doomed; /* the request whose reply gets lost; 0: none */
    side_t client;
    side_t server;
} pair_t;

int zookeeper_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)*port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ZOOKEEPER_MUST(bind(fd, (struct sockaddr *)&address, size) == 0);
    ZOOKEEPER_MUST(listen(fd, PAIRS) == 0);
    ZOOKEEPER_MUST(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

int zookeeper_free_port(void)
{
    int port = 0;

    close(zookeeper_listen(&port));
    return port;
}

static uint32_t number(const unsigned char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return ntohl(value);
}

static void pass(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent <= 0) {
            return; /* the next poll shows that it is closed */
        }
        at += sent;
        size -= (size_t)sent;
    }
}

static void shut(pair_t *pair)
{
    close(pair->client.fd);
    close(pair->server.fd);
    pair->is_open = 0;
}

/* Pass the whole frames of `from` on. 0: the pair ends here. */
static int pass_frames(pair_t *pair, side_t *from, const side_t *to,
                       char *order)
{
    while (from->used >= 4) {
        size_t size = 4 + number(from->bytes);
        int is_first = !from->greeted;

        if (size > BUFFER_BYTES) {
            return 0;
        }
        if (from->used < size) {
            return 1;
        }
        from->greeted = 1;
        if (!is_first && from == &pair->client && *order != ZOOKEEPER_PASS
            && size >= 12 && number(from->bytes + 8) == CREATE2) {
            pair->is_held = *order == ZOOKEEPER_HOLD;
            pair->doomed = pair->is_held ? 0 : number(from->bytes + 4);
            *order = ZOOKEEPER_PASS;
        }
        if (!is_first && from == &pair->server && pair->doomed && size >= 8
            && number(from->bytes + 4) == pair->doomed) {
            return 0;
        }
        pass(to->fd, from->bytes, size);
        from->used -= size;
        memmove(from->bytes, from->bytes + size, from->used);
    }
    return 1;
}

static void serve(pair_t *pair, side_t *from, const side_t *to, char *order)
{
    ssize_t got =
        recv(from->fd, from->bytes + from->used, BUFFER_BYTES - from->used, 0);

    if (got > 0) {
        from->used += (size_t)got;
    }
    if (got <= 0 || !pass_frames(pair, from, to, order)) {
        shut(pair);
    }
}

static void begin(pair_t *pair, int client, int server_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int on = 1;

    memset(pair, 0, sizeof(*pair));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)server_port);
    pair->client.fd = client;
    pair->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair->is_open = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(pair->server.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(pair->server.fd, (struct sockaddr *)&address, sizeof(address))
        != 0) {
        shut(pair);
    }
}

static void take_client(pair_t *pairs, int listener, int server_port)
{
    int client = accept(listener, NULL, NULL);
    int i;

    for (i = 0; i < PAIRS; i++) {
        if (!pairs[i].is_open) {
            begin(&pairs[i], client, server_port);
            return;
        }
    }
    close(client);
}

static void relay(int listener, int control, int server_port)
{
    static pair_t pairs[PAIRS];
    struct pollfd fds[2 * PAIRS + 2];
    char order = ZOOKEEPER_PASS;
    int i;

    for (;;) {
        fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = control, .events = POLLIN};
        for (i = 0; i < PAIRS; i++) {
            int is_open = pairs[i].is_open;

            fds[2 + 2 * i] = (struct pollfd){
                .fd = is_open ? pairs[i].client.fd : -1, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){
                .fd = is_open && !pairs[i].is_held ? pairs[i].server.fd : -1,
                .events = POLLIN};
        }
        if (poll(fds, 2 * PAIRS + 2, -1) < 0) {
            continue;
        }
        for (i = 0; i < PAIRS; i++) {
            if (pairs[i].is_open && fds[2 + 2 * i].revents) {
                serve(&pairs[i], &pairs[i].client, &pairs[i].server, &order);
            }
            if (pairs[i].is_open && fds[3 + 2 * i].revents) {
                serve(&pairs[i], &pairs[i].server, &pairs[i].client, &order);
            }
        }
        if (fds[0].revents) {
            take_client(pairs, listener, server_port);
        }
        if (fds[1].revents && recv(control, &order, 1, 0) == 1) {
            for (i = 0; order == ZOOKEEPER_PASS && i < PAIRS; i++) {
                pairs[i].is_held = 0;
            }
            pass(control, &order, 1);
        }
    }
}

void zookeeper_relay_start(zookeeper_relay_t *made, int server_port)
{
    int listener = zookeeper_listen(&made->port);
    int ends[2];

    ZOOKEEPER_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
                   == 0);
    made->pid = fork();
    ZOOKEEPER_MUST(made->pid >= 0);
    if (made->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        relay(listener, ends[1], server_port);
        _exit(0);
    }
    close(listener);
    close(ends[1]);
    made->control = ends[0];
}

void zookeeper_relay_kill(zookeeper_relay_t *killed)
{
    if (killed->pid > 0) {
        kill(killed->pid, SIGKILL);
        waitpid(killed->pid, NULL, 0);
        close(killed->control);
        killed->pid = 0;
    }
}

void zookeeper_relay_order(zookeeper_relay_t *ordered, zookeeper_order_e order)
{
    char byte = (char)order;

    pass(ordered->control, &byte, 1);
    ZOOKEEPER_MUST(recv(ordered->control, &byte, 1, 0) == 1);
}
