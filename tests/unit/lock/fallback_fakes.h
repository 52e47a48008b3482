/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock servers, played: what they remember, who can reach them, and how long
 * they hang. The clock moves when told or when somebody waits for a server.
 * What was asked of whom is written down. All of it is in memory that forked
 * processes share; threads are not played.
 */
#ifndef DP_TESTS_LOCK_FALLBACK_FAKES_H
#define DP_TESTS_LOCK_FALLBACK_FAKES_H

#include <apr_strings.h>
#include <string.h>
#include <sys/mman.h>

#include "base/digest.h"
#include "lock/lock.h"
#include "lock/lock_fallback.h"
#include "unit.h"

#define HOSTS 3
#define SERVERS 3
#define RECORDS 32
#define LEASE apr_time_from_sec(15)
#define THIRD (LEASE / 3)
#define TIMEOUT apr_time_from_sec(1)

typedef struct record_t {
    dogpile_id_t token; /* none: there is no record */
    dogpile_digest_t digest;
    dogpile_lock_mode_e mode;
    int host;
    apr_time_t until;
} record_t;

typedef struct server_t {
    int is_down;
    int is_hanging; /* whoever can't use it finds that out after TIMEOUT */
    int calls;
    record_t records[RECORDS];
} server_t;

typedef struct world_t {
    apr_time_t now;
    server_t servers[SERVERS];
    int is_cut[HOSTS][SERVERS];
    char trace[1024]; /* "A0 A1 G0": acquire, renew (N), give back, probe */
} world_t;

typedef struct fake_t {
    dogpile_locker_t locker;
    dogpile_locker_conf_t conf;
    int host;
    int server;
    apr_status_t child_status;
} fake_t;

static world_t *world;

/* Called once, before the next call to a server, and forgotten. */
static void (*world_before_call)(void);
static int world_calls_until; /* or before a later one */

static apr_time_t world_now(void *baton)
{
    (void)baton;
    return world->now;
}

static const dp_clock_t world_clock = {.now = world_now, .baton = NULL};

static inline void world_make(void)
{
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    world->now = apr_time_from_sec(1000000);
    world_before_call = NULL;
    world_calls_until = 0;
}

static int record_is_over(const record_t *record)
{
    return dp_id_is_none(&record->token) || record->until <= world->now;
}

static inline void server_flush(int server)
{
    memset(world->servers[server].records, 0,
           sizeof(world->servers[server].records));
}

static inline void server_crash(int server)
{
    world->servers[server].is_down = 1;
    server_flush(server);
}

/* The record of somebody in the way, or NULL. */
static record_t *server_blocker(int server, const dogpile_digest_t *digest,
                                dogpile_lock_mode_e mode)
{
    int i;

    for (i = 0; i < RECORDS; i++) {
        record_t *record = &world->servers[server].records[i];

        if (!record_is_over(record) && dp_digest_equal(&record->digest, digest)
            && (mode == DOGPILE_EXCLUSIVE
                || record->mode == DOGPILE_EXCLUSIVE)) {
            return record;
        }
    }
    return NULL;
}

static record_t *server_find(int server, const dogpile_digest_t *digest,
                             const dogpile_id_t *token)
{
    int i;

    for (i = 0; i < RECORDS; i++) {
        record_t *record = &world->servers[server].records[i];

        if (!record_is_over(record) && dp_id_equal(&record->token, token)
            && dp_digest_equal(&record->digest, digest)) {
            return record;
        }
    }
    return NULL;
}

static record_t *server_new_record(int server)
{
    int i = 0;

    while (!record_is_over(&world->servers[server].records[i])) {
        ck_assert_int_lt(++i, RECORDS);
    }
    return &world->servers[server].records[i];
}

/* --- the provider ------------------------------------------------------ */

/* One call: is the server there? */
static apr_status_t fake_reach(const fake_t *fake, char what)
{
    server_t *server = &world->servers[fake->server];
    void (*before)(void) = world_before_call;
    apr_size_t used;

    if (before && world_calls_until-- <= 0) {
        world_before_call = NULL;
        before();
    }
    server->calls++;
    used = strlen(world->trace);
    if (used + 4 < sizeof(world->trace)) {
        apr_snprintf(world->trace + used, sizeof(world->trace) - used, "%s%c%d",
                     used ? " " : "", what, fake->server);
    }
    if (!server->is_down && !world->is_cut[fake->host][fake->server]) {
        return APR_SUCCESS;
    }
    world->now += server->is_hanging ? TIMEOUT : 0;
    return server->is_hanging ? APR_TIMEUP : APR_ECONNREFUSED;
}

