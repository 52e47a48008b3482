/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child's surroundings, played: a clock that moves when told, a locker in
 * memory, and work that waits at a gate until the test opens it. Everything is
 * counted. One mutex guards all of it; no flight's mutex is ever taken inside.
 */
#ifndef DP_TESTS_FLIGHT_FAKES_H
#define DP_TESTS_FLIGHT_FAKES_H

#include <apr_strings.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flight/flight_priv.h"
#include "unit.h"

#define NKEYS 32
#define SECONDS(n) apr_time_from_sec(n)
#define MSEC(n) ((apr_interval_time_t)(n)*1000)
#define LEASE SECONDS(15)
#define RETRY MSEC(100)
#define FETCH_TIMEOUT SECONDS(60)

/* As ck_assert(), where libcheck can't be told: on other threads and in other
 * processes, which may be killed while they tell it. */
#define MUST(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

typedef enum fake_lock_e {
    LOCK_FREE,
    LOCK_MINE,
    LOCK_ELSEWHERE,
    LOCK_FOREIGN, /* elsewhere, for another store */
    LOCK_DOWN
} fake_lock_e;

typedef struct fake_lock_t {
    int state; /* fake_lock_e */
    int acquires;
    int releases;
    int renews;
    int probes;
    int breaks;
} fake_lock_t;

typedef struct fake_t {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    apr_time_t now;

    fake_lock_t lock;        /* fake_locker's one lock */
    fake_lock_t source_lock; /* fake_source_locker's */
    int is_release_held;     /* a release waits until it isn't */
    int releasing;

    int is_open[NKEYS]; /* the gate of each key's fetch */
    int parts;          /* a fetch gives part 1 before the gate */
    int is_stored;      /* a look finds a record */
    int fails;          /* a fetch has no usable answer */
    int blame;          /* and that is whose fault */
    int is_shared;      /* 0: the answer must not be shared */
    int is_store_slow;  /* keeping waits until it isn't */
    int is_end_held;    /* the end of a job waits until it isn't */
    int ending;
    int ended;
    int looks;
    int produces;
    int producing;
    int keeps;
    int tells;         /* a descriptor that hears of fetches, or -1 */
    int takes_signals; /* a fetcher thread would take a SIGTERM */
    int order[NKEYS];  /* keys, in the order of their fetches */
} fake_t;

static fake_t fake;

#define FAKE(member) fake_get(&fake.member)

static inline int fake_get(const int *member)
{
    int value;

    pthread_mutex_lock(&fake.mutex);
    value = *member;
    pthread_mutex_unlock(&fake.mutex);
    return value;
}

static inline void fake_set(int *member, int value)
{
    pthread_mutex_lock(&fake.mutex);
    *member = value;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.mutex);
}

/* --- the clock --------------------------------------------------------- */

static inline apr_time_t fake_now(void *baton)
{
    apr_time_t now;

    (void)baton;
    pthread_mutex_lock(&fake.mutex);
    now = fake.now;
    pthread_mutex_unlock(&fake.mutex);
    return now;
}

static const dp_clock_t fake_clock = {.now = fake_now, .baton = NULL};

/* --- the locker -------------------------------------------------------- */

static dogpile_locker_t fake_locker;

static inline fake_lock_t *lock_of(const dogpile_locker_t *locker)
{
    return locker == &fake_locker ? &fake.lock : &fake.source_lock;
}

static inline void fill_holder(const fake_lock_t *lock,
                               dogpile_holder_t *holder)
{
    memset(holder, 0, sizeof(*holder));
    holder->host = "elsewhere";
    holder->label = "";
    memset(&holder->store_id, lock->state == LOCK_FOREIGN ? 2 : 1,
           sizeof(holder->store_id));
}

