/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of an httpd that fly in the surroundings of fakes.h, and what can
 * be seen of them. Tests wait for a state, never for a time; libcheck ends one
 * that hangs.
 */
#ifndef DP_TESTS_FLIGHT_PLAY_H
#define DP_TESTS_FLIGHT_PLAY_H

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/process.h"
#include "flight/fakes.h"

#define NSLOTS 4
#define NFLIGHTS 32
#define PLACE_BYTES 4096

#define WAIT_UNTIL(condition)                                                  \
    do {                                                                       \
        while (!(condition)) {                                                 \
            sched_yield();                                                     \
        }                                                                      \
    } while (0)

static dp_shared_t shared;
static dp_counters_t counters;

static inline int count_of(dp_counter_e counter)
{
    return (int)dp_counter(&counters, counter);
}

/* --- jobs -------------------------------------------------------------- */

typedef struct want_t {
    int key;
    int part; /* 0: the whole; else one more than its index */
    dogpile_locker_t *locker;
    dogpile_locker_t *source_locker;
    dogpile_locker_t *down_locker;
    int limit;
    apr_interval_time_t error_usec;
} want_t;

/* What was fetched with may be given back with the job's pool. */
static inline apr_status_t end_job(void *baton)
{
    (void)baton;
    pthread_mutex_lock(&fake.mutex);
    fake.ending++;
    while (fake.is_end_held) {
        pthread_cond_wait(&fake.changed, &fake.mutex);
    }
    fake.ended++;
    pthread_mutex_unlock(&fake.mutex);
    return APR_SUCCESS;
}

static inline dp_job_t *make_job(void *baton, apr_pool_t *flight_pool)
{
    const want_t *wish = baton;
    dp_job_t *job = apr_pcalloc(flight_pool, sizeof(*job));

    job->locks[DP_HOLD_METATILE].locker = wish->locker;
    memset(&job->locks[DP_HOLD_METATILE].key.store_id, 1, sizeof(dogpile_id_t));
    job->locks[DP_HOLD_SOURCE].locker = wish->source_locker;
    memset(&job->locks[DP_HOLD_SOURCE].key.digest, 9, sizeof(dogpile_digest_t));
    apr_pool_cleanup_register(flight_pool, NULL, end_job,
                              apr_pool_cleanup_null);
    job->down_lock.locker = wish->down_locker;
    memset(&job->subject.key, wish->key + 1, sizeof(job->subject.key));
    job->subject.source = 7;
    job->subject.source_name = "fake";
    job->subject.error_usec = wish->error_usec;
    job->upstream_limit = wish->limit;
    job->fails_open = 1;
    job->fetch_timeout_usec = FETCH_TIMEOUT;
    job->work = &fake_work;
    job->baton = apr_pmemdup(flight_pool, &wish->key, sizeof(wish->key));
    return job;
}

static inline dp_join_e join_in(dp_flights_t *flights, const want_t *want,
                                dp_waiter_t **waiter, apr_pool_t *pool)
{
    dogpile_digest_t key;
    dp_wish_t wish = {.key = &key,
                      .source = 7,
                      .part = want->part - 1,
                      .make_job = make_job,
                      .baton = (void *)want};

    memset(&key, want->key + 1, sizeof(key));
    return dp_flight_join(flights, &wish, waiter, pool);
}

static inline dp_join_e join_as(dp_flights_t *flights, const want_t *want,
                                dp_waiter_t **waiter)
{
    return join_in(flights, want, waiter, unit_pool);
}

/* Join a key with plenty of room at its source. */
static inline dp_waiter_t *join_key(dp_flights_t *flights, int key,
                                    dogpile_locker_t *locker)
{
    want_t wish = {.key = key, .locker = locker, .limit = 100};
    dp_waiter_t *waiter;

    MUST(join_as(flights, &wish, &waiter) != DP_JOIN_FULL);
    return waiter;
}

/* --- children ---------------------------------------------------------- */

