/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/lockfile.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "unit.h"

static apr_array_header_t *two_leases(void)
{
    apr_array_header_t *leases =
        apr_array_make(unit_pool, 2, sizeof(dp_lease_t));
    dp_lease_t lease = {
        .kind = DP_LEASE_EXCLUSIVE,
        .owner = {.host = "web 1%\n",
                  .boot = "01234567-89ab-cdef-0123-456789abcdef",
                  .pidns = 4026531836,
                  .pid = 4711,
                  .start = 123456789},
        .since = unit_now,
        .until = unit_now + 15000000,
        .lease_usec = 15000000,
        .label = "roads, 5/17/11 \xff"};

    memset(lease.token.bytes, 0xab, sizeof(lease.token.bytes));
    memset(lease.digest.bytes, 0xcd, sizeof(lease.digest.bytes));
    APR_ARRAY_PUSH(leases, dp_lease_t) = lease;
    lease.kind = DP_LEASE_WISH;
    lease.owner.boot = "-";
    lease.label = "";
    APR_ARRAY_PUSH(leases, dp_lease_t) = lease;
    return leases;
}

static const char *written(apr_size_t *size)
{
    const char *bytes;

    ck_assert_int_eq(dp_lockfile_write(&bytes, size, two_leases(), unit_pool),
                     APR_SUCCESS);
    ck_assert_uint_eq(*size, strlen(bytes));
    return bytes;
}

static apr_status_t reading(const char *bytes, apr_size_t size)
{
    apr_array_header_t *leases;

    return dp_lockfile_read(&leases, bytes, size, unit_pool);
}

/* `body` under a first line that is right for it. */
static const char *with_head(const char *body)
{
    dogpile_digest_t digest;
    char hex[33];

    dp_digest(&digest, body, strlen(body));
    return apr_psprintf(unit_pool, "dogpile-locks 1 %08u %s\n%s",
                        (unsigned int)strlen(body),
                        dp_hex(hex, digest.bytes, 16), body);
}