static inline apr_status_t
fake_acquire(dogpile_locker_t *locker, const dogpile_lock_key_t *key,
             dogpile_lock_mode_e mode, dogpile_id_t *token,
             dogpile_holder_t *holder, apr_pool_t *pool)
{
    fake_lock_t *lock = lock_of(locker);
    apr_status_t rv = APR_EEXIST;

    (void)key;
    (void)mode;
    (void)pool;
    pthread_mutex_lock(&fake.mutex);
    lock->acquires++;
    fill_holder(lock, holder);
    if (lock->state == LOCK_FREE) {
        lock->state = LOCK_MINE;
        memset(token, lock->acquires, sizeof(*token));
        rv = APR_SUCCESS;
    }
    else if (lock->state == LOCK_DOWN) {
        rv = APR_ECONNREFUSED;
    }
    pthread_mutex_unlock(&fake.mutex);
    return rv;
}

static inline apr_status_t fake_renew(dogpile_locker_t *locker,
                                      const dogpile_lock_key_t *key,
                                      const dogpile_id_t *token,
                                      apr_pool_t *scratch_pool)
{
    fake_lock_t *lock = lock_of(locker);
    apr_status_t rv;

    (void)key;
    (void)token;
    (void)scratch_pool;
    pthread_mutex_lock(&fake.mutex);
    lock->renews++;
    rv = lock->state == LOCK_MINE ? APR_SUCCESS : APR_NOTFOUND;
    pthread_mutex_unlock(&fake.mutex);
    return rv;
}

static inline apr_status_t fake_release(dogpile_locker_t *locker,
                                        const dogpile_lock_key_t *key,
                                        const dogpile_id_t *token,
                                        apr_pool_t *scratch_pool)
{
    fake_lock_t *lock = lock_of(locker);
    apr_status_t rv = APR_NOTFOUND;

    (void)key;
    (void)token;
    (void)scratch_pool;
    pthread_mutex_lock(&fake.mutex);
    fake.releasing++;
    while (fake.is_release_held) {
        pthread_cond_wait(&fake.changed, &fake.mutex);
    }
    fake.releasing--;
    lock->releases++;
    if (lock->state == LOCK_MINE) {
        lock->state = LOCK_FREE;
        rv = APR_SUCCESS;
    }
    pthread_mutex_unlock(&fake.mutex);
    return rv;
}

static inline apr_status_t
fake_probe(dogpile_locker_t *locker, const dogpile_lock_key_t *key,
           dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
           dogpile_holder_t *holder, apr_pool_t *pool)
{
    fake_lock_t *lock = lock_of(locker);
    apr_status_t rv;

    (void)key;
    (void)mode;
    (void)pool;
    pthread_mutex_lock(&fake.mutex);
    lock->probes++;
    fill_holder(lock, holder);
    *state = lock->state == LOCK_FREE ? DOGPILE_FREE : DOGPILE_HELD;
    rv = lock->state == LOCK_DOWN ? APR_ECONNREFUSED : APR_SUCCESS;
    pthread_mutex_unlock(&fake.mutex);
    return rv;
}

static inline apr_status_t fake_break(dogpile_locker_t *locker,
                                      const dogpile_lock_key_t *key,
                                      apr_pool_t *scratch_pool)
{
    fake_lock_t *lock = lock_of(locker);

    (void)key;
    (void)scratch_pool;
    pthread_mutex_lock(&fake.mutex);
    lock->breaks++;
    lock->state = LOCK_FREE;
    pthread_mutex_unlock(&fake.mutex);
    return APR_SUCCESS;
}

static const dogpile_locker_provider_t fake_provider = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "fake",
    .acquire = fake_acquire,
    .renew = fake_renew,
    .release = fake_release,
    .probe = fake_probe,
    .break_lock = fake_break,
};

static const dogpile_locker_conf_t fake_locker_conf = {
    .name = "fake",
    .lease_usec = LEASE,
    .retry_usec = RETRY,
};

static dogpile_locker_t fake_locker = {
    .provider = &fake_provider,
    .conf = &fake_locker_conf,
};

