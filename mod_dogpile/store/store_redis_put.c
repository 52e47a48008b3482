/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to the redis store: put, by fetcher threads, and set_aside, by
 * whoever stumbled over a bad record.
 *
 * Both are one script, which redis runs without anything in between: compare,
 * then replace. So a writer that comes too late is refused, and a bad record
 * is removed only if it is still the one that was found bad.
 *
 * For the comparison something that is no record of the key, by its format,
 * key and length, counts as absent: eviction and other programs must not keep
 * a metatile from being stored. Damage inside is found by who looks, and set
 * aside then.
 *
 * The invariant: a record and its end are written together (SET with PX), so
 * nothing stays in redis for ever.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "store/blob.h"
#include "store/record_layout.h"
#include "store/store_redis.h"

/* Kept so long after it has expired, for stale answers; the longest that
 * anybody would want. redis with a maxmemory-policy removes it earlier. */
#define KEEP_MSEC (APR_INT64_C(30) * 24 * 3600 * 1000)
#define FRESH_MSEC_MAX (APR_INT64_C(3650) * 24 * 3600 * 1000)

_Static_assert(RECORD_AT_WRITE_ID == 16 && RECORD_AT_KEY == 32
                   && RECORD_AT_LENGTH == 80 && RECORD_FIXED_BYTES == 120
                   && RECORD_AT_HEAD_BYTES == 12 && DOGPILE_ID_BYTES == 16,
               "the offsets in the scripts");

/*
 * KEYS: the record's. ARGV: base, the new record, its time in milliseconds.
 * The new record has its magic, format and key where the present one must have
 * the same. A put that is repeated because its answer was lost finds itself.
 */
static const char put_script[] =
    "local function part(value, from, to)\n"
    "  return string.sub(value, from + 1, to)\n"
    "end\n"
    "local there = string.rep('\\0', 16)\n"
    "if redis.call('TYPE', KEYS[1]).ok == 'string' then\n"
    "  local head = redis.call('GETRANGE', KEYS[1], 0, 119)\n"
    "  local a, b, c, d = string.byte(head, 81, 84)\n"
    "  if d and a + 256 * b + 65536 * c + 16777216 * d\n"
    "          == redis.call('STRLEN', KEYS[1])\n"
    "      and part(head, 0, 12) == part(ARGV[2], 0, 12)\n"
    "      and part(head, 32, 64) == part(ARGV[2], 32, 64) then\n"
    "    there = part(head, 16, 32)\n"
    "  end\n"
    "end\n"
    "if there == part(ARGV[2], 16, 32) then return 1 end\n"
    "if there ~= ARGV[1] then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
    "return 1\n";

/* KEYS: the record's. ARGV: longest record; length and beginning of the bad
 * one. */
static const char remove_bad_script[] =
    "local kind = redis.call('TYPE', KEYS[1]).ok\n"
    "if kind == 'string' then\n"
    "  local size = redis.call('STRLEN', KEYS[1])\n"
    "  if size <= tonumber(ARGV[1]) and (size ~= tonumber(ARGV[2])\n"
    "      or redis.call('GETRANGE', KEYS[1], 0, 119) ~= ARGV[3]) then\n"
    "    return 0\n"
    "  end\n"
    "end\n"
    "return redis.call('DEL', KEYS[1])\n";

/* KEYS: the store's. ARGV: a proposal. */
static const char identify_script[] =
    "redis.call('SET', KEYS[1], ARGV[1], 'NX')\n"
    "return redis.call('GET', KEYS[1])\n";

void dp_store_scripts_make(dp_redis_script_t scripts[DP_STORE_SCRIPTS])
{
    dp_redis_script_make(&scripts[DP_SCRIPT_PUT], put_script, "1");
    dp_redis_script_make(&scripts[DP_SCRIPT_REMOVE_BAD], remove_bad_script,
                         "1");
    dp_redis_script_make(&scripts[DP_SCRIPT_IDENTIFY], identify_script, "1");
}

