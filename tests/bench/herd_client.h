/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of a herd, and what it has of its answer.
 */
#ifndef DP_BENCH_HERD_CLIENT_H
#define DP_BENCH_HERD_CLIENT_H

#include <netinet/in.h>

enum { HEAD_MAX = 4096, PATH_LEN_MAX = 2048 };

typedef struct client_t {
    int fd; /* -1: closed */
    int is_probe;
    int is_open;  /* connected */
    int is_early; /* waits for the answer before the herd's */
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

/* Begins to connect; 0: it can't, errno says why. */
int client_connect(client_t *client, const struct sockaddr_in *server);

/* Writes a request; whether all of it went. */
int client_ask(const client_t *client, const char *path, int port);

/* Takes bytes of the answer; whether it is complete. */
int client_take(client_t *client, const char *bytes, int size);

/* As if it had asked for nothing; its connection stays. */
void client_forget_answer(client_t *client);

/* The line that says what became of it. */
void client_print(const client_t *client);

#endif
