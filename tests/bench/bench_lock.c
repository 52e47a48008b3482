/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lock costs: a table of the lockers, each on a server of its own that
 * is started as the contract tests start theirs.
 *
 * A step is what a flight pays: acquire, then release, of a key that nobody
 * else wants. Latency is that of one thread; throughput that of several, each
 * with keys of its own. Run by tests/bench/cold_tile.py, or by itself:
 *
 *     BUILD=build build/tests/bench/bench_lock
 *
 * Fails if a step fails, or if a disk or memcache locker takes GOAL_USEC or
 * more in the middle. Each row is a libcheck test in this one process, because
 * the fixtures need one to run in.
 */
#include <apr_strings.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "lock/lock_fallback.h"
#include "lock/lock_memcache.h"
#include "lock/lock_redis.h"
#include "memcached_fixture.h"
#include "redis_fixture.h"
#include "zookeeper_fixture.h"

#define SAMPLES 1000
#define GOAL_USEC 1000.0
#define LOAD_SEC 1

/* Enough that the lock files of a directory are all in use. */
#define KEYS 1024
#define THREADS_MAX 8

/* Until a locker is ready: the first call may come before its connection. */
#define READY_USEC apr_time_from_sec(30)

static double now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* --- lockers ----------------------------------------------------------- */

static dogpile_locker_conf_t *conf_for(const char *name, const char *server)
{
    dogpile_locker_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));
    apr_array_header_t *servers =
        apr_array_make(unit_pool, 1, sizeof(const char *));

    conf->name = name;
    conf->lease_usec = apr_time_from_sec(15);
    conf->retry_usec = apr_time_from_msec(100);
    conf->socket_usec = apr_time_from_sec(1);
    conf->host = "host-a";
    conf->members = apr_array_make(unit_pool, 2, sizeof(dogpile_locker_t *));
    conf->uid = geteuid();
    conf->gid = getegid();
    conf->log = &unit_log;
    conf->servers = servers;
    if (server) {
        APR_ARRAY_PUSH(servers, const char *) = server;
    }
    return conf;
}

static dogpile_locker_t *create(const dogpile_locker_provider_t *provider,
                                const dogpile_locker_conf_t *conf)
{
    dogpile_locker_t *locker = NULL;
    const char *wrong = provider->create(&locker, conf, unit_pool);

    ck_assert_msg(wrong == NULL, "%s: %s", conf->name, wrong ? wrong : "");
    return locker;
}

static dogpile_locker_t *begin(dogpile_locker_t *locker)
{
    const dogpile_locker_provider_t *provider = locker->provider;
    const char *wrong =
        provider->prepare ? provider->prepare(locker, unit_pool) : NULL;

    ck_assert_msg(wrong == NULL, "%s", wrong ? wrong : "");
    if (provider->child_init) {
        ck_assert_int_eq(provider->child_init(locker, unit_pool), APR_SUCCESS);
    }
    return locker;
}

static dogpile_locker_t *disk(void)
{
    dogpile_locker_conf_t *conf = conf_for("disk", NULL);

    conf->directory = apr_pstrcat(unit_pool, unit_tempdir(), "/locks", NULL);
    return create(&dp_lock_disk, conf);
}

static dogpile_locker_t *memcache(void)
{
    return create(&dp_lock_memcache,
                  conf_for("memcache", mcd_start()->address));
}

/* --- measuring --------------------------------------------------------- */

/* A thread's share of the load. */
typedef struct load_t {
    dogpile_locker_t *locker;
    int number; /* its keys are its own */
    double until;
    int steps;
    int failures;
} load_t;

static int step(dogpile_locker_t *locker, const dogpile_lock_key_t *key,
                apr_pool_t *pool)
{
    dogpile_id_t token;

    apr_pool_clear(pool);
    return dp_lock_acquire(locker, key, DOGPILE_EXCLUSIVE, &token, NULL, pool)
               == APR_SUCCESS
           && dp_lock_release(locker, key, &token, pool) == APR_SUCCESS;
}

static void make_keys(dogpile_lock_key_t keys[KEYS], int owner)
{
    char name[40];
    int i;

    memset(keys, 0, sizeof(*keys) * KEYS);
    for (i = 0; i < KEYS; i++) {
        snprintf(name, sizeof(name), "%d of thread %d", i, owner);
        dp_digest(&keys[i].digest, name, strlen(name));
        keys[i].label = "localhost/wms WebMercatorQuad/7/10/10";
    }
}

static void *work(void *baton)
{
    load_t *load = baton;
    dogpile_lock_key_t keys[KEYS];
    apr_pool_t *pool;
    int i = 0;

    make_keys(keys, load->number);
    apr_pool_create(&pool, NULL);
    while (now_usec() < load->until) {
        load->failures += !step(load->locker, &keys[i++ % KEYS], pool);
        load->steps++;
    }
    apr_pool_destroy(pool);
    return NULL;
}

