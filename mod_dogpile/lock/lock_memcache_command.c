/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a call to one memcached, in the thread of the caller, over
 * the connection that is the caller's until dp_mc_end().
 *
 * What libmemcached couldn't read at all it may report as "no such item": an
 * answer of many keys counts only with its end, and a miss only after a second
 * question, whose answers for yes and no are both words. What has no meaning
 * for a command is a failure.
 *
 * The invariant: no result says more than the server's answer did.
 */
#include "lock/lock_memcache_servers.h"

#include <string.h>

#include "base/text.h"

static void take_result(dp_mc_item_t *item, const memcached_result_st *result,
                        apr_size_t max, apr_pool_t *pool)
{
    item->size = memcached_result_length(result);
    item->flags = memcached_result_flags(result);
    item->cas = memcached_result_cas(result);
    item->bytes = NULL;
    if (item->size <= max) {
        /* One byte more, so that an item without bytes isn't a missing one. */
        unsigned char *bytes = apr_palloc(pool, item->size + 1);

        if (item->size > 0) {
            memcpy(bytes, memcached_result_value(result), item->size);
        }
        bytes[item->size] = '\0';
        item->bytes = bytes;
    }
}

/* 0 where it is none that was asked for. */
static int take_named(dp_mc_item_t *items, const char *const *keys, int n,
                      const memcached_result_st *result, apr_size_t max,
                      apr_pool_t *pool)
{
    apr_size_t length = memcached_result_key_length(result);
    int i;

    for (i = 0; i < n; i++) {
        if (strlen(keys[i]) == length
            && memcmp(keys[i], memcached_result_key_value(result), length)
                   == 0) {
            take_result(&items[i], result, max, pool);
            return 1;
        }
    }
    return 0;
}

apr_status_t dp_mc_get_all(dp_mc_call_t *call, const char *const *keys, int n,
                           apr_size_t max, dp_mc_item_t *items,
                           apr_pool_t *result_pool)
{
    size_t *lengths = apr_palloc(result_pool, sizeof(size_t) * (apr_size_t)n);
    memcached_result_st result;
    memcached_return_t rc;
    int found = 0;
    int i;

    memset(items, 0, sizeof(*items) * (apr_size_t)n);
    for (i = 0; i < n; i++) {
        lengths[i] = strlen(keys[i]);
    }
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    rc = memcached_mget(call->connection, keys, lengths, (size_t)n);
    if (memcached_failed(rc)) {
        return dp_mc_fail(call, rc);
    }
    memcached_result_create(call->connection, &result);
    while (memcached_fetch_result(call->connection, &result, &rc)) {
        found++;
        if (!take_named(items, keys, n, &result, max, result_pool)
            || dp_mc_ready(call) != APR_SUCCESS) {
            break;
        }
    }
    memcached_result_free(&result);
    if (rc != (found ? MEMCACHED_END : MEMCACHED_NOTFOUND)) {
        return dp_mc_fail(call,
                          rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND
                              ? MEMCACHED_PROTOCOL_ERROR
                              : rc);
    }
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    return found ? APR_SUCCESS : APR_NOTFOUND;
}

/* A miss may have been an answer that libmemcached didn't understand. This
 * adds an item that has ended already, unless there is one that hasn't. */
static apr_status_t confirm_miss(dp_mc_call_t *call, const char *key)
{
    memcached_return_t rc;

    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    rc = memcached_exist(call->connection, key, strlen(key));
    if (rc == MEMCACHED_NOTFOUND) {
        return APR_NOTFOUND;
    }
    return rc == MEMCACHED_SUCCESS ? APR_SUCCESS : dp_mc_fail(call, rc);
}

apr_status_t dp_mc_get(dp_mc_call_t *call, const char *key, apr_size_t max,
                       dp_mc_item_t *item, apr_pool_t *result_pool)
{
    apr_status_t status;

    do {
        status = dp_mc_get_all(call, &key, 1, max, item, result_pool);
        if (status == APR_NOTFOUND) {
            status = confirm_miss(call, key);
        }
        /* It came between the two questions: ask for it again. */
    } while (status == APR_SUCCESS && item->bytes == NULL && item->size == 0);
    return status;
}

/* The words that memcached has for not storing something. */
static apr_status_t stored(dp_mc_call_t *call, memcached_return_t rc)
{
    switch (rc) {
    case MEMCACHED_SUCCESS:
        return APR_SUCCESS;
    case MEMCACHED_NOTSTORED:
    case MEMCACHED_DATA_EXISTS:
        return APR_EEXIST;
    case MEMCACHED_NOTFOUND:
        return APR_NOTFOUND;
    case MEMCACHED_E2BIG:
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
        return dp_mc_refused(call, APR_ENOSPC);
    default:
        return dp_mc_fail(call, rc);
    }
}

apr_status_t dp_mc_add(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value)
{
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    return stored(call, memcached_add(call->connection, key, strlen(key),
                                      value->bytes, value->size,
                                      (time_t)value->expire_sec, value->flags));
}

apr_status_t dp_mc_cas(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value, apr_uint64_t cas)
{
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    return stored(call,
                  memcached_cas(call->connection, key, strlen(key),
                                value->bytes, value->size,
                                (time_t)value->expire_sec, value->flags, cas));
}

apr_status_t dp_mc_set(dp_mc_call_t *call, const char *key,
                       const dp_mc_value_t *value)
{
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    return stored(call, memcached_set(call->connection, key, strlen(key),
                                      value->bytes, value->size,
                                      (time_t)value->expire_sec, value->flags));
}

apr_status_t dp_mc_drop(dp_mc_call_t *call, const char *key)
{
    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    return stored(call,
                  memcached_delete(call->connection, key, strlen(key), 0));
}

apr_status_t dp_mc_remove(dp_mc_call_t *call, const char *key, apr_uint64_t cas)
{
    /* memcached's delete compares nothing. Its protocol says of an item with
     * a negative time that it has ended at once: nobody ever sees it. */
    const dp_mc_value_t nothing = {.bytes = "", .expire_sec = -1};

    return dp_mc_cas(call, key, &nothing, cas);
}

typedef struct clock_reading_t {
    char digits[24];
} clock_reading_t;

static memcached_return_t read_clock(const memcached_instance_st *server,
                                     const char *key, size_t key_length,
                                     const char *value, size_t value_length,
                                     void *context)
{
    clock_reading_t *reading = context;

    (void)server;
    if (key_length == 4 && memcmp(key, "time", 4) == 0
        && value_length < sizeof(reading->digits)) {
        memcpy(reading->digits, value, value_length);
        reading->digits[value_length] = '\0';
    }
    return MEMCACHED_SUCCESS;
}

apr_status_t dp_mc_time(dp_mc_call_t *call, apr_time_t *now)
{
    clock_reading_t reading = {.digits = ""};
    apr_int64_t seconds;
    memcached_return_t rc;

    if (dp_mc_ready(call) != APR_SUCCESS) {
        return call->failed;
    }
    rc = memcached_stat_execute(call->connection, NULL, read_clock, &reading);
    if (memcached_failed(rc) || dp_mc_ready(call) != APR_SUCCESS
        || !dp_text_int(reading.digits, 1, APR_INT32_MAX * APR_INT64_C(1000),
                        &seconds)) {
        return dp_mc_fail(call,
                          memcached_failed(rc) ? rc : MEMCACHED_PROTOCOL_ERROR);
    }
    *now = apr_time_from_sec(seconds);
    return APR_SUCCESS;
}
