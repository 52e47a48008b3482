/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map `config` of an entry: which keys a type has, what each may say.
 * Called by locker_file.c; pure.
 *
 * The limits are those of the directives. Addresses are put together here and
 * judged by the back end, as those of DogpileLockServer are. The invariant:
 * where a locker is, is said in one way only.
 */
#include "lock/locker_entry.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "lock/lock.h"
#include "lock/locker_def.h"

#define DISK 1U
#define MEMCACHE 2U
#define REDIS 4U
#define ZOOKEEPER 8U
#define SERVERS (MEMCACHE | REDIS | ZOOKEEPER)
#define ALL (DISK | SERVERS)

static const dp_entry_type_t types[] = {{"file", "disk", DISK},
                                        {"disk", "disk", DISK},
                                        {"memcache", "memcache", MEMCACHE},
                                        {"redis", "redis", REDIS},
                                        {"zookeeper", "zookeeper", ZOOKEEPER}};
#define NTYPES (sizeof(types) / sizeof(*types))

typedef struct entry_t {
    dogpile_locker_conf_t *conf;
    const dp_entry_type_t *type;
    const char *host; /* of host: */
    int port;         /* of port:, 0 for none */
    apr_pool_t *pool;
} entry_t;

/* --- values ------------------------------------------------------------ */

static const char *refuse(const entry_t *entry, const dp_yaml_t *value,
                          const char *allowed)
{
    const char *what =
        value->kind == DP_YAML_TEXT ? apr_psprintf(
            entry->pool, "'%s'", dp_lock_label(value->text, entry->pool))
                                    : dp_yaml_kind(value->kind);

    return apr_psprintf(entry->pool, "%s: %s isn't allowed; allowed: %s",
                        value->key, what, allowed);
}

static const char *read_span(entry_t *entry, const dp_yaml_t *value,
                             const dp_span_t *span, apr_interval_time_t *usec)
{
    if (value->kind != DP_YAML_TEXT || !dp_text_duration(value->text, usec)
        || !dp_span_has(span, *usec)) {
        return refuse(entry, value,
                      apr_pstrcat(entry->pool,
                                  "a time, in seconds or with a unit (ms, s, "
                                  "min, h, d): ",
                                  span->allowed, NULL));
    }
    return NULL;
}

static const char *read_timeout(entry_t *entry, const dp_yaml_t *value)
{
    return read_span(entry, value, &dp_span_lease, &entry->conf->lease_usec);
}

static const char *read_retry(entry_t *entry, const dp_yaml_t *value)
{
    return read_span(entry, value, &dp_span_retry, &entry->conf->retry_usec);
}

static const char *read_socket_timeout(entry_t *entry, const dp_yaml_t *value)
{
    return read_span(entry, value, &dp_span_socket, &entry->conf->socket_usec);
}

static const char *read_path(entry_t *entry, const dp_yaml_t *value,
                             const char **path)
{
    if (value->kind != DP_YAML_TEXT || value->text[0] != '/') {
        return refuse(entry, value, "an absolute path");
    }
    *path = value->text;
    return NULL;
}

static const char *read_directory(entry_t *entry, const dp_yaml_t *value)
{
    return read_path(entry, value, &entry->conf->directory);
}

static const char *read_secret_file(entry_t *entry, const dp_yaml_t *value)
{
    return read_path(entry, value, &entry->conf->secret_file);
}

static const char *read_group(entry_t *entry, const dp_yaml_t *value)
{
    if (value->kind != DP_YAML_TEXT || value->text[0] == '\0') {
        return refuse(entry, value, "the name of a group");
    }
    entry->conf->group = value->text;
    return NULL;
}

/* --- where it is ------------------------------------------------------- */

static const char *add_server(entry_t *entry, const char *text)
{
    apr_array_header_t *servers = (apr_array_header_t *)entry->conf->servers;

    if (entry->type->bit == REDIS && servers->nelts > 0) {
        return "a redis locker has one server; write an entry for each";
    }
    APR_ARRAY_PUSH(servers, const char *) = text;
    return NULL;
}

static const char *read_servers(entry_t *entry, const dp_yaml_t *value)
{
    static const char allowed[] = "a server or a list of servers, as "
                                  "cache1:11211";
    const char *wrong = NULL;
    int i;

    if (entry->host || entry->conf->servers->nelts > 0) {
        return "host, hosts and servers say the same; write one of them";
    }
    if (value->kind == DP_YAML_TEXT && value->text[0]) {
        return add_server(entry, value->text);
    }
    if (value->kind != DP_YAML_LIST || value->items->nelts == 0) {
        return refuse(entry, value, allowed);
    }
    for (i = 0; i < value->items->nelts && wrong == NULL; i++) {
        const dp_yaml_t *item = APR_ARRAY_IDX(value->items, i, dp_yaml_t *);

        wrong = item->kind == DP_YAML_TEXT && item->text[0]
                    ? add_server(entry, item->text)
                    : refuse(entry, value, allowed);
    }
    return wrong;
}

