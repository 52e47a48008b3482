/* SPDX-License-Identifier: Apache-2.0 */
/* What the source is asked. */
#include "sample.h"

/* The source's query for a client's. */
static const char *asked(const char *query, const char *fixed)
{
    dp_request_t request;

    sample_read(&request, query);
    return dp_wms_query(&request, fixed, unit_pool);
}

START_TEST(a_metatile_is_asked_for_in_one_way)
{
    ck_assert_str_eq(
        asked(SAMPLE "&EXCEPTIONS=BLANK&BGCOLOR=0xff0000&dpi=90&TILED=1", NULL),
        "SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=a,b&STYLES="
        "&SRS=EPSG:3857&BBOX=-313086.06785608194,-313086.06785608194,"
        "20037508.342789244,20037508.342789244&WIDTH=1040&HEIGHT=1040"
        "&FORMAT=image/png&TRANSPARENT=TRUE&BGCOLOR=0xFF0000"
        "&EXCEPTIONS=application/vnd.ogc.se_xml&DPI=90&TIME=current");
}
END_TEST

START_TEST(a_map_off_the_grid_is_asked_for_as_it_is)
{
    ck_assert_str_eq(
        asked("VERSION=1.3.0&REQUEST=GetMap&LAYERS=a&CRS=EPSG:4326"
              "&BBOX=46.1,7.25,48,9&WIDTH=300&HEIGHT=200&FORMAT=image/jpeg",
              NULL),
        "SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=a&STYLES="
        "&SRS=EPSG:4326&BBOX=7.25,46.1,9,48&WIDTH=300&HEIGHT=200"
        "&FORMAT=image/jpeg&TRANSPARENT=FALSE"
        "&EXCEPTIONS=application/vnd.ogc.se_xml&TIME=current");
}
END_TEST

START_TEST(fixed_parameters_come_first_and_win)
{
    ck_assert_str_eq(
        asked("VERSION=1.1.1&REQUEST=GetMap&LAYERS=a&SRS=EPSG:4326"
              "&BBOX=7,46,9,48&WIDTH=300&HEIGHT=200&FORMAT=image/jpeg",
              "map=/etc/x%20y.map&Version=1.3.0&styles=night&time=&STYLES=2"),
        "map=/etc/x%20y.map&Version=1.3.0&styles=night&time=&STYLES=2"
        "&SERVICE=WMS&REQUEST=GetMap&LAYERS=a"
        "&CRS=EPSG:4326&BBOX=46,7,48,9&WIDTH=300&HEIGHT=200"
        "&FORMAT=image/jpeg&TRANSPARENT=FALSE&EXCEPTIONS=XML");
    ck_assert_ptr_nonnull(
        strstr(asked(SAMPLE, "VERSION=1.3.0"), "&BBOX=-313086.06785608194,"));
    ck_assert(strncmp(asked(SAMPLE, ""), "SERVICE=", 8) == 0);
}
END_TEST

START_TEST(values_cannot_become_parameters)
{
    const char *query =
        asked(sample_with("a,b", "a%26SLD=http://x%23%25%3B%2B+%C3%A9"), NULL);

    ck_assert_ptr_nonnull(
        strstr(query, "&LAYERS=a%26SLD%3Dhttp://x%23%25%3B%2B%20%C3%A9&"));
    ck_assert_ptr_null(strstr(query, "&SLD"));
}
END_TEST

/* With metatiles of one cell the question is the client's own tile. */
START_TEST(what_is_asked_reads_back_as_the_same_request)
{
    static const char *const queries[] = {
        SAMPLE,
        SAMPLE "&BGCOLOR=0x123456&DPI=1&TIME=a%26b",
        SAMPLE_LOOK "&SRS=EPSG:4326&BBOX=0,45,45,90",
        SAMPLE_LOOK "&SRS=EPSG:2056&BBOX=2420000,1286000,2484000,1350000",
        SAMPLE_LOOK "&SRS=EPSG:4326&BBOX=0.1,45,45.3,90",
        SAMPLE_LOOK "&SRS=EPSG:4326&BBOX=-1e300,1e-300,1e300,2e-300"};
    dp_rules_t rules = sample_rules();
    dp_request_t request;
    int i;

    rules.metatile = (dp_metatile_rule_t){1, 1, 0, 2048};
    for (i = 0; i < COUNT(queries); i++) {
        sample_read_by(&request, &rules, queries[i]);
        ck_assert_str_eq(
            sample_key_by(&rules, dp_wms_query(&request, NULL, unit_pool)),
            sample_key_by(&rules, queries[i]));
        ck_assert_str_eq(
            sample_key_by(&rules,
                          dp_wms_query(&request, "version=1.3.0", unit_pool)),
            sample_key_by(&rules, queries[i]));
    }
}
END_TEST

UNIT_MAIN("request/wms_query", a_metatile_is_asked_for_in_one_way,
          a_map_off_the_grid_is_asked_for_as_it_is,
          fixed_parameters_come_first_and_win, values_cannot_become_parameters,
          what_is_asked_reads_back_as_the_same_request)
