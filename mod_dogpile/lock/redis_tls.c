/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to a redis, over OpenSSL. The context is made by the parent while the
 * configuration is read and is constant then; a connection is used by one
 * thread of a child at a time.
 *
 * OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE where a
 * program hasn't ignored it, as tools may not. So the BIO is ours: a dozen
 * lines over send(2) and recv(2).
 *
 * The invariant: nothing is sent before the server's certificate was verified
 * and its name found to be the configured one.
 */
#include "lock/redis_tls.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

static int fd_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int bio_send(BIO *bio, const char *bytes, int size)
{
    ssize_t sent = send(fd_of(bio), bytes, (size_t)size, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int bio_receive(BIO *bio, char *bytes, int size)
{
    ssize_t got = recv(fd_of(bio), bytes, (size_t)size, 0);

    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dogpile redis");

    if (method) {
        BIO_meth_set_write(method, bio_send);
        BIO_meth_set_read(method, bio_receive);
        BIO_meth_set_ctrl(method, bio_control);
    }
    return method;
}

static apr_status_t context_free(void *tls)
{
    BIO_METHOD *method = SSL_CTX_get_app_data((SSL_CTX *)tls);

    SSL_CTX_free(tls);
    BIO_meth_free(method);
    return APR_SUCCESS;
}

/* OpenSSL's last word on it. */
static const char *last_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "not possible";
}

static const char *use_files(SSL_CTX *tls, const char *ca, const char *cert,
                             const char *key, apr_pool_t *pool)
{
    ERR_clear_error();
    if (ca ? SSL_CTX_load_verify_locations(tls, ca, NULL) != 1
           : SSL_CTX_set_default_verify_paths(tls) != 1) {
        return apr_psprintf(pool, "ca=%s: %s", ca ? ca : "", last_error());
    }
    if (cert && SSL_CTX_use_certificate_chain_file(tls, cert) != 1) {
        return apr_psprintf(pool, "cert=%s: %s", cert, last_error());
    }
    if (key
        && (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1
            || SSL_CTX_check_private_key(tls) != 1)) {
        return apr_psprintf(pool, "key=%s: %s", key, last_error());
    }
    return NULL;
}

const char *dp_redis_tls_make(SSL_CTX **result, const char *ca,
                              const char *cert, const char *key,
                              apr_pool_t *result_pool)
{
    SSL_CTX *tls;
    BIO_METHOD *method;

    if ((cert == NULL) != (key == NULL)) {
        return "cert= and key= need each other";
    }
    tls = SSL_CTX_new(TLS_client_method());
    method = make_method();
    if (tls == NULL || method == NULL
        || SSL_CTX_set_app_data(tls, method) != 1) {
        SSL_CTX_free(tls);
        BIO_meth_free(method);
        return "OpenSSL can't make a TLS client";
    }
    apr_pool_cleanup_register(result_pool, tls, context_free,
                              apr_pool_cleanup_null);
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE
                              | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    /* A redis that was killed hasn't said goodbye. An answer that was cut off
     * is known by its own length. */
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
    *result = tls;
    return use_files(tls, ca, cert, key, result_pool);
}

/* The name that the certificate must have. */
static int expect_host(SSL *link, const char *host)
{
    unsigned char address[16];

    if (inet_pton(AF_INET, host, address) == 1
        || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(link), host);
    }
    return SSL_set1_host(link, host) == 1
           && SSL_set_tlsext_host_name(link, host) == 1;
}

SSL *dp_redis_tls_begin(SSL_CTX *tls, int fd, const char *host)
{
    SSL *link = SSL_new(tls);
    BIO *bio = BIO_new(SSL_CTX_get_app_data(tls));

    if (link == NULL || bio == NULL || !expect_host(link, host)) {
        SSL_free(link);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(link, bio, bio);
    SSL_set_connect_state(link);
    return link;
}

void dp_redis_tls_end(SSL *link)
{
    SSL_free(link);
    /* This thread may serve other users of OpenSSL next. */
    ERR_clear_error();
}

/* What a step's result means. */
static apr_status_t outcome(const SSL *link, int result, short *events)
{
    int error = errno;

    switch (SSL_get_error(link, result)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return APR_EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        return APR_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return APR_EOF;
    case SSL_ERROR_SYSCALL:
        return error ? error : APR_EOF;
    default:
        return EPROTO;
    }
}

apr_status_t dp_redis_tls_shake(SSL *link, short *events)
{
    int result;

    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(link);
    return result == 1 ? APR_SUCCESS : outcome(link, result, events);
}

apr_status_t dp_redis_tls_send(SSL *link, const char *bytes, apr_size_t *size,
                               short *events)
{
    int result;

    ERR_clear_error();
    errno = 0;
    result = SSL_write_ex(link, bytes, *size, size);
    return result == 1 ? APR_SUCCESS : outcome(link, result, events);
}

apr_status_t dp_redis_tls_receive(SSL *link, char *bytes, apr_size_t *size,
                                  short *events)
{
    int result;

    ERR_clear_error();
    errno = 0;
    result = SSL_read_ex(link, bytes, *size, size);
    return result == 1 ? APR_SUCCESS : outcome(link, result, events);
}

const char *dp_redis_tls_why(const SSL *link)
{
    long verdict = SSL_get_verify_result(link);

    return verdict == X509_V_OK ? last_error()
                                : X509_verify_cert_error_string(verdict);
}