/* What is wrong with a host isn't shown: it may be a URL with a password. */
static const char *read_host(entry_t *entry, const dp_yaml_t *value)
{
    static const char wrong[] =
        "host: allowed is the name or address of one host, its port apart; "
        "whatever else a server can be stands in servers";
    struct in6_addr address;

    if (entry->conf->servers->nelts > 0) {
        return "host, hosts and servers say the same; write one of them";
    }
    if (value->kind != DP_YAML_TEXT || value->text[0] == '\0'
        || strpbrk(value->text, ",/@[] ")) {
        return wrong;
    }
    entry->host = value->text;
    if (strchr(value->text, ':') == NULL) {
        return NULL;
    }
    entry->host = apr_pstrcat(entry->pool, "[", value->text, "]", NULL);
    return inet_pton(AF_INET6, value->text, &address) == 1 ? NULL : wrong;
}

static const char *read_port(entry_t *entry, const dp_yaml_t *value)
{
    apr_int64_t port;

    if (value->kind != DP_YAML_TEXT
        || !dp_text_int(value->text, 1, 65535, &port)) {
        return refuse(entry, value, "a number from 1 to 65535");
    }
    entry->port = (int)port;
    return NULL;
}

/* Whether it is said where the locker is. */
static const char *settle(entry_t *entry)
{
    if (entry->type->bit == DISK) {
        return entry->conf->directory ? NULL : "config needs a directory";
    }
    if (entry->port && entry->host == NULL) {
        return "port belongs to a host";
    }
    if (entry->host == NULL) {
        return entry->conf->servers->nelts > 0
                   ? NULL
                   : "config needs one of host, hosts and servers";
    }
    return add_server(entry, entry->port ? apr_psprintf(
                                 entry->pool, "%s:%d", entry->host, entry->port)
                                         : entry->host);
}

/* --- keys -------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned types;
    const char *(*read)(entry_t *entry, const dp_yaml_t *value);
} keys[] = {{"directory", DISK, read_directory},
            {"group", DISK, read_group},
            {"host", SERVERS, read_host},
            {"port", SERVERS, read_port},
            {"hosts", SERVERS, read_servers},
            {"servers", SERVERS, read_servers},
            {"secret_file", REDIS | ZOOKEEPER, read_secret_file},
            {"socket_timeout", SERVERS, read_socket_timeout},
            {"timeout", ALL, read_timeout},
            {"retry", ALL, read_retry}};
#define NKEYS (sizeof(keys) / sizeof(*keys))

static const char *names_of_keys(const entry_t *entry)
{
    const char *names = "";
    apr_size_t i;

    for (i = 0; i < NKEYS; i++) {
        if (keys[i].types & entry->type->bit) {
            names = apr_pstrcat(entry->pool, names, *names ? ", " : "",
                                keys[i].name, NULL);
        }
    }
    return names;
}

static const char *read_value(entry_t *entry, const dp_yaml_t *value)
{
    apr_size_t i;

    for (i = 0; i < NKEYS; i++) {
        if ((keys[i].types & entry->type->bit)
            && strcmp(keys[i].name, value->key) == 0) {
            return keys[i].read(entry, value);
        }
    }
    return apr_psprintf(
        entry->pool, "a %s locker has no '%s'; allowed: %s", entry->type->name,
        dp_lock_label(value->key, entry->pool), names_of_keys(entry));
}

const dp_entry_type_t *dp_entry_type(const char *name)
{
    apr_size_t i;

    for (i = 0; i < NTYPES; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

const char *dp_entry_types(apr_pool_t *pool)
{
    const char *names = types[0].name;
    apr_size_t i;

    for (i = 1; i < NTYPES; i++) {
        names = apr_pstrcat(pool, names, ", ", types[i].name, NULL);
    }
    return names;
}

const char *dp_entry_read(dogpile_locker_conf_t *conf, int *line,
                          const dp_entry_type_t *type, const dp_yaml_t *config,
                          apr_pool_t *result_pool)
{
    entry_t entry = {.conf = conf, .type = type, .pool = result_pool};
    const char *wrong = NULL;
    int i;

    for (i = 0; i < config->items->nelts && wrong == NULL; i++) {
        const dp_yaml_t *value = APR_ARRAY_IDX(config->items, i, dp_yaml_t *);

        *line = value->key_line;
        wrong = read_value(&entry, value);
    }
    if (wrong == NULL) {
        *line = config->line;
        wrong = settle(&entry);
    }
    return wrong;
}
