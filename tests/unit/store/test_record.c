/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <apr_strings.h>
#include <string.h>
#include <zlib.h>

#include "base/digest.h"
#include "unit.h"

/* Offsets are repeated here, not taken from the code: they are the format. */
#define AT_FORMAT 8
#define AT_HEAD_BYTES 12
#define AT_CREATED 64
#define AT_LENGTH 80
#define AT_TILES 84
#define AT_HEADERS 88
#define AT_STALE 92
#define AT_AGE 108
#define AT_FLAGS 116
#define AT_TABLE 120

static const dp_record_header_t headers[] = {
    {"Access-Control-Allow-Origin", "*"},
    {"X-Empty", ""},
};
static const dp_record_body_t bodies[] = {
    {"land", 4}, {"the sea", 7}, {"the sea", 7}, {"coast", 5}};
#define NBODIES 4

static void fill(dp_record_t *record)
{
    memset(record, 0, sizeof(*record));
    dp_digest(&record->key, "key", 3);
    dp_id_make(&record->write_id);
    record->created = APR_INT64_C(1700000000123456);
    record->expires = record->created + 3600;
    record->age_usec = 77;
    record->stale_usec = DP_WINDOW_UNSET;
    record->stale_on_error_usec = APR_INT64_C(86400000000);
    record->must_revalidate = 1;
    record->media_type = "image/png";
    record->source_etag = "\"abc\"";
    record->headers = headers;
    record->nheaders = 2;
}

static unsigned char *written(dp_record_t *record)
{
    unsigned char *bytes;

    fill(record);
    ck_assert_int_eq(
        dp_record_write(&bytes, record, bodies, NBODIES, unit_pool),
        APR_SUCCESS);
    return bytes;
}

static apr_status_t read_whole(const unsigned char *bytes, apr_size_t length)
{
    dp_record_t record;
    apr_size_t need;

    return dp_record_read(&record, bytes, length, length, NULL, &need,
                          unit_pool);
}