static void fake_tell(dogpile_holder_t *holder, const record_t *record)
{
    static const char *const hosts[] = {"host-a", "host-b", "host-c"};

    holder->token = record->token;
    holder->mode = record->mode;
    holder->host = hosts[record->host];
    holder->label = "label";
    holder->pid = 1 + record->host;
    holder->left_usec = record->until - world->now;
}

static apr_status_t fake_acquire(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 dogpile_lock_mode_e mode, dogpile_id_t *token,
                                 dogpile_holder_t *holder, apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)locker;
    apr_status_t status = fake_reach(fake, 'A');
    record_t *record;

    (void)pool;
    if (status != APR_SUCCESS) {
        return status;
    }
    record = server_blocker(fake->server, &key->digest, mode);
    if (record) {
        fake_tell(holder, record);
        return APR_EEXIST;
    }
    record = server_new_record(fake->server);
    dp_id_make(&record->token);
    record->digest = key->digest;
    record->mode = mode;
    record->host = fake->host;
    record->until = world->now + LEASE;
    *token = record->token;
    return APR_SUCCESS;
}

/* The record of that token, or APR_NOTFOUND. */
static apr_status_t fake_find(record_t **record, const fake_t *fake, char what,
                              const dogpile_lock_key_t *key,
                              const dogpile_id_t *token)
{
    apr_status_t status = fake_reach(fake, what);

    if (status != APR_SUCCESS) {
        return status;
    }
    *record = server_find(fake->server, &key->digest, token);
    return *record ? APR_SUCCESS : APR_NOTFOUND;
}

static apr_status_t fake_renew(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               const dogpile_id_t *token, apr_pool_t *pool)
{
    record_t *record;
    apr_status_t status = fake_find(&record, (fake_t *)locker, 'N', key, token);

    (void)pool;
    if (status == APR_SUCCESS) {
        record->until = world->now + LEASE;
    }
    return status;
}

static apr_status_t fake_release(dogpile_locker_t *locker,
                                 const dogpile_lock_key_t *key,
                                 const dogpile_id_t *token, apr_pool_t *pool)
{
    record_t *record;
    apr_status_t status = fake_find(&record, (fake_t *)locker, 'G', key, token);

    (void)pool;
    if (status == APR_SUCCESS) {
        memset(record, 0, sizeof(*record));
    }
    return status;
}

static apr_status_t fake_probe(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key,
                               dogpile_lock_mode_e mode,
                               dogpile_lock_state_e *state,
                               dogpile_holder_t *holder, apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)locker;
    apr_status_t status = fake_reach(fake, 'P');
    record_t *record;

    (void)pool;
    if (status != APR_SUCCESS) {
        return status;
    }
    record = server_blocker(fake->server, &key->digest, mode);
    if (record) {
        fake_tell(holder, record);
    }
    *state = record ? DOGPILE_HELD : DOGPILE_FREE;
    return APR_SUCCESS;
}

static apr_status_t fake_break(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)locker;
    apr_status_t status = fake_reach(fake, 'B');
    int found = 0;
    record_t *record;

    (void)pool;
    if (status != APR_SUCCESS) {
        return status;
    }
    for (;;) {
        record = server_blocker(fake->server, &key->digest, DOGPILE_EXCLUSIVE);
        if (record == NULL) {
            return found ? APR_SUCCESS : APR_NOTFOUND;
        }
        memset(record, 0, sizeof(*record));
        found = 1;
    }
}

static apr_status_t fake_list(dogpile_locker_t *locker,
                              void (*visit)(void *baton,
                                            const dogpile_holder_t *holder),
                              void *baton, apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)locker;
    apr_status_t status = fake_reach(fake, 'L');
    dogpile_holder_t holder = {.host = NULL};
    int i;

    (void)pool;
    for (i = 0; status == APR_SUCCESS && i < RECORDS; i++) {
        const record_t *record = &world->servers[fake->server].records[i];

        if (!record_is_over(record)) {
            fake_tell(&holder, record);
            visit(baton, &holder);
        }
    }
    return status;
}

static apr_status_t fake_child_init(dogpile_locker_t *locker, apr_pool_t *pool)
{
    (void)pool;
    return ((fake_t *)locker)->child_status;
}

static const dogpile_locker_provider_t fake_provider = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "fake",
    .child_init = fake_child_init,
    .acquire = fake_acquire,
    .renew = fake_renew,
    .release = fake_release,
    .probe = fake_probe,
    .break_lock = fake_break,
    .list = fake_list,
};

#endif
