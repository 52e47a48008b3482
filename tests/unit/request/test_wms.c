/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests are ours, and what becomes of the others. */
#include "sample.h"

static void check(const dp_rules_t *rules, const char *query,
                  dp_verdict_e verdict, dp_reason_e reason, const char *detail)
{
    dp_request_t request;
    dp_verdict_e is = sample_read_by(&request, rules, query);

    ck_assert_msg(is == verdict, "%s: verdict %d (%s)", query, is,
                  request.detail ? request.detail : "");
    ck_assert_msg(request.reason == reason, "%s: reason %s", query,
                  dp_reason_name(request.reason));
    if (detail) {
        ck_assert_str_eq(request.detail, detail);
    }
}

START_TEST(a_cell_is_a_tile)
{
    dp_request_t r;

    ck_assert_int_eq(sample_read(&r, SAMPLE), DP_VERDICT_TILE);
    ck_assert_str_eq(r.grid->name, "WebMercatorQuad");
    ck_assert(r.cell.z == 3 && r.cell.x == 4 && r.cell.y == 2);
    ck_assert_int_eq(r.tile_px, 256);
    ck_assert(r.metatile.x == 1 && r.metatile.y == 0);
    ck_assert_int_eq(dp_metatile_index(&r.metatile, &r.cell), 8);
    ck_assert_str_eq(r.layers, "a,b");
    ck_assert_str_eq(r.styles, "");
    ck_assert_str_eq(r.format, "image/png");
    ck_assert_str_eq(r.bgcolor, "");
    ck_assert(r.transparent && !r.inimage);
    ck_assert_int_eq(r.nparams, 1);
    ck_assert_str_eq(r.params[0].name, "TIME");
    ck_assert_str_eq(r.params[0].value, "current");
    ck_assert_int_eq(r.reason, DP_REASON_NONE);
    ck_assert_ptr_null(r.detail);
}
END_TEST

START_TEST(what_is_no_getmap_passes_however_odd_it_is)
{
    static const struct {
        const char *query;
        const char *detail;
    } cases[] = {
        {NULL, "no REQUEST"},
        {"", "no REQUEST"},
        {"&&&", "no REQUEST"},
        {"f=json&BBOX=%zz", "no REQUEST"},
        {"REQUEST=GetCapabilities&SERVICE=WMS", "request GetCapabilities"},
        {"request=getfeatureinfo&WIDTH=-1", "request getfeatureinfo"},
        {"REQUEST=Get%22Map\\%0d%0aX", "request Get?Map???X"},
        {"REQUEST=%&WIDTH=%00", "request %"},
        {"REQUEST=", "request "},
        {"REQUEST=GetMap%00", "request GetMap%00"},
        {"SERVICE=WFS&REQUEST=GetMap&BBOX=%", "service WFS"},
        {"SERVICE=&REQUEST=GetMap", "service "},
        {"REQUEST=GetMap", "no VERSION"},
        {"VERSION=1.0.0&REQUEST=GetMap&BBOX=x", "version 1.0.0"},
        {"VERSION=1.3&REQUEST=GetMap", "version 1.3"},
    };
    dp_rules_t rules = sample_rules();
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        check(&rules, cases[i].query, DP_VERDICT_PASS, DP_REASON_REQUEST,
              cases[i].detail);
    }
    check(&rules, sample_with("SERVICE=WMS&", ""), DP_VERDICT_TILE,
          DP_REASON_NONE, NULL);
    check(&rules, sample_with("1.1.1", "1.1.0"), DP_VERDICT_TILE,
          DP_REASON_NONE, NULL);
}
END_TEST

START_TEST(unlisted_parameters_pass_with_advice_or_are_denied)
{
    static const char *const names[] = {"MAP",        "SLD",       "SLD_BODY",
                                        "TIMES",      "ELEVATION", "DIM_RUN",
                                        "CQL_FILTER", "TOKEN"};
    dp_rules_t pass = sample_rules();
    dp_rules_t deny = sample_rules();
    dp_request_t request;
    int i;

    deny.unlisted = DP_POLICY_DENY;
    for (i = 0; i < COUNT(names); i++) {
        const char *query =
            apr_psprintf(unit_pool, SAMPLE "&%s=100%%", names[i]);
        const char *detail = apr_psprintf(unit_pool, "param %s", names[i]);

        check(&pass, query, DP_VERDICT_PASS, DP_REASON_PARAM, detail);
        check(&deny, query, DP_VERDICT_DENY, DP_REASON_PARAM, detail);
        sample_read(&request, query);
        ck_assert_str_eq(request.remedy,
                         apr_psprintf(unit_pool, "DogpileParams %s", names[i]));
    }
    /* No advice that would be nonsense in a configuration file. */
    check(&pass, SAMPLE "&a%22%20b=1", DP_VERDICT_PASS, DP_REASON_PARAM,
          "param A? B");
    sample_read(&request, SAMPLE "&a%22%20b=1");
    ck_assert_ptr_null(request.remedy);
    sample_read(&request, SAMPLE "&=1");
    ck_assert_ptr_null(request.remedy);
    check(&deny, SAMPLE, DP_VERDICT_TILE, DP_REASON_NONE, NULL);
    check(&deny, "REQUEST=GetCapabilities&MAP=x", DP_VERDICT_PASS,
          DP_REASON_REQUEST, NULL);
}
END_TEST

