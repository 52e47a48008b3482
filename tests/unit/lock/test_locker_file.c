/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locker files: what each entry means, that times are inherited, and that
 * everything else is refused with its line.
 */
#include "lock/locker_file.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock/lock.h"
#include "lock/lock_fallback.h"
#include "lock/lock_memcache.h"
#include "lock/lock_redis.h"
#include "lock/yaml_tree.h"
#include "unit.h"

/* No zookeeper here, as in an httpd without its module. */
static const dogpile_locker_provider_t *lookup(const char *type)
{
    static const dogpile_locker_provider_t *const all[] = {
        &dp_lock_disk, &dp_lock_memcache, &dp_lock_redis};
    apr_size_t i;

    for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(all[i]->type, type) == 0) {
            return all[i];
        }
    }
    return NULL;
}

static const char *try_read(dp_locker_def_t **def, const char *text)
{
    return dp_locker_text_read(def, text, strlen(text), "a.yaml", "tiles",
                               lookup, unit_pool);
}

static dp_locker_def_t *read_ok(const char *text)
{
    dp_locker_def_t *def = NULL;
    const char *wrong = try_read(&def, text);

    ck_assert_msg(wrong == NULL, "%s\n%s", text, wrong ? wrong : "");
    ck_assert_ptr_nonnull(def);
    return def;
}

static void assert_refused(const char *text, int line, const char *why)
{
    dp_locker_def_t *def = NULL;
    const char *wrong = try_read(&def, text);
    const char *where = apr_psprintf(unit_pool, "a.yaml:%d: ", line);

    ck_assert_msg(wrong && strstr(wrong, why), "%s\n%s", text,
                  wrong ? wrong : "accepted");
    ck_assert_msg(strncmp(wrong, where, strlen(where)) == 0, "%s\n%s", text,
                  wrong);
}

static dp_locker_def_t *member(const dp_locker_def_t *def, int index)
{
    ck_assert_int_lt(index, def->members->nelts);
    return APR_ARRAY_IDX(def->members, index, dp_locker_def_t *);
}

static const char *server(const dp_locker_def_t *def, int index)
{
    ck_assert_int_lt(index, def->conf.servers->nelts);
    return APR_ARRAY_IDX(def->conf.servers, index, const char *);
}

START_TEST(one_entry_is_that_locker)
{
    dp_locker_def_t *def = read_ok("- type: file\n"
                                   "  config:\n"
                                   "    directory: /srv/locks\n"
                                   "    group: \"maps\"\n"
                                   "    timeout: 20\n"
                                   "    retry: 250ms\n");

    ck_assert_ptr_eq(def->provider, &dp_lock_disk);
    ck_assert_str_eq(def->conf.name, "tiles");
    ck_assert_str_eq(def->conf.directory, "/srv/locks");
    ck_assert_str_eq(def->conf.group, "maps");
    ck_assert_int_eq(def->conf.lease_usec, 20000000);
    ck_assert_int_eq(def->conf.retry_usec, 250000);
    ck_assert_int_eq(def->where.line, 1);
    ck_assert_str_eq(def->where.file, "a.yaml");
    ck_assert_ptr_eq(
        read_ok("[{type: disk, config: {directory: /a}}]")->provider,
        &dp_lock_disk);
    ck_assert_ptr_eq(
        read_ok("[{config: {directory: /a}, type: disk}]")->provider,
        &dp_lock_disk);
}
END_TEST

START_TEST(several_are_a_fallback_in_order)
{
    dp_locker_def_t *def =
        read_ok("# the first one first\n"
                "- type: redis\n"
                "  config: {host: cache1, port: 6380, socket_timeout: 0.2}\n"
                "- type: memcache\n"
                "  config: {servers: [a:11211, b]}\n"
                "- type: redis\n"
                "  config: {servers: \"redis://me@h/2\",\n"
                "           secret_file: /etc/secret}\n"
                "- type: disk\n"
                "  config: {directory: /srv/locks}\n");

    ck_assert_ptr_eq(def->provider, &dp_lock_fallback);
    ck_assert_str_eq(def->conf.name, "tiles");
    ck_assert_int_eq(def->members->nelts, 4);
    ck_assert_str_eq(member(def, 0)->conf.name, "redis");
    ck_assert_str_eq(server(member(def, 0), 0), "cache1:6380");
    ck_assert_int_eq(member(def, 0)->conf.socket_usec, 200000);
    ck_assert_str_eq(server(member(def, 1), 1), "b");
    ck_assert_str_eq(member(def, 2)->conf.name, "redis-2");
    ck_assert_str_eq(member(def, 2)->conf.secret_file, "/etc/secret");
    ck_assert_int_eq(member(def, 2)->where.line, 6);
    ck_assert_ptr_eq(member(def, 3)->provider, &dp_lock_disk);
}
END_TEST

