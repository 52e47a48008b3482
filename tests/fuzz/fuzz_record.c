/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a record as it may lie in a directory or come from a server
 * that others write to. The first byte says how the rest is shown: whole, or
 * only its beginning. Each input is read as it is, and again with a checksum
 * that fits, since a fuzzer doesn't guess one.
 *
 * Beside what sanitizers see, it holds these to be true of whatever is
 * accepted: bodies lie inside the record and behind its header, texts are
 * there and end no header line, and what was read can be written and read
 * again as the same.
 */
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "store/record.h"

#define AT_HEAD_BYTES 12
#define FIXED_BYTES 120

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether the statement holds; a finding if not. */
static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_text(const char *text)
{
    must(text != NULL && strpbrk(text, "\r\n") == NULL);
}

static void check_rewrite(const dp_record_t *record, const uint8_t *bytes,
                          apr_pool_t *pool)
{
    dp_record_body_t *bodies =
        apr_palloc(pool, (apr_size_t)record->ntiles * sizeof(*bodies));
    dp_record_t copy = *record;
    apr_size_t total = 0;
    unsigned char *again;
    apr_size_t need;
    int i;

    for (i = 0; i < record->ntiles; i++) {
        bodies[i].bytes = bytes + record->tiles[i].offset;
        bodies[i].size = record->tiles[i].length;
        total += bodies[i].size;
    }
    /* Overlapping bodies may add up to more than the writer takes. */
    if (total > DP_RECORD_BYTES_MAX / 4) {
        return;
    }
    must(dp_record_write(&again, &copy, bodies, record->ntiles, pool)
         == APR_SUCCESS);
    must(dp_record_read(&copy, again, copy.length, copy.length, &record->key,
                        &need, pool)
         == APR_SUCCESS);
    must(copy.age_usec == record->age_usec
         && copy.stale_usec == record->stale_usec
         && copy.stale_on_error_usec == record->stale_on_error_usec
         && copy.is_explicit == record->is_explicit
         && copy.must_revalidate == record->must_revalidate);
    must(copy.ntiles == record->ntiles && copy.nheaders == record->nheaders
         && strcmp(copy.media_type, record->media_type) == 0);
}

static void check_record(const dp_record_t *record, const uint8_t *bytes,
                         size_t have, size_t size, apr_pool_t *pool)
{
    int i;

    must(record->length == size && record->head_bytes <= have);
    must(record->ntiles >= 1 && record->ntiles <= DP_RECORD_TILES_MAX);
    for (i = 0; i < record->ntiles; i++) {
        must(record->tiles[i].length > 0
             && record->tiles[i].offset >= record->head_bytes
             && (apr_uint64_t)record->tiles[i].offset + record->tiles[i].length
                    <= size);
    }
    check_text(record->media_type);
    for (i = 0; i < record->nheaders; i++) {
        check_text(record->headers[i].name);
        check_text(record->headers[i].value);
    }
    if (have == size) {
        check_rewrite(record, bytes, pool);
    }
}

static void read_one(const uint8_t *bytes, size_t have, size_t size,
                     apr_pool_t *pool)
{
    apr_size_t need = 0;
    dp_record_t record;
    apr_status_t status =
        dp_record_read(&record, bytes, have, size, NULL, &need, pool);

    if (status == APR_INCOMPLETE) {
        must(need > have && need <= size && need <= DP_RECORD_HEAD_MAX);
    }
    else if (status == APR_SUCCESS) {
        check_record(&record, bytes, have, size, pool);
    }
    else {
        must(status == APR_EINVAL || status == APR_NOTFOUND);
    }
}

/* With the checksum that its header asks for, if that lies inside. */
static void mend_sum(uint8_t *bytes, size_t size)
{
    uint32_t head;
    uint32_t sum;
    int i;

    if (size < FIXED_BYTES) {
        return;
    }
    head = (uint32_t)bytes[AT_HEAD_BYTES]
           | (uint32_t)bytes[AT_HEAD_BYTES + 1] << 8
           | (uint32_t)bytes[AT_HEAD_BYTES + 2] << 16
           | (uint32_t)bytes[AT_HEAD_BYTES + 3] << 24;
    if (head < FIXED_BYTES + 4 || head > size) {
        return;
    }
    sum = (uint32_t)crc32(0, bytes, head - 4);
    for (i = 0; i < 4; i++) {
        bytes[head - 4 + (uint32_t)i] = (uint8_t)(sum >> (8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    uint8_t *bytes;
    size_t have;

    if (pool == NULL) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size < 1) {
        return 0;
    }
    /* A block of exactly what is there: sanitizers see one byte too far. */
    have = (size - 1) * (255U - data[0]) / 255;
    bytes = malloc(size);
    must(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    read_one(bytes, size - 1, size - 1, pool);
    mend_sum(bytes, size - 1);
    read_one(bytes, size - 1, size - 1, pool);
    bytes = realloc(bytes, have ? have : 1);
    must(bytes != NULL);
    read_one(bytes, have, size - 1, pool);
    free(bytes);
    apr_pool_clear(pool);
    return 0;
}