static inline void play(void)
{
    static int eventfds[NSLOTS];
    void *memory =
        mmap(NULL, dp_table_size(NSLOTS, NFLIGHTS), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    void *recall = mmap(NULL, dp_recall_size(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int i;

    memset(&fake, 0, sizeof(fake));
    pthread_mutex_init(&fake.mutex, NULL);
    pthread_cond_init(&fake.changed, NULL);
    fake.now = SECONDS(1000);
    fake.is_shared = 1;
    fake.tells = -1;
    memset(&counters, 0, sizeof(counters));
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(dp_table_init(memory, NSLOTS, NFLIGHTS, &shared.table), 0);
    ck_assert_ptr_ne(recall, MAP_FAILED);
    ck_assert_int_eq(dp_recall_init(recall, &shared.recall), 0);
    ck_assert_int_eq(dp_landing_make(&shared.landing, PLACE_BYTES), 0);
    for (i = 0; i < NSLOTS; i++) {
        eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        ck_assert_int_ge(eventfds[i], 0);
    }
    shared.counters = &counters;
    shared.eventfds = eventfds;
}

/* A child in this process. */
static inline dp_flights_t *make_child(int fetch_threads, apr_pool_t *pool)
{
    dp_flights_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    dp_flights_t *flights;

    conf->shared = &shared;
    conf->pid = getpid();
    conf->started = dp_process_started(getpid());
    conf->fetch_threads = fetch_threads;
    conf->is_threaded = 1;
    conf->clock = &fake_clock;
    conf->log = &unit_log;
    MUST(dp_flights_create(&flights, conf, pool) == APR_SUCCESS);
    return flights;
}

/* No keeper is at a flight. */
static inline int is_quiet(dp_flights_t *flights)
{
    int is = 1;
    dp_local_t *local;

    dp_flights_lock(flights);
    for (local = flights->locals; local != NULL; local = local->next) {
        is &= local->users == (local->phase == DP_PHASE_RUNNING);
    }
    dp_flights_unlock(flights);
    return is;
}

/* Time goes by; what is due gets done, here or by the keeper's thread. */
static inline void advance(dp_flights_t *flights, apr_interval_time_t usec)
{
    apr_pool_t *scratch_pool;

    pthread_mutex_lock(&fake.mutex);
    fake.now += usec;
    pthread_mutex_unlock(&fake.mutex);
    apr_pool_create(&scratch_pool, unit_pool);
    dp_keeper_step(flights, scratch_pool);
    apr_pool_destroy(scratch_pool);
    WAIT_UNTIL(is_quiet(flights));
}

static inline void open_gate(int key)
{
    fake_set(&fake.is_open[key], 1);
}

static inline void open_all_gates(void)
{
    int i;

    for (i = 0; i < NKEYS; i++) {
        open_gate(i);
    }
}

/* --- looking ----------------------------------------------------------- */

static inline int phase_of(dp_flights_t *flights, dp_waiter_t *waiter)
{
    int phase;

    dp_flights_lock(flights);
    phase = (int)waiter->local->phase;
    dp_flights_unlock(flights);
    return phase;
}

static inline int leading(dp_flights_t *flights)
{
    int n;

    dp_flights_lock(flights);
    n = flights->leading;
    dp_flights_unlock(flights);
    return n;
}

static inline int has_no_locals(dp_flights_t *flights)
{
    int has_none;

    dp_flights_lock(flights);
    has_none = flights->locals == NULL;
    dp_flights_unlock(flights);
    return has_none;
}

static inline dp_table_counts_t table_counts(void)
{
    dp_table_counts_t counts;

    dp_table_counts(shared.table, &counts);
    return counts;
}

static inline int wait_long(dp_waiter_t *waiter)
{
    return dp_flight_wait(waiter, fake_now(NULL) + SECONDS(3600), 1000);
}

static inline void expect_record(dp_waiter_t *waiter, int key)
{
    char expected[64];
    char bytes[64];
    dp_outcome_t outcome;

    snprintf(expected, sizeof(expected), "record of key %d", key);
    MUST(dp_flight_outcome(waiter, &outcome));
    MUST(outcome.kind == DP_OUTCOME_RECORD);
    MUST(outcome.length == strlen(expected));
    MUST(dp_flight_read(waiter, 0, bytes, outcome.length) == APR_SUCCESS);
    MUST(memcmp(bytes, expected, outcome.length) == 0);
}

static inline void expect_failure(dp_waiter_t *waiter, int status)
{
    dp_outcome_t outcome;

    ck_assert(dp_flight_outcome(waiter, &outcome));
    ck_assert_int_eq(outcome.kind, DP_OUTCOME_FAILED);
    ck_assert_int_eq(outcome.status, status);
}

static inline long landing_blocks(void)
{
    struct stat info;

    ck_assert_int_eq(fstat(shared.landing.fd, &info), 0);
    return (long)info.st_blocks;
}

/* When all have left: nothing stays behind, in the table, the child or the
 * landing area. */
static inline void expect_nothing_left(dp_flights_t *flights)
{
    dp_table_counts_t counts;

    WAIT_UNTIL(leading(flights) == 0);
    WAIT_UNTIL(has_no_locals(flights));
    WAIT_UNTIL(table_counts().flights == 0);
    counts = table_counts();
    ck_assert_int_eq(counts.waiters, 0);
    ck_assert_int_eq(counts.blocked, 0);
    ck_assert_int_eq(counts.fetching, 0);
    WAIT_UNTIL(landing_blocks() == 0);
}

#endif