START_TEST(nothing_hides_an_unlisted_parameter_from_deny)
{
    dp_rules_t deny = sample_rules();
    const char *padding = "&FORMAT_OPTIONS=";
    int i;

    deny.unlisted = DP_POLICY_DENY;
    check(&deny, "REQUEST=GetCapabilities&" SAMPLE "&SLD=x", DP_VERDICT_DENY,
          DP_REASON_PARAM, NULL);
    check(&deny, "SERVICE=WFS&" SAMPLE "&SLD=x", DP_VERDICT_DENY,
          DP_REASON_PARAM, NULL);
    check(&deny, SAMPLE "&LAYERS=c&SLD=x", DP_VERDICT_DENY, DP_REASON_PARAM,
          NULL);
    for (i = 0; i < 8; i++) {
        padding = apr_psprintf(unit_pool, "%s%s", padding, padding);
    }
    check(&deny, apr_pstrcat(unit_pool, SAMPLE, padding, "&SLD=x", NULL),
          DP_VERDICT_DENY, DP_REASON_SIZE, "many parameters");
    check(&deny, apr_psprintf(unit_pool, SAMPLE "&DPI=%09000d&SLD=x", 1),
          DP_VERDICT_DENY, DP_REASON_SIZE, "long query");
}
END_TEST

START_TEST(queries_and_values_are_bounded)
{
    dp_rules_t rules = sample_rules();
    const char *layers = apr_psprintf(unit_pool, "LAYERS=%04096d", 1);
    const char *more = apr_psprintf(unit_pool, "LAYERS=%04097d", 1);
    const char *styles = apr_psprintf(unit_pool, "STYLES=%04097d", 1);

    check(&rules, apr_psprintf(unit_pool, SAMPLE "&DPI=%09000d", 1),
          DP_VERDICT_PASS, DP_REASON_SIZE, "long query");
    check(&rules, apr_psprintf(unit_pool, SAMPLE "&DPI=%01024d", 1),
          DP_VERDICT_TILE, DP_REASON_NONE, NULL);
    check(&rules, apr_psprintf(unit_pool, SAMPLE "&DPI=%01025d", 1),
          DP_VERDICT_PASS, DP_REASON_SIZE, "long DPI");
    check(&rules, sample_with("LAYERS=a,b", layers), DP_VERDICT_TILE,
          DP_REASON_NONE, NULL);
    check(&rules, sample_with("LAYERS=a,b", more), DP_VERDICT_PASS,
          DP_REASON_SIZE, "long LAYERS or STYLES");
    check(&rules, sample_with("STYLES=", styles), DP_VERDICT_PASS,
          DP_REASON_SIZE, "long LAYERS or STYLES");
}
END_TEST

START_TEST(a_parameter_given_twice_passes)
{
    dp_rules_t rules = sample_rules();

    check(&rules, SAMPLE "&layers=a,b", DP_VERDICT_PASS, DP_REASON_DUPLICATE,
          "twice LAYERS");
    check(&rules, SAMPLE "&tiled=1&TILED=1", DP_VERDICT_PASS,
          DP_REASON_DUPLICATE, "twice TILED");
    check(&rules, SAMPLE "&dpi=1&%64pi=%", DP_VERDICT_PASS, DP_REASON_DUPLICATE,
          "twice DPI");
    check(&rules, SAMPLE "&REQUEST=GetMap", DP_VERDICT_PASS,
          DP_REASON_DUPLICATE, NULL);
}
END_TEST

