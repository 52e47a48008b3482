/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a redis, and one command on it before a deadline.
 *
 * hiredis writes and reads the protocol (its formatter and its reader). The
 * connection is ours: hiredis' own blocks in read(2) and write(2) with a limit
 * a call, not a limit in all, raises SIGPIPE, and has TLS only from its
 * version 1.0 on.
 */
#ifndef DP_LOCK_REDIS_LINK_H
#define DP_LOCK_REDIS_LINK_H

#include "lock/redis_health.h"
#include "lock/redis_resolve.h"
#include "lock/redis_server.h"

struct redisReader;
struct redisReply;
struct ssl_st;

/* What one call of a locker or store may take, and what came of it. */
typedef struct dp_redis_call_t {
    apr_time_t deadline;          /* monotonic clock */
    apr_size_t bytes_max;         /* longer answers are refused */
    int end_fd;                   /* readable: nobody wants the call any more,
                                     which ends with APR_EINTR; or -1 */
    int was_sent;                 /* a command whose answer we don't have may
                                     have been carried out */
    char why[DP_REDIS_WHY_BYTES]; /* of the failure, for people; no secret */
} dp_redis_call_t;

typedef struct dp_redis_link_t {
    int fd; /* -1: not connected */
    struct ssl_st *tls;
    struct redisReader *reader;
    apr_time_t used; /* when it last was good; monotonic clock */
} dp_redis_link_t;

/* Set the reason of a failure; returns `status`. */
apr_status_t dp_redis_fail(dp_redis_call_t *call, apr_status_t status,
                           const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- redis_connect.c: bytes ---- */

/* A socket, connected, with TLS where `server` has it. */
apr_status_t dp_redis_connect(dp_redis_link_t *link,
                              const dp_redis_server_t *server,
                              dp_redis_resolver_t *resolver,
                              dp_redis_call_t *call);

/* All of `size` bytes. */
apr_status_t dp_redis_send(dp_redis_link_t *link, const char *bytes,
                           apr_size_t size, dp_redis_call_t *call);

/* What has come, up to `size` bytes, and at least one. */
apr_status_t dp_redis_receive(dp_redis_link_t *link, char *bytes,
                              apr_size_t *size, dp_redis_call_t *call);

/* ---- redis_link.c: commands and answers ---- */

/* Connect and get in. APR_SUCCESS or closed. APR_TIMEUP, APR_EACCES (not let
 * in), or another reason. */
apr_status_t dp_redis_link_open(dp_redis_link_t *link,
                                const dp_redis_server_t *server,
                                dp_redis_resolver_t *resolver,
                                dp_redis_call_t *call);

/* Can it be used: nobody has closed it, nothing unasked for has come? */
int dp_redis_link_is_quiet(const dp_redis_link_t *link);

/*
 * Send a command as redisFormatCommandArgv() made it, and get its answer,
 * which may be an error; it is to be given to freeReplyObject(). APR_TIMEUP;
 * APR_ENOSPC for an answer longer than allowed; APR_EINVAL for what isn't an
 * answer of a redis; or the error of the network. The link is of no more use
 * after any of these.
 */
apr_status_t dp_redis_link_ask(struct redisReply **reply, dp_redis_link_t *link,
                               const char *command, apr_size_t size,
                               dp_redis_call_t *call);

void dp_redis_link_close(dp_redis_link_t *link);

#endif