START_TEST(places_in_their_spellings)
{
    ck_assert_str_eq(
        server(read_ok("[{type: redis, config: {host: '::1', port: 1}}]"), 0),
        "[::1]:1");
    ck_assert_str_eq(
        server(read_ok("[{type: redis, config: {host: cache1}}]"), 0),
        "cache1");
    ck_assert_str_eq(
        server(read_ok("[{type: memcache, config: {hosts: 'a:1,b:2'}}]"), 0),
        "a:1,b:2");
    ck_assert_str_eq(
        server(read_ok("[{type: redis, config: {servers: ['unix:/r']}}]"), 0),
        "unix:/r");
}
END_TEST

START_TEST(the_shortest_times_are_those_of_the_chain)
{
    dogpile_locker_conf_t defaults;
    const dp_locker_def_t *culprit;
    dp_locker_def_t *def =
        read_ok("- {type: redis, config: {host: a, timeout: 60, retry: 1}}\n"
                "- {type: memcache, config: {host: a, timeout: 20}}\n"
                "- {type: disk, config: {directory: /a, retry: 2}}\n");

    dp_locker_defaults(&defaults);
    ck_assert_ptr_null(dp_locker_make(def, &defaults, &culprit, unit_pool));
    ck_assert_int_eq(def->conf.lease_usec, apr_time_from_sec(20));
    ck_assert_int_eq(def->conf.retry_usec, apr_time_from_sec(1));
    ck_assert_int_eq(member(def, 0)->conf.lease_usec, apr_time_from_sec(60));
    ck_assert_int_eq(member(def, 1)->conf.retry_usec, apr_time_from_sec(1));
    ck_assert_int_eq(member(def, 2)->conf.lease_usec, apr_time_from_sec(20));
    ck_assert_int_eq(member(def, 2)->conf.socket_usec, apr_time_from_sec(1));
    ck_assert_ptr_nonnull(def->conf.host);
}
END_TEST

START_TEST(the_back_end_has_the_last_word)
{
    dogpile_locker_conf_t defaults;
    const dp_locker_def_t *culprit;
    const char *wrong;
    dp_locker_def_t *def =
        read_ok("- {type: disk, config: {directory: /a}}\n"
                "- {type: redis, config: {host: 'not_an..address'}}\n");

    dp_locker_defaults(&defaults);
    wrong = dp_locker_make(def, &defaults, &culprit, unit_pool);
    ck_assert_ptr_nonnull(wrong);
    ck_assert_int_eq(culprit->where.line, 2);
    ck_assert_str_eq(culprit->title, "locker tiles, its entry 2 (redis)");
    def = read_ok("- {type: disk, config: {directory: /a}}\n"
                  "- {type: file, config: {directory: /a}}\n");
    wrong = dp_locker_make(def, &defaults, &culprit, unit_pool);
    ck_assert_ptr_nonnull(strstr(wrong, "the same place"));
    ck_assert_ptr_eq(culprit, def);
}
END_TEST

/* A password in a server is refused without being repeated. */
START_TEST(no_secret_is_shown)
{
    dogpile_locker_conf_t defaults;
    const dp_locker_def_t *culprit;
    const char *wrong;
    dp_locker_def_t *def = read_ok(
        "[{type: redis, config: {servers: 'redis://me:geheim@cache1'}}]");

    dp_locker_defaults(&defaults);
    wrong = dp_locker_make(def, &defaults, &culprit, unit_pool);
    ck_assert_ptr_nonnull(wrong);
    ck_assert_ptr_null(strstr(wrong, "geheim"));
    wrong = try_read(
        &def, "[{type: redis, config: {host: 'redis://me:geheim@cache1'}}]");
    ck_assert_ptr_nonnull(wrong);
    ck_assert_ptr_null(strstr(wrong, "geheim"));
}
END_TEST