START_TEST(values_that_cannot_be_read_are_bad)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {"WIDTH=256", "WIDTH=0"},
        {"WIDTH=256", "WIDTH=-256"},
        {"WIDTH=256", "WIDTH=256.0"},
        {"WIDTH=256", "WIDTH="},
        {"WIDTH=256", "WIDTH=99999999999999999999"},
        {"&WIDTH=256", ""},
        {"HEIGHT=256", "HEIGHT=0x100"},
        {"HEIGHT=256", "HEIGHT=2000000000"},
        {"&HEIGHT=256", ""},
        {"LAYERS=a,b", "LAYERS="},
        {"LAYERS=a,b&", ""},
        {"LAYERS=a,b", "LAYERS=a%00"},
        {"LAYERS=a,b", "LAYERS=a%"},
        {"LAYERS=a,b", "LAYERS=a%0d%0aSet-Cookie:x"},
        {"STYLES=", "STYLES=%7F"},
        {"&BBOX=" SAMPLE_BBOX, ""},
        {SAMPLE_BBOX, ""},
        {SAMPLE_BBOX, "1,2,3"},
        {SAMPLE_BBOX, "1,2,x,4"},
        {SAMPLE_BBOX, "nan,nan,nan,nan"},
        {SAMPLE_BBOX, "0,0,inf,inf"},
        {SAMPLE_BBOX, "3,3,1,1"},
        {SAMPLE_BBOX, "1,1,1,1"},
        {SAMPLE_BBOX, "-1e308,-1e308,1e308,1e308"},
        {"REQUEST=GetMap", "REQUEST=GetMap&TILED=%zz"},
    };
    dp_rules_t rules = sample_rules();
    dp_request_t request;
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        const char *query = sample_with(cases[i].from, cases[i].to);

        check(&rules, query, DP_VERDICT_BAD, DP_REASON_MALFORMED, NULL);
        sample_read(&request, query);
        ck_assert_ptr_nonnull(request.detail);
    }
}
END_TEST

START_TEST(what_a_server_may_read_differently_passes)
{
    static const struct {
        const char *from;
        const char *to;
        dp_reason_e reason;
        const char *detail;
    } cases[] = {
        {"TRANSPARENT=TRUE", "TRANSPARENT=1", DP_REASON_PARAM, "transparent 1"},
        {"STYLES=", "STYLES=&BGCOLOR=red", DP_REASON_PARAM, "bgcolor red"},
        {"image/png", "text/html", DP_REASON_FORMAT, "format text/html"},
        {"image/png", "image/svg%2Bxml", DP_REASON_FORMAT,
         "format image/svg+xml"},
        {"FORMAT=image/png&", "", DP_REASON_FORMAT, "no FORMAT"},
        {"EPSG:3857", "EPSG:2154", DP_REASON_CRS, "crs EPSG:2154"},
        {"EPSG:3857", "", DP_REASON_CRS, "crs "},
        {"SRS=", "CRS=", DP_REASON_CRS, "no SRS"},
        {"1.1.1", "1.3.0", DP_REASON_CRS, "no CRS"},
        {"SRS=", "CRS=EPSG:4326&SRS=", DP_REASON_CRS, "CRS and SRS"},
    };
    dp_rules_t rules = sample_rules();
    dp_request_t request;
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        check(&rules, sample_with(cases[i].from, cases[i].to), DP_VERDICT_PASS,
              cases[i].reason, cases[i].detail);
    }
    sample_read(&request, sample_with("EPSG:3857", "EPSG:2154"));
    ck_assert_str_eq(request.remedy, "<DogpileGrid>");
    check(&rules, sample_with("SRS=", "CRS=epsg:3857&SRS="), DP_VERDICT_TILE,
          DP_REASON_NONE, NULL);
}
END_TEST

START_TEST(a_map_that_is_no_cell_follows_the_rule)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {SAMPLE_BBOX,
         "0,5009377.085697311,5019377.085697311,10018754.171394622"},
        {SAMPLE_BBOX, "20037508.34,0,40075016.68,20037508.34"},
        {SAMPLE_BBOX, "1,2,3,4"},
        {SAMPLE_BBOX, "-1e300,-1e300,1e300,1e300"},
        {SAMPLE_BBOX, "0,0,5e-324,5e-324"},
        {"WIDTH=256&HEIGHT=256", "WIDTH=300&HEIGHT=300"},
        {"WIDTH=256&HEIGHT=256", "WIDTH=256&HEIGHT=512"},
        {"WIDTH=256&HEIGHT=256", "WIDTH=2048&HEIGHT=1"},
    };
    dp_rules_t rules = sample_rules();
    dp_request_t r;
    int i;

    for (i = 0; i < COUNT(cases); i++) {
        const char *query = sample_with(cases[i].from, cases[i].to);

        rules.off_grid = DP_POLICY_COALESCE;
        check(&rules, query, DP_VERDICT_OFF_GRID, DP_REASON_NONE, NULL);
        rules.off_grid = DP_POLICY_PASS;
        check(&rules, query, DP_VERDICT_PASS, DP_REASON_OFF_GRID,
              "no cell of WebMercatorQuad");
        rules.off_grid = DP_POLICY_DENY;
        check(&rules, query, DP_VERDICT_DENY, DP_REASON_OFF_GRID, NULL);
    }
    rules = sample_rules();
    sample_read(&r, sample_with(SAMPLE_BBOX, "1,2,3,4"));
    ck_assert(r.bbox.minx == 1 && r.bbox.miny == 2);
    ck_assert(r.bbox.maxx == 3 && r.bbox.maxy == 4);
    ck_assert(r.width_px == 256 && r.height_px == 256 && r.tile_px == 0);
    ck_assert_str_eq(r.grid->name, "WebMercatorQuad");
    check(&rules, sample_with("WIDTH=256", "WIDTH=2049"), DP_VERDICT_PASS,
          DP_REASON_SIZE, "size 2049x256");
    check(&rules, sample_with("HEIGHT=256", "HEIGHT=9999"), DP_VERDICT_PASS,
          DP_REASON_SIZE, "size 256x9999");
}
END_TEST

