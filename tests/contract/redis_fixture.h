/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A redis-server of the test's own: started when first asked for, in a
 * directory that goes with the test, without persistence, killed when the test
 * ends, also when it dies. Listens on a unix socket, and on a port of the
 * loopback interface where asked to. And things on the network that aren't
 * one, or lose its answers.
 */
#ifndef DP_TESTS_REDIS_FIXTURE_H
#define DP_TESTS_REDIS_FIXTURE_H

#include <hiredis.h>

#include "unit.h"

/* Start with further options, up to NULL ("--requirepass", "x", NULL); before
 * that, the first use of any of the following starts one without. */
void redis_start(const char *const options[]);

/* Where it is: "unix:/...". */
const char *redis_socket(void);

/* A port of 127.0.0.1 that nobody uses. */
int redis_free_port(void);

/* A file in the test's directory, written. */
const char *redis_file(const char *name, const char *content);
const char *redis_path(const char *name);

/* What happens to servers. After redis_kill(), redis_start() starts one at
 * the same place. */
void redis_kill(void);
void redis_signal(int number);

/* A command by the side entrance, as redisCommand(); fails the test when redis
 * refuses. The reply lives as long as the test. */
const redisReply *redis_do(const char *format, ...);

/* The same with binary words. */
void redis_put(const char *key, const void *bytes, size_t size);

/* How the side entrance lets us in, where redis_start()'s options need it. */
void redis_side_password(const char *password);

/* ---- a proxy before it ---- */

typedef enum redis_proxy_e {
    REDIS_PROXY_PASS,
    REDIS_PROXY_SWALLOW, /* the next answer is kept; the line stays silent */
    REDIS_PROXY_CUT,     /* the next answer is kept; the line is closed */
    REDIS_PROXY_ADD      /* the next answer is followed by another, "MINE" */
} redis_proxy_e;

/* Start one, in a thread; its "unix:/...". */
const char *redis_proxy(void);
void redis_proxy_next(redis_proxy_e what);

/* ---- what is no redis ---- */

/* Listens on a port of 127.0.0.1 and sends that to everybody, then keeps the
 * line open (NULL: closes it). Returns "127.0.0.1:port". */
const char *redis_impostor(const char *text);

/* How many have come to it. */
unsigned redis_impostor_visits(void);

/* ---- certificates ---- */

/* Make ca.pem, and server.pem, server.key for `name` signed by it. */
void redis_certificates(const char *name);

#endif