START_TEST(what_is_no_list_of_lockers)
{
    assert_refused("", 1, "there is nothing here");
    assert_refused("# nothing\n", 2, "there is nothing here");
    assert_refused("---\n", 2, "a list of lockers is needed");
    assert_refused("[]", 1, "a list of lockers is needed");
    assert_refused("type: disk\n", 1, "a list of lockers is needed");
    assert_refused("- disk\n", 1, "a map with type and config, not a text");
    assert_refused("-\n- a", 1, "a map with type and config");
    assert_refused("- type: disk\n", 1, "needs a config, which is a map");
    assert_refused("- type: disk\n  config: /a\n", 2, "which is a map");
    assert_refused("- type: disk\n  config:\n", 2, "which is a map");
    assert_refused("- config: {directory: /a}\n", 1,
                   "needs a type; allowed: "
                   "file, disk, memcache");
    assert_refused("- type: [disk]\n  config: {}\n", 1, "needs a type");
    assert_refused("- type: disk\n  config: {directory: /a}\n  name: b\n", 3,
                   "an entry has no 'name'; allowed: type, config");
    assert_refused("\n- type: floppy\n  config: {}\n", 2,
                   "'floppy' isn't allowed; allowed: file, disk, memcache, "
                   "redis, zookeeper");
    assert_refused("\n- type: zookeeper\n  config: {hosts: a}\n", 2,
                   "is mod_dogpile_lock_zookeeper loaded before?");
}
END_TEST

/* The config of one entry, on line 2, and what is said about it. */
static const struct {
    const char *type;
    const char *config;
    const char *why;
} configs[] = {
    {"disk", "", "config needs a directory"},
    {"disk", "directory: locks",
     "directory: 'locks' isn't allowed; allowed: "
     "an absolute path"},
    {"disk", "directory: [/a]", "directory: a list isn't allowed"},
    {"disk", "directory: /a, host: b",
     "a disk locker has no 'host'; allowed: "
     "directory, group, timeout, retry"},
    {"disk", "directory: /a, secret_file: /b", "has no 'secret_file'"},
    {"disk", "directory: /a, directory: /b",
     "'directory' is there twice, "
     "first in line 2"},
    {"disk", "directory: /a, group: ''", "the name of a group"},
    {"disk", "directory: /a, timeout: 0.5",
     "1 second or more, at most 7 "
     "days"},
    {"disk", "directory: /a, timeout: 8d", "at most 7 days"},
    {"disk", "directory: /a, timeout: soon", "a time, in seconds"},
    {"disk", "directory: /a, timeout: ", "a time, in seconds"},
    {"disk", "directory: /a, timeout: {}", "timeout: a map isn't allowed"},
    {"disk", "directory: /a, retry: 1ms", "10ms to 10s"},
    {"disk", "directory: \"/a\\0b\"", "a zero byte"},
    {"memcache", "", "needs one of host, hosts and servers"},
    {"memcache", "servers: []", "a server or a list of servers"},
    {"memcache", "servers: ['']", "a server or a list of servers"},
    {"memcache", "servers: [[a]]", "a server or a list of servers"},
    {"memcache", "servers: ''", "a server or a list of servers"},
    {"memcache", "servers: a, hosts: b", "write one of them"},
    {"memcache", "servers: a, host: b", "write one of them"},
    {"memcache", "host: a, servers: b", "write one of them"},
    {"memcache", "servers: a, port: 1", "port belongs to a host"},
    {"memcache", "servers: a, secret_file: /b", "has no 'secret_file'"},
    {"memcache", "servers: a, socket_timeout: 61", "10ms to 60s"},
    {"redis", "servers: [a, b]", "has one server; write an entry for each"},
    {"redis", "host: 'a,b'", "the name or address of one host"},
    {"redis", "host: a:6379", "its port apart"},
    {"redis", "host: ", "the name or address of one host"},
    {"redis", "host: a, port: 0", "a number from 1 to 65535"},
    {"redis", "host: a, port: 65536", "a number from 1 to 65535"},
    {"redis", "host: a, port: 0x10", "a number from 1 to 65535"},
    {"redis", "host: a, secret_file: secret", "an absolute path"},
    {"redis", "host: a, password: b", "has no 'password'; allowed: host, "},
    {"redis", "host: a, Timeout: 2", "has no 'Timeout'"},
    {"redis", "host: a, '<<': {}", "has no '<<'"},
    {"redis", "host: a, [b]: 1", "a key must be a text"},
};

START_TEST(values_that_are_refused)
{
    apr_size_t i;

    for (i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
        assert_refused(apr_psprintf(unit_pool, "- type: %s\n  config: {%s}\n",
                                    configs[i].type, configs[i].config),
                       2, configs[i].why);
    }
}
END_TEST

