/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot records: when a store is asked and when it isn't.
 */
#include "store/hot.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "unit.h"

#define NRECORDS 8

/* A store in memory that counts. */
static struct {
    unsigned char *bytes[NRECORDS];
    apr_size_t length[NRECORDS];
    int looks;
} kept;

static dp_hot_t *hot;
static apr_size_t arena_bytes = 2 << 20;

static dogpile_key_t key_of(int n)
{
    dogpile_key_t key = {.source = "s", .layers = "l", .grid = "g", .z = 1};

    memset(&key.digest, n + 1, sizeof(key.digest));
    return key;
}

static apr_status_t look(dogpile_store_t *store, const dogpile_key_t *key,
                         dogpile_blob_t *blob, apr_pool_t *result_pool)
{
    int n = key->digest.bytes[0] - 1;

    (void)store;
    kept.looks++;
    if (kept.bytes[n] == NULL) {
        return APR_NOTFOUND;
    }
    /* A short file, all of which is in memory: it is never read. */
    blob->bytes = apr_pmemdup(result_pool, kept.bytes[n], kept.length[n]);
    blob->have = blob->length = kept.length[n];
    blob->file = (apr_file_t *)&kept;
    return APR_SUCCESS;
}

static const dogpile_store_provider_t provider = {
    .version = DOGPILE_STORE_VERSION, .type = "kept", .look = look};
static const dogpile_store_conf_t conf = {.where = "", .log = &unit_log};
static dogpile_store_t store = {.provider = &provider, .conf = &conf};

static void keep(int n, const char *text, apr_interval_time_t lifetime)
{
    dogpile_key_t key = key_of(n);
    dp_record_body_t body = {text, strlen(text)};
    dp_record_t record;

    memset(&record, 0, sizeof(record));
    record.key = key.digest;
    dp_id_make(&record.write_id);
    record.created = unit_now;
    record.expires = unit_now + lifetime;
    record.media_type = "image/png";
    ck_assert_int_eq(
        dp_record_write(&kept.bytes[n], &record, &body, 1, unit_pool), 0);
    kept.length[n] = record.length;
}

static void set_up(apr_size_t bytes_max, int records_max)
{
    dp_arena_t *arena;

    memset(&kept, 0, sizeof(kept));
    unit_now = apr_time_from_sec(1000000);
    ck_assert_int_eq(dp_arena_create(&arena, arena_bytes, 0, unit_pool), 0);
    ck_assert_int_eq(dp_hot_create(&hot, bytes_max, records_max, arena,
                                   &unit_clock, unit_pool),
                     0);
}

/* What is found, as a text; "" for nothing. `user` NULL: for a moment. */
static const char *found(int n, apr_pool_t *user)
{
    dogpile_key_t key = key_of(n);
    const dp_hot_record_t *shared;
    const unsigned char *bytes;
    apr_pool_t *pool;
    const dp_record_tile_t *tile;
    const char *text = "";
    dp_found_t one;

    apr_pool_create(&pool, unit_pool);
    if (dp_hot_look(hot, &store, &key, &shared, &one, user ? user : pool)
        == APR_SUCCESS) {
        tile = shared ? shared->record.tiles : one.record.tiles;
        bytes = shared ? shared->bytes : one.blob.bytes;
        text = apr_pstrmemdup(unit_pool, (const char *)bytes + tile->offset,
                              tile->length);
    }
    apr_pool_destroy(pool);
    return text;
}

static int records(void)
{
    apr_size_t bytes;
    int n;

    dp_hot_count(hot, &n, &bytes);
    ck_assert_int_eq(n == 0, bytes == 0);
    return n;
}

START_TEST(what_is_asked_for_again_needs_no_look)
{
    int i;

    set_up(1 << 20, 100);
    keep(0, "sea", apr_time_from_sec(3600));
    ck_assert_str_eq(found(0, NULL), "sea");
    ck_assert_int_eq(records(), 0); /* once is not often */
    for (i = 0; i < 10; i++) {
        ck_assert_str_eq(found(0, NULL), "sea");
    }
    ck_assert_int_eq(kept.looks, 2);
    ck_assert_int_eq(records(), 1);
}
END_TEST

