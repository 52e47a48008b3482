/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises that only several at once can break: writers in threads, in
 * processes, and readers beside them.
 */
#include <apr_atomic.h>
#include <apr_thread_proc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "store_contract.h"

#define WRITERS 4
#define READERS 3
#define ROUNDS 24
#define REPLACES 60

/* One of several writers in threads of one process. */
typedef struct race_t {
    dogpile_store_t *store;
    dogpile_key_t key;
    dogpile_id_t base;
    apr_uint32_t accepted;
    apr_uint32_t wrong;
    apr_uint32_t ended; /* of the writer: readers stop */
} race_t;

static void write_once(race_t *race, apr_pool_t *pool)
{
    store_sample_t sample = store_contract_sample(&race->key, pool);
    apr_status_t status =
        dp_store_put(race->store, &race->key, &race->base, sample.bytes,
                     sample.record.length, pool);

    if (status == APR_SUCCESS) {
        apr_atomic_inc32(&race->accepted);
    }
    else if (status != APR_EEXIST) {
        apr_atomic_inc32(&race->wrong);
    }
}

static void *APR_THREAD_FUNC writer_thread(apr_thread_t *self, void *data)
{
    write_once(data, apr_thread_pool_get(self));
    return NULL;
}

static void run_threads(race_t *race, apr_thread_start_t body, int count,
                        apr_thread_t **threads)
{
    int i;

    for (i = 0; i < count; i++) {
        ck_assert_int_eq(
            apr_thread_create(&threads[i], NULL, body, race, unit_pool),
            APR_SUCCESS);
    }
}

static void join_threads(apr_thread_t **threads, int count)
{
    apr_status_t ended;
    int i;

    for (i = 0; i < count; i++) {
        apr_thread_join(&ended, threads[i]);
    }
}

START_TEST(of_writers_in_threads_one_is_accepted)
{
    apr_thread_t *threads[WRITERS];
    race_t race = {.store = store_contract_open(),
                   .key = store_contract_key("a")};
    int round;

    for (round = 1; round <= ROUNDS; round++) {
        run_threads(&race, writer_thread, WRITERS, threads);
        join_threads(threads, WRITERS);
        ck_assert_uint_eq(race.accepted, (unsigned)round);
        ck_assert_uint_eq(race.wrong, 0);
        race.base = store_contract_seen(race.store, &race.key);
    }
}
END_TEST

/* A process's answer is its exit status: how many of its puts were accepted. */
static int write_in_process(race_t *race, int ready)
{
    char go;

    if (race->store->provider->child_init != NULL
        && race->store->provider->child_init(race->store, unit_pool)
               != APR_SUCCESS) {
        return 100;
    }
    /* All begin together, when the other end of the pipe is closed. */
    if (read(ready, &go, 1) != 0) {
        return 100;
    }
    write_once(race, unit_pool);
    return race->wrong ? 100 : (int)race->accepted;
}

static int accepted_of_processes(race_t *race)
{
    pid_t children[WRITERS];
    int accepted = 0;
    int start[2];
    int status;
    int i;

    ck_assert_int_eq(pipe(start), 0);
    for (i = 0; i < WRITERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            close(start[1]);
            _exit(write_in_process(race, start[0]));
        }
    }
    close(start[0]);
    close(start[1]);
    for (i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert(WIFEXITED(status));
        accepted += WEXITSTATUS(status);
    }
    return accepted;
}

START_TEST(of_writers_in_processes_one_is_accepted)
{
    race_t race = {.store = store_contract_make(),
                   .key = store_contract_key("a")};
    dogpile_store_t *looking = race.store;
    int round;

    for (round = 0; round < ROUNDS / 4; round++) {
        ck_assert_int_eq(accepted_of_processes(&race), 1);
        if (round == 0 && looking->provider->child_init != NULL) {
            looking->provider->child_init(looking, unit_pool);
        }
        race.base = store_contract_seen(looking, &race.key);
        ck_assert(!dp_id_is_none(&race.base));
    }
}
END_TEST

static void *APR_THREAD_FUNC reader_thread(apr_thread_t *self, void *data)
{
    race_t *race = data;
    apr_pool_t *pool;
    dp_found_t found;

    apr_pool_create(&pool, apr_thread_pool_get(self));
    while (!apr_atomic_read32(&race->ended)) {
        if (dp_store_look(race->store, &race->key, &found, pool) != APR_SUCCESS
            || !store_contract_is_whole(&found, pool)) {
            apr_atomic_inc32(&race->wrong);
        }
        apr_pool_clear(pool);
    }
    return NULL;
}

START_TEST(readers_see_old_or_new_and_never_a_mixture)
{
    apr_thread_t *readers[READERS];
    race_t race = {.store = store_contract_open(),
                   .key = store_contract_key("a")};
    int i;

    write_once(&race, unit_pool);
    run_threads(&race, reader_thread, READERS, readers);
    for (i = 0; i < REPLACES; i++) {
        race.base = store_contract_seen(race.store, &race.key);
        write_once(&race, unit_pool);
    }
    apr_atomic_set32(&race.ended, 1);
    join_threads(readers, READERS);
    ck_assert_uint_eq(race.wrong, 0);
    ck_assert_uint_eq(race.accepted, REPLACES + 1);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

const TTest *const *store_contract_races(int *count)
{
    static const TTest *races[3];

    races[0] = of_writers_in_threads_one_is_accepted;
    races[1] = of_writers_in_processes_one_is_accepted;
    races[2] = readers_see_old_or_new_and_never_a_mixture;
    *count = 3;
    return races;
}
