/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request_rec to a task, and from a task to a flight's job. Called on
 * request threads.
 */
#include "httpd/task.h"

#include <apr_strings.h>
#include <http_request.h>
#include <http_ssl.h>

#include "base/digest.h"
#include "httpd/fetch.h"
#include "lock/name.h"
#include "policy/freshness.h"

/* A client that reloads is content with what isn't older. */
#define RELOAD_USEC apr_time_from_sec(5)

/* Of the locks of sources that are down. */
#define DOWN "down"

/* What the client asked is in the first request of a chain of redirects: a
 * later one may have been rewritten to another path, with a hidden map=. */
static const request_rec *first_of(const request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return r;
}

/* Two sources often differ in their query only: a hidden map=. */
static const char *source_name(const request_rec *r, const dp_task_t *task)
{
    const dp_source_t *source = task->dir.source;

    if (task->dir.source_name) {
        return dp_source_name(&task->dir, task->path, r->pool);
    }
    return apr_pstrcat(r->pool, r->server->server_hostname,
                       source ? dp_source_text(source, r->pool) : task->path,
                       NULL);
}

uint64_t dp_task_source(const dp_task_t *task)
{
    dogpile_digest_t digest;
    uint64_t number;

    dp_digest(&digest, task->source_name, strlen(task->source_name));
    memcpy(&number, digest.bytes, sizeof(number));
    return number;
}

static void read_query(dp_task_t *task, apr_pool_t *pool)
{
    dp_rules_t rules;

    dp_rules_of(&rules, &task->dir);
    task->verdict =
        dp_protocol_wms.read(&task->request, "", task->query, &rules, pool);
    if (task->verdict == DP_VERDICT_TILE
        || task->verdict == DP_VERDICT_OFF_GRID) {
        dp_key_make(&task->key, &task->request, task->source_name,
                    dp_global->lock_namespace, pool);
    }
    task->store =
        task->verdict == DP_VERDICT_TILE ? task->dir.store->store : NULL;
}

int dp_task_is_demanding(const request_rec *r)
{
    return apr_table_get(r->headers_in, "Cache-Control") != NULL
           || apr_table_get(r->headers_in, "Pragma") != NULL;
}

/* RFC 9111 section 5.2.1. A client that reloads is given something new, but
 * not more often than every few seconds, and together with all others that
 * do. */
static void read_asked(dp_task_t *task, const request_rec *r)
{
    dp_asked_t asked;

    task->fwd = "uri-miss";
    if (!dp_task_is_demanding(r)) {
        return;
    }
    dp_freshness_asked(&asked, apr_table_get(r->headers_in, "Cache-Control"),
                       apr_table_get(r->headers_in, "Pragma"));
    task->only_if_cached = asked.only_if_cached;
    if (asked.max_age_usec >= 0 && !asked.only_if_cached) {
        apr_interval_time_t age =
            asked.max_age_usec > RELOAD_USEC ? asked.max_age_usec : RELOAD_USEC;

        task->newer_than = r->request_time - age;
    }
}

void dp_task_read(dp_task_t *task, request_rec *r, const dp_dir_t *resolved)
{
    const request_rec *first = first_of(r);

    memset(task, 0, sizeof(*task));
    task->server = r->server;
    task->is_tls = ap_ssl_conn_is_ssl(r->connection);
    task->dir = *resolved;
    task->path = first->parsed_uri.path ? first->parsed_uri.path : "/";
    task->query = first->parsed_uri.query;
    task->source_name = source_name(r, task);
    read_asked(task, r);
    read_query(task, r->pool);
}

const dp_locker_def_t *dp_task_locker(const dp_task_t *task)
{
    const dp_locker_ref_t *ref = task->dir.locker;

    return ref ? ref->def : task->dir.store->default_locker;
}

/* No name that people write has a zero byte, so none is the same. */
static void set_down_lock(dp_lock_t *lock, const dp_task_t *task,
                          apr_pool_t *pool)
{
    apr_size_t length = strlen(task->source_name);
    char *name = apr_palloc(pool, sizeof(DOWN) + length);

    memcpy(name, DOWN, sizeof(DOWN));
    memcpy(name + sizeof(DOWN), task->source_name, length);
    dp_lock_named(&lock->key, dp_global->lock_namespace, name,
                  sizeof(DOWN) + length, pool);
    lock->key.label = apr_pstrcat(pool, DOWN " ", task->source_name, NULL);
    lock->locker = dp_task_locker(task)->locker;
}

dp_job_t *dp_task_job(void *baton, apr_pool_t *flight_pool)
{
    const dp_task_t *request_task = baton;
    dp_task_t *task = apr_pmemdup(flight_pool, request_task, sizeof(*task));
    dp_job_t *job = apr_pcalloc(flight_pool, sizeof(*job));
    const dp_locker_def_t *def = dp_task_locker(task);
    int fetchers = dp_global->fetch_threads;
    dp_lock_t *lock = &job->locks[DP_HOLD_METATILE];

    task->path = apr_pstrdup(flight_pool, task->path);
    task->query = apr_pstrdup(flight_pool, task->query);
    task->source_name = apr_pstrdup(flight_pool, task->source_name);
    read_query(task, flight_pool); /* the texts of the other one go away */

    lock->key.digest = task->key.digest;
    lock->key.label =
        apr_psprintf(flight_pool, "%s %s/%d/%u/%u", task->key.source,
                     task->key.grid, task->key.z, task->key.x, task->key.y);
    /* Off-grid maps go to those who wait here, so no other host is asked. */
    if (task->store) {
        lock->key.store_id = task->store->id;
        lock->locker = def->locker;
    }
    if (task->dir.source_lock) {
        dp_lock_named(&job->locks[DP_HOLD_SOURCE].key,
                      dp_global->lock_namespace, task->dir.source_lock,
                      strlen(task->dir.source_lock), flight_pool);
        job->locks[DP_HOLD_SOURCE].locker = def->locker;
    }
    job->subject.key = task->key.digest;
    job->subject.source = dp_task_source(task);
    job->subject.source_name = task->source_name;
    job->subject.error_usec = task->dir.error_usec;
    set_down_lock(&job->down_lock, task, flight_pool);
    job->fails_open = dp_global->fails_open;
    job->upstream_limit = task->dir.upstream_limit;
    if (fetchers > 1 && job->upstream_limit > fetchers / 2) {
        job->upstream_limit = fetchers / 2;
    }
    job->fetch_timeout_usec = task->dir.fetch_usec;
    job->work = &dp_fetch_work;
    job->baton = task;
    return job;
}

int dp_task_index(const dp_task_t *task)
{
    return task->verdict == DP_VERDICT_TILE
               ? dp_metatile_index(&task->request.metatile, &task->request.cell)
               : 0;
}