START_TEST(leases_survive_being_written)
{
    apr_array_header_t *leases;
    const dp_lease_t *lease;
    apr_size_t size;
    const char *bytes = written(&size);

    ck_assert_int_eq(dp_lockfile_read(&leases, bytes, size, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(leases->nelts, 2);
    lease = &APR_ARRAY_IDX(leases, 0, dp_lease_t);
    ck_assert_int_eq(lease->kind, DP_LEASE_EXCLUSIVE);
    ck_assert_int_eq(lease->token.bytes[15], 0xab);
    ck_assert_int_eq(lease->digest.bytes[31], 0xcd);
    ck_assert(dp_id_is_none(&lease->store_id));
    ck_assert_str_eq(lease->owner.host, "web 1%\n");
    ck_assert_str_eq(lease->owner.boot, "01234567-89ab-cdef-0123-456789abcdef");
    ck_assert_int_eq(lease->owner.pidns, 4026531836);
    ck_assert_int_eq(lease->owner.pid, 4711);
    ck_assert_int_eq(lease->owner.start, 123456789);
    ck_assert_int_eq(lease->since, unit_now);
    ck_assert_int_eq(lease->until, unit_now + 15000000);
    ck_assert_int_eq(lease->lease_usec, 15000000);
    ck_assert_str_eq(lease->label, "roads, 5/17/11 \xff");
    lease = &APR_ARRAY_IDX(leases, 1, dp_lease_t);
    ck_assert_int_eq(lease->kind, DP_LEASE_WISH);
    ck_assert_str_eq(lease->owner.boot, "-");
    ck_assert_str_eq(lease->label, "");
}
END_TEST

START_TEST(an_empty_file_has_no_leases)
{
    apr_array_header_t *leases;
    const char *bytes;
    apr_size_t size;

    ck_assert_int_eq(dp_lockfile_read(&leases, "", 0, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(leases->nelts, 0);
    ck_assert_int_eq(dp_lockfile_write(&bytes, &size, leases, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(dp_lockfile_read(&leases, bytes, size, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(leases->nelts, 0);
}
END_TEST

START_TEST(every_cut_and_every_changed_byte_is_noticed)
{
    apr_size_t size;
    const char *bytes = written(&size);
    char *copy = apr_pstrmemdup(unit_pool, bytes, size);
    apr_size_t i;

    for (i = 1; i < size; i++) {
        ck_assert_int_eq(reading(bytes, i), APR_EINVAL);
    }
    for (i = 0; i < size; i++) {
        copy[i] ^= 1;
        ck_assert_int_ne(reading(copy, size), APR_SUCCESS);
        copy[i] ^= 1;
    }
    ck_assert_int_eq(reading(copy, size), APR_SUCCESS);
}
END_TEST

START_TEST(what_a_dead_writer_did_not_cut_off_is_ignored)
{
    apr_size_t size;
    const char *bytes = written(&size);

    bytes =
        apr_pstrcat(unit_pool, bytes, "ffff rest of a longer content\n", NULL);
    ck_assert_int_eq(reading(bytes, strlen(bytes)), APR_SUCCESS);
}
END_TEST

START_TEST(another_version_is_told_from_damage)
{
    apr_size_t size;
    char *bytes = apr_pstrdup(unit_pool, written(&size));

    bytes[strlen("dogpile-locks ")] = '2';
    ck_assert_int_eq(reading(bytes, size), APR_ENOTIMPL);
}
END_TEST

#define ID "000102030405060708090a0b0c0d0e0f"
#define DIGEST ID ID

START_TEST(only_what_a_writer_writes_is_read)
{
    static const char *const bad[] = {
        "\n",
        ID " " DIGEST " x " ID " 1 2 1 host - 0 0 0\n",
        ID " " DIGEST " x " ID " 1 2 1 host - 0 0 0 label more\n",
        ID " " DIGEST " x " ID " 1 2 1 host - 0 0 0 label",
        ID "0 " DIGEST " x " ID " 1 2 1 host - 0 0 0 label\n",
        ID " " ID " x " ID " 1 2 1 host - 0 0 0 label\n",
        ID " " DIGEST " q " ID " 1 2 1 host - 0 0 0 label\n",
        ID " " DIGEST " xs " ID " 1 2 1 host - 0 0 0 label\n",
        ID " " DIGEST "  " ID " 1 2 1 host - 0 0 0 label\n",
        ID " " DIGEST " x " ID " -1 2 1 host - 0 0 0 label\n",
        ID " " DIGEST " x " ID " 1 9999999999999999999 1 host - 0 0 0 l\n",
        ID " " DIGEST " x " ID " 1 2 0 host - 0 0 0 label\n",
        ID " " DIGEST " x " ID " 1 2 1  - 0 0 0 label\n",
        ID " " DIGEST " x " ID " 1 2 1 ho%00st - 0 0 0 label\n",
        ID " " DIGEST " x " ID " 1 2 1 host % 0 0 0 label\n",
        ID " " DIGEST " x " ID " 1 2 1 host - 0 -5 0 label\n",
        ID " " DIGEST " x " ID " 1 2 1 host - 0 0 0 %zz\n",
    };
    const char *text =
        with_head(ID " " DIGEST " x " ID " 1 2 1 host - 0 0 0 label\n");
    apr_size_t i;

    ck_assert_int_eq(reading(text, strlen(text)), APR_SUCCESS);
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        text = with_head(bad[i]);
        ck_assert_msg(reading(text, strlen(text)) == APR_EINVAL, "%s", bad[i]);
    }
}
END_TEST

START_TEST(overlong_texts_are_refused)
{
    char label[DOGPILE_LABEL_MAX + 2];
    const char *text;

    memset(label, 'x', sizeof(label));
    label[DOGPILE_LABEL_MAX + 1] = '\0';
    text = with_head(apr_pstrcat(unit_pool,
                                 ID " " DIGEST " x " ID " 1 2 1 h - 0 0 0 ",
                                 label, "\n", NULL));
    ck_assert_int_eq(reading(text, strlen(text)), APR_EINVAL);
    text = with_head(apr_pstrcat(unit_pool,
                                 ID " " DIGEST " x " ID " 1 2 1 h - 0 0 0 ",
                                 label + 1, "\n", NULL));
    ck_assert_int_eq(reading(text, strlen(text)), APR_SUCCESS);
}
END_TEST

START_TEST(a_zero_byte_in_the_body_is_refused)
{
    char bytes[64];
    dogpile_digest_t digest;
    char hex[33];

    dp_digest(&digest, "\0", 1);
    apr_snprintf(bytes, sizeof(bytes), "dogpile-locks 1 00000001 %s\n",
                 dp_hex(hex, digest.bytes, 16));
    ck_assert_int_eq(reading(bytes, strlen(bytes) + 1), APR_EINVAL);
}
END_TEST

START_TEST(the_number_of_leases_is_bounded)
{
    apr_array_header_t *leases = two_leases();
    const char *bytes;
    apr_size_t size;

    while (leases->nelts < DP_LOCKFILE_LEASES_MAX) {
        dp_lease_t lease = APR_ARRAY_IDX(leases, 0, dp_lease_t);

        APR_ARRAY_PUSH(leases, dp_lease_t) = lease;
    }
    ck_assert_int_eq(dp_lockfile_write(&bytes, &size, leases, unit_pool),
                     APR_SUCCESS);
    ck_assert_uint_le(size, DP_LOCKFILE_BYTES_MAX);
    ck_assert_int_eq(reading(bytes, size), APR_SUCCESS);
    apr_array_push(leases);
    ck_assert_int_eq(dp_lockfile_write(&bytes, &size, leases, unit_pool),
                     APR_ENOSPC);
}
END_TEST

UNIT_MAIN("lock/lockfile", leases_survive_being_written,
          an_empty_file_has_no_leases,
          every_cut_and_every_changed_byte_is_noticed,
          what_a_dead_writer_did_not_cut_off_is_ignored,
          another_version_is_told_from_damage,
          only_what_a_writer_writes_is_read, overlong_texts_are_refused,
          a_zero_byte_in_the_body_is_refused, the_number_of_leases_is_bounded)
