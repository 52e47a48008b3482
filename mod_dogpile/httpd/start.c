/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of the server and of its children.
 *
 * The parent, as root: make directories, try them as the user that the
 * children run as, lay out the shared memory. Never done by configtest, which
 * ends before the post_config hook. What the children share outlives a
 * graceful restart, so that the old children's flights and the new ones' are
 * the same; a restart that changes its size begins anew.
 */
#include "httpd/start.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <http_core.h>
#include <mpm_common.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/process.h"
#include "httpd/capacity.h"
#include "httpd/lines.h"
#include "httpd/memo.h"
#include "httpd/park.h"

#define RETAINED "mod_dogpile_shared"

/* Flights at once: every request that waits may have one of its own, and some
 * are finishing. */
#define SPARE_FLIGHTS 1024
#define FLIGHTS_MAX 65536

/* Of hot records in a child: a city's tiles of the zoom levels that people look
 * at. */
#define HOT_BYTES (64 * 1024 * 1024)
#define HOT_RECORDS 4096

/* For them, and for gaps between them. */
#define ARENA_BYTES (HOT_BYTES + 16 * 1024 * 1024)

dp_child_t dp_child;

/* What is retained; the pointers are to memory of the process. */
typedef struct retained_t {
    void *memory; /* dp_area_t, table, recall; NULL before the first start */
    apr_size_t size;
    int nslots;
    int nflights;
    dp_shared_t shared;
} retained_t;

static retained_t *retained;

/* --- what the children share ------------------------------------------- */

static apr_size_t table_offset(void)
{
    return (sizeof(dp_area_t) + 63) & ~(apr_size_t)63;
}

static apr_size_t recall_offset(int nslots, int nflights)
{
    return (table_offset() + dp_table_size(nslots, nflights) + 63)
           & ~(apr_size_t)63;
}

static int query(int what)
{
    int value = 0;

    ap_mpm_query(what, &value);
    return value;
}

static apr_status_t make_eventfds(dp_shared_t *shared, int nslots,
                                  apr_pool_t *process_pool)
{
    int *fds = apr_pcalloc(process_pool, (apr_size_t)nslots * sizeof(*fds));
    int i;

    for (i = 0; i < nslots; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fds[i] < 0) {
            return errno;
        }
    }
    shared->eventfds = fds;
    return APR_SUCCESS;
}

static apr_status_t make_shared(retained_t *made, int nslots, int nflights,
                                apr_pool_t *process_pool)
{
    apr_status_t rv;

    made->size = recall_offset(nslots, nflights) + dp_recall_size();
    made->nslots = nslots;
    made->nflights = nflights;
    made->memory = mmap(NULL, made->size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made->memory == MAP_FAILED) {
        made->memory = NULL;
        return errno;
    }
    rv = dp_table_init((char *)made->memory + table_offset(), nslots, nflights,
                       &made->shared.table);
    if (rv == APR_SUCCESS) {
        rv = dp_recall_init((char *)made->memory
                                + recall_offset(nslots, nflights),
                            &made->shared.recall);
    }
    if (rv == APR_SUCCESS) {
        rv = dp_landing_make(&made->shared.landing, DP_RECORD_BYTES_MAX);
    }
    if (rv == APR_SUCCESS) {
        rv = make_eventfds(&made->shared, nslots, process_pool);
    }
    made->shared.counters = &((dp_area_t *)made->memory)->counters;
    return rv;
}

/* Children of before the restart still use the old one; it goes with them. */
static void forget_shared(retained_t *old)
{
    int i;

    if (old->memory == NULL) {
        return;
    }
    for (i = 0; old->shared.eventfds && i < old->nslots; i++) {
        close(old->shared.eventfds[i]);
    }
    close(old->shared.landing.fd);
    munmap(old->memory, old->size);
    memset(old, 0, sizeof(*old));
}

