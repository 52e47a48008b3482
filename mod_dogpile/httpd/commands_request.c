/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives about what a request must look like to be ours, and what a
 * metatile is. Called while httpd reads its configuration.
 */
#include "httpd/commands.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "base/text.h"

/* Larger pictures are beyond what map servers and decoders accept. */
#define TILE_PX_MAX 4096
#define METATILE_SIDE_MAX 64
#define PICTURE_PX_MAX 8192

static const char *const *copy_names(cmd_parms *cmd, int argc,
                                     char *const argv[])
{
    return (const char *const *)apr_pmemdup(cmd->pool, argv,
                                            (apr_size_t)argc * sizeof(*argv));
}

const char *dp_cmd_grids(cmd_parms *cmd, void *dir, int argc,
                         char *const argv[])
{
    dp_gridset_t *set = apr_pcalloc(cmd->pool, sizeof(*set));

    if (argc == 0) {
        return dp_refuse(cmd, "", "one or more names of grids");
    }
    set->names = copy_names(cmd, argc, argv);
    set->grids = apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(dp_grid_t *));
    set->n = argc;
    set->where = dp_where_of(cmd);
    APR_ARRAY_PUSH(dp_global->gridsets, dp_gridset_t *) = set;
    ((dp_dir_t *)dir)->grids = set;
    return NULL;
}

const char *dp_cmd_tile_sizes(cmd_parms *cmd, void *dir, int argc,
                              char *const argv[])
{
    dp_sizes_t *sizes = apr_pcalloc(cmd->pool, sizeof(*sizes));
    int *px = apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(*px));
    int i;

    if (argc == 0) {
        return dp_refuse(cmd, "", "one or more widths in pixels");
    }
    for (i = 0; i < argc; i++) {
        const char *wrong = dp_read_int(cmd, argv[i], 16, TILE_PX_MAX, &px[i]);

        if (wrong) {
            return wrong;
        }
    }
    sizes->px = px;
    sizes->n = argc;
    ((dp_dir_t *)dir)->tile_sizes = sizes;
    return NULL;
}

/* "4x4" */
static const char *read_block(cmd_parms *cmd, const char *text,
                              dp_metatile_rule_t *rule)
{
    const char *x = strchr(text, 'x');
    apr_int64_t cols;
    apr_int64_t rows;

    if (x == NULL
        || !dp_text_int(
            apr_pstrmemdup(cmd->temp_pool, text, (apr_size_t)(x - text)), 1,
            METATILE_SIDE_MAX, &cols)
        || !dp_text_int(x + 1, 1, METATILE_SIDE_MAX, &rows)) {
        return dp_refuse(cmd, text,
                         "WxH in tiles, each from 1 to 64, as in "
                         "4x4");
    }
    rule->cols = (int)cols;
    rule->rows = (int)rows;
    return NULL;
}

const char *dp_cmd_metatile(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[])
{
    dp_metatile_rule_t *rule =
        apr_pmemdup(cmd->pool, &dp_default_metatile, sizeof(*rule));
    const char *wrong = argc > 0 ? read_block(cmd, argv[0], rule)
                                 : dp_refuse(cmd, "", "WxH, as in 4x4");
    int i;

    for (i = 1; i < argc && wrong == NULL; i++) {
        if (strncmp(argv[i], "buffer=", 7) == 0) {
            wrong = dp_read_int(cmd, argv[i] + 7, 0, 1024, &rule->buffer_px);
        }
        else if (strncmp(argv[i], "max=", 4) == 0) {
            wrong = dp_read_int(cmd, argv[i] + 4, 256, PICTURE_PX_MAX,
                                &rule->max_px);
        }
        else {
            wrong = dp_refuse(cmd, argv[i], "buffer=pixels and max=pixels");
        }
    }
    ((dp_dir_t *)dir)->metatile = rule;
    return wrong;
}

/* Parameters that the module writes itself, or that make a request what it
 * is. */
static int is_own_param(const char *name)
{
    static const char *const own[] = {
        "SERVICE", "VERSION",     "REQUEST", "LAYERS",    "STYLES",
        "SRS",     "CRS",         "BBOX",    "WIDTH",     "HEIGHT",
        "FORMAT",  "TRANSPARENT", "BGCOLOR", "EXCEPTIONS"};
    apr_size_t i;

    for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
        if (ap_cstr_casecmp(own[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static const char *check_param(cmd_parms *cmd, const char *name)
{
    if (*name == '\0' || strpbrk(name, "&;?#%") != NULL || is_own_param(name)) {
        return dp_refuse(cmd, name,
                         "names of parameters other than those of every "
                         "GetMap (LAYERS, BBOX, ...)");
    }
    return NULL;
}

static char *upper(apr_pool_t *pool, const char *text, apr_size_t size)
{
    char *name = apr_pstrmemdup(pool, text, size);
    char *c;

    for (c = name; *c; c++) {
        *c = (char)apr_toupper(*c);
    }
    return name;
}

const char *dp_cmd_params(cmd_parms *cmd, void *dir, int argc,
                          char *const argv[])
{
    dp_params_t *params = apr_pcalloc(cmd->pool, sizeof(*params));
    dp_param_rule_t *rules =
        apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(*rules));
    int i;

    for (i = 0; i < argc; i++) {
        apr_size_t size = strcspn(argv[i], "=");
        const char *wrong;

        rules[i].name = upper(cmd->pool, argv[i], size);
        rules[i].value = argv[i][size] == '=' ? argv[i] + size + 1 : NULL;
        wrong = check_param(cmd, rules[i].name);
        if (wrong) {
            return wrong;
        }
    }
    params->rules = rules;
    params->n = argc;
    ((dp_dir_t *)dir)->params = params;
    return NULL;
}

const char *dp_cmd_ignore_params(cmd_parms *cmd, void *dir, int argc,
                                 char *const argv[])
{
    dp_names_t *names = apr_pcalloc(cmd->pool, sizeof(*names));
    const char **list =
        apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(*list));
    int i;

    for (i = 0; i < argc; i++) {
        const char *wrong = check_param(cmd, argv[i]);

        if (wrong) {
            return wrong;
        }
        list[i] = upper(cmd->pool, argv[i], strlen(argv[i]));
    }
    names->names = list;
    names->n = argc;
    ((dp_dir_t *)dir)->ignored = names;
    return NULL;
}

const char *dp_cmd_unlisted(cmd_parms *cmd, void *dir, const char *value)
{
    int *policy = &((dp_dir_t *)dir)->unlisted;

    if (ap_cstr_casecmp(value, "pass") == 0) {
        *policy = DP_POLICY_PASS;
    }
    else if (ap_cstr_casecmp(value, "deny") == 0) {
        *policy = DP_POLICY_DENY;
    }
    else {
        return dp_refuse(cmd, value, "pass or deny");
    }
    return NULL;
}

const char *dp_cmd_off_grid(cmd_parms *cmd, void *dir, const char *value)
{
    int *policy = &((dp_dir_t *)dir)->off_grid;

    if (ap_cstr_casecmp(value, "coalesce") == 0) {
        *policy = DP_POLICY_COALESCE;
        return NULL;
    }
    if (ap_cstr_casecmp(value, "pass") == 0) {
        *policy = DP_POLICY_PASS;
        return NULL;
    }
    if (ap_cstr_casecmp(value, "deny") == 0) {
        *policy = DP_POLICY_DENY;
        return NULL;
    }
    return dp_refuse(cmd, value, "coalesce, pass or deny");
}
