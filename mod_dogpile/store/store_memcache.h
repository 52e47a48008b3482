/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the memcache store share. Only for store_memcache*.c and
 * their tests.
 *
 * A record is one item, or several where it is too long for one: the first
 * item, named by the key, has the record's beginning, and its flags say how
 * many more there are. Those are named by the record's write id, so that parts
 * of two writes never meet. Only the first item is compared and replaced.
 */
#ifndef DP_STORE_STORE_MEMCACHE_H
#define DP_STORE_STORE_MEMCACHE_H

#include "lock/lock_memcache_servers.h"
#include "store/record.h"

extern const dogpile_store_provider_t dp_store_memcache;

#define DP_MEMCACHE_TILE_PREFIX "dogpile-tile-"
#define DP_MEMCACHE_PART_PREFIX "dogpile-part-"
#define DP_MEMCACHE_ID_KEY "dogpile-store-id"

/* Bytes of an item: half of what memcached takes when nobody tells it
 * otherwise (1 MiB with all overhead). And the longest record: beyond that a
 * memcached is the wrong place. */
#define DP_MEMCACHE_ITEM_BYTES 0x80000
#define DP_MEMCACHE_PARTS_MAX 31
#define DP_MEMCACHE_BYTES_MAX                                                  \
    ((1 + DP_MEMCACHE_PARTS_MAX) * DP_MEMCACHE_ITEM_BYTES)

/* How long a record is kept after it has expired: for those who are given
 * stale tiles, and whom no source answers. memcached removes it earlier where
 * it needs the room. */
#define DP_MEMCACHE_STALE_USEC apr_time_from_sec(14 * 24 * 3600)

typedef struct dp_store_memcache_t {
    dogpile_store_t store; /* first */
    dp_mc_t *mc;
    const apr_array_header_t *servers; /* of const char *, as configured */
    volatile apr_uint32_t id_sec;      /* when the id was last asked for */
    volatile apr_uint32_t refused_sec; /* when a refusal was last logged */
} dp_store_memcache_t;

/* What stands at a key. */
typedef struct dp_present_t {
    const char *name;    /* of its first item */
    int exists;          /* there is a first item */
    apr_uint64_t cas;    /* of which this is the version */
    int nparts;          /* that it says it has */
    dogpile_id_t id;     /* after which they are named */
    int is_whole;        /* none of them is missing */
    dogpile_blob_t blob; /* the record, if so; perhaps torn or foreign */
} dp_present_t;

/* The names of items. */
const char *dp_memcache_tile_name(const dogpile_key_t *key, apr_pool_t *pool);
const char *dp_memcache_part_name(const dogpile_id_t *id, int part,
                                  apr_pool_t *pool);

/* Read what stands there; nothing is a success, too. */
apr_status_t dp_memcache_read(dp_present_t *present, dp_mc_call_t *call,
                              const dogpile_key_t *key,
                              apr_pool_t *result_pool);

/* Until when a call may take that begins now. */
apr_time_t dp_memcache_deadline(void);

/* Ask for the store's id, or tell it to a server that has forgotten it; now
 * and then. */
void dp_memcache_refresh_id(dp_store_memcache_t *memcache, apr_time_t deadline,
                            apr_pool_t *scratch_pool);

/* As the members of dogpile_store_provider_t. */
apr_status_t dp_memcache_put(dogpile_store_t *store, const dogpile_key_t *key,
                             const dogpile_id_t *base,
                             const struct iovec *parts, int nparts,
                             apr_pool_t *scratch_pool);
void dp_memcache_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                           apr_pool_t *scratch_pool);

#endif
