/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives about the source, the store and how long things last. Called
 * while httpd reads its configuration.
 */
#include "httpd/commands.h"

#include <ap_provider.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <util_filter.h>

#include "base/text.h"
#include "lock/name.h"

/* Part of every key and of folder names. */
#define SOURCE_NAME_MAX 128

/* Remember a section in which something is set that must agree with others. */
static void note_section(const cmd_parms *cmd, const dp_dir_t *dir)
{
    apr_array_header_t *sections = dp_global->sections;
    dp_section_t *section;
    int i;

    for (i = 0; i < sections->nelts; i++) {
        if (APR_ARRAY_IDX(sections, i, dp_section_t).dir == dir) {
            return;
        }
    }
    section = apr_array_push(sections);
    section->server = cmd->server;
    section->path = cmd->path;
    section->dir = dir;
    section->where = dp_where_of(cmd);
}

const char *dp_cmd_enable(cmd_parms *cmd, void *dir, int on)
{
    ((dp_dir_t *)dir)->enable = on;
    dp_global->is_enabled |= on;
    note_section(cmd, dir);
    return NULL;
}

const char *dp_cmd_header(cmd_parms *cmd, void *dir, int on)
{
    (void)cmd;
    ((dp_dir_t *)dir)->says_status = on;
    return NULL;
}

const char *dp_cmd_source(cmd_parms *cmd, void *dir, const char *value)
{
    dp_source_t *source = apr_pcalloc(cmd->pool, sizeof(*source));
    const char *query = strchr(value, '?');

    if (value[0] != '/' || strpbrk(value, " #\t") != NULL) {
        return dp_refuse(cmd, value,
                         "a path of this virtual host, perhaps with a query, "
                         "as in /cgi-bin/mapserv?map=/etc/osm.map");
    }
    source->path =
        query ? apr_pstrmemdup(cmd->pool, value, (apr_size_t)(query - value))
              : value;
    source->query = query && query[1] ? query + 1 : NULL;
    ((dp_dir_t *)dir)->source = source;
    note_section(cmd, dir);
    return NULL;
}

const char *dp_cmd_source_name(cmd_parms *cmd, void *dir, const char *value)
{
    if (value[0] == '\0' || strlen(value) > SOURCE_NAME_MAX) {
        return dp_refuse(cmd, value, "a name of 1 to 128 bytes");
    }
    ((dp_dir_t *)dir)->source_name = value;
    ((dp_dir_t *)dir)->named_path = cmd->path ? cmd->path : "";
    note_section(cmd, dir);
    return NULL;
}

const char *dp_cmd_source_lock(cmd_parms *cmd, void *dir, const char *value)
{
    apr_size_t length = strlen(value);

    if (length == 0 || length > DP_LOCK_NAME_MAX) {
        return dp_refuse(cmd, value, "a name of 1 to 65536 bytes");
    }
    ((dp_dir_t *)dir)->source_lock = value;
    return NULL;
}

/* RFC 9110 section 5.6.2: what a field name is made of. */
static int is_field_name(const char *name)
{
    if (*name == '\0') {
        return 0;
    }
    for (; *name; name++) {
        if (!apr_isalnum(*name) && !strchr("!#$%&'*+-.^_`|~", *name)) {
            return 0;
        }
    }
    return 1;
}

