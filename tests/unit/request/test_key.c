/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for the same picture meet at one key; others never do. */
#include "sample.h"

#define V111 "SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap" SAMPLE_REST
#define V130 "SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap" SAMPLE_REST

static void check_equal(const char *const *queries, int count)
{
    int i;

    for (i = 1; i < count; i++) {
        ck_assert_msg(strcmp(sample_key(queries[0]), sample_key(queries[i]))
                          == 0,
                      "%s\n%s", queries[0], queries[i]);
    }
}

START_TEST(both_versions_and_all_axis_orders_meet)
{
    static const char *const mercator[] = {
        V111 "&SRS=EPSG:3857&BBOX=" SAMPLE_BBOX,
        V130 "&CRS=EPSG:3857&BBOX=" SAMPLE_BBOX,
        V111 "&SRS=EPSG:900913&BBOX=" SAMPLE_BBOX,
        V130 "&CRS=epsg:102100&BBOX=" SAMPLE_BBOX,
        V111 "&SRS=EPSG:3857&BBOX=0,5009377.09,5009377.09,10018754.17",
    };
    static const char *const degrees[] = {
        V111 "&SRS=EPSG:4326&BBOX=0,45,45,90",
        V130 "&CRS=EPSG:4326&BBOX=45,0,90,45",
        V130 "&CRS=CRS:84&BBOX=0,45,45,90",
        V111 "&SRS=CRS:84&BBOX=0,45,45,90",
        V111 "&SRS=epsg:4326&BBOX=0.0,45.000,4.5e1,90",
    };
    static const char *const off_grid[] = {
        V111 "&SRS=EPSG:4326&BBOX=7,46,9,48",
        V130 "&CRS=EPSG:4326&BBOX=46,7,48,9",
        V130 "&CRS=CRS:84&BBOX=7,46,9,48",
    };

    check_equal(mercator, COUNT(mercator));
    check_equal(degrees, COUNT(degrees));
    check_equal(off_grid, COUNT(off_grid));
    ck_assert_str_ne(sample_key(V130 "&CRS=EPSG:4326&BBOX=-45,0,0,45"),
                     sample_key(V111 "&SRS=EPSG:4326&BBOX=-45,0,0,45"));
}
END_TEST

START_TEST(spelling_and_order_do_not_matter)
{
    static const char *const same[] = {
        SAMPLE,
        "bbox=" SAMPLE_BBOX "&height=256&width=256&&srs=EPSG%3A3857&styles=,,"
        "&transparent=true&format=IMAGE%2Fpng&layers=a%2Cb&request=GETMAP"
        "&version=1.1.1",
        SAMPLE "&TILED=true&tilesorigin=1,2",
        SAMPLE "&EXCEPTIONS=BLANK",
        SAMPLE "&BGCOLOR=",
        SAMPLE "&TIME=current",
        SAMPLE "&&&",
    };
    static const char *const colours[] = {SAMPLE "&BGCOLOR=0xffeedd",
                                          SAMPLE "&BGCOLOR=0XFFEEDD"};
    static const char *const params[] = {SAMPLE "&DPI=180&MAP_RESOLUTION=180",
                                         SAMPLE "&map_resolution=180&dpi=180"};

    check_equal(same, COUNT(same));
    check_equal(colours, COUNT(colours));
    check_equal(params, COUNT(params));
}
END_TEST

START_TEST(different_pictures_never_meet)
{
    const char *queries[] = {
        SAMPLE,
        sample_with("LAYERS=a,b", "LAYERS=b,a"),
        sample_with("LAYERS=a,b", "LAYERS=A,B"),
        sample_with("LAYERS=a,b&STYLES=", "LAYERS=a&STYLES=,b"),
        sample_with("STYLES=", "STYLES=x"),
        sample_with("STYLES=", "STYLES=x,"),
        sample_with("png", "jpeg"),
        sample_with("png", "png8"),
        sample_with("png", "png;mode=8bit"),
        sample_with("TRUE", "FALSE"),
        SAMPLE "&BGCOLOR=0xFFFFFF",
        SAMPLE "&BGCOLOR=0x000000",
        SAMPLE "&DPI=90",
        SAMPLE "&DPI=",
        SAMPLE "&MAP_RESOLUTION=90",
        SAMPLE "&FORMAT_OPTIONS=dpi:90",
        SAMPLE "&TIME=2024",
        SAMPLE "&DPI=9&MAP_RESOLUTION=0",
        SAMPLE "&DPI=&MAP_RESOLUTION=90",
        sample_with("WIDTH=256&HEIGHT=256", "WIDTH=512&HEIGHT=512"),
        sample_with("WIDTH=256&HEIGHT=256", "WIDTH=300&HEIGHT=300"),
        sample_with("WIDTH=256&HEIGHT=256", "WIDTH=300&HEIGHT=301"),
        sample_with("WIDTH=256&HEIGHT=256", "WIDTH=301&HEIGHT=300"),
        sample_with(SAMPLE_BBOX, "1,2,3,4"),
        sample_with(SAMPLE_BBOX, "1,2,3,5"),
        /* The metatile to the west, and one level up. */
        sample_with(SAMPLE_BBOX, "-5009377.085697311,5009377.085697311,"
                                 "0,10018754.171394622"),
        sample_with(SAMPLE_BBOX, "0,0,10018754.171394622,10018754.171394622"),
        V111 "&SRS=EPSG:4326&BBOX=0,45,45,90",
        V111 "&SRS=EPSG:2056&BBOX=2420000,1286000,2484000,1350000",
    };
    const char *keys[COUNT(queries)];
    int i;
    int j;

    for (i = 0; i < COUNT(queries); i++) {
        keys[i] = sample_key(queries[i]);
        for (j = 0; j < i; j++) {
            ck_assert_msg(strcmp(keys[i], keys[j]) != 0, "%s\n%s", queries[i],
                          queries[j]);
        }
    }
}
END_TEST

