/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See store_contract.h. Content is checked, not only ids: every body of a
 * sample repeats its record's write id, so that a mixture of two writes can't
 * pass for one.
 */
#include "store_contract.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"

#define SAMPLE_TILES 16
/* More than one page, so that a torn read would show. */
#define SAMPLE_BODY_BYTES (1024 * DOGPILE_ID_BYTES)

#define TESTS_MAX 64

static const store_under_test_t *under_test;
static const dogpile_id_t none;

dogpile_store_t *store_contract_make(void)
{
    return under_test->make();
}

dogpile_store_t *store_contract_open(void)
{
    dogpile_store_t *store = store_contract_make();

    if (store->provider->child_init != NULL) {
        ck_assert_int_eq(store->provider->child_init(store, unit_pool),
                         APR_SUCCESS);
    }
    return store;
}

dogpile_key_t store_contract_key(const char *text)
{
    dogpile_key_t key = {.source = "maps.example.org/wms",
                         .layers = "roads,rivers",
                         .grid = "WebMercatorQuad",
                         .z = 12,
                         .x = 70,
                         .y = 3};

    dp_digest(&key.digest, text, strlen(text));
    return key;
}

static void fill_body(unsigned char *body, const dogpile_id_t *id)
{
    int at;

    for (at = 0; at < SAMPLE_BODY_BYTES; at += DOGPILE_ID_BYTES) {
        memcpy(body + at, id->bytes, DOGPILE_ID_BYTES);
    }
}

store_sample_t store_contract_sample(const dogpile_key_t *key, apr_pool_t *pool)
{
    dp_record_body_t bodies[SAMPLE_TILES];
    store_sample_t sample;
    int i;

    memset(&sample, 0, sizeof(sample));
    sample.record.key = key->digest;
    sample.record.media_type = "image/png";
    sample.record.created = apr_time_from_sec(1700000000);
    sample.record.expires = apr_time_from_sec(1700003600);
    dp_id_make(&sample.record.write_id);
    for (i = 0; i < SAMPLE_TILES; i++) {
        unsigned char *body = apr_palloc(pool, SAMPLE_BODY_BYTES);

        fill_body(body, &sample.record.write_id);
        body[0] = (unsigned char)i;
        bodies[i].bytes = body;
        bodies[i].size = SAMPLE_BODY_BYTES;
    }
    ck_assert_int_eq(dp_record_write(&sample.bytes, &sample.record, bodies,
                                     SAMPLE_TILES, pool),
                     APR_SUCCESS);
    return sample;
}

int store_contract_is_whole(const dp_found_t *found, apr_pool_t *pool)
{
    unsigned char *wanted = apr_palloc(pool, SAMPLE_BODY_BYTES);
    const unsigned char *bytes;
    int i;

    fill_body(wanted, &found->record.write_id);
    for (i = 0; i < SAMPLE_TILES; i++) {
        const dp_record_tile_t *tile = &found->record.tiles[i];

        wanted[0] = (unsigned char)i;
        if (tile->length != SAMPLE_BODY_BYTES
            || dp_blob_bytes(&bytes, &found->blob, tile->offset, tile->length,
                             pool)
                   != APR_SUCCESS
            || memcmp(bytes, wanted, SAMPLE_BODY_BYTES) != 0) {
            return 0;
        }
    }
    return found->record.ntiles == SAMPLE_TILES;
}

dogpile_id_t store_contract_seen(dogpile_store_t *store,
                                 const dogpile_key_t *key)
{
    dp_found_t found;
    apr_status_t status = dp_store_look(store, key, &found, unit_pool);

    if (status == APR_NOTFOUND) {
        return none;
    }
    ck_assert_int_eq(status, APR_SUCCESS);
    ck_assert(store_contract_is_whole(&found, unit_pool));
    return found.record.write_id;
}

apr_status_t store_contract_put(dogpile_store_t *store,
                                const dogpile_key_t *key,
                                const dogpile_id_t *base,
                                const store_sample_t *sample)
{
    return dp_store_put(store, key, base, sample->bytes, sample->record.length,
                        unit_pool);
}

static int is_there(dogpile_store_t *store, const dogpile_key_t *key,
                    const dogpile_id_t *id)
{
    dogpile_id_t seen = store_contract_seen(store, key);

    return dp_id_equal(&seen, id);
}

