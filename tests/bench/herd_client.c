/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the clients of tests/bench/herd.c connect, ask and read: no more of HTTP
 * than a benchmark needs.
 *
 * A request is written at once or not at all. Of its answer the head is kept,
 * as far as it fits; of the body only its beginning is looked at, and the rest
 * counted. An answer without a length never ends by itself.
 */
#include "herd_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int client_connect(client_t *client, const struct sockaddr_in *server)
{
    const struct sockaddr *address = (const struct sockaddr *)server;
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    int on = 1;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0) {
        return 0;
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, address, sizeof(*server)) != 0
        && errno != EINPROGRESS) {
        return 0;
    }
    getsockname(client->fd, (struct sockaddr *)&own, &size);
    client->port = ntohs(own.sin_port);
    return 1;
}

int client_ask(const client_t *client, const char *path, int port)
{
    char text[PATH_LEN_MAX + 256];
    int size = snprintf(text, sizeof(text),
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "User-Agent: herd\r\nAccept: image/*\r\n\r\n",
                        path, port);

    return size < (int)sizeof(text)
           && send(client->fd, text, size, MSG_NOSIGNAL) == size;
}

static void read_head(client_t *client, const char *end)
{
    const char *length = strcasestr(client->head, "\r\nContent-Length:");

    client->status = atoi(client->head + strcspn(client->head, " "));
    client->length = length && length < end ? atoll(length + 17) : -1;
}

static int begins_as_png(const char *bytes, int size)
{
    return size >= 4 && !memcmp(bytes, "\x89PNG", 4);
}

int client_take(client_t *client, const char *bytes, int size)
{
    int space = HEAD_MAX - 1 - client->head_size;
    int taken = size < space ? size : space;
    int start;
    char *end;

    if (client->status) {
        if (client->got == 0) {
            client->is_png = begins_as_png(bytes, size);
        }
        client->got += size;
        return client->got == client->length;
    }
    memcpy(client->head + client->head_size, bytes, taken);
    client->head_size += taken;
    client->head[client->head_size] = '\0';
    end = memmem(client->head, client->head_size, "\r\n\r\n", 4);
    if (!end) {
        return taken < size; /* a head that is too long: no status */
    }
    read_head(client, end);
    start = end + 4 - client->head;
    client->got = client->head_size - start + size - taken;
    client->is_png = begins_as_png(end + 4, client->head_size - start);
    return client->got == client->length;
}

void client_forget_answer(client_t *client)
{
    client->status = 0;
    client->is_png = 0;
    client->length = 0;
    client->got = 0;
    client->head_size = 0;
    client->first = 0;
}

void client_print(const client_t *client)
{
    printf("%c %d %d %d %lld %lld %lld %lld\n", client->is_probe ? 'p' : 'c',
           client->port, client->fd < 0 ? client->status : 0, client->is_png,
           client->got, client->asked, client->first, client->last);
}