START_TEST(another_version_is_seen_within_a_second)
{
    set_up(1 << 20, 100);
    keep(0, "old", apr_time_from_sec(3600));
    found(0, NULL);
    found(0, NULL);
    keep(0, "new", apr_time_from_sec(3600));
    unit_now += apr_time_from_sec(1) - 1;
    ck_assert_str_eq(found(0, NULL), "old");
    unit_now += 1;
    ck_assert_str_eq(found(0, NULL), "new");
    unit_now += apr_time_from_sec(1);
    kept.bytes[0] = NULL;
    ck_assert_str_eq(found(0, NULL), "");
    ck_assert_int_eq(records(), 0);
}
END_TEST

START_TEST(the_same_version_stays)
{
    set_up(1 << 20, 100);
    keep(0, "sea", apr_time_from_sec(3600));
    found(0, NULL);
    found(0, NULL);
    unit_now += apr_time_from_sec(2);
    found(0, NULL);
    ck_assert_int_eq(kept.looks, 3);
    found(0, NULL);
    ck_assert_int_eq(kept.looks, 3);
}
END_TEST

START_TEST(own_writing_is_seen_at_once)
{
    dogpile_key_t key = key_of(0);

    set_up(1 << 20, 100);
    keep(0, "old", apr_time_from_sec(3600));
    found(0, NULL);
    found(0, NULL);
    keep(0, "new", apr_time_from_sec(3600));
    dp_hot_forget(hot, &store, &key);
    ck_assert_str_eq(found(0, NULL), "new");
}
END_TEST

START_TEST(what_has_expired_is_looked_up_each_time)
{
    set_up(1 << 20, 100);
    keep(0, "old", 1000);
    found(0, NULL);
    found(0, NULL);
    unit_now += 1000;
    keep(0, "new", apr_time_from_sec(3600));
    ck_assert_str_eq(found(0, NULL), "new");
}
END_TEST

/* For those who know that there can't be anything newer. */
START_TEST(what_has_expired_is_found_for_a_second)
{
    dogpile_key_t key = key_of(0);
    const dp_hot_record_t *one;
    apr_pool_t *user;

    apr_pool_create(&user, unit_pool);
    set_up(1 << 20, 100);
    keep(0, "old", 1000);
    ck_assert_ptr_null(dp_hot_find(hot, &store, &key.digest, user));
    found(0, NULL);
    found(0, NULL);
    unit_now += 2000;
    one = dp_hot_find(hot, &store, &key.digest, user);
    ck_assert_ptr_nonnull(one);
    ck_assert_int_lt(one->record.expires, unit_now);
    ck_assert_int_eq(kept.looks, 2);
    unit_now += apr_time_from_sec(1);
    ck_assert_ptr_null(dp_hot_find(hot, &store, &key.digest, user));
    apr_pool_destroy(user);
}
END_TEST

START_TEST(a_user_keeps_what_others_forget)
{
    dogpile_key_t key = key_of(0);
    const dp_hot_record_t *shared;
    dp_found_t one;

    set_up(1 << 20, 100);
    keep(0, "old", apr_time_from_sec(3600));
    found(0, NULL);
    ck_assert_int_eq(dp_hot_look(hot, &store, &key, &shared, &one, unit_pool),
                     0);
    ck_assert_ptr_nonnull(shared);
    memset(kept.bytes[0], 0, kept.length[0]);
    kept.bytes[0] = NULL;
    dp_hot_forget(hot, &store, &key);
    ck_assert_mem_eq(shared->bytes + shared->record.tiles[0].offset, "old", 3);
    ck_assert_int_eq(records(), 0);
}
END_TEST