START_TEST(what_is_put_is_found)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    dp_found_t found;

    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_SUCCESS);
    ck_assert(store_contract_is_whole(&found, unit_pool));
    ck_assert(dp_id_equal(&found.record.write_id, &sample.record.write_id));
    ck_assert_int_eq(found.record.expires, sample.record.expires);
    ck_assert_int_eq(found.record.created, sample.record.created);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(keys_do_not_mix)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t a = store_contract_key("a");
    dogpile_key_t b = store_contract_key("b");
    store_sample_t sample = store_contract_sample(&a, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &a, &none, &sample),
                     APR_SUCCESS);
    ck_assert(is_there(store, &b, &none));
    ck_assert(is_there(store, &a, &sample.record.write_id));
}
END_TEST

START_TEST(only_the_version_that_was_seen_is_replaced)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t first = store_contract_sample(&key, unit_pool);
    store_sample_t second = store_contract_sample(&key, unit_pool);
    store_sample_t late = store_contract_sample(&key, unit_pool);

    /* Over a version where there is none. */
    ck_assert_int_eq(
        store_contract_put(store, &key, &late.record.write_id, &first),
        APR_EEXIST);
    ck_assert(is_there(store, &key, &none));
    ck_assert_int_eq(store_contract_put(store, &key, &none, &first),
                     APR_SUCCESS);
    /* Over nothing where there is one. */
    ck_assert_int_eq(store_contract_put(store, &key, &none, &late), APR_EEXIST);
    ck_assert(is_there(store, &key, &first.record.write_id));
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &second),
        APR_SUCCESS);
    /* Over one that was replaced. */
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &late),
        APR_EEXIST);
    ck_assert(is_there(store, &key, &second.record.write_id));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(what_was_removed_can_be_put_again)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t first = store_contract_sample(&key, unit_pool);
    store_sample_t second = store_contract_sample(&key, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &key, &none, &first),
                     APR_SUCCESS);
    under_test->remove(store, &key);
    ck_assert(is_there(store, &key, &none));
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &second),
        APR_EEXIST);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &second),
                     APR_SUCCESS);
    ck_assert(is_there(store, &key, &second.record.write_id));
}
END_TEST

START_TEST(a_blob_survives_replacement_and_removal)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t first = store_contract_sample(&key, unit_pool);
    store_sample_t second = store_contract_sample(&key, unit_pool);
    dp_found_t found;

    ck_assert_int_eq(store_contract_put(store, &key, &none, &first),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(
        store_contract_put(store, &key, &first.record.write_id, &second),
        APR_SUCCESS);
    under_test->remove(store, &key);
    ck_assert(dp_id_equal(&found.record.write_id, &first.record.write_id));
    ck_assert(store_contract_is_whole(&found, unit_pool));
}
END_TEST

/* Truncated within and at the edges of each part, too long, empty, foreign. */
static void plant_bad(dogpile_store_t *store, const dogpile_key_t *key,
                      const store_sample_t *sample, int how)
{
    const dp_record_t *record = &sample->record;
    apr_size_t lengths[] = {0,
                            1,
                            31,
                            119,
                            120,
                            record->head_bytes - 1,
                            record->head_bytes,
                            record->head_bytes + 1,
                            DOGPILE_BLOB_HEAD,
                            DOGPILE_BLOB_HEAD + 1,
                            record->length - 1};
    int cuts = (int)(sizeof(lengths) / sizeof(*lengths));
    char *longer = apr_pcalloc(unit_pool, record->length + 1);

    if (how < cuts) {
        under_test->plant(store, key, sample->bytes, lengths[how]);
        return;
    }
    memcpy(longer, sample->bytes, record->length);
    longer[40] ^= (char)(how == cuts + 1); /* a bit of its key */
    under_test->plant(store, key, longer, record->length + (how == cuts));
}
#define WAYS_TO_BE_BAD 13

START_TEST(a_bad_record_is_a_miss_once_reported)
{
    dogpile_store_t *store = store_contract_open();
    int how;

    for (how = 0; how < WAYS_TO_BE_BAD; how++) {
        dogpile_key_t key =
            store_contract_key(apr_psprintf(unit_pool, "%d", how));
        store_sample_t sample = store_contract_sample(&key, unit_pool);
        dp_found_t found;

        plant_bad(store, &key, &sample, how);
        unit_log_count = 0;
        ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                         APR_NOTFOUND);
        ck_assert_msg(unit_log_count == 1, "%d: %s", how, unit_log_last);
        ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                         APR_NOTFOUND);
        ck_assert_int_eq(unit_log_count, 1);
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
        ck_assert(is_there(store, &key, &sample.record.write_id));
    }
}
END_TEST