static void put32(unsigned char *at, apr_uint32_t value)
{
    int i;

    for (i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

/* What someone who can compute a checksum would write. */
static apr_status_t read_forged(const dp_record_t *record,
                                const unsigned char *bytes, int at,
                                apr_uint32_t value)
{
    unsigned char *forged = apr_pmemdup(unit_pool, bytes, record->length);
    apr_size_t sum_at = record->head_bytes - 4;

    put32(forged + at, value);
    put32(forged + sum_at, (apr_uint32_t)crc32(0, forged, (uInt)sum_at));
    return read_whole(forged, record->length);
}

START_TEST(a_record_survives_being_written)
{
    dp_record_t in;
    dp_record_t out;
    const unsigned char *bytes = written(&in);
    apr_size_t need;
    int i;

    ck_assert_int_eq(dp_record_read(&out, bytes, in.length, in.length, &in.key,
                                    &need, unit_pool),
                     APR_SUCCESS);
    ck_assert(dp_id_equal(&out.write_id, &in.write_id));
    ck_assert(dp_digest_equal(&out.key, &in.key));
    ck_assert_int_eq(out.created, in.created);
    ck_assert_int_eq(out.expires, in.expires);
    ck_assert_int_eq(out.age_usec, 77);
    ck_assert_int_eq(out.stale_usec, DP_WINDOW_UNSET);
    ck_assert_int_eq(out.stale_on_error_usec, APR_INT64_C(86400000000));
    ck_assert_int_eq(out.is_explicit, 0);
    ck_assert_int_eq(out.must_revalidate, 1);
    ck_assert_str_eq(out.media_type, "image/png");
    ck_assert_str_eq(out.source_etag, "\"abc\"");
    ck_assert_ptr_null(out.source_last_modified);
    ck_assert_int_eq(out.nheaders, 2);
    for (i = 0; i < 2; i++) {
        ck_assert_str_eq(out.headers[i].name, headers[i].name);
        ck_assert_str_eq(out.headers[i].value, headers[i].value);
    }
    ck_assert_int_eq(out.ntiles, NBODIES);
    for (i = 0; i < NBODIES; i++) {
        ck_assert_uint_eq(out.tiles[i].length, bodies[i].size);
        ck_assert_mem_eq(bytes + out.tiles[i].offset, bodies[i].bytes,
                         bodies[i].size);
    }
}
END_TEST

START_TEST(the_write_id_is_where_the_contract_says)
{
    dp_record_t record;
    const unsigned char *bytes = written(&record);

    ck_assert_mem_eq(bytes, "DOGPILE\n", 8);
    ck_assert_mem_eq(bytes + DOGPILE_RECORD_WRITE_ID, record.write_id.bytes,
                     DOGPILE_ID_BYTES);
}
END_TEST

START_TEST(equal_tiles_share_a_body_and_an_etag)
{
    dp_record_t record;

    written(&record);
    ck_assert_uint_eq(record.tiles[1].offset, record.tiles[2].offset);
    ck_assert_mem_eq(record.tiles[1].etag, record.tiles[2].etag, DP_ETAG_BYTES);
    ck_assert_mem_ne(record.tiles[0].etag, record.tiles[1].etag, DP_ETAG_BYTES);
    ck_assert_uint_eq(record.length, record.head_bytes + 4 + 7 + 5);
}
END_TEST

START_TEST(the_header_is_enough_and_asks_for_the_rest)
{
    dp_record_t in;
    dp_record_t out;
    const unsigned char *bytes = written(&in);
    apr_size_t need = 0;
    apr_size_t have;

    for (have = 0; have < in.head_bytes; have++) {
        apr_status_t status = dp_record_read(&out, bytes, have, in.length, NULL,
                                             &need, unit_pool);

        ck_assert_int_eq(status, APR_INCOMPLETE);
        ck_assert_uint_eq(need, have < AT_TABLE ? AT_TABLE : in.head_bytes);
    }
    ck_assert_int_eq(dp_record_read(&out, bytes, in.head_bytes, in.length, NULL,
                                    &need, unit_pool),
                     APR_SUCCESS);
}
END_TEST

START_TEST(a_record_of_another_length_is_torn)
{
    dp_record_t record;
    unsigned char *bytes = written(&record);
    unsigned char *longer = apr_pcalloc(unit_pool, record.length + 1);
    apr_size_t length;

    memcpy(longer, bytes, record.length);
    for (length = 0; length < record.length; length++) {
        ck_assert_int_eq(read_whole(bytes, length), APR_EINVAL);
    }
    ck_assert_int_eq(read_whole(longer, record.length + 1), APR_EINVAL);
}
END_TEST

START_TEST(any_changed_bit_of_the_header_is_noticed)
{
    dp_record_t record;
    unsigned char *bytes = written(&record);
    apr_uint32_t bit;

    for (bit = 0; bit < 8 * record.head_bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert_msg(
            read_whole(bytes, record.length)
                == (bit / 32 == AT_FORMAT / 4 ? APR_NOTFOUND : APR_EINVAL),
            "byte %u", bit / 8);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    ck_assert_int_eq(read_whole(bytes, record.length), APR_SUCCESS);
}
END_TEST

START_TEST(a_changed_body_is_noticed)
{
    dp_record_t record;
    unsigned char *bytes = written(&record);

    ck_assert(dp_record_is_whole(&record, bytes));
    bytes[record.tiles[3].offset + 2] ^= 1;
    ck_assert(!dp_record_is_whole(&record, bytes));
}
END_TEST

START_TEST(another_key_is_another_record)
{
    dp_record_t in;
    dp_record_t out;
    const unsigned char *bytes = written(&in);
    dogpile_digest_t other;
    apr_size_t need;

    dp_digest(&other, "other", 5);
    ck_assert_int_eq(dp_record_read(&out, bytes, in.length, in.length, &other,
                                    &need, unit_pool),
                     APR_EINVAL);
}
END_TEST

START_TEST(a_good_checksum_makes_nothing_true)
{
    dp_record_t r;
    const unsigned char *bytes = written(&r);
    const apr_uint32_t most = 0xffffffff;
    int texts_at = AT_TABLE + NBODIES * 24;

    /* The forger itself changes nothing that matters. */
    ck_assert_int_eq(read_forged(&r, bytes, AT_FORMAT, DP_RECORD_FORMAT),
                     APR_SUCCESS);
    ck_assert(read_forged(&r, bytes, AT_FORMAT, 1) == APR_NOTFOUND);
    ck_assert(read_forged(&r, bytes, AT_STALE + 4, most / 2) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_STALE, 0) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_AGE + 4, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_FLAGS, 4) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_LENGTH, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_CREATED + 4, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TILES, 0) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TILES, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TILES, NBODIES + 1) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_HEADERS, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_HEADERS, 1) == APR_EINVAL);
    /* A body inside the header, behind the end, across it, and empty. */
    ck_assert(read_forged(&r, bytes, AT_TABLE, r.head_bytes - 1) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TABLE, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TABLE + 4, r.length) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TABLE + 4, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, AT_TABLE + 4, 0) == APR_EINVAL);
    /* A text that is too long, missing, or would end a header line. */
    ck_assert(read_forged(&r, bytes, texts_at, 1000) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, texts_at, most - 1) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, texts_at, most) == APR_EINVAL);
    ck_assert(read_forged(&r, bytes, texts_at + 4, 0x0a0d0a0d) == APR_EINVAL);
}
END_TEST