static int is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (ap_cstr_casecmp(*names, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* These would break the module's own request. */
static int is_own_header(const char *name)
{
    static const char *const own[] = {
        "Host",    "Connection",      "Content-Length", "Transfer-Encoding",
        "Expect",  "Accept-Encoding", "Range",          "TE",
        "Trailer", "Upgrade",         "Keep-Alive",     NULL};

    return is_one_of(name, own) || strncasecmp(name, "If-", 3) == 0;
}

/* These would contradict what the module says about a tile. */
static int is_own_answer_header(const char *name)
{
    static const char *const own[] = {"Set-Cookie",
                                      "Content-Length",
                                      "Content-Type",
                                      "Content-Range",
                                      "Accept-Ranges",
                                      "Connection",
                                      "Keep-Alive",
                                      "Trailer",
                                      "Upgrade",
                                      "ETag",
                                      "Last-Modified",
                                      "Content-Encoding",
                                      "Age",
                                      "Expires",
                                      "Cache-Control",
                                      "Cache-Status",
                                      "Date",
                                      "Transfer-Encoding",
                                      NULL};

    return is_one_of(name, own);
}

const char *dp_cmd_source_header(cmd_parms *cmd, void *dir, const char *name,
                                 const char *value)
{
    const dp_headers_t *before = ((dp_dir_t *)dir)->source_headers;
    int n = before ? before->n : 0;
    dp_record_header_t *headers =
        apr_pcalloc(cmd->pool, (apr_size_t)(n + 1) * sizeof(*headers));
    dp_headers_t *after = apr_pcalloc(cmd->pool, sizeof(*after));

    if (!is_field_name(name) || is_own_header(name)) {
        return dp_refuse(cmd, name,
                         "the name of a request header other than Host, "
                         "Accept-Encoding, Range, conditions and those of a "
                         "connection or a body");
    }
    if (n > 0) {
        memcpy(headers, before->headers, (apr_size_t)n * sizeof(*headers));
    }
    headers[n].name = name;
    headers[n].value = value;
    after->headers = headers;
    after->n = n + 1;
    ((dp_dir_t *)dir)->source_headers = after;
    return NULL;
}

const char *dp_cmd_keep_header(cmd_parms *cmd, void *dir, int argc,
                               char *const argv[])
{
    dp_names_t *names = apr_pcalloc(cmd->pool, sizeof(*names));
    int i;

    for (i = 0; i < argc; i++) {
        if (!is_field_name(argv[i]) || is_own_answer_header(argv[i])) {
            return dp_refuse(cmd, argv[i],
                             "names of response headers other than "
                             "Set-Cookie, which is never shared, and those "
                             "that every tile has (Cache-Control, ETag, ...)");
        }
    }
    names->names = (const char *const *)apr_pmemdup(
        cmd->pool, argv, (apr_size_t)argc * sizeof(*argv));
    names->n = argc;
    ((dp_dir_t *)dir)->keep_headers = names;
    return NULL;
}

const char *dp_cmd_locker(cmd_parms *cmd, void *dir, const char *value)
{
    dp_locker_ref_t *ref = apr_pcalloc(cmd->pool, sizeof(*ref));

    ref->name = value;
    ref->where = dp_where_of(cmd);
    APR_ARRAY_PUSH(dp_global->refs, dp_locker_ref_t *) = ref;
    ((dp_dir_t *)dir)->locker = ref;
    return NULL;
}

const char *dp_cmd_store(cmd_parms *cmd, void *dir, const char *value)
{
    dp_where_t where = dp_where_of(cmd);
    apr_size_t size = strcspn(value, ":");
    char *type = apr_pstrmemdup(cmd->pool, value, size);
    const dogpile_store_provider_t *provider;
    dp_store_def_t *def;

    if (value[size] == '\0' || value[size + 1] == '\0') {
        return dp_refuse(cmd, value,
                         "a type and a place, as in disk:" DP_DEFAULT_STORE
                         " or memcache:cache1:11211,cache2:11211");
    }
    provider = ap_lookup_provider(DOGPILE_STORE_GROUP, type,
                                  DOGPILE_STORE_VERSION_TEXT);
    if (provider == NULL) {
        return dp_no_such_type(cmd, type, DOGPILE_STORE_GROUP,
                               DOGPILE_STORE_VERSION_TEXT,
                               "mod_dogpile_store_");
    }
    def = dp_store_find(value, &where);
    def->provider = provider;
    ((dp_dir_t *)dir)->store = def;
    return NULL;
}

/* One of two words. */
static const char *read_choice(cmd_parms *cmd, const char *value,
                               const char *zero, const char *one, int *choice)
{
    *choice = ap_cstr_casecmp(value, one) == 0;
    if (*choice || ap_cstr_casecmp(value, zero) == 0) {
        return NULL;
    }
    return dp_refuse(cmd, value,
                     apr_pstrcat(cmd->temp_pool, zero, " or ", one, NULL));
}

const char *dp_cmd_credentials(cmd_parms *cmd, void *dir, const char *value)
{
    return read_choice(cmd, value, "pass", "share",
                       &((dp_dir_t *)dir)->shares_credentials);
}

const char *dp_cmd_upstream_headers(cmd_parms *cmd, void *dir,
                                    const char *value)
{
    return read_choice(cmd, value, "ignore", "honour",
                       &((dp_dir_t *)dir)->honours_upstream);
}

const char *dp_cmd_expire(cmd_parms *cmd, void *dir, const char *value,
                          const char *jitter)
{
    static const char allowed[] = "jitter=n%, n from 0 to 50";
    dp_dir_t *mine = dir;
    const char *wrong = dp_read_time(cmd, value, &mine->expire_usec);
    apr_size_t size = jitter ? strlen(jitter) : 0;
    apr_int64_t percent;

    if (wrong || jitter == NULL) {
        return wrong;
    }
    if (strncmp(jitter, "jitter=", 7) != 0 || jitter[size - 1] != '%'
        || !dp_text_int(apr_pstrmemdup(cmd->temp_pool, jitter + 7, size - 8), 0,
                        50, &percent)) {
        return dp_refuse(cmd, jitter, allowed);
    }
    mine->jitter_percent = (int)percent;
    return NULL;
}

const char *dp_cmd_stale(cmd_parms *cmd, void *dir, const char *value)
{
    return dp_read_time(cmd, value, &((dp_dir_t *)dir)->stale_usec);
}

const char *dp_cmd_stale_on_error(cmd_parms *cmd, void *dir, const char *value)
{
    return dp_read_time(cmd, value, &((dp_dir_t *)dir)->stale_on_error_usec);
}

static const char *read_timeout(cmd_parms *cmd, const char *value,
                                apr_interval_time_t *usec)
{
    const char *wrong = dp_read_time(cmd, value, usec);

    return wrong != NULL || *usec > 0
               ? wrong
               : dp_refuse(cmd, value, "a time longer than 0");
}

const char *dp_cmd_wait_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    return read_timeout(cmd, value, &((dp_dir_t *)dir)->wait_usec);
}

const char *dp_cmd_fetch_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    return read_timeout(cmd, value, &((dp_dir_t *)dir)->fetch_usec);
}

const char *dp_cmd_upstream_limit(cmd_parms *cmd, void *dir, const char *value)
{
    return dp_read_int(cmd, value, 1, 10000,
                       &((dp_dir_t *)dir)->upstream_limit);
}
