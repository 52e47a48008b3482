/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "unit.h"

/* A back end that hands out what it was given and counts. */
typedef struct fake_t {
    dogpile_store_t store;
    const unsigned char *bytes;
    apr_size_t length;
    apr_status_t status;
    int looks;
    int puts;
    int set_asides;
    dogpile_id_t base;
} fake_t;

static apr_status_t fake_look(dogpile_store_t *store, const dogpile_key_t *key,
                              dogpile_blob_t *blob, apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)store;

    (void)key;
    (void)pool;
    fake->looks++;
    memset(blob, 0, sizeof(*blob));
    blob->bytes = fake->bytes;
    blob->have = fake->length;
    blob->length = fake->length;
    return fake->status;
}

static apr_status_t fake_put(dogpile_store_t *store, const dogpile_key_t *key,
                             const dogpile_id_t *base,
                             const struct iovec *parts, int nparts,
                             apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)store;

    (void)key;
    (void)pool;
    ck_assert_int_eq(nparts, 1);
    fake->puts++;
    fake->base = *base;
    fake->bytes = parts[0].iov_base;
    fake->length = parts[0].iov_len;
    return fake->status;
}

static void fake_set_aside(dogpile_store_t *store, const dogpile_key_t *key,
                           apr_pool_t *pool)
{
    (void)key;
    (void)pool;
    ((fake_t *)store)->set_asides++;
}

static const dogpile_store_provider_t with_set_aside = {
    .type = "fake",
    .look = fake_look,
    .put = fake_put,
    .set_aside = fake_set_aside,
};
static const dogpile_store_provider_t without_set_aside = {
    .type = "fake",
    .look = fake_look,
    .put = fake_put,
};
static const dogpile_store_conf_t conf = {.where = "here", .log = &unit_log};

static dogpile_key_t key_of(const char *text)
{
    dogpile_key_t key = {
        .source = "maps", .layers = "roads", .grid = "grid", .z = 1};

    dp_digest(&key.digest, text, strlen(text));
    return key;
}

static unsigned char *record_of(const dogpile_key_t *key, dp_record_t *record)
{
    static const dp_record_body_t body = {"tile", 4};
    unsigned char *bytes;

    memset(record, 0, sizeof(*record));
    record->key = key->digest;
    record->media_type = "image/png";
    dp_id_make(&record->write_id);
    ck_assert_int_eq(dp_record_write(&bytes, record, &body, 1, unit_pool),
                     APR_SUCCESS);
    return bytes;
}

START_TEST(a_good_record_is_found)
{
    fake_t fake = {.store = {.provider = &with_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    const unsigned char *bytes;
    dp_record_t record;
    dp_found_t found;

    fake.bytes = record_of(&key, &record);
    fake.length = record.length;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_SUCCESS);
    ck_assert(dp_id_equal(&found.record.write_id, &record.write_id));
    ck_assert_int_eq(dp_blob_bytes(&bytes, &found.blob,
                                   found.record.tiles[0].offset, 4, unit_pool),
                     APR_SUCCESS);
    ck_assert_mem_eq(bytes, "tile", 4);
    ck_assert_int_eq(
        dp_blob_bytes(&bytes, &found.blob, record.length, 1, unit_pool),
        APR_EINVAL);
    ck_assert_int_eq(fake.set_asides, 0);
}
END_TEST

START_TEST(a_bad_record_is_a_miss_and_set_aside)
{
    fake_t fake = {.store = {.provider = &with_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    dogpile_key_t other = key_of("b");
    dp_record_t record;
    dp_found_t found;

    fake.bytes = record_of(&key, &record);
    fake.length = record.length - 1;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    fake.length = record.length;
    ck_assert_int_eq(dp_store_look(&fake.store, &other, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(fake.set_asides, 2);
    /* The back end says it, which knows where the record was. */
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_bad_record_that_stays_is_reported)
{
    fake_t fake = {.store = {.provider = &without_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    dp_found_t found;

    fake.bytes = (const unsigned char *)"foreign";
    fake.length = 7;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 406);
}
END_TEST

START_TEST(what_the_store_says_is_passed_on)
{
    fake_t fake = {.store = {.provider = &with_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    dp_found_t found;

    fake.status = APR_EACCES;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_EACCES);
    fake.status = APR_NOTFOUND;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(fake.set_asides, 0);
}
END_TEST

START_TEST(off_grid_is_neither_asked_for_nor_stored)
{
    fake_t fake = {.store = {.provider = &with_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    dp_record_t record;
    unsigned char *bytes = record_of(&key, &record);
    dp_found_t found;

    key.z = -1;
    ck_assert_int_eq(dp_store_look(&fake.store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(
        dp_store_put(&fake.store, &key, NULL, bytes, record.length, unit_pool),
        APR_EINVAL);
    ck_assert_int_eq(fake.looks, 0);
    ck_assert_int_eq(fake.puts, 0);
}
END_TEST

START_TEST(only_a_record_of_the_key_is_put)
{
    fake_t fake = {.store = {.provider = &with_set_aside, .conf = &conf}};
    dogpile_key_t key = key_of("a");
    dogpile_key_t other = key_of("b");
    dp_record_t record;
    unsigned char *bytes = record_of(&key, &record);
    dogpile_id_t base;

    ck_assert_int_eq(dp_store_put(&fake.store, &other, NULL, bytes,
                                  record.length, unit_pool),
                     APR_EINVAL);
    ck_assert_int_eq(dp_store_put(&fake.store, &key, NULL, bytes,
                                  record.length - 1, unit_pool),
                     APR_EINVAL);
    ck_assert_int_eq(dp_store_put(&fake.store, &key, NULL, bytes,
                                  (apr_size_t)DP_RECORD_BYTES_MAX + 1,
                                  unit_pool),
                     APR_ENOSPC);
    ck_assert_int_eq(fake.puts, 0);
    ck_assert_int_eq(
        dp_store_put(&fake.store, &key, NULL, bytes, record.length, unit_pool),
        APR_SUCCESS);
    ck_assert(dp_id_is_none(&fake.base));
    dp_id_make(&base);
    ck_assert_int_eq(
        dp_store_put(&fake.store, &key, &base, bytes, record.length, unit_pool),
        APR_SUCCESS);
    ck_assert(dp_id_equal(&fake.base, &base));
    ck_assert_int_eq(fake.puts, 2);
}
END_TEST

UNIT_MAIN("store/store", a_good_record_is_found,
          a_bad_record_is_a_miss_and_set_aside,
          a_bad_record_that_stays_is_reported, what_the_store_says_is_passed_on,
          off_grid_is_neither_asked_for_nor_stored,
          only_a_record_of_the_key_is_put)