START_TEST(the_least_recently_used_makes_room)
{
    int i;

    set_up(1 << 20, 3);
    for (i = 0; i < 4; i++) {
        keep(i, "x", apr_time_from_sec(3600));
    }
    for (i = 0; i < 3; i++) {
        found(i, NULL);
        found(i, NULL);
    }
    found(0, NULL); /* used again */
    found(3, NULL);
    found(3, NULL);
    ck_assert_int_eq(records(), 3);
    i = kept.looks;
    found(0, NULL);
    found(2, NULL);
    found(3, NULL);
    ck_assert_int_eq(kept.looks, i);
    found(1, NULL);
    ck_assert_int_eq(kept.looks, i + 1);
}
END_TEST

START_TEST(bytes_are_bounded)
{
    char *large = apr_palloc(unit_pool, 5000);
    int i;

    memset(large, 'x', 4999);
    large[4999] = '\0';
    set_up(64 * 1024, 100);
    for (i = 0; i < 2; i++) {
        keep(0, large, apr_time_from_sec(3600)); /* more than a sixteenth */
        found(0, NULL);
    }
    ck_assert_int_eq(records(), 0);
    large[3000] = '\0';
    for (i = 0; i < NRECORDS; i++) {
        keep(i, large, apr_time_from_sec(3600));
        found(i, NULL);
        found(i, NULL);
    }
    ck_assert_int_eq(records(), NRECORDS);
}
END_TEST

/* With room for five records of the text that is returned. */
static char *set_up_small(void)
{
    char *large = apr_pcalloc(unit_pool, 3001);

    memset(large, 'x', 3000);
    arena_bytes = 16 * 1024;
    set_up(64 * 1024, 100);
    return large;
}

/* An arena has gaps: where it is full, what was used least goes. */
START_TEST(what_finds_no_room_takes_it)
{
    char *large = set_up_small();
    apr_pool_t *user;
    int i;

    apr_pool_create(&user, unit_pool);
    for (i = 0; i < NRECORDS; i++) {
        large[0] = (char)('a' + i);
        keep(i, large, apr_time_from_sec(3600));
        found(i, NULL);
        ck_assert_str_eq(found(i, user), large);
        ck_assert_int_le(records(), 5);
        ck_assert_int_eq(kept.looks, 2 * (i + 1));
        apr_pool_clear(user);
    }
    ck_assert_str_eq(found(NRECORDS - 1, NULL), large);
    ck_assert_int_eq(kept.looks, 2 * NRECORDS);
    found(0, NULL);
    ck_assert_int_eq(kept.looks, 2 * NRECORDS + 1);
}
END_TEST

/* Nothing can go while somebody uses it: then others don't get in. */
START_TEST(what_is_in_use_stays)
{
    char *large = set_up_small();
    apr_pool_t *user;
    int i;

    apr_pool_create(&user, unit_pool);
    for (i = 0; i < NRECORDS; i++) {
        keep(i, large, apr_time_from_sec(3600));
        found(i, user);
        ck_assert_str_eq(found(i, user), large);
    }
    ck_assert_int_eq(records(), 5);
    i = kept.looks;
    found(0, user);
    ck_assert_int_eq(kept.looks, i);
    found(NRECORDS - 1, user);
    ck_assert_int_eq(kept.looks, i + 1);
    apr_pool_clear(user);
    found(NRECORDS - 1, NULL);
    ck_assert_int_eq(records(), 5);
    found(NRECORDS - 1, NULL);
    ck_assert_int_eq(kept.looks, i + 2);
}
END_TEST

UNIT_MAIN("store/hot", what_is_asked_for_again_needs_no_look,
          another_version_is_seen_within_a_second, the_same_version_stays,
          own_writing_is_seen_at_once, what_has_expired_is_looked_up_each_time,
          what_has_expired_is_found_for_a_second,
          a_user_keeps_what_others_forget, the_least_recently_used_makes_room,
          bytes_are_bounded, what_finds_no_room_takes_it, what_is_in_use_stays)