/* The record as one piece. */
static const unsigned char *join(apr_size_t *size, const struct iovec *parts,
                                 int nparts, apr_pool_t *pool)
{
    unsigned char *whole;
    apr_size_t at = 0;
    int i;

    *size = 0;
    for (i = 0; i < nparts; i++) {
        *size += parts[i].iov_len;
    }
    if (nparts == 1) {
        return parts[0].iov_base;
    }
    whole = apr_palloc(pool, *size);
    for (i = 0; i < nparts; i++) {
        memcpy(whole + at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    return whole;
}

/* How long redis is to keep it, in decimal. */
static const char *lifetime(const unsigned char *record, apr_pool_t *pool)
{
    apr_int64_t expires = (apr_int64_t)record_get64(record + RECORD_AT_EXPIRES);
    apr_int64_t fresh = (expires - apr_time_now()) / 1000;

    fresh = fresh < 0 ? 0 : fresh;
    fresh = fresh > FRESH_MSEC_MAX ? FRESH_MSEC_MAX : fresh;
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, fresh + KEEP_MSEC);
}

/* Run one of our scripts, whose answer is a number. */
static apr_status_t run(apr_int64_t *answer, dp_store_redis_t *redis,
                        dp_redis_call_t *call, dp_redis_command_t *command,
                        dp_store_script_e which, apr_pool_t *pool)
{
    const redisReply *reply;
    apr_status_t status = dp_redis_eval(&reply, redis->pool, call, command,
                                        &redis->scripts[which], pool);

    if (status == APR_SUCCESS && reply->type != REDIS_REPLY_INTEGER) {
        status = dp_redis_fail(call, APR_EINVAL, "a strange answer");
    }
    *answer = status == APR_SUCCESS ? reply->integer : 0;
    return status;
}

static apr_status_t put(dp_store_redis_t *redis, dp_redis_call_t *call,
                        const dogpile_key_t *key, const dogpile_id_t *base,
                        const unsigned char *record, apr_size_t size,
                        apr_pool_t *pool)
{
    dp_redis_command_t command;
    apr_int64_t is_stored;
    apr_status_t status;

    dp_redis_run(&command, &redis->scripts[DP_SCRIPT_PUT]);
    dp_redis_add_text(&command, dp_store_redis_name(key, pool));
    dp_redis_add(&command, base->bytes, sizeof(base->bytes));
    dp_redis_add(&command, record, size);
    dp_redis_add_text(&command, lifetime(record, pool));
    status = run(&is_stored, redis, call, &command, DP_SCRIPT_PUT, pool);
    return status == APR_SUCCESS && !is_stored ? APR_EEXIST : status;
}

apr_status_t dp_store_redis_put(dogpile_store_t *store,
                                const dogpile_key_t *key,
                                const dogpile_id_t *base,
                                const struct iovec *parts, int nparts,
                                apr_pool_t *scratch_pool)
{
    dp_store_redis_t *redis = dp_store_redis_of(store);
    const unsigned char *record;
    dp_redis_call_t call;
    apr_status_t status;
    apr_pool_t *pool;
    apr_size_t size;

    apr_pool_create(&pool, scratch_pool);
    record = join(&size, parts, nparts, pool);
    if (size < RECORD_FIXED_BYTES || size > DP_RECORD_BYTES_MAX) {
        apr_pool_destroy(pool);
        return size < RECORD_FIXED_BYTES ? APR_EINVAL : APR_ENOSPC;
    }
    dp_redis_begin(&call, DP_REDIS_STORE_USEC, DP_REDIS_ANSWER_MAX);
    status = put(redis, &call, key, base, record, size, pool);
    dp_store_redis_note(redis, &call, status);
    if (status == APR_SUCCESS) {
        dp_store_redis_identify(redis, &call, pool);
    }
    apr_pool_destroy(pool);
    return status;
}

/* Is what is there (still) no record? Then what to compare it with. */
static int is_bad(dp_redis_command_t *command, dp_store_redis_t *redis,
                  dp_redis_call_t *call, const dogpile_key_t *key,
                  apr_pool_t *pool)
{
    dogpile_blob_t blob = {.bytes = NULL};
    const redisReply *reply;
    dp_record_t record;
    apr_status_t status = dp_store_redis_get(&reply, redis, call, key, pool);

    if (status == APR_SUCCESS) {
        blob.bytes = (const unsigned char *)reply->str;
        blob.have = (apr_size_t)reply->len;
        blob.length = blob.have;
        status = dp_blob_record(&record, &blob, &key->digest, pool);
    }
    if (status != APR_EINVAL) {
        return 0;
    }
    dp_redis_add_text(command, apr_psprintf(pool, "%d", DP_RECORD_BYTES_MAX));
    dp_redis_add_text(command,
                      apr_psprintf(pool, "%" APR_SIZE_T_FMT, blob.length));
    dp_redis_add(command, blob.bytes ? (const char *)blob.bytes : "",
                 blob.length < RECORD_FIXED_BYTES ? blob.length
                                                  : RECORD_FIXED_BYTES);
    return 1;
}

void dp_store_redis_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                              apr_pool_t *scratch_pool)
{
    dp_store_redis_t *redis = dp_store_redis_of(store);
    const char *name = dp_store_redis_name(key, scratch_pool);
    dp_redis_command_t command;
    dp_redis_call_t call;
    apr_int64_t removed;
    apr_status_t status;

    dp_redis_begin(&call, DP_REDIS_STORE_USEC, DP_RECORD_BYTES_MAX);
    dp_redis_run(&command, &redis->scripts[DP_SCRIPT_REMOVE_BAD]);
    dp_redis_add_text(&command, name);
    if (!is_bad(&command, redis, &call, key, scratch_pool)) {
        return;
    }
    status = run(&removed, redis, &call, &command, DP_SCRIPT_REMOVE_BAD,
                 scratch_pool);
    dp_store_redis_note(redis, &call, status);
    if (removed) {
        dp_log(store->conf->log, DOGPILE_LOG_WARNING, 422, APR_SUCCESS,
               "store %s: %s was torn or foreign, counts as absent, and was "
               "removed (source %s, grid %s, metatile %d/%u/%u)",
               redis->server->shown, name, key->source, key->grid, key->z,
               key->x, key->y);
    }
}
