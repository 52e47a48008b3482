/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands for a redis, scripts among them, and what its refusals mean.
 * Called by any thread; no state. A command is made on its user's stack from
 * words that stay the user's.
 *
 * Scripts go by their SHA-1, as redis names them. It forgets them when it
 * restarts or is told to, so whoever runs one has its text at hand.
 *
 * The invariant: a command is complete. One word too many ends the program,
 * since a script with fewer arguments is another script.
 */
#include <apr_sha1.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lock/redis_pool.h"

void dp_redis_add(dp_redis_command_t *command, const void *bytes,
                  apr_size_t size)
{
    if (command->argc == DP_REDIS_WORDS_MAX) {
        abort(); /* a command cut short would be another command */
    }
    command->argv[command->argc] = bytes;
    command->lengths[command->argc++] = size;
}

void dp_redis_add_text(dp_redis_command_t *command, const char *text)
{
    dp_redis_add(command, text, strlen(text));
}

void dp_redis_script_make(dp_redis_script_t *script, const char *text,
                          const char *nkeys)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t context;

    apr_sha1_init(&context);
    apr_sha1_update(&context, text, (unsigned int)strlen(text));
    apr_sha1_final(digest, &context);
    dp_hex(script->sha, digest, sizeof(digest));
    script->text = text;
    script->nkeys = nkeys;
}

void dp_redis_run(dp_redis_command_t *command, const dp_redis_script_t *script)
{
    command->argc = 0;
    dp_redis_add_text(command, "EVALSHA");
    dp_redis_add_text(command, script->sha);
    dp_redis_add_text(command, script->nkeys);
}

apr_status_t dp_redis_refusal(dp_redis_call_t *call, const redisReply *reply)
{
    static const struct {
        const char *word;
        apr_status_t status;
    } kinds[] = {{"NOAUTH", APR_EACCES},
                 {"NOPERM", APR_EACCES},
                 {"WRONGPASS", APR_EACCES},
                 {"OOM", APR_ENOMEM}};
    apr_status_t status = APR_EGENERAL;
    apr_size_t i;

    if (reply->type != REDIS_REPLY_ERROR) {
        return APR_SUCCESS;
    }
    for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        apr_size_t size = strlen(kinds[i].word);

        if (strncmp(reply->str, kinds[i].word, size) == 0) {
            status = kinds[i].status;
        }
    }
    return dp_redis_fail(call, status, "%s", reply->str);
}

apr_status_t dp_redis_eval(const redisReply **reply, dp_redis_pool_t *pool,
                           dp_redis_call_t *call, dp_redis_command_t *command,
                           const dp_redis_script_t *script,
                           apr_pool_t *result_pool)
{
    apr_status_t status = dp_redis_ask(reply, pool, call, command, result_pool);

    if (status == APR_SUCCESS && (*reply)->type == REDIS_REPLY_ERROR
        && strncmp((*reply)->str, "NOSCRIPT", 8) == 0) {
        command->argv[0] = "EVAL";
        command->lengths[0] = 4;
        command->argv[1] = script->text;
        command->lengths[1] = strlen(script->text);
        status = dp_redis_ask(reply, pool, call, command, result_pool);
    }
    return status == APR_SUCCESS ? dp_redis_refusal(call, *reply) : status;
}
