/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads addresses of lock servers. Called by back ends when they check the
 * configuration, in the parent, before anything else runs; keeps no state.
 *
 * Strict, because what slips through here fails on a night long after: an IPv6
 * address without brackets, of which the last group would be the port, a
 * number that looks like an address and is none ("10.0.1"), two spellings of
 * one server. The invariant: two servers of one list never have one name.
 */
#include "lock/lock_net.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#define UNIX_PREFIX "unix:"
#define ALLOWED "allowed: host:port, [IPv6]:port or unix:/path"

static const char *wrong(const char *text, const char *why, apr_pool_t *pool)
{
    return apr_psprintf(pool, "server '%s': %s; " ALLOWED, text, why);
}

/* ":11211", or nothing where there is a default. */
static const char *read_port(int *port, const char *text, int default_port)
{
    apr_int64_t number = default_port;

    if (text[0] == '\0' && default_port == 0) {
        return "it has no port";
    }
    if (text[0] != '\0'
        && (text[0] != ':' || !dp_text_int(text + 1, 1, 65535, &number))) {
        return "its port is not a number from 1 to 65535";
    }
    *port = (int)number;
    return NULL;
}

static const char *read_unix(dp_net_server_t *server, const char *text,
                             apr_pool_t *pool)
{
    const char *path = text + sizeof(UNIX_PREFIX) - 1;

    if (path[0] != '/') {
        return "the path of its socket is not absolute";
    }
    if (strlen(path) >= DP_NET_PATH_BYTES) {
        return "the path of its socket is longer than 107 bytes";
    }
    server->path = apr_pstrdup(pool, path);
    server->name = apr_pstrcat(pool, UNIX_PREFIX, path, NULL);
    return NULL;
}

static const char *read_ipv6(dp_net_server_t *server, const char *text,
                             int default_port, apr_pool_t *pool)
{
    const char *end = strchr(text, ']');
    char canonical[INET6_ADDRSTRLEN];
    struct in6_addr address;
    const char *why;

    if (end == NULL
        || inet_pton(
               AF_INET6,
               apr_pstrmemdup(pool, text + 1, (apr_size_t)(end - text - 1)),
               &address)
               != 1) {
        return "what stands in brackets is not an IPv6 address";
    }
    why = read_port(&server->port, end + 1, default_port);
    inet_ntop(AF_INET6, &address, canonical, sizeof(canonical));
    server->host = apr_pstrdup(pool, canonical);
    server->is_ipv6 = 1;
    server->name = apr_psprintf(pool, "[%s]:%d", canonical, server->port);
    return why;
}

/* What RFC 1123, section 2.1, allows, and the underscore that container
 * networks have in theirs. */
static int is_host(const char *host)
{
    static const char digits[] = "0123456789.";
    struct in_addr address;
    apr_size_t size = strlen(host);
    apr_size_t i;

    for (i = 0; i < size; i++) {
        if (!apr_isalnum(host[i]) && !strchr("-_.", host[i])) {
            return 0;
        }
    }
    if (size == 0 || size > DP_NET_HOST_MAX || !apr_isalnum(host[0])
        || strstr(host, "..")) {
        return 0;
    }
    return strspn(host, digits) < size
           || inet_pton(AF_INET, host, &address) == 1;
}

static const char *read_host(dp_net_server_t *server, const char *text,
                             int default_port, apr_pool_t *pool)
{
    apr_size_t length = strcspn(text, ":");
    char *host = apr_pstrmemdup(pool, text, length);
    const char *why;

    if (text[length] && strchr(text + length + 1, ':')) {
        return "an IPv6 address needs brackets";
    }
    if (!is_host(host)) {
        return "that is neither a host's name nor an address";
    }
    why = read_port(&server->port, text + length, default_port);
    for (length = 0; host[length]; length++) {
        host[length] = apr_tolower(host[length]);
    }
    server->host = host;
    server->name = apr_psprintf(pool, "%s:%d", host, server->port);
    return why;
}

const char *dp_net_server(dp_net_server_t *server, const char *text,
                          int default_port, apr_pool_t *result_pool)
{
    const char *why;

    memset(server, 0, sizeof(*server));
    if (strncmp(text, UNIX_PREFIX, sizeof(UNIX_PREFIX) - 1) == 0) {
        why = read_unix(server, text, result_pool);
    }
    else if (text[0] == '[') {
        why = read_ipv6(server, text, default_port, result_pool);
    }
    else {
        why = read_host(server, text, default_port, result_pool);
    }
    return why ? wrong(text, why, result_pool) : NULL;
}

static const char *append(apr_array_header_t *servers, const char *text,
                          int default_port, apr_pool_t *pool)
{
    dp_net_server_t server;
    const char *error = dp_net_server(&server, text, default_port, pool);
    int i;

    if (error) {
        return error;
    }
    for (i = 0; i < servers->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(servers, i, dp_net_server_t).name, server.name)
            == 0) {
            return apr_psprintf(pool, "server %s is there twice", server.name);
        }
    }
    if (servers->nelts == DP_NET_SERVERS_MAX) {
        return apr_psprintf(pool, "at most %d servers are allowed",
                            DP_NET_SERVERS_MAX);
    }
    APR_ARRAY_PUSH(servers, dp_net_server_t) = server;
    return NULL;
}

const char *dp_net_servers(apr_array_header_t **servers,
                           const apr_array_header_t *texts, int default_port,
                           apr_pool_t *result_pool)
{
    int ntexts = texts ? texts->nelts : 0;
    const char *error = NULL;
    int i;

    *servers = apr_array_make(result_pool, ntexts, sizeof(dp_net_server_t));
    for (i = 0; i < ntexts && error == NULL; i++) {
        const char *text = APR_ARRAY_IDX(texts, i, const char *);

        while (error == NULL && text) {
            const char *comma = strchr(text, ',');
            apr_size_t size = comma ? (apr_size_t)(comma - text) : strlen(text);

            error = append(*servers, apr_pstrmemdup(result_pool, text, size),
                           default_port, result_pool);
            text = comma ? comma + 1 : NULL;
        }
    }
    if (error == NULL && (*servers)->nelts == 0) {
        return "a server is needed; " ALLOWED;
    }
    return error;
}