static apr_status_t share(server_rec *s)
{
    int nslots = query(AP_MPMQ_HARD_LIMIT_DAEMONS);
    apr_int64_t parked =
        (apr_int64_t)query(AP_MPMQ_MAX_DAEMONS) * dp_capacity_waiters();
    int nflights = dp_capacity_threads() + SPARE_FLIGHTS;

    nflights =
        parked + nflights > FLIGHTS_MAX ? FLIGHTS_MAX : nflights + (int)parked;
    retained = ap_retained_data_get(RETAINED);
    if (retained == NULL) {
        retained = ap_retained_data_create(RETAINED, sizeof(*retained));
    }
    if (retained->memory
        && retained->size == recall_offset(nslots, nflights) + dp_recall_size()
        && dp_table_is((char *)retained->memory + table_offset(), nslots,
                       nflights)) {
        return APR_SUCCESS;
    }
    forget_shared(retained);
    return make_shared(retained, nslots, nflights, s->process->pool);
}

/* --- the parent -------------------------------------------------------- */

static int prepare_locker(dp_locker_def_t *def, server_rec *s,
                          apr_pool_t *ptemp)
{
    const char *wrong = def->provider->prepare
                            ? def->provider->prepare(def->locker, ptemp)
                            : NULL;

    if (wrong) {
        dp_slog(s, APLOG_ERR | APLOG_STARTUP, 0, 802, "locker %s: %s",
                def->conf.name, wrong);
    }
    return wrong ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static int prepare_store(dp_store_def_t *def, server_rec *s, apr_pool_t *ptemp)
{
    const char *wrong;

    if (def == dp_global->default_store && !dp_global->needs_default_store) {
        return OK;
    }
    wrong = def->provider->prepare ? def->provider->prepare(def->store, ptemp)
                                   : NULL;
    if (wrong) {
        dp_slog(s, APLOG_ERR | APLOG_STARTUP, 0, 801, "DogpileStore %s: %s",
                def->spec, wrong);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return prepare_locker(def->default_locker, s, ptemp);
}

static int prepare(server_rec *s, apr_pool_t *ptemp)
{
    int rc = OK;
    int i;

    for (i = 0; i < dp_global->stores->nelts && rc == OK; i++) {
        rc = prepare_store(
            APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *), s, ptemp);
    }
    for (i = 0; i < dp_global->lockers->nelts && rc == OK; i++) {
        rc = prepare_locker(
            APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *), s, ptemp);
    }
    return rc;
}

