/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of one child process to one redis, and the calls over them,
 * for the redis locker and the redis store.
 *
 * A call has one deadline for everything: waiting for a connection, looking
 * the name up, connecting, TLS, getting in, sending, receiving. What is down
 * costs some calls their deadline and the following ones nothing.
 */
#ifndef DP_LOCK_REDIS_POOL_H
#define DP_LOCK_REDIS_POOL_H

#include <hiredis.h>

#include "dogpile_types.h"
#include "lock/redis_link.h"

/* Never more connections of a pool than this. */
#define DP_REDIS_LINKS_MAX 32

/* Longest answer where only words and numbers are expected: an error. */
#define DP_REDIS_ANSWER_MAX 65536

typedef struct dp_redis_pool_t dp_redis_pool_t;

/* In a child: no connection yet. Closed by a cleanup of child_pool, when
 * nobody is in a call any more. */
apr_status_t dp_redis_pool_make(dp_redis_pool_t **pool,
                                const dp_redis_server_t *server, int links_max,
                                apr_pool_t *child_pool);

/* Begin a call of at most that time, and answers of at most that length. */
void dp_redis_begin(dp_redis_call_t *call, apr_interval_time_t usec,
                    apr_size_t bytes_max);

/* Most words of a command. */
#define DP_REDIS_WORDS_MAX 48

/* A command in the making. Words are not copied. */
typedef struct dp_redis_command_t {
    int argc;
    const char *argv[DP_REDIS_WORDS_MAX];
    size_t lengths[DP_REDIS_WORDS_MAX];
} dp_redis_command_t;

void dp_redis_add(dp_redis_command_t *command, const void *bytes,
                  apr_size_t size);
void dp_redis_add_text(dp_redis_command_t *command, const char *text);

/* A script and the name redis has for it. */
#define DP_REDIS_SHA_BYTES 41
typedef struct dp_redis_script_t {
    const char *text;
    const char *nkeys; /* how many of its arguments are keys, in decimal */
    char sha[DP_REDIS_SHA_BYTES];
} dp_redis_script_t;

void dp_redis_script_make(dp_redis_script_t *script, const char *text,
                          const char *nkeys);

/* A command that runs a script; its keys and arguments are added then. */
void dp_redis_run(dp_redis_command_t *command, const dp_redis_script_t *script);

/*
 * Ask. APR_SUCCESS: `reply` is the answer, which may be an error of redis; it
 * lives in result_pool. Anything else: unavailable, call->why says why, and
 * call->was_sent whether the command may have been carried out all the same.
 *
 * A command whose connection broke is sent once more on a new one while there
 * is time: only commands that do no harm twice.
 */
apr_status_t dp_redis_ask(const redisReply **reply, dp_redis_pool_t *pool,
                          dp_redis_call_t *call,
                          const dp_redis_command_t *command,
                          apr_pool_t *result_pool);

/* The same for a command of dp_redis_run(), whose text is sent where redis
 * doesn't have it (any more). An error of redis is a failure here. */
apr_status_t dp_redis_eval(const redisReply **reply, dp_redis_pool_t *pool,
                           dp_redis_call_t *call, dp_redis_command_t *command,
                           const dp_redis_script_t *script,
                           apr_pool_t *result_pool);

/* What kind of failure an error of redis is, with its text in call->why;
 * APR_SUCCESS for any other answer. */
apr_status_t dp_redis_refusal(dp_redis_call_t *call, const redisReply *reply);

/* Note how a call ended, and learn whether somebody should be told. */
dp_redis_news_e dp_redis_note(dp_redis_pool_t *pool,
                              const dp_redis_call_t *call, apr_status_t status);

/* Rows for the status page. */
void dp_redis_describe(dp_redis_pool_t *pool, dogpile_row_fn *row, void *baton,
                       apr_pool_t *scratch_pool);

#endif
