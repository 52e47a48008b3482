/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/name.h"

#include <string.h>

#include "base/digest.h"
#include "unit.h"

static dogpile_lock_key_t key_of(const char *space, const void *name,
                                 apr_size_t length)
{
    dogpile_lock_key_t key;

    dp_lock_named(&key, space, name, length, unit_pool);
    return key;
}

static int same(const dogpile_lock_key_t *a, const dogpile_lock_key_t *b)
{
    return dp_digest_equal(&a->digest, &b->digest);
}

START_TEST(equal_names_are_one_key)
{
    dogpile_lock_key_t a = key_of("", "roads", 5);
    dogpile_lock_key_t b = key_of("", "roads", 5);

    ck_assert(same(&a, &b));
    ck_assert_str_eq(a.label, "roads");
}
END_TEST

START_TEST(every_byte_and_the_namespace_count)
{
    dogpile_lock_key_t keys[5] = {
        key_of("", "roads", 5), key_of("a", "roads", 5), key_of("", "road", 4),
        key_of("", "roads\0", 6), key_of("", "Roads", 5)};
    int i;
    int j;

    for (i = 0; i < 5; i++) {
        for (j = 0; j < i; j++) {
            ck_assert(!same(&keys[i], &keys[j]));
        }
    }
}
END_TEST

START_TEST(any_bytes_up_to_64_kib)
{
    char *name = apr_palloc(unit_pool, DP_LOCK_NAME_MAX);
    dogpile_lock_key_t a;
    dogpile_lock_key_t b;

    memset(name, 0xff, DP_LOCK_NAME_MAX);
    name[3] = '\n';
    a = key_of("", name, DP_LOCK_NAME_MAX);
    name[DP_LOCK_NAME_MAX - 1] = '\0';
    b = key_of("", name, DP_LOCK_NAME_MAX);
    ck_assert(!same(&a, &b));
    ck_assert_uint_le(strlen(a.label), DOGPILE_LABEL_MAX);
    ck_assert_ptr_null(strchr(a.label, '\n'));
}
END_TEST

UNIT_MAIN("lock/name", equal_names_are_one_key,
          every_byte_and_the_namespace_count, any_bytes_up_to_64_kib)