int dp_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                   server_rec *s)
{
    apr_status_t rv;
    int rc;

    (void)pconf;
    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* httpd reads its configuration twice at a start */
    }
    rc = dp_global->is_enabled ? prepare(s, ptemp) : OK;
    if (rc != OK) {
        return rc;
    }
    if (dp_global->is_enabled) {
        dp_capacity_announce(s);
    }
    rv = share(s);
    if (rv != APR_SUCCESS) {
        dp_slog(s, APLOG_ERR | APLOG_STARTUP, rv, 803,
                "can't make the memory that the children share");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

void dp_child_status(server_rec *s, pid_t pid, ap_generation_t generation,
                     int slot, mpm_child_status state)
{
    (void)s;
    (void)generation;
    (void)slot;
    if (state == MPM_CHILD_EXITED && retained && retained->memory) {
        dp_flights_bury(&retained->shared, pid);
    }
}

/* --- a child ----------------------------------------------------------- */

static void start_flights(apr_pool_t *pchild, server_rec *s)
{
    dp_flights_conf_t *conf = apr_pcalloc(pchild, sizeof(*conf));
    apr_status_t rv;

    conf->shared = dp_child.shared;
    conf->pid = getpid();
    conf->started = dp_process_started(getpid());
    /* Where one process serves one request, mod_proxy keeps one connection
     * without a mutex, so there is one fetch at a time. */
    conf->fetch_threads = dp_child.is_threaded ? dp_global->fetch_threads : 1;
    conf->is_threaded = dp_child.is_threaded;
    conf->clock = &dp_clock_monotonic;
    conf->log = dp_log_of(s, pchild);
    rv = dp_flights_create(&dp_child.flights, conf, pchild);
    if (rv != APR_SUCCESS) {
        dp_child.flights = NULL;
        dp_slog(s, APLOG_ERR, rv, 804,
                "this child can't take part in flights: it passes every "
                "request through");
    }
}

static void start_locker(dp_locker_def_t *def, apr_pool_t *pchild,
                         apr_pool_t *listen_pool)
{
    if (def->provider->child_init) {
        def->provider->child_init(def->locker, pchild);
    }
    if (def->provider->listen && dp_child.flights) {
        def->provider->listen(def->locker, dp_flights_released,
                              dp_child.flights, listen_pool);
    }
}

static apr_status_t destroy_pool(void *pool)
{
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

static void start_back_ends(apr_pool_t *pchild)
{
    apr_pool_t *listen_pool;
    int i;

    /* What tells the flights of something ends before they do. */
    apr_pool_create(&listen_pool, pchild);
    apr_pool_pre_cleanup_register(pchild, listen_pool, destroy_pool);

    for (i = 0; i < dp_global->stores->nelts; i++) {
        dp_store_def_t *def =
            APR_ARRAY_IDX(dp_global->stores, i, dp_store_def_t *);

        if (def != dp_global->default_store || dp_global->needs_default_store) {
            def->store->provider->child_init(def->store, pchild);
            start_locker(def->default_locker, pchild, listen_pool);
        }
    }
    for (i = 0; i < dp_global->lockers->nelts; i++) {
        start_locker(APR_ARRAY_IDX(dp_global->lockers, i, dp_locker_def_t *),
                     pchild, listen_pool);
    }
}

void dp_child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (!graceful && dp_child.flights) {
        dp_flights_hurry(dp_child.flights);
    }
    dp_park_child_stopping();
}

/* Requests that httpd gives up when it ends have their cleanups run later than
 * this: there is nothing left for them to leave. */
static apr_status_t forget_child(void *none)
{
    (void)none;
    dp_child.flights = NULL;
    dp_park_forget();
    return APR_SUCCESS;
}

/* What makes hits cheap. Requests use it until httpd ends, longer than the
 * child's pool. Nothing of it may be left to do then, as this code may be gone
 * by that time. */
static void make_hot(void)
{
    dp_arena_t *arena;
    apr_pool_t *lasting;

    apr_pool_create_unmanaged(&lasting);
    dp_arena_create(&arena, ARENA_BYTES, dp_child.is_threaded, lasting);
    dp_child.memos = dp_memos_create(dp_child.is_threaded, lasting);
    dp_hot_create(&dp_child.hot, HOT_BYTES, HOT_RECORDS, arena, &dp_clock_real,
                  lasting);
    dp_child.lines = dp_known_lines_create(lasting);
}

void dp_child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t all;
    sigset_t before;

    memset(&dp_child, 0, sizeof(dp_child));
    dp_child.pool = pchild;
    dp_child.shared = &retained->shared;
    dp_child.area = retained->memory;
    dp_child.is_threaded = query(AP_MPMQ_IS_THREADED) != AP_MPMQ_NOT_SUPPORTED;
    dp_child.max_blocked = dp_capacity_blocked();
    apr_thread_mutex_create(&dp_child.master_mutex, APR_THREAD_MUTEX_DEFAULT,
                            pchild);
    /* Signals are the MPM's: no thread that is made here takes one. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (dp_global->is_enabled) {
        /* Registered first, it runs last: after the end of the flights. */
        apr_pool_pre_cleanup_register(pchild, NULL, forget_child);
        make_hot();
        dp_cut_child_init(pchild);
        start_flights(pchild, s);
        start_back_ends(pchild);
        dp_park_child_init(dp_capacity_waiters(), pchild, s);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
