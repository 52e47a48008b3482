/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the names of ZooKeeper servers to a list of addresses, as its client
 * wants it. Called by the keeper's thread of a child, and by nobody who has a
 * deadline: a name server may take its time.
 *
 * Names are looked up here, once a session, and the client is given addresses
 * only: it would look names up again at every turn of its loop, and stumble if
 * that failed.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "lock/lock_net.h"
#include "lock/lock_zookeeper_priv.h"

/* Append all addresses of a server to `list`, as the client reads them: no
 * brackets, the port is what follows the last colon. */
static char *add_addresses(char *list, const dp_net_server_t *server)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const struct addrinfo *one;
    char address[64];
    char *longer = NULL;

    if (getaddrinfo(server->host, NULL, &hints, &found) != 0) {
        return list;
    }
    for (one = found; one; one = one->ai_next) {
        if (getnameinfo(one->ai_addr, one->ai_addrlen, address, sizeof(address),
                        NULL, 0, NI_NUMERICHOST)
                == 0
            && asprintf(&longer, "%s%s%s:%d", list ? list : "", list ? "," : "",
                        address, server->port)
                   > 0) {
            free(list);
            list = longer;
        }
    }
    freeaddrinfo(found);
    return list;
}

char *dp_zk_addresses(const apr_array_header_t *servers)
{
    char *list = NULL;
    int i;

    for (i = 0; i < servers->nelts; i++) {
        list = add_addresses(list, &APR_ARRAY_IDX(servers, i, dp_net_server_t));
    }
    return list;
}