/* The header's own length is where its checksum is looked for, so a forged
 * one needs the checksum at its new place. */
START_TEST(a_forged_header_length_is_refused)
{
    static const apr_uint32_t forged[] = {0, 119, 123, 124, 0xffffffff};
    dp_record_t record;
    unsigned char *bytes = written(&record);
    apr_size_t i;

    for (i = 0; i < sizeof(forged) / sizeof(*forged); i++) {
        put32(bytes + AT_HEAD_BYTES, forged[i]);
        ck_assert_int_eq(read_whole(bytes, record.length), APR_EINVAL);
    }
    put32(bytes + AT_HEAD_BYTES, record.length);
    put32(bytes + record.length - 4,
          (apr_uint32_t)crc32(0, bytes, record.length - 4));
    ck_assert_int_eq(read_whole(bytes, record.length), APR_EINVAL);
}
END_TEST

static apr_status_t try_write(dp_record_t *record, const dp_record_body_t *body,
                              int nbodies)
{
    unsigned char *bytes;

    return dp_record_write(&bytes, record, body, nbodies, unit_pool);
}

START_TEST(nothing_is_written_that_would_not_be_read)
{
    static const dp_record_header_t splitting = {"A", "b\r\nSet-Cookie: c"};
    const dp_record_body_t empty = {"", 0};
    dp_record_t record;

    fill(&record);
    ck_assert_int_eq(try_write(&record, bodies, 0), APR_EINVAL);
    ck_assert_int_eq(try_write(&record, &empty, 1), APR_EINVAL);
    record.headers = &splitting;
    record.nheaders = 1;
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_EINVAL);
    fill(&record);
    record.media_type = NULL;
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_EINVAL);
    fill(&record);
    record.created = -1;
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_EINVAL);
    fill(&record);
    record.stale_usec = -2;
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_EINVAL);
    fill(&record);
    memset(&record.write_id, 0, sizeof(record.write_id));
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_EINVAL);
}
END_TEST

START_TEST(what_passes_a_bound_is_refused)
{
    dp_record_body_t *many =
        apr_pcalloc(unit_pool, (DP_RECORD_TILES_MAX + 1) * sizeof(*many));
    dp_record_body_t huge = {"", DP_RECORD_BYTES_MAX};
    char *text = apr_pcalloc(unit_pool, DP_RECORD_HEAD_MAX + 1);
    dp_record_t record;
    unsigned char *bytes;
    int i;

    for (i = 0; i <= DP_RECORD_TILES_MAX; i++) {
        many[i] = bodies[i % NBODIES];
    }
    fill(&record);
    ck_assert_int_eq(try_write(&record, many, DP_RECORD_TILES_MAX + 1),
                     APR_ENOSPC);
    ck_assert_int_eq(
        dp_record_write(&bytes, &record, many, DP_RECORD_TILES_MAX, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(read_whole(bytes, record.length), APR_SUCCESS);
    fill(&record);
    ck_assert_int_eq(try_write(&record, &huge, 1), APR_ENOSPC);
    memset(text, 'x', DP_RECORD_HEAD_MAX);
    record.source_etag = text;
    ck_assert_int_eq(try_write(&record, bodies, 1), APR_ENOSPC);
}
END_TEST

UNIT_MAIN("store/record", a_record_survives_being_written,
          the_write_id_is_where_the_contract_says,
          equal_tiles_share_a_body_and_an_etag,
          the_header_is_enough_and_asks_for_the_rest,
          a_record_of_another_length_is_torn,
          any_changed_bit_of_the_header_is_noticed, a_changed_body_is_noticed,
          another_key_is_another_record, a_good_checksum_makes_nothing_true,
          a_forged_header_length_is_refused,
          nothing_is_written_that_would_not_be_read,
          what_passes_a_bound_is_refused)