static dogpile_locker_t fake_source_locker __attribute__((unused)) = {
    .provider = &fake_provider,
    .conf = &fake_locker_conf,
};

/* --- the work ---------------------------------------------------------- */

static inline void fill_record(dp_catch_t *caught, int key, apr_pool_t *pool)
{
    char *record = apr_psprintf(pool, "record of key %d", key);

    caught->outcome.kind = DP_OUTCOME_RECORD;
    caught->outcome.length = (uint32_t)strlen(record);
    caught->bytes = record;
    caught->outcome.is_storable = 1;
}

static inline apr_status_t fake_look(void *baton, dp_catch_t *found,
                                     dogpile_id_t *base, apr_pool_t *pool)
{
    apr_status_t rv = APR_NOTFOUND;

    pthread_mutex_lock(&fake.mutex);
    fake.looks++;
    memset(base, 7, sizeof(*base));
    if (fake.is_stored) {
        fill_record(found, *(int *)baton, pool);
        rv = APR_SUCCESS;
    }
    pthread_mutex_unlock(&fake.mutex);
    return rv;
}

/* The first part comes before the gate. */
static inline void give_part(dp_early_t *early, int key, apr_pool_t *pool)
{
    dp_catch_t part;

    memset(&part, 0, sizeof(part));
    fill_record(&part, key, pool);
    part.bytes = apr_psprintf(pool, "part of key %d", key);
    part.outcome.length = (uint32_t)strlen(part.bytes);
    pthread_mutex_unlock(&fake.mutex); /* flights' mutexes come first */
    dp_flight_add_part(early, 1, &part);
    pthread_mutex_lock(&fake.mutex);
}

static inline void fake_produce(void *baton, apr_thread_t *thread,
                                dp_catch_t *made, dp_early_t *early,
                                apr_pool_t *pool)
{
    int key = *(int *)baton;
    sigset_t blocked;

    (void)thread;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    pthread_mutex_lock(&fake.mutex);
    fake.takes_signals |= !sigismember(&blocked, SIGTERM);
    fake.order[fake.produces % NKEYS] = key;
    fake.produces++;
    fake.producing++;
    if (fake.tells >= 0) {
        MUST(write(fake.tells, "p", 1) == 1);
    }
    if (fake.parts) {
        give_part(early, key, pool);
    }
    while (!fake.is_open[key]) {
        pthread_cond_wait(&fake.changed, &fake.mutex);
    }
    fake.producing--;
    if (fake.fails) {
        dp_outcome_fail(&made->outcome, 502, 5, "bad gateway");
        made->outcome.blame = (dp_blame_e)fake.blame;
    }
    else {
        fill_record(made, key, pool);
        if (!fake.is_shared) {
            made->outcome.kind = DP_OUTCOME_PASS;
            made->outcome.length = 0;
        }
    }
    pthread_mutex_unlock(&fake.mutex);
}

static inline void fake_keep(void *baton, const dp_catch_t *made,
                             const dogpile_id_t *base, apr_pool_t *pool)
{
    (void)baton;
    (void)made;
    (void)pool;
    pthread_mutex_lock(&fake.mutex);
    while (fake.is_store_slow) {
        pthread_cond_wait(&fake.changed, &fake.mutex);
    }
    fake.keeps += base->bytes[0] == 7;
    pthread_mutex_unlock(&fake.mutex);
}

/* A lock that this httpd has taken. */
static inline int fake_is_own(void *baton, const dogpile_holder_t *holder,
                              apr_pool_t *pool)
{
    (void)baton;
    (void)holder;
    (void)pool;
    return FAKE(source_lock.state) == LOCK_MINE;
}

static const dp_work_t fake_work = {
    .look = fake_look,
    .produce = fake_produce,
    .keep = fake_keep,
    .is_own = fake_is_own,
};

#endif
