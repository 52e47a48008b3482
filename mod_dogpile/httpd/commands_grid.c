/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <DogpileGrid name>: a tile matrix set of one's own, such as a national
 * agency has. Called while httpd reads its configuration, so the grid that is
 * being described is one at a time.
 */
#include "httpd/commands.h"

#include <apr_strings.h>

#include "base/text.h"

/* The grid whose section is being read, or NULL, and its DogpileGridAxis. */
static dp_grid_t *current;
static int current_is_yx;

static const char outside[] = " stands inside of <DogpileGrid name>";

static const char *not_inside(const cmd_parms *cmd)
{
    return current ? NULL
                   : apr_pstrcat(cmd->temp_pool, cmd->cmd->name, outside, NULL);
}

static const char *find_stranger(const cmd_parms *cmd, const char *prefix,
                                 const char *nested)
{
    const ap_directive_t *inside = cmd->directive->first_child;

    for (; inside; inside = inside->next) {
        if (ap_cstr_casecmpn(inside->directive, prefix, strlen(prefix)) != 0
            && (nested == NULL
                || ap_cstr_casecmp(inside->directive, nested) != 0)) {
            return apr_psprintf(cmd->temp_pool,
                                "%s:%d: %s can't stand inside of %s>; allowed: "
                                "%s...",
                                inside->filename, inside->line_num,
                                inside->directive, cmd->cmd->name, prefix);
        }
    }
    return NULL;
}

const char *dp_section_words(cmd_parms *cmd, const char *args, int min, int max,
                             const char *allowed, const char *prefix,
                             const char *nested, apr_array_header_t **words)
{
    const char *end = strrchr(args, '>');
    char *word;

    if (end == NULL || end[1] != '\0') {
        return apr_pstrcat(cmd->temp_pool, cmd->cmd->name,
                           "> directive missing closing '>'", NULL);
    }
    args = apr_pstrmemdup(cmd->temp_pool, args, (apr_size_t)(end - args));
    *words = apr_array_make(cmd->pool, 2, sizeof(const char *));
    for (word = ap_getword_conf(cmd->pool, &args); *word;
         word = ap_getword_conf(cmd->pool, &args)) {
        APR_ARRAY_PUSH(*words, const char *) = word;
    }
    if ((*words)->nelts < min || (*words)->nelts > max) {
        return apr_pstrcat(cmd->temp_pool, cmd->cmd->name, "> takes ", allowed,
                           NULL);
    }
    return find_stranger(cmd, prefix, nested);
}

static int is_taken(const char *name)
{
    int i;

    for (i = 0; i < dp_global->grids->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(dp_global->grids, i, dp_grid_t *)->name, name)
            == 0) {
            return 1;
        }
    }
    return dp_grid_known(name) != NULL;
}

/* The names and their axis order come in any order of directives. */
static void set_axis(void)
{
    dp_crs_name_t *names = (dp_crs_name_t *)current->crs;
    int i;

    for (i = 0; i < current->ncrs; i++) {
        /* CRS:84 and its like have x first in every version: OGC 06-042,
         * annex B. */
        names[i].yx =
            current_is_yx && strncasecmp(names[i].name, "CRS:", 4) != 0;
    }
}

const char *dp_cmd_grid_section(cmd_parms *cmd, void *dir, const char *args)
{
    apr_array_header_t *words;
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *name;

    (void)dir;
    if (wrong == NULL) {
        wrong = dp_section_words(cmd, args, 1, 1, "one name", "DogpileGrid",
                                 NULL, &words);
    }
    if (wrong) {
        return wrong;
    }
    name = APR_ARRAY_IDX(words, 0, const char *);
    if (is_taken(name)) {
        return dp_refuse(cmd, name, "a name that no other grid has");
    }
    current = apr_pcalloc(cmd->pool, sizeof(*current));
    current->name = name;
    current->tile_px = 256;
    current_is_yx = 0;
    wrong = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    if (wrong == NULL) {
        set_axis();
        wrong = dp_grid_check(current);
        if (wrong) {
            wrong = apr_psprintf(cmd->temp_pool, "<DogpileGrid %s>: %s", name,
                                 wrong);
        }
    }
    APR_ARRAY_PUSH(dp_global->grids, dp_grid_t *) = current;
    current = NULL;
    return wrong;
}

const char *dp_cmd_grid_crs(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[])
{
    dp_crs_name_t *names =
        apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(*names));
    const char *wrong = not_inside(cmd);
    int i;

    (void)dir;
    if (wrong) {
        return wrong;
    }
    for (i = 0; i < argc; i++) {
        names[i].name = argv[i];
    }
    current->crs = names;
    current->ncrs = argc;
    return NULL;
}

/* `argc` numbers into `numbers`. */
static const char *read_numbers(cmd_parms *cmd, int argc, char *const argv[],
                                double *numbers)
{
    int i;

    for (i = 0; i < argc; i++) {
        if (!dp_text_double(argv[i], &numbers[i])) {
            return dp_refuse(cmd, argv[i], "decimal numbers");
        }
    }
    return NULL;
}

const char *dp_cmd_grid_extent(cmd_parms *cmd, void *dir, int argc,
                               char *const argv[])
{
    const char *wrong = not_inside(cmd);
    double numbers[4];

    (void)dir;
    if (wrong) {
        return wrong;
    }
    if (argc != 4) {
        return apr_pstrcat(cmd->temp_pool, cmd->cmd->name,
                           " takes minx miny maxx maxy", NULL);
    }
    wrong = read_numbers(cmd, argc, argv, numbers);
    current->extent.minx = numbers[0];
    current->extent.miny = numbers[1];
    current->extent.maxx = numbers[2];
    current->extent.maxy = numbers[3];
    return wrong;
}

const char *dp_cmd_grid_resolutions(cmd_parms *cmd, void *dir, int argc,
                                    char *const argv[])
{
    const char *wrong = not_inside(cmd);
    double *numbers =
        apr_pcalloc(cmd->pool, (apr_size_t)argc * sizeof(*numbers));

    (void)dir;
    if (wrong) {
        return wrong;
    }
    current->resolutions = numbers;
    current->nlevels = argc;
    return read_numbers(cmd, argc, argv, numbers);
}

const char *dp_cmd_grid_origin(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    if (wrong) {
        return wrong;
    }
    if (ap_cstr_casecmp(value, "top-left") == 0) {
        current->origin = DP_ORIGIN_TOP_LEFT;
        return NULL;
    }
    if (ap_cstr_casecmp(value, "bottom-left") == 0) {
        current->origin = DP_ORIGIN_BOTTOM_LEFT;
        return NULL;
    }
    return dp_refuse(cmd, value, "top-left or bottom-left");
}

const char *dp_cmd_grid_tile_size(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    return wrong ? wrong : dp_read_int(cmd, value, 16, 4096, &current->tile_px);
}

const char *dp_cmd_grid_axis(cmd_parms *cmd, void *dir, const char *value)
{
    const char *wrong = not_inside(cmd);

    (void)dir;
    if (wrong) {
        return wrong;
    }
    current_is_yx = ap_cstr_casecmp(value, "yx") == 0;
    return current_is_yx || ap_cstr_casecmp(value, "xy") == 0
               ? NULL
               : dp_refuse(cmd, value, "xy or yx");
}
