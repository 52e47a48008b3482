/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/targeted.h"

#include "unit.h"

START_TEST(dictionaries_are_used)
{
    static const char *const good[] = {
        "max-age=60",
        "  max-age=60, no-store  ",
        "max-age=60;x=1;y, must-revalidate ,\tprivate",
        "a=\"b \\\" \\\\ c\", no-cache",
        "a=(1 2.5 tok \"x\";p);q=?0, b=?1, c=:aGVsbG8=:, d=@1659578233",
        "*k_1.-*=tok/en:x, e=()",
        "a=-1, a=2",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
        ck_assert_msg(dp_targeted_is_valid(good[i]), "%s", good[i]);
    }
}
END_TEST

START_TEST(anything_else_is_not)
{
    static const char *const bad[] = {
        "",
        "   ",
        "max-age=60,",
        "max-age=60,,no-store",
        "Max-Age=60",
        "max-age = 60",
        "max-age=",
        "max-age=60 no-store",
        "max-age=60; no-store=",
        "max-age=1234567890123456",
        "max-age=1.",
        "max-age=1.2345",
        "max-age=--1",
        "a=\"open",
        "a=\"\\x\"",
        "a=\"\x7f\"",
        "a=\"\xc3\xa4\"",
        "a=?2",
        "a=(1 2",
        "a=(1,2)",
        "a=((1))",
        "a=:%:",
        "a=:x",
        "a=@",
        "=1",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(!dp_targeted_is_valid(bad[i]), "%s", bad[i]);
    }
}
END_TEST

UNIT_MAIN("policy/targeted", dictionaries_are_used, anything_else_is_not)
