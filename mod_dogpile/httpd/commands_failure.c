/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives about sources that fail or are late: for how long that is
 * remembered, and what clients get instead. Called while httpd reads its
 * configuration.
 */
#include "httpd/commands.h"

/* Longer than that is no memory of a failure but an outage. */
#define ERROR_EXPIRE_MAX_USEC apr_time_from_sec(3600)

/* The number of a word, or -1. */
static int instead_of(const char *word)
{
    static const char *const words[DP_INSTEAD_COUNT] = {
        [DP_INSTEAD_STALE] = "stale",
        [DP_INSTEAD_OVERZOOM] = "overzoom",
        [DP_INSTEAD_BLANK] = "blank",
        [DP_INSTEAD_503] = "503",
    };
    int i = DP_INSTEAD_COUNT - 1;

    while (i >= 0 && ap_cstr_casecmp(words[i], word) != 0) {
        i--;
    }
    return i;
}

const char *dp_cmd_on_timeout(cmd_parms *cmd, void *dir, int argc,
                              char *const argv[])
{
    static const char allowed[] = "stale, overzoom, blank and 503, each "
                                  "once, in the order of preference, 503 last";
    dp_instead_t *list = apr_pcalloc(cmd->pool, sizeof(*list));
    int seen = 0;
    int i;

    for (i = 0; i < argc; i++) {
        int what = instead_of(argv[i]);

        if (what < 0 || (seen >> what & 1)
            || (what == DP_INSTEAD_503 && i < argc - 1)) {
            return dp_refuse(cmd, argv[i], allowed);
        }
        seen |= 1 << what;
        list->what[list->n++] = (dp_instead_e)what;
    }
    if (argc == 0) {
        return dp_refuse(cmd, "", allowed);
    }
    ((dp_dir_t *)dir)->on_timeout = list;
    return NULL;
}

const char *dp_cmd_error_expire(cmd_parms *cmd, void *dir, const char *value)
{
    apr_interval_time_t *usec = &((dp_dir_t *)dir)->error_usec;
    const char *wrong = dp_read_time(cmd, value, usec);

    return wrong != NULL || *usec <= ERROR_EXPIRE_MAX_USEC
               ? wrong
               : dp_refuse(cmd, value, "0 to 1h");
}
