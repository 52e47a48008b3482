/* SPDX-License-Identifier: Apache-2.0 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "store/store_disk.h"
#include "unit.h"

static const dp_store_disk_t disk = {.root = "/srv/tiles", .mode = 0700};

static const char *path_of(const char *source, const char *layers)
{
    dogpile_key_t key = {.source = source,
                         .layers = layers,
                         .grid = "WebMercatorQuad",
                         .z = 12,
                         .x = 130,
                         .y = 63};

    dp_digest(&key.digest, "abc", 3);
    return dp_disk_path(&disk, &key, unit_pool);
}

START_TEST(a_path_reads_like_a_map)
{
    const char *path = path_of("maps", "roads.main,rivers");

    ck_assert_msg(strncmp(path, "/srv/tiles/maps/roads.main_rivers-", 34) == 0,
                  "%s", path);
    ck_assert_str_eq(path + 34 + 8,
                     "/WebMercatorQuad/12/2/0/130_63_ba7816bf8f01cfea");
}
END_TEST

START_TEST(ordinary_texts_stay_as_they_are)
{
    ck_assert_str_eq(dp_disk_name("maps.example-1.org", unit_pool),
                     "maps.example-1.org");
}
END_TEST

START_TEST(hostile_texts_become_harmless_names)
{
    const char *longest = apr_psprintf(unit_pool, "%0300d", 7);
    const char *texts[] = {"../../etc", "..",     ".",
                           ".store-id", ".tmp",   "",
                           "a/b",       "a\nb",   "\xc3\xa9t\xc3\xa9",
                           "a\\b",      "%2e%2e", " ",
                           "~root",     "-rf",    longest};
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const char *name = dp_disk_name(texts[i], unit_pool);

        ck_assert_msg(name[0] != '.' && name[0] != '\0', "%s", texts[i]);
        ck_assert_uint_le(strlen(name), DP_DISK_NAME_BYTES + 9);
        ck_assert_uint_eq(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "abcdefghijklmnopqrstuvwxyz"
                                       "0123456789._-"),
                          strlen(name));
    }
}
END_TEST

START_TEST(different_texts_have_different_names)
{
    const char *long_a = apr_psprintf(unit_pool, "%0300d", 1);
    const char *long_b = apr_psprintf(unit_pool, "%0300d", 2);
    const char *changed = dp_disk_name("a/b", unit_pool);

    ck_assert_str_ne(changed, dp_disk_name("a:b", unit_pool));
    ck_assert_str_ne(changed, dp_disk_name("a_b", unit_pool));
    ck_assert_str_ne(dp_disk_name("", unit_pool), dp_disk_name("_", unit_pool));
    ck_assert_str_ne(dp_disk_name(long_a, unit_pool),
                     dp_disk_name(long_b, unit_pool));
    /* Who asks for another's changed name gets a name of its own. */
    ck_assert_str_ne(dp_disk_name(changed, unit_pool), changed);
}
END_TEST

START_TEST(layers_are_told_apart_by_source_too)
{
    const char *a = strrchr(path_of("ab", "c"), '/');

    ck_assert_str_eq(a, strrchr(path_of("a", "bc"), '/'));
    ck_assert_str_ne(path_of("a", "x/y"), path_of("a", "x:y"));
    ck_assert_str_ne(path_of("a", "x") + strlen("/srv/tiles/a"),
                     path_of("b", "x") + strlen("/srv/tiles/b"));
}
END_TEST

UNIT_MAIN("store/path", a_path_reads_like_a_map,
          ordinary_texts_stay_as_they_are, hostile_texts_become_harmless_names,
          different_texts_have_different_names,
          layers_are_told_apart_by_source_too)
