/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of lock servers: what is read, and what is refused at once that
 * would otherwise fail in the night.
 */
#include <apr_strings.h>
#include <string.h>

#include "lock/lock_net.h"
#include "unit.h"

static dp_net_server_t read_one(const char *text)
{
    dp_net_server_t server;
    const char *error = dp_net_server(&server, text, 11211, unit_pool);

    ck_assert_msg(error == NULL, "%s: %s", text, error ? error : "");
    return server;
}

static void assert_refused(const char *text, const char *why)
{
    dp_net_server_t server;
    const char *error = dp_net_server(&server, text, 11211, unit_pool);

    ck_assert_msg(error && strstr(error, why), "%s: %s", text,
                  error ? error : "accepted");
}

START_TEST(names_and_addresses_have_ports)
{
    dp_net_server_t server = read_one("cache1:4711");

    ck_assert_str_eq(server.host, "cache1");
    ck_assert_int_eq(server.port, 4711);
    ck_assert_ptr_null(server.path);
    ck_assert(!server.is_ipv6);
    ck_assert_str_eq(server.name, "cache1:4711");
    server = read_one("10.0.0.7");
    ck_assert_str_eq(server.name, "10.0.0.7:11211");
    server = read_one("Cache-1.Example.ORG");
    ck_assert_str_eq(server.host, "cache-1.example.org");
    server = read_one("tiles_cache_1:65535");
    ck_assert_int_eq(server.port, 65535);
}
END_TEST

START_TEST(ipv6_stands_in_brackets)
{
    dp_net_server_t server = read_one("[2001:DB8:0:0::7]:4711");

    ck_assert_str_eq(server.host, "2001:db8::7");
    ck_assert_int_eq(server.port, 4711);
    ck_assert(server.is_ipv6);
    ck_assert_str_eq(server.name, "[2001:db8::7]:4711");
    server = read_one("[::1]");
    ck_assert_str_eq(server.name, "[::1]:11211");
    assert_refused("::1", "needs brackets");
    assert_refused("2001:db8::7:11211", "needs brackets");
    assert_refused("[::1", "not an IPv6");
    assert_refused("[]", "not an IPv6");
    assert_refused("[cache1]:1", "not an IPv6");
    assert_refused("[fe80::1%eth0]:1", "not an IPv6");
    assert_refused("[::1]11211", "port");
}
END_TEST

START_TEST(sockets_have_absolute_paths)
{
    char *path = apr_palloc(unit_pool, 200);
    dp_net_server_t server = read_one("unix:/run/cache:1,.sock");

    ck_assert_str_eq(server.path, "/run/cache:1,.sock");
    ck_assert_ptr_null(server.host);
    ck_assert_int_eq(server.port, 0);
    ck_assert_str_eq(server.name, "unix:/run/cache:1,.sock");
    assert_refused("unix:", "not absolute");
    assert_refused("unix:cache.sock", "not absolute");
    memset(path, 'x', 199);
    memcpy(path, "unix:/", 6);
    path[5 + DP_NET_PATH_BYTES - 1] = '\0';
    read_one(path);
    path[5 + DP_NET_PATH_BYTES - 1] = 'x';
    path[5 + DP_NET_PATH_BYTES] = '\0';
    assert_refused(path, "longer");
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
    char *host = apr_palloc(unit_pool, 300);

    assert_refused("", "neither");
    assert_refused(":11211", "neither");
    assert_refused("cache 1", "neither");
    assert_refused("cache1 :1", "neither");
    assert_refused("memcache://cache1", "port");
    assert_refused("cache1/0", "neither");
    assert_refused("-cache", "neither");
    assert_refused(".cache", "neither");
    assert_refused("a..b", "neither");
    assert_refused("caf\xc3\xa9", "neither");
    assert_refused("10.0.1", "neither");
    assert_refused("10.0.0.256", "neither");
    assert_refused("11211", "neither");
    assert_refused("cache1:", "port");
    assert_refused("cache1:0", "port");
    assert_refused("cache1:65536", "port");
    assert_refused("cache1:+1", "port");
    assert_refused("cache1:http", "port");
    memset(host, 'a', 299);
    host[DP_NET_HOST_MAX] = '\0';
    read_one(host);
    host[DP_NET_HOST_MAX] = 'a';
    host[DP_NET_HOST_MAX + 1] = '\0';
    assert_refused(host, "neither");
}
END_TEST

START_TEST(without_a_default_the_port_is_needed)
{
    dp_net_server_t server;

    ck_assert_ptr_nonnull(dp_net_server(&server, "cache1", 0, unit_pool));
    ck_assert_ptr_nonnull(dp_net_server(&server, "[::1]", 0, unit_pool));
    ck_assert_ptr_null(dp_net_server(&server, "cache1:1", 0, unit_pool));
    ck_assert_ptr_null(dp_net_server(&server, "unix:/run/a", 0, unit_pool));
}
END_TEST

static const char *read_list(apr_array_header_t **servers, const char *first,
                             const char *second)
{
    apr_array_header_t *texts =
        apr_array_make(unit_pool, 2, sizeof(const char *));

    if (first) {
        APR_ARRAY_PUSH(texts, const char *) = first;
    }
    if (second) {
        APR_ARRAY_PUSH(texts, const char *) = second;
    }
    return dp_net_servers(servers, texts, 11211, unit_pool);
}

START_TEST(lists_keep_their_order)
{
    apr_array_header_t *servers;

    ck_assert_ptr_null(read_list(&servers, "b,a:1,unix:/run/c", "[::1]"));
    ck_assert_int_eq(servers->nelts, 4);
    ck_assert_str_eq(APR_ARRAY_IDX(servers, 0, dp_net_server_t).name,
                     "b:11211");
    ck_assert_str_eq(APR_ARRAY_IDX(servers, 1, dp_net_server_t).name, "a:1");
    ck_assert_str_eq(APR_ARRAY_IDX(servers, 2, dp_net_server_t).name,
                     "unix:/run/c");
    ck_assert_str_eq(APR_ARRAY_IDX(servers, 3, dp_net_server_t).name,
                     "[::1]:11211");
}
END_TEST

START_TEST(lists_have_no_gaps_and_nobody_twice)
{
    apr_array_header_t *servers;
    const char *many = "h0";
    int i;

    ck_assert_ptr_nonnull(strstr(read_list(&servers, NULL, NULL), "needed"));
    ck_assert_ptr_nonnull(dp_net_servers(&servers, NULL, 11211, unit_pool));
    ck_assert_ptr_nonnull(read_list(&servers, "", NULL));
    ck_assert_ptr_nonnull(read_list(&servers, "a,", NULL));
    ck_assert_ptr_nonnull(read_list(&servers, "a,,b", NULL));
    ck_assert_ptr_nonnull(strstr(read_list(&servers, "a", "A:11211"), "twice"));
    ck_assert_ptr_nonnull(
        strstr(read_list(&servers, "[::1],[0:0::1]:11211", NULL), "twice"));
    for (i = 1; i < DP_NET_SERVERS_MAX; i++) {
        many = apr_psprintf(unit_pool, "%s,h%d", many, i);
    }
    ck_assert_ptr_null(read_list(&servers, many, NULL));
    ck_assert_ptr_nonnull(strstr(read_list(&servers, many, "more"), "at most"));
}
END_TEST

UNIT_MAIN("lock/net", names_and_addresses_have_ports, ipv6_stands_in_brackets,
          sockets_have_absolute_paths, what_is_no_address_is_refused,
          without_a_default_the_port_is_needed, lists_keep_their_order,
          lists_have_no_gaps_and_nobody_twice)
