/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for a non-blocking socket to a redis. The server's certificate is always
 * verified, and its name compared with the one that was configured.
 */
#ifndef DP_LOCK_REDIS_TLS_H
#define DP_LOCK_REDIS_TLS_H

#include <apr_errno.h>
#include <apr_pools.h>

struct ssl_ctx_st;
struct ssl_st;

/*
 * What all connections share. `ca`: a PEM file of those who may vouch for the
 * server; NULL: the system's (OpenSSL's, SSL_CERT_FILE included). `cert`,
 * `key`: our own, PEM files, both or neither. NULL, or what is wrong.
 */
const char *dp_redis_tls_make(struct ssl_ctx_st **tls, const char *ca,
                              const char *cert, const char *key,
                              apr_pool_t *result_pool);

/* One connection over `fd` to `host` (a name, or an address without
 * brackets). NULL when there is no memory. */
struct ssl_st *dp_redis_tls_begin(struct ssl_ctx_st *tls, int fd,
                                  const char *host);
void dp_redis_tls_end(struct ssl_st *link);

/*
 * Steps that don't block. APR_SUCCESS; APR_EAGAIN: again, when poll(2) sees
 * `events`; APR_EOF; anything else: broken. `size` says how many bytes there
 * are or may be, and then how many were moved.
 */
apr_status_t dp_redis_tls_shake(struct ssl_st *link, short *events);
apr_status_t dp_redis_tls_send(struct ssl_st *link, const char *bytes,
                               apr_size_t *size, short *events);
apr_status_t dp_redis_tls_receive(struct ssl_st *link, char *bytes,
                                  apr_size_t *size, short *events);

/* Why the handshake failed, for people. */
const char *dp_redis_tls_why(const struct ssl_st *link);

#endif