/* Texts that would run into each other without their lengths. */
START_TEST(fields_keep_their_borders)
{
    dp_request_t r;
    dogpile_key_t a;
    dogpile_key_t b;

    sample_read(&r, SAMPLE);
    dp_key_make(&a, &r, "ab", "c", unit_pool);
    dp_key_make(&b, &r, "b", "ca", unit_pool);
    ck_assert(!dp_digest_equal(&a.digest, &b.digest));
    dp_key_make(&b, &r, "ab", "", unit_pool);
    ck_assert(!dp_digest_equal(&a.digest, &b.digest));
    dp_key_make(&b, &r, "ab", "c", unit_pool);
    ck_assert(dp_digest_equal(&a.digest, &b.digest));
}
END_TEST

START_TEST(the_tiles_of_one_metatile_share_its_key)
{
    const double span = 5009377.085697311;
    int i;

    for (i = 0; i < 16; i++) {
        double x = i % 4 * span;
        double y = i / 4 * span;

        ck_assert_str_eq(
            sample_key(sample_with(
                SAMPLE_BBOX, apr_psprintf(unit_pool, "%.9f,%.9f,%.9f,%.9f", x,
                                          y, x + span, y + span))),
            sample_key(SAMPLE));
    }
}
END_TEST

START_TEST(the_rule_of_the_metatile_is_in_the_key)
{
    static const dp_metatile_rule_t others[] = {
        {4, 4, 0, 2048}, {4, 2, 16, 2048}, {2, 4, 16, 2048}, {4, 4, 16, 600}};
    dp_rules_t rules = sample_rules();
    int i;

    for (i = 0; i < COUNT(others); i++) {
        rules.metatile = others[i];
        ck_assert_str_ne(sample_key_by(&rules, SAMPLE), sample_key(SAMPLE));
    }
    /* A max that doesn't change the block doesn't part two hosts. */
    rules.metatile = (dp_metatile_rule_t){4, 4, 16, 4096};
    ck_assert_str_eq(sample_key_by(&rules, SAMPLE), sample_key(SAMPLE));
}
END_TEST

START_TEST(a_grid_of_the_same_name_with_other_numbers_has_other_keys)
{
    static const char query[] =
        V111 "&SRS=EPSG:2056&BBOX=2420000,1286000,2484000,1350000";
    dp_grid_t moved = swiss;
    const dp_grid_t *grids[] = {&moved};
    dp_rules_t rules = sample_rules();

    rules.grids = grids;
    rules.ngrids = 1;
    ck_assert_str_eq(sample_key_by(&rules, query), sample_key(query));
    moved.extent.maxx += 1000;
    ck_assert_str_ne(sample_key_by(&rules, query), sample_key(query));
}
END_TEST

START_TEST(the_key_says_where_for_people)
{
    dp_request_t r;
    dogpile_key_t key;

    sample_read(&r, SAMPLE);
    dp_key_make(&key, &r, "maps", "", unit_pool);
    ck_assert_str_eq(key.source, "maps");
    ck_assert_str_eq(key.layers, "a,b");
    ck_assert_str_eq(key.grid, "WebMercatorQuad");
    ck_assert(key.z == 3 && key.x == 1 && key.y == 0);
    sample_read(&r, sample_with(SAMPLE_BBOX, "1,2,3,4"));
    dp_key_make(&key, &r, "maps", "", unit_pool);
    ck_assert(key.z == -1 && key.x == 0 && key.y == 0);
}
END_TEST

/* Changing this means that every store is emptied by an update. */
START_TEST(the_key_of_a_release_is_the_key_of_the_next)
{
    ck_assert_str_eq(sample_key(SAMPLE), "b8e758208b7f6f07a3015f090cb77200"
                                         "59338deac267a1c5e903839f463ef133");
}
END_TEST

UNIT_MAIN("request/key", both_versions_and_all_axis_orders_meet,
          spelling_and_order_do_not_matter, different_pictures_never_meet,
          fields_keep_their_borders, the_tiles_of_one_metatile_share_its_key,
          the_rule_of_the_metatile_is_in_the_key,
          a_grid_of_the_same_name_with_other_numbers_has_other_keys,
          the_key_says_where_for_people,
          the_key_of_a_release_is_the_key_of_the_next)
