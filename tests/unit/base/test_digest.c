/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "unit.h"

START_TEST(digest_is_sha256)
{
    /* FIPS 180-4 example "abc". */
    char hex[DP_DIGEST_HEX_BYTES];
    dogpile_digest_t digest;

    dp_digest(&digest, "abc", 3);
    ck_assert_str_eq(
        dp_hex(hex, digest.bytes, sizeof(digest.bytes)),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

START_TEST(ids_differ_and_are_never_none)
{
    dogpile_id_t a;
    dogpile_id_t b;

    dp_id_make(&a);
    dp_id_make(&b);
    ck_assert(!dp_id_equal(&a, &b));
    ck_assert(!dp_id_is_none(&a));
}
END_TEST

START_TEST(hexadecimal_goes_both_ways)
{
    static const char *const bad[] = {"", "00ff1", "00ff123", "00fg12"};
    unsigned char bytes[3];
    char text[7];
    apr_size_t i;

    ck_assert(dp_unhex(bytes, 3, "00fF12"));
    ck_assert_str_eq(dp_hex(text, bytes, 3), "00ff12");
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert(!dp_unhex(bytes, 3, bad[i]));
    }
}
END_TEST

UNIT_MAIN("base/digest", digest_is_sha256, ids_differ_and_are_never_none,
          hexadecimal_goes_both_ways)
