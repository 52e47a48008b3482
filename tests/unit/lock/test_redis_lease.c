/* SPDX-License-Identifier: Apache-2.0 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lock_redis.h"
#include "unit.h"

#define TOKEN "000102030405060708090a0b0c0d0e0f"
#define STORE "101112131415161718191a1b1c1d1e1f"
#define GOOD                                                                   \
    TOKEN                                                                      \
    " x 2000000 1000000 3000000 " STORE                                        \
    " host-a 01234567-89ab-cdef-0123-456789abcdef 4026531836 17 99 a%20b"

static apr_array_header_t *leases;
static apr_time_t now;

static int parse(const char *text)
{
    static const dogpile_digest_t digest = {{7}};

    return dp_redis_leases_read(&leases, &now, text, &digest, unit_pool);
}

START_TEST(what_is_written_is_read)
{
    dp_owner_t self;
    dogpile_lock_key_t key = {.label = "roads 5/17\n\xc3\xa9%"};
    const dp_lease_t *lease;

    dp_owner_self(&self, "host with space\t", unit_pool);
    dp_id_make(&key.store_id);
    ck_assert(
        parse(apr_pstrcat(unit_pool, "77\n" TOKEN " w 5 4 3 ",
                          dp_redis_lease_text(&key, &self, unit_pool), NULL)));
    ck_assert_int_eq(now, 77);
    ck_assert_int_eq(leases->nelts, 1);
    lease = &APR_ARRAY_IDX(leases, 0, dp_lease_t);
    ck_assert_int_eq(lease->kind, DP_LEASE_WISH);
    ck_assert_int_eq(lease->until, 5);
    ck_assert_int_eq(lease->since, 4);
    ck_assert_int_eq(lease->lease_usec, 3);
    ck_assert_int_eq(lease->token.bytes[15], 15);
    ck_assert_int_eq(lease->digest.bytes[0], 7);
    ck_assert(dp_id_equal(&lease->store_id, &key.store_id));
    ck_assert_str_eq(lease->owner.host, self.host);
    ck_assert_str_eq(lease->owner.boot, self.boot);
    ck_assert_int_eq(lease->owner.pid, self.pid);
    ck_assert_int_eq(lease->owner.pidns, self.pidns);
    ck_assert_int_eq(lease->owner.start, self.start);
    ck_assert_str_eq(lease->label, "roads 5/17?\xc3\xa9%");
}
END_TEST

START_TEST(several_and_none_are_read)
{
    ck_assert(parse("1\n" GOOD "\n" GOOD));
    ck_assert_int_eq(leases->nelts, 2);
    ck_assert_str_eq(APR_ARRAY_IDX(leases, 1, dp_lease_t).label, "a b");
    ck_assert(parse("1\n" GOOD "\n"));
    ck_assert_int_eq(leases->nelts, 1);
    ck_assert(parse("1\n"));
    ck_assert_int_eq(leases->nelts, 0);
}
END_TEST

/* Every cut, and every byte changed to some that matter. */
START_TEST(nothing_else_is_read)
{
    static const char bytes[] = " \n%-xX0\xff";
    apr_size_t cuts = strlen("1\n" GOOD) - strlen("a%20b");
    apr_size_t i;
    apr_size_t k;

    for (i = 3; i < cuts; i++) {
        ck_assert_msg(!parse(apr_pstrmemdup(unit_pool, "1\n" GOOD, i)), "%d",
                      (int)i);
    }
    for (i = 0; i < strlen(GOOD); i++) {
        for (k = 0; k < sizeof(bytes) - 1; k++) {
            char *text = apr_pstrdup(unit_pool, "1\n" GOOD);

            text[2 + i] = bytes[k];
            if (parse(text)) {
                ck_assert_int_ge(leases->nelts, 1);
                ck_assert_uint_le(
                    strlen(APR_ARRAY_IDX(leases, 0, dp_lease_t).label),
                    DOGPILE_LABEL_MAX);
            }
        }
    }
    ck_assert(!parse(""));
    ck_assert(!parse("x\n" GOOD));
    ck_assert(!parse("-1\n" GOOD));
    ck_assert(!parse("1\n" GOOD " more"));
    ck_assert(!parse("1\n\n" GOOD) || leases->nelts == 0);
}
END_TEST

UNIT_MAIN("lock/redis_lease", what_is_written_is_read,
          several_and_none_are_read, nothing_else_is_read)