/* Steps a second of so many threads together. */
static double throughput(dogpile_locker_t *locker, int nthreads)
{
    pthread_t threads[THREADS_MAX];
    load_t loads[THREADS_MAX];
    double start = now_usec();
    double taken;
    int steps = 0;
    int i;

    for (i = 0; i < nthreads; i++) {
        loads[i] = (load_t){
            .locker = locker, .number = i + 1, .until = start + LOAD_SEC * 1e6};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &loads[i]), 0);
    }
    for (i = 0; i < nthreads; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(loads[i].failures, 0);
        steps += loads[i].steps;
    }
    taken = now_usec() - start;
    return steps * 1e6 / taken;
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;

    return (a > b) - (a < b);
}

static void warm_up(dogpile_locker_t *locker, const dogpile_lock_key_t *keys,
                    apr_pool_t *pool)
{
    double deadline = now_usec() + READY_USEC;
    int i;

    while (!step(locker, &keys[0], pool)) {
        ck_assert_msg(now_usec() < deadline, "%s is never ready",
                      locker->conf->name);
    }
    for (i = 0; i < KEYS; i++) {
        ck_assert(step(locker, &keys[i], pool));
    }
}

/* Fills in the times of steps, the shortest first. */
static void measure(double usec[SAMPLES], dogpile_locker_t *locker)
{
    dogpile_lock_key_t keys[KEYS];
    apr_pool_t *pool;
    int i;

    make_keys(keys, 0);
    apr_pool_create(&pool, NULL);
    warm_up(locker, keys, pool);
    for (i = 0; i < SAMPLES; i++) {
        double start = now_usec();

        ck_assert(step(locker, &keys[i % KEYS], pool));
        usec[i] = now_usec() - start;
    }
    apr_pool_destroy(pool);
    qsort(usec, SAMPLES, sizeof(*usec), compare);
}

/* One row; `goal` in microseconds, or 0. */
static void report(const char *title, dogpile_locker_t *locker, double goal)
{
    double usec[SAMPLES];
    double two;
    double eight;

    measure(usec, locker);
    two = throughput(locker, 2);
    eight = throughput(locker, THREADS_MAX);
    printf("| %s | %.0f | %.0f | %.0f | %.0f |\n", title, usec[SAMPLES / 2],
           usec[SAMPLES * 99 / 100], two, eight);
    fflush(stdout);
    ck_assert_msg(goal <= 0 || usec[SAMPLES / 2] < goal,
                  "%s: the median is %.0f us, the goal %.0f", title,
                  usec[SAMPLES / 2], goal);
}

/* --- rows -------------------------------------------------------------- */

START_TEST(a_disk_in_the_build_directory)
{
    const char *build = getenv("BUILD");
    char *path = realpath(build ? build : "build", NULL);

    ck_assert_msg(path != NULL, "no build directory");
    setenv("TMPDIR", path, 1);
    free(path);
    report("disk, build directory", begin(disk()), GOAL_USEC);
    unsetenv("TMPDIR");
}
END_TEST

START_TEST(a_disk_in_tmp)
{
    report("disk, /tmp", begin(disk()), GOAL_USEC);
}
END_TEST

START_TEST(a_memcached)
{
    report("memcache", begin(memcache()), GOAL_USEC);
}
END_TEST

START_TEST(a_redis)
{
    report("redis",
           begin(create(&dp_lock_redis, conf_for("redis", redis_socket()))), 0);
}
END_TEST

START_TEST(a_zookeeper)
{
    zookeeper_server_t *server = zookeeper_make();
    const char *address = apr_psprintf(unit_pool, "127.0.0.1:%d", server->port);

    report("zookeeper",
           begin(create(&dp_lock_zookeeper, conf_for("zookeeper", address))),
           0);
    zookeeper_kill(server);
}
END_TEST

START_TEST(a_memcached_and_a_disk)
{
    dogpile_locker_conf_t *conf = conf_for("fallback", NULL);
    apr_array_header_t *members =
        apr_array_make(unit_pool, 2, sizeof(dogpile_locker_t *));

    APR_ARRAY_PUSH(members, dogpile_locker_t *) = memcache();
    APR_ARRAY_PUSH(members, dogpile_locker_t *) = disk();
    conf->members = members;
    report("memcache, then disk", begin(create(&dp_lock_fallback, conf)), 0);
}
END_TEST

int main(void)
{
    const TTest *const rows[] = {a_disk_in_the_build_directory,
                                 a_disk_in_tmp,
                                 a_memcached,
                                 a_redis,
                                 a_zookeeper,
                                 a_memcached_and_a_disk};

    setenv("CK_FORK", "no", 1);
    setenv("CK_VERBOSITY", "minimal", 0);
    printf("| locker | median, us | p99, us | 2 threads, 1/s "
           "| 8 threads, 1/s |\n|---|--:|--:|--:|--:|\n");
    return unit_run("bench/lock", rows, sizeof(rows) / sizeof(*rows));
}
