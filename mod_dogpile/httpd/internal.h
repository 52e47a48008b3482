/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module's own request: a GET through the whole of httpd, with no client.
 *
 * It runs on a connection that exists in memory only, so ProxyPass, balancers,
 * rewriting, CGI and FastCGI all work as configured, backend connections are
 * reused, and no client's leaving disturbs it. It is never intercepted again,
 * skips authentication and authorisation, which the clients have passed where
 * they asked, and has an address that nobody trusts.
 */
#ifndef DP_HTTPD_INTERNAL_H
#define DP_HTTPD_INTERNAL_H

#include "httpd/config.h"

#include <apr_thread_proc.h>

/* Seen by the configuration of the internal request from its beginning. */
#define DP_INTERNAL_ENV "DOGPILE_INTERNAL"

/* What to ask for. */
typedef struct dp_ask_t {
    server_rec *server;
    int is_tls;                  /* that host's clients come over TLS */
    const char *target;          /* escaped path and query */
    const dp_headers_t *headers; /* DogpileSourceHeader */
    const char *etag;            /* answer 304 where it is still this, */
    const char *last_modified;   /* or hasn't changed since; or NULL */
    apr_size_t max_bytes;        /* a longer body is an error */
    int is_repeated; /* mod_proxy shall use a new connection to the backend */
} dp_ask_t;

/* What came. Lives in the pool of the asking. */
typedef struct dp_answer_t {
    int status;             /* HTTP status */
    const char *media_type; /* Content-Type, or NULL */
    apr_table_t *headers;   /* the source's, before the site's filters */
    const char *body;
    apr_size_t size;
    int is_complete; /* the body ended where the source meant it to */
    int is_too_long;
    int is_broken;     /* the body, by whoever brought it */
    int is_unanswered; /* the connection to a backend ended before a byte */
} dp_answer_t;

/* Ask, on a thread of the module. Always sets the answer. */
void dp_internal_get(dp_answer_t *answer, const dp_ask_t *ask,
                     apr_thread_t *thread, apr_pool_t *result_pool);

/* Once a child, from a request thread: the first internal connection needs a
 * real one to learn from. */
apr_status_t dp_internal_bootstrap(conn_rec *real);

/* Of an internal connection, as its module config. */
typedef struct dp_internal_t {
    int is_tls;
    dp_answer_t *answer;
    apr_size_t max_bytes;
} dp_internal_t;

/* NULL for a client's connection. */
dp_internal_t *dp_internal_of(const conn_rec *c);

int dp_is_internal(const conn_rec *c);

/* Filters and, in internal_hooks.c, hooks. */
void dp_internal_register(apr_pool_t *pool);
void dp_internal_register_hooks(apr_pool_t *pool);

#endif
