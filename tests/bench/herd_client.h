/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of a herd, and what it has of its answer.
 */
#ifndef DP_BENCH_HERD_CLIENT_H
#define DP_BENCH_HERD_CLIENT_H

enum { HEAD_MAX = 4096 };

typedef struct client_t {
    int fd; /* -1: closed */
    int is_probe;
    int is_open; /* connected */
    int port;
    int status;
    int is_png;
    long long length; /* of the body; -1: until the end of the connection */
    long long got;    /* bytes of the body */
    int head_size;
    char head[HEAD_MAX]; /* NULed, as far as it has come */
    long long asked;     /* this and what follows in usec of the clock */
    long long first;
    long long last;
    const char *path;
} client_t;

/* Takes bytes of the answer; whether it is complete. */
int client_take(client_t *client, const char *bytes, int size);

#endif