START_TEST(yaml_that_is_refused)
{
    static const char bomb[] = "- &a [x, x, x, x]\n"
                               "- &b [*a, *a, *a, *a]\n"
                               "- [*b, *b, *b, *b]\n";

    assert_refused(bomb, 1, "anchors (&name) and aliases (*name)");
    assert_refused("- type: disk\n  config: *a\n", 2, "aliases");
    assert_refused("- type: &t disk\n", 1, "anchors");
    assert_refused("- &m {}\n", 1, "anchors");
    assert_refused("- type: !!str disk\n", 1, "tags");
    assert_refused("!locker []\n", 1, "tags");
    assert_refused("- !x {}\n", 1, "tags");
    assert_refused("- type: disk\n   config: a\n", 2, "this isn't YAML");
    assert_refused("- type: disk\n  config: {directory: /a\n", 3,
                   "this isn't YAML");
    assert_refused("- \"a\n", 2, "this isn't YAML");
    assert_refused("- type: \xff\xfe\n", 1, "this isn't UTF-8");
    assert_refused("- {type: disk, config: {directory: /a}}\n---\n- a\n", 2,
                   "a second document isn't allowed");
    assert_refused("- {type: disk, config: {directory: /a}}\n- type: b\n"
                   "  type: b\n",
                   3, "'type' is there twice, first in line 2");
}
END_TEST

static const char *repeat(const char *text, int times)
{
    apr_size_t size = strlen(text);
    char *all = apr_palloc(unit_pool, size * (apr_size_t)times + 1);
    int i;

    for (i = 0; i < times; i++) {
        memcpy(all + (apr_size_t)i * size, text, size);
    }
    all[size * (apr_size_t)times] = '\0';
    return all;
}

START_TEST(too_much_is_refused)
{
    assert_refused(repeat("- {type: disk, config: {directory: /a}}\n", 9), 1,
                   "more than 8 lockers");
    assert_refused(repeat("- a\n", DP_YAML_ITEMS_MAX + 1),
                   DP_YAML_ITEMS_MAX + 1, "too many items; allowed: 256");
    assert_refused(repeat("[", DP_YAML_BYTES_MAX), 1, "nested too deeply");
    assert_refused(repeat("- ", DP_YAML_BYTES_MAX / 2), 1, "nested too deeply");
    assert_refused(repeat("{a: ", 1000), 1, "nested too deeply");
    assert_refused(repeat("#", DP_YAML_BYTES_MAX + 1), 1,
                   "too long; allowed: "
                   "65536 bytes");
}
END_TEST

static const char *read_path(const char *path)
{
    dp_locker_def_t *def;

    return dp_locker_file_read(&def, path, "tiles", lookup, unit_pool);
}

START_TEST(files_that_cannot_be_read)
{
    const char *dir = unit_tempdir();
    const char *path = apr_pstrcat(unit_pool, dir, "/a.yaml", NULL);
    FILE *file;

    ck_assert_ptr_nonnull(strstr(read_path(path), "No such file"));
    ck_assert_ptr_nonnull(strstr(read_path(dir), "Is a directory"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_ptr_nonnull(strstr(read_path(path), "can't be read"));
    ck_assert_int_eq(unlink(path), 0);
    file = fopen(path, "w");
    fputs("- {type: disk, config: {directory: /a}}\n- floppy\n", file);
    fclose(file);
    ck_assert_ptr_nonnull(strstr(read_path(path), "/a.yaml:2: an entry"));
    ck_assert_int_eq(truncate(path, DP_YAML_BYTES_MAX * 1000L), 0);
    ck_assert_ptr_nonnull(strstr(read_path(path), "too long"));
}
END_TEST

START_TEST(the_name_of_a_file)
{
    ck_assert_str_eq(dp_locker_file_name("/etc/a/tiles.yaml", unit_pool),
                     "tiles");
    ck_assert_str_eq(dp_locker_file_name("tiles", unit_pool), "tiles");
    ck_assert_str_eq(dp_locker_file_name("/a.b/tiles.en.yml", unit_pool),
                     "tiles.en");
    ck_assert_str_eq(dp_locker_file_name("/etc/.yaml", unit_pool), ".yaml");
}
END_TEST

UNIT_MAIN("lock/locker_file", one_entry_is_that_locker,
          several_are_a_fallback_in_order, places_in_their_spellings,
          the_shortest_times_are_those_of_the_chain,
          the_back_end_has_the_last_word, no_secret_is_shown,
          what_is_no_list_of_lockers, values_that_are_refused,
          yaml_that_is_refused, too_much_is_refused, files_that_cannot_be_read,
          the_name_of_a_file)
