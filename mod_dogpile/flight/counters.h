/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the module counts, over all children of an httpd.
 *
 * Plain numbers in shared memory, only ever added to, atomically. One list
 * makes the members, their names on the status page and the description there.
 */
#ifndef DP_FLIGHT_COUNTERS_H
#define DP_FLIGHT_COUNTERS_H

#include <stdint.h>

#define DP_COUNTERS(X)                                                         \
    X(requests, "requests for tiles of enabled locations")                     \
    X(hits, "answered from the store, fresh")                                  \
    X(stale, "answered from the store, stale")                                 \
    X(stale_on_error,                                                          \
      "answered from the store, as the source couldn't be asked or failed")    \
    X(not_cached, "answered with 504: only-if-cached, and not in the store")   \
    X(misses, "had to wait for a flight")                                      \
    X(collapsed, "of these, waited for a flight that another one started")     \
    X(prompt, "of those that waited, answered without a worker thread")        \
    X(flights_begun, "flights begun")                                          \
    X(takeovers, "flights taken over from a child that died")                  \
    X(found, "flights that found the metatile in the store after all")         \
    X(fetches, "requests to a source")                                         \
    X(fetch_errors, "of these, without a usable answer")                       \
    X(renewed, "of these, answered with 304: the metatile is still good")      \
    X(retries, "requests to a source repeated, as the connection had ended")   \
    X(stored, "metatiles stored")                                              \
    X(store_refused, "metatiles not stored, as a newer version was there")     \
    X(store_errors, "metatiles not stored, as the store failed")               \
    X(failed, "requests answered with an error of the source")                 \
    X(remembered, "answered without a flight, as an earlier one had failed")   \
    X(overzoomed, "answered with an enlarged part of another tile")            \
    X(blank, "answered with an empty picture, for the moment")                 \
    X(shed, "requests answered with 503: no room or no time to wait")          \
    X(lock_waits, "flights that met someone else's lock")                      \
    X(lock_unavailable, "locks that could not be taken or refused")            \
    X(lock_lost, "leases lost while they were held")                           \
    X(lock_takeovers,                                                          \
      "fetches after someone else's lease ended without a tile")               \
    X(lock_foreign, "locks of hosts with another store, not waited for")       \
    X(passed, "requests passed through untouched")                             \
    X(passed_at_once, "of these, as an earlier answer was not to be shared")   \
    X(denied, "requests refused by the configuration or as malformed")

typedef enum dp_counter_e {
#define DP_COUNTER_ENUM(name, text) DP_COUNT_##name,
    DP_COUNTERS(DP_COUNTER_ENUM)
#undef DP_COUNTER_ENUM
        DP_COUNTER_COUNT
} dp_counter_e;

typedef struct dp_counters_t {
    uint64_t values[DP_COUNTER_COUNT];
} dp_counters_t;

const char *dp_counter_name(dp_counter_e counter);
const char *dp_counter_text(dp_counter_e counter);

static inline void dp_count(dp_counters_t *counters, dp_counter_e counter)
{
    __atomic_fetch_add(&counters->values[counter], 1, __ATOMIC_RELAXED);
}

static inline uint64_t dp_counter(const dp_counters_t *counters,
                                  dp_counter_e counter)
{
    return __atomic_load_n(&counters->values[counter], __ATOMIC_RELAXED);
}

#endif