START_TEST(only_png_and_jpeg_are_asked_for_in_blocks)
{
    dp_request_t r;

    ck_assert_int_eq(sample_read(&r, sample_with("png", "jpeg")),
                     DP_VERDICT_TILE);
    ck_assert_int_eq(r.metatile.rule.cols, 4);
    ck_assert_int_eq(sample_read(&r, sample_with("png", "webp")),
                     DP_VERDICT_TILE);
    ck_assert_int_eq(r.metatile.rule.cols, 1);
    ck_assert_int_eq(r.metatile.rule.rows, 1);
    ck_assert(dp_metatile_is_plain(&r.metatile));
    ck_assert(r.metatile.x == 4 && r.metatile.y == 2);
}
END_TEST

START_TEST(grids_are_tried_in_their_order)
{
    static const double coarse_resolutions[] = {156543.03392804097};
    dp_grid_t coarse = *dp_grid_known("WebMercatorQuad");
    const dp_grid_t *grids[2] = {&coarse, dp_grid_known("WebMercatorQuad")};
    dp_rules_t rules = sample_rules();
    dp_request_t r;

    coarse.name = "coarse";
    coarse.resolutions = coarse_resolutions;
    coarse.nlevels = 1;
    rules.grids = grids;
    rules.ngrids = 2;
    /* Not in the first, so from the second. */
    ck_assert_int_eq(sample_read_by(&r, &rules, SAMPLE), DP_VERDICT_TILE);
    ck_assert_str_eq(r.grid->name, "WebMercatorQuad");
    /* In both. */
    sample_read_by(&r, &rules,
                   sample_with(SAMPLE_BBOX, "-20037508.34,-20037508.34,"
                                            "20037508.34,20037508.34"));
    ck_assert_str_eq(r.grid->name, "coarse");
    /* In none. */
    ck_assert_int_eq(
        sample_read_by(&r, &rules, sample_with(SAMPLE_BBOX, "1,2,3,4")),
        DP_VERDICT_OFF_GRID);
    ck_assert_str_eq(r.grid->name, "coarse");
}
END_TEST

START_TEST(a_picture_of_an_error_is_noticed)
{
    dp_request_t r;

    sample_read(&r, SAMPLE "&EXCEPTIONS=application/vnd.ogc.se_inimage");
    ck_assert(r.inimage);
    sample_read(&r, SAMPLE "&EXCEPTIONS=BLANK");
    ck_assert(r.inimage);
    sample_read(&r, SAMPLE "&EXCEPTIONS=application/vnd.ogc.se_xml");
    ck_assert(!r.inimage);
}
END_TEST

START_TEST(parameters_that_wms_has_itself_cannot_be_listed)
{
    static const dp_param_rule_t params[] = {
        {"layers", "z"}, {"B", "2"}, {"a", "1"}};
    dp_rules_t rules = sample_rules();
    dp_request_t r;

    rules.params = params;
    rules.nparams = COUNT(params);
    ck_assert_int_eq(sample_read_by(&r, &rules, SAMPLE), DP_VERDICT_TILE);
    ck_assert_str_eq(r.layers, "a,b");
    ck_assert_int_eq(r.nparams, 2);
    ck_assert_str_eq(r.params[0].name, "A");
    ck_assert_str_eq(r.params[1].name, "B");
    rules.nparams = 0;
    rules.nignored = 0;
    ck_assert_int_eq(sample_read_by(&r, &rules, SAMPLE), DP_VERDICT_TILE);
    ck_assert_int_eq(r.nparams, 0);
}
END_TEST

UNIT_MAIN("request/wms", a_cell_is_a_tile,
          what_is_no_getmap_passes_however_odd_it_is,
          unlisted_parameters_pass_with_advice_or_are_denied,
          nothing_hides_an_unlisted_parameter_from_deny,
          queries_and_values_are_bounded, a_parameter_given_twice_passes,
          values_that_cannot_be_read_are_bad,
          what_a_server_may_read_differently_passes,
          a_map_that_is_no_cell_follows_the_rule,
          only_png_and_jpeg_are_asked_for_in_blocks,
          grids_are_tried_in_their_order, a_picture_of_an_error_is_noticed,
          parameters_that_wms_has_itself_cannot_be_listed)
