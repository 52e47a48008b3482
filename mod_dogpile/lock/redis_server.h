/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a redis is and how to get in, as DogpileLockServer and DogpileStore
 * write it:
 *
 *     cache1:6379     [::1]:6379     unix:/run/redis/redis.sock?db=2
 *     redis://user@cache1:6379/2     //user@cache1:6379/2
 *     rediss://user@cache1:6380/2?ca=/etc/ssl/redis-ca.pem
 *
 * After a '?' stand options with '&' between: db=, user=, secret= (a file whose
 * first line is the password), and for rediss ca=, cert=, key= (PEM files).
 * Values are percent-decoded. A password itself is never part of it.
 */
#ifndef DP_LOCK_REDIS_SERVER_H
#define DP_LOCK_REDIS_SERVER_H

#include "lock/lock_net.h"

#define DP_REDIS_PORT 6379

/* Longest password, bytes. */
#define DP_REDIS_SECRET_MAX 512

struct ssl_ctx_st;

/* Constant once read. */
typedef struct dp_redis_server_t {
    dp_net_server_t at;
    const char *user;       /* of AUTH, or NULL: redis' own default */
    const char *secret;     /* of AUTH, or NULL. Never shown to anybody */
    const char *database;   /* of SELECT, "0" to "99999" */
    struct ssl_ctx_st *tls; /* or NULL: in clear */
    const char *shown;      /* all of the above that people may see */
} dp_redis_server_t;

/*
 * Read `text`, and the files it names. `secret_file` (may be NULL) is what
 * another directive says, for a text without secret=. Contacts nothing. NULL, or what is wrong and what is
 * allowed; that text never holds a password, even if `text` does.
 */
const char *dp_redis_server_read(dp_redis_server_t **server, const char *text,
                                 const char *secret_file,
                                 apr_pool_t *result_pool);

#endif
