/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the clients of tests/bench/herd.c read: no more of HTTP than a benchmark
 * needs.
 *
 * The head is kept, as far as it fits; of the body only its beginning is looked
 * at, and the rest counted. An answer without a length never ends by itself.
 */
#include "herd_client.h"

#include <stdlib.h>
#include <string.h>

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
