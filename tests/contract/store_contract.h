/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises of a store (include/dogpile_store.h) as tests, written once
 * and run on every back end. A back end's test file says how to make an empty
 * store and how to damage it, adds tests of its own, and ends with
 *
 *     STORE_CONTRACT_MAIN("contract/store_x", &store_under_test, test_a, ...)
 */
#ifndef DP_TESTS_STORE_CONTRACT_H
#define DP_TESTS_STORE_CONTRACT_H

#include "store/store.h"
#include "unit.h"

typedef struct store_under_test_t {
    /* A store that is empty and prepared. Called once a test, in its process;
     * child_init is called by the tests, in each process that uses it. Its
     * conf->log must be &unit_log. */
    dogpile_store_t *(*make)(void);

    /* Put `bytes` where the record of `key` is, past all checks. */
    void (*plant)(dogpile_store_t *store, const dogpile_key_t *key,
                  const void *bytes, apr_size_t size);

    /* Remove the record of `key`, as an operator or eviction would. */
    void (*remove)(dogpile_store_t *store, const dogpile_key_t *key);

    /* A size that it refuses, at most DP_RECORD_BYTES_MAX + 1. */
    apr_size_t too_large_bytes;
} store_under_test_t;

/* For tests of a back end: a store as made, and after child_init; a key, a
 * record. */
dogpile_store_t *store_contract_make(void);
dogpile_store_t *store_contract_open(void);
dogpile_key_t store_contract_key(const char *text);

/* A record of `key` with a write id of its own, all of whose bodies are made
 * from it. */
typedef struct store_sample_t {
    dp_record_t record;
    unsigned char *bytes;
} store_sample_t;
store_sample_t store_contract_sample(const dogpile_key_t *key,
                                     apr_pool_t *pool);

/* Whether all that was found belongs to one sample. */
int store_contract_is_whole(const dp_found_t *found, apr_pool_t *pool);

/* The write id of what is there, none where there is nothing. */
dogpile_id_t store_contract_seen(dogpile_store_t *store,
                                 const dogpile_key_t *key);

apr_status_t store_contract_put(dogpile_store_t *store,
                                const dogpile_key_t *key,
                                const dogpile_id_t *base,
                                const store_sample_t *sample);

/* The tests of store_contract_races.c, for store_contract_run(). */
const TTest *const *store_contract_races(int *count);

int store_contract_run(const char *name, const store_under_test_t *under_test,
                       const TTest *const extra[], int nextra);

#define STORE_CONTRACT_MAIN(name, under_test, ...)                             \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const extra[] = {__VA_ARGS__};                            \
        return store_contract_run(name, under_test, extra,                     \
                                  (int)(sizeof(extra) / sizeof(*extra)));      \
    }

#endif
