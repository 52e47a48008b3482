/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real memcached servers on loopback, and impostors: each belongs to the test
 * that started it and dies with its process, however that ends.
 */
#ifndef DP_TESTS_MEMCACHED_FIXTURE_H
#define DP_TESTS_MEMCACHED_FIXTURE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "unit.h"

typedef struct mcd_t {
    const char *address; /* "127.0.0.1:port" or "unix:/path" */
    int port;            /* 0 for a socket */
    pid_t pid;           /* 0 while it doesn't run */
    const char *option;  /* of its command, or NULL */
    const char *another; /* the same */
} mcd_t;

/* A server that has begun to listen: on a port of the kernel's choice, or on
 * a socket in a directory of the test. */
mcd_t *mcd_start(void);
mcd_t *mcd_start_socket(void);
mcd_t *mcd_start_with(const char *option, const char *another);

/* At once and without any farewell; and again, at the same place, with
 * nothing in it. */
void mcd_kill(mcd_t *server);
void mcd_restart(mcd_t *server);

/* It stops answering, and its kernel goes on accepting; and it goes on. */
void mcd_stop(mcd_t *server);
void mcd_go_on(mcd_t *server);

/* Send `command` as it is; what comes back, at least one line, up to and
 * including the first of memcached's words for the end of an answer. */
const char *mcd_ask(const mcd_t *server, const char *command);

/* Store bytes under a key, past everything; for an hour. */
void mcd_plant(const mcd_t *server, const char *key, const void *bytes,
               apr_size_t size, unsigned flags);
void mcd_delete(const mcd_t *server, const char *key);

/*
 * Something else on a port. It says `greeting` to who connects; to each line
 * that it reads and that begins with one of `lines`, it says the answer beside
 * it. Both end with NULL; an answer of NULL closes the connection. To other
 * lines it says nothing.
 */
typedef struct impostor_line_t {
    const char *line;
    const char *answer;
} impostor_line_t;
const char *mcd_impostor(const char *greeting, const impostor_line_t *lines);

/*
 * A way to `server` that forwards everything, until armed: then the next line
 * that begins with `line` is still forwarded, but what the server says to it
 * is lost, and the connection closed (or kept silent).
 */
typedef struct mcd_proxy_t {
    const char *address;
    const mcd_t *server;
    int listener;
    _Atomic(const char *) armed; /* NULL: not */
    atomic_int closes;
    atomic_int lost;    /* answers, so far */
    atomic_int is_late; /* its server's clock seems 1000000000 s ahead */
} mcd_proxy_t;
mcd_proxy_t *mcd_proxy(const mcd_t *server);

/* A port of loopback where nobody listens. */
int mcd_free_port(void);

#endif
