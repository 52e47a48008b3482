/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items with leases: reading, judging by the right clock, writing back.
 * Called by lock_memcache_step.c from any thread; an item belongs to one call.
 *
 * Whose clock? An exclusive lease is alone in its item, and the server ends
 * it: what is there lasts, and its times, by the clock of its holder's host,
 * are for people. Several shared leases in one item end one by one. Their
 * times are by the server's clock, which is asked for then and only then; it
 * counts whole seconds, so leases are rounded up to the next but one.
 *
 * The invariant: no clock of a host decides about another host's lease.
 */
#include "lock/lock_memcache_item.h"

#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "lock/lock.h"
#include "lock/lockfile.h"

void dp_lockitem_init(dp_lockitem_t *item, dp_memcache_t *memcache,
                      dp_mc_call_t *call, const dogpile_digest_t *digest,
                      apr_pool_t *pool)
{
    memset(item, 0, sizeof(*item));
    item->memcache = memcache;
    item->call = call;
    item->digest = digest;
    item->pool = pool;
    item->leases = apr_array_make(pool, 1, sizeof(dp_lease_t));
    memcpy(item->name, DP_MEMCACHE_KEY_PREFIX, sizeof(DP_MEMCACHE_KEY_PREFIX));
    dp_hex(item->name + sizeof(DP_MEMCACHE_KEY_PREFIX) - 1, digest->bytes,
           sizeof(digest->bytes));
}

/* ---- time ---- */

/* Whole seconds that last at least so long, wherever in a second they begin
 * by the server's clock. */
static apr_int64_t whole_seconds(apr_interval_time_t usec)
{
    return apr_time_sec(usec + APR_USEC_PER_SEC - 1) + 1;
}

/* The exclusive lease that is alone in its item, or NULL. */
static dp_lease_t *single(const dp_lockitem_t *item)
{
    dp_lease_t *lease = item->leases->nelts == 1
                            ? &APR_ARRAY_IDX(item->leases, 0, dp_lease_t)
                            : NULL;

    return lease && lease->kind == DP_LEASE_EXCLUSIVE ? lease : NULL;
}

apr_status_t dp_lockitem_need_time(dp_lockitem_t *item)
{
    apr_status_t status;

    if (item->is_servers_now) {
        return APR_SUCCESS;
    }
    status = dp_mc_time(item->call, &item->now);
    item->is_servers_now = status == APR_SUCCESS;
    return status;
}

/* The time by which leases just read are judged. */
static apr_status_t tell_time(dp_lockitem_t *item)
{
    const dp_lease_t *lease = single(item);
    apr_time_t now = apr_time_now();

    if (item->leases->nelts == 0) {
        return APR_SUCCESS;
    }
    if (lease == NULL) {
        return dp_lockitem_need_time(item);
    }
    /* Between its last renewal and its end, whatever our clock says. */
    if (now < lease->until - lease->lease_usec) {
        now = lease->until - lease->lease_usec;
    }
    item->now = now < lease->until ? now : lease->until - 1;
    return APR_SUCCESS;
}

/* ---- reading ---- */

static void report(dp_memcache_t *memcache, apr_status_t status,
                   const char *name)
{
    if (!dp_failures_add(&memcache->foreign, status)) {
        return;
    }
    dp_log(memcache->locker.conf->log, DOGPILE_LOG_WARNING, 722, status,
           "locker %s: item %s %s", memcache->name, name,
           status == APR_ENOTIMPL
               ? "was written by another version of mod_dogpile; its lock is "
                 "unavailable"
               : "is damaged or foreign; it is removed, and its lock may be "
                 "held twice");
}

/* Leave out what stands in nobody's way. */
static void clean(dp_lockitem_t *item)
{
    dp_debts_t *debts = &item->memcache->debts;
    int i = 0;

    dp_lease_drop_over(item->leases, item->now);
    while (i < item->leases->nelts) {
        const dp_lease_t *lease = &APR_ARRAY_IDX(item->leases, i, dp_lease_t);

        if (!item->shows_owed && dp_debts_has(debts, &lease->token)) {
            dp_lease_remove(item->leases, lease);
        }
        else {
            i++;
        }
    }
}