START_TEST(a_record_of_another_version_is_a_miss_without_a_word)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    char *older = apr_pmemdup(unit_pool, sample.bytes, sample.record.length);
    dp_found_t found;

    older[8] = 1; /* its format */
    under_test->plant(store, &key, older, sample.record.length);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    ck_assert(is_there(store, &key, &sample.record.write_id));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_bad_record_that_nobody_looked_at_is_replaced)
{
    dogpile_store_t *store = store_contract_open();
    int how;

    for (how = 0; how < WAYS_TO_BE_BAD; how++) {
        dogpile_key_t key =
            store_contract_key(apr_psprintf(unit_pool, "%d", how));
        store_sample_t sample = store_contract_sample(&key, unit_pool);

        plant_bad(store, &key, &sample, how);
        ck_assert_int_eq(
            store_contract_put(store, &key, &sample.record.write_id, &sample),
            APR_EEXIST);
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
        ck_assert(is_there(store, &key, &sample.record.write_id));
    }
}
END_TEST

START_TEST(a_record_with_a_long_header_is_read)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    dp_record_body_t body = {"tile", 4};
    dp_found_t found;

    sample.record.source_etag =
        apr_psprintf(unit_pool, "%0*d", 3 * DOGPILE_BLOB_HEAD, 1);
    sample.record.nheaders = 0;
    ck_assert_int_eq(
        dp_record_write(&sample.bytes, &sample.record, &body, 1, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_store_look(store, &key, &found, unit_pool),
                     APR_SUCCESS);
    ck_assert_str_eq(found.record.source_etag, sample.record.source_etag);
}
END_TEST

START_TEST(what_is_too_large_is_refused_and_stays_a_miss)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    dp_record_body_t body = {NULL, under_test->too_large_bytes - 1024};
    unsigned char *bytes;

    if (under_test->too_large_bytes > DP_RECORD_BYTES_MAX) {
        bytes = apr_pcalloc(unit_pool, under_test->too_large_bytes);
        memcpy(bytes, sample.bytes, sample.record.length);
        sample.bytes = bytes;
        sample.record.length = (apr_uint32_t)under_test->too_large_bytes;
    }
    else {
        body.bytes = apr_pcalloc(unit_pool, body.size);
        ck_assert_int_eq(
            dp_record_write(&sample.bytes, &sample.record, &body, 1, unit_pool),
            APR_SUCCESS);
    }
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_ENOSPC);
    ck_assert(is_there(store, &key, &none));
}
END_TEST

static void count_row(void *baton, const char *label, const char *value)
{
    ck_assert(label[0] != '\0' && value[0] != '\0');
    (*(int *)baton)++;
}

START_TEST(a_store_says_what_it_is)
{
    dogpile_store_t *store = store_contract_open();
    int rows = 0;

    ck_assert_int_eq(store->provider->version, DOGPILE_STORE_VERSION);
    ck_assert(!dp_id_is_none(&store->id));
    ck_assert_ptr_nonnull(store->provider->locker_type);
    if (store->provider->describe != NULL) {
        store->provider->describe(store, count_row, &rows, unit_pool);
        ck_assert_int_ge(rows, 2);
    }
}
END_TEST

int store_contract_run(const char *name, const store_under_test_t *which,
                       const TTest *const extra[], int nextra)
{
    const TTest *const promises[] = {
        what_is_put_is_found,
        keys_do_not_mix,
        only_the_version_that_was_seen_is_replaced,
        what_was_removed_can_be_put_again,
        a_blob_survives_replacement_and_removal,
        a_bad_record_is_a_miss_once_reported,
        a_record_of_another_version_is_a_miss_without_a_word,
        a_bad_record_that_nobody_looked_at_is_replaced,
        a_record_with_a_long_header_is_read,
        what_is_too_large_is_refused_and_stays_a_miss,
        a_store_says_what_it_is,
    };
    int npromises = (int)(sizeof(promises) / sizeof(*promises));
    const TTest *all[TESTS_MAX];
    int nraces;
    const TTest *const *races = store_contract_races(&nraces);
    int i;

    under_test = which;
    for (i = 0; i < npromises; i++) {
        all[i] = promises[i];
    }
    for (i = 0; i < nraces; i++) {
        all[npromises++] = races[i];
    }
    for (i = 0; i < nextra && npromises < TESTS_MAX; i++) {
        all[npromises++] = extra[i];
    }
    return unit_run(name, all, npromises);
}
