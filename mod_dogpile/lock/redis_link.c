/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as redis sees it: getting in, then command and answer by turns.
 * Used by one thread at a time; the pool sees to that.
 *
 * What comes in is bounded before hiredis sees it: no answer longer than the
 * call allows, and nothing that doesn't begin like one of the answers that our
 * commands and scripts have, which are never lists. So a wrong or hostile
 * server can't make the reader allocate or descend.
 *
 * The invariant: after any failure the connection is closed by its user, so
 * that the answer to one command is never taken for that to another.
 */
#include "lock/redis_link.h"

#include <apr_strings.h>
#include <errno.h>
#include <hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "lock/redis_tls.h"

#define CHUNK_BYTES 16384

/* ---- getting in ---- */

/*
 * A command whose answer must be "OK". The text of a refusal of AUTH isn't
 * shown beyond its first word: a server that doesn't know the command quotes
 * the command, password and all.
 */
static apr_status_t ask_ok(dp_redis_link_t *link, int argc, const char **argv,
                           dp_redis_call_t *call)
{
    char *command = NULL;
    redisReply *reply = NULL;
    apr_status_t status = APR_SUCCESS;
    int size = (int)redisFormatCommandArgv(&command, argc, argv, NULL);

    if (size < 0) {
        return dp_redis_fail(call, APR_ENOMEM, "no memory");
    }
    status = dp_redis_link_ask(&reply, link, command, (apr_size_t)size, call);
    /* It may hold the password. */
    explicit_bzero(command, (size_t)size);
    free(command);
    if (status != APR_SUCCESS) {
        return status;
    }
    if (reply->type != REDIS_REPLY_STATUS) {
        status =
            dp_redis_fail(call, APR_EACCES, "%s was refused (%.*s)", argv[0],
                          reply->str ? (int)strcspn(reply->str, " \r\n") : 0,
                          reply->str ? reply->str : "");
    }
    freeReplyObject(reply);
    return status;
}

static apr_status_t get_in(dp_redis_link_t *link,
                           const dp_redis_server_t *server,
                           dp_redis_call_t *call)
{
    const char *auth[] = {"AUTH", server->secret, NULL};
    const char *select[] = {"SELECT", server->database};
    apr_status_t status = APR_SUCCESS;
    int argc = 2;

    if (server->user) {
        auth[1] = server->user;
        auth[2] = server->secret;
        argc = 3;
    }
    if (server->secret) {
        status = ask_ok(link, argc, auth, call);
    }
    if (status == APR_SUCCESS && strcmp(server->database, "0") != 0) {
        status = ask_ok(link, 2, select, call);
    }
    return status;
}

apr_status_t dp_redis_link_open(dp_redis_link_t *link,
                                const dp_redis_server_t *server,
                                dp_redis_resolver_t *resolver,
                                dp_redis_call_t *call)
{
    apr_status_t status;

    link->tls = NULL;
    link->fd = -1;
    link->reader = redisReaderCreate();
    if (link->reader == NULL) {
        return dp_redis_fail(call, APR_ENOMEM, "no memory");
    }
    status = dp_redis_connect(link, server, resolver, call);
    if (status == APR_SUCCESS) {
        status = get_in(link, server, call);
        call->was_sent = 0;
    }
    if (status != APR_SUCCESS) {
        dp_redis_link_close(link);
    }
    return status;
}

void dp_redis_link_close(dp_redis_link_t *link)
{
    if (link->tls) {
        dp_redis_tls_end(link->tls);
    }
    if (link->reader) {
        redisReaderFree(link->reader);
    }
    if (link->fd >= 0) {
        close(link->fd);
    }
    link->tls = NULL;
    link->reader = NULL;
    link->fd = -1;
}

int dp_redis_link_is_quiet(const dp_redis_link_t *link)
{
    char byte;
    ssize_t got = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- asking ---- */

/* Is that the beginning of an answer that we can have asked for? */
static apr_status_t judge_beginning(const char *bytes, apr_size_t size,
                                    dp_redis_call_t *call)
{
    char number[24];

    if (strchr("+-:$", bytes[0]) == NULL || bytes[0] == '\0') {
        return dp_redis_fail(call, APR_EINVAL,
                             "what answers there is not a redis");
    }
    apr_cpystrn(number, bytes + 1,
                size < sizeof(number) ? size : sizeof(number));
    if (bytes[0] == '$' && apr_atoi64(number) > (apr_int64_t)call->bytes_max) {
        return dp_redis_fail(call, APR_ENOSPC, "an answer is too long");
    }
    return APR_SUCCESS;
}

static apr_status_t feed(dp_redis_link_t *link, apr_size_t *received,
                         dp_redis_call_t *call)
{
    char bytes[CHUNK_BYTES];
    apr_size_t size = sizeof(bytes);
    apr_status_t status = dp_redis_receive(link, bytes, &size, call);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (*received == 0) {
        status = judge_beginning(bytes, size, call);
    }
    *received += size;
    /* The frame of an answer is a few dozen bytes. */
    if (*received > call->bytes_max + CHUNK_BYTES) {
        status = dp_redis_fail(call, APR_ENOSPC, "an answer is too long");
    }
    if (status == APR_SUCCESS
        && redisReaderFeed(link->reader, bytes, size) != REDIS_OK) {
        status = dp_redis_fail(call, APR_ENOMEM, "no memory");
    }
    return status;
}

apr_status_t dp_redis_link_ask(redisReply **reply, dp_redis_link_t *link,
                               const char *command, apr_size_t size,
                               dp_redis_call_t *call)
{
    apr_size_t received = 0;
    void *object = NULL;
    apr_status_t status;

    call->was_sent = 1;
    status = dp_redis_send(link, command, size, call);
    while (status == APR_SUCCESS && object == NULL) {
        status = feed(link, &received, call);
        if (status == APR_SUCCESS
            && redisReaderGetReply(link->reader, &object) != REDIS_OK) {
            status = dp_redis_fail(call, APR_EINVAL,
                                   "what answers there is not a redis");
        }
    }
    if (status == APR_SUCCESS && link->reader->pos < link->reader->len) {
        /* The rest would be taken for the answer to the next command. */
        freeReplyObject(object);
        status = dp_redis_fail(call, APR_EINVAL, "two answers to one command");
    }
    if (status == APR_SUCCESS) {
        call->was_sent = 0;
        link->used = dp_clock_now(&dp_clock_monotonic);
        *reply = object;
    }
    return status;
}