apr_status_t dp_lockitem_read(dp_lockitem_t *item)
{
    dp_mc_item_t found;
    apr_status_t status;

    item->exists = 0;
    item->now = 0;
    item->is_servers_now = 0;
    apr_array_clear(item->leases);
    status = dp_mc_get(item->call, item->name, DP_LOCKFILE_BYTES_MAX, &found,
                       item->pool);
    if (status != APR_SUCCESS) {
        return status == APR_NOTFOUND ? APR_SUCCESS : status;
    }
    item->exists = 1;
    item->cas = found.cas;
    status = found.bytes == NULL
                 ? APR_EINVAL
                 : dp_lockfile_read(&item->leases, (const char *)found.bytes,
                                    found.size, item->pool);
    if (status != APR_SUCCESS) {
        report(item->memcache, status, item->name);
        if (status == APR_EINVAL) {
            (void)dp_mc_remove(item->call, item->name, item->cas);
        }
        return status;
    }
    status = tell_time(item);
    if (status == APR_SUCCESS) {
        clean(item);
    }
    return status;
}

/* ---- writing ---- */

void dp_lockitem_extend(const dp_lockitem_t *item, dp_lease_t *lease,
                        apr_interval_time_t lease_usec)
{
    if (lease->kind == DP_LEASE_EXCLUSIVE) {
        lease->lease_usec = lease_usec;
        lease->until = apr_time_now() + lease_usec;
        if (lease->until <= lease->since) {
            lease->until = lease->since + 1;
        }
        return;
    }
    lease->lease_usec = apr_time_from_sec(whole_seconds(lease_usec));
    lease->until = item->now + lease->lease_usec;
}

dp_lease_t *dp_lockitem_add(dp_lockitem_t *item, const dogpile_lock_key_t *key,
                            dp_lease_kind_e kind, const dogpile_id_t *token,
                            apr_interval_time_t lease_usec)
{
    dp_lease_t *lease = apr_array_push(item->leases);

    lease->token = *token;
    lease->store_id = key->store_id;
    lease->digest = key->digest;
    lease->kind = kind;
    lease->owner = item->memcache->self;
    lease->since = kind == DP_LEASE_EXCLUSIVE ? apr_time_now() : item->now;
    lease->label = dp_lock_label(key->label, item->pool);
    dp_lockitem_extend(item, lease, lease_usec);
    return lease;
}

/* How long the server keeps what is written. For several, long enough: they
 * are judged when they are read. */
static apr_int64_t expire_sec(const dp_lockitem_t *item)
{
    const dp_lease_t *lease = single(item);
    apr_interval_time_t longest = 0;
    int i;

    if (lease) {
        return whole_seconds(lease->lease_usec);
    }
    for (i = 0; i < item->leases->nelts; i++) {
        lease = &APR_ARRAY_IDX(item->leases, i, dp_lease_t);
        if (lease->until - item->now > longest) {
            longest = lease->until - item->now;
        }
    }
    return whole_seconds(longest);
}

apr_status_t dp_lockitem_save(dp_lockitem_t *item)
{
    dp_mc_value_t value = {.flags = 0};
    const char *bytes;
    apr_status_t status;

    if (item->leases->nelts == 0) {
        status = item->exists ? dp_mc_remove(item->call, item->name, item->cas)
                              : APR_SUCCESS;
    }
    else {
        status =
            dp_lockfile_write(&bytes, &value.size, item->leases, item->pool);
        if (status != APR_SUCCESS) {
            return status;
        }
        value.bytes = bytes;
        value.expire_sec = expire_sec(item);
        status = item->exists
                     ? dp_mc_cas(item->call, item->name, &value, item->cas)
                     : dp_mc_add(item->call, item->name, &value);
    }
    return status == APR_EEXIST || status == APR_NOTFOUND ? APR_EAGAIN : status;
}

void dp_lockitem_wish(dp_lockitem_t *item, const dogpile_lock_key_t *key)
{
    apr_interval_time_t usec = dp_lease_wish_usec(item->memcache->locker.conf);
    const dp_lease_t *present =
        dp_lease_find_wish(item->leases, item->digest, item->now);
    dogpile_id_t token;

    if (present && present->until - item->now > usec / 2) {
        return;
    }
    dp_lease_drop(item->leases, item->digest, "w", item->now);
    dp_id_make(&token);
    dp_lockitem_add(item, key, DP_LEASE_WISH, &token, usec);
    (void)dp_lockitem_save(item);
}
