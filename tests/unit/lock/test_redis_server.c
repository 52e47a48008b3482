/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/redis_server.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define PASSWORD "sesame-0815"

/* The server, or NULL; then `wrong` says why. */
static const char *wrong;

static const dp_redis_server_t *parse(const char *text, const char *secret_file)
{
    dp_redis_server_t *server = NULL;

    wrong = dp_redis_server_read(&server, text, secret_file, unit_pool);
    ck_assert((wrong == NULL) == (server != NULL));
    return server;
}

static const char *file_with(const char *content)
{
    const char *path = apr_pstrcat(unit_pool, unit_tempdir(), "/secret", NULL);
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(content, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

START_TEST(every_form_is_read)
{
    static const struct {
        const char *text;
        const char *host;
        int port;
        const char *path;
        const char *database;
        const char *shown;
    } forms[] = {
        {"Cache1", "cache1", 6379, NULL, "0", "redis://cache1:6379/0"},
        {"cache1:1", "cache1", 1, NULL, "0", "redis://cache1:1/0"},
        {"[::1]:7", "::1", 7, NULL, "0", "redis://[::1]:7/0"},
        {"unix:/run/r.sock", NULL, 0, "/run/r.sock", "0",
         "redis://unix:/run/r.sock/0"},
        {"unix:/run/r.sock?db=15", NULL, 0, "/run/r.sock", "15",
         "redis://unix:/run/r.sock/15"},
        {"redis://h", "h", 6379, NULL, "0", "redis://h:6379/0"},
        {"redis://h/", "h", 6379, NULL, "0", "redis://h:6379/0"},
        {"redis://h:99/12", "h", 99, NULL, "12", "redis://h:99/12"},
        {"//h:99/12", "h", 99, NULL, "12", "redis://h:99/12"},
        {"redis://h?db=4", "h", 6379, NULL, "4", "redis://h:6379/4"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        const dp_redis_server_t *server = parse(forms[i].text, NULL);

        ck_assert_msg(wrong == NULL, "%s: %s", forms[i].text, wrong);
        ck_assert_int_eq(server->at.port, forms[i].port);
        ck_assert_str_eq(server->database, forms[i].database);
        ck_assert_str_eq(server->shown, forms[i].shown);
        ck_assert_ptr_null(server->user);
        ck_assert_ptr_null(server->secret);
        ck_assert_ptr_null(server->tls);
        if (forms[i].host) {
            ck_assert_str_eq(server->at.host, forms[i].host);
        }
        else {
            ck_assert_str_eq(server->at.path, forms[i].path);
        }
    }
}
END_TEST

START_TEST(users_and_secrets_come_from_where_they_may)
{
    const char *path = file_with(PASSWORD "\nsecond line\n");
    const dp_redis_server_t *server = parse("redis://ti%20les@h", path);

    ck_assert_ptr_nonnull(server);
    ck_assert_str_eq(server->user, "ti les");
    ck_assert_str_eq(server->secret, PASSWORD);
    ck_assert_ptr_null(strstr(server->shown, PASSWORD));
    server = parse(apr_pstrcat(unit_pool, "unix:/s?user=u&secret=", path, NULL),
                   NULL);
    ck_assert_ptr_nonnull(server);
    ck_assert_str_eq(server->user, "u");
    ck_assert_str_eq(server->secret, PASSWORD);
    ck_assert_ptr_nonnull(parse("h", path));
    ck_assert_ptr_null(parse("redis://u@h", NULL));
    /* The nearer one counts. */
    server = parse(apr_pstrcat(unit_pool, "h?secret=", path, NULL),
                   file_with("another"));
    ck_assert_ptr_nonnull(server);
    ck_assert_str_eq(server->secret, PASSWORD);
}
END_TEST

START_TEST(a_password_in_a_server_is_refused_and_not_quoted)
{
    static const char *const texts[] = {
        "redis://u:" PASSWORD "@h",
        "redis://:" PASSWORD "@h/2",
        "rediss://u:" PASSWORD "@h:1",
        "//u:" PASSWORD "@h",
        "u:" PASSWORD "@h",
        ":" PASSWORD "@h",
        "redis://u:" PASSWORD "/x@h",
        "redis://u:" PASSWORD "?x@h",
        "redis://u:" PASSWORD "@x@h",
        "redis://u:" PASSWORD "//@h",
        "redis:u:" PASSWORD "@h",
        "redis://u:" PASSWORD "#@h?db=1",
        "rediss:" PASSWORD "@h",
        "redis://h?user=u:" PASSWORD "@h",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        ck_assert_msg(parse(texts[i], NULL) == NULL, "%s", texts[i]);
        ck_assert_msg(strstr(wrong, "password") != NULL, "%s: %s", texts[i],
                      wrong);
        ck_assert_msg(strstr(wrong, PASSWORD) == NULL, "%s", wrong);
    }
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    static const char *const texts[] = {
        "",
        "redis://",
        "redis:///1",
        "//",
        "h:0",
        "h:65536",
        "h:x",
        "http://h",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h/100000",
        "redis://@h",
        "redis://%zz@h",
        "redis://%00@h",
        "h?",
        "h?db",
        "h?db=",
        "h?db=1&db=2",
        "redis://h/1?db=1",
        "redis://u@h?user=u",
        "h?nonsense=1",
        "h?password=x",
        "h?ca=/ca.pem",
        "unix:relative",
        "unix:",
        "a,b",
        "h /",
        "rediss://h?ca=/nowhere/ca.pem",
        "rediss://h?cert=/nowhere/a.pem",
        "rediss://h?cert=/nowhere/a.pem&key=/nowhere/a.key",
        "h?secret=/nowhere/secret",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (strcmp(texts[i], "h?") == 0) {
            continue; /* nothing asked for, nothing wrong */
        }
        ck_assert_msg(parse(texts[i], NULL) == NULL, "%s", texts[i]);
        ck_assert_int_gt((int)strlen(wrong), 10);
    }
}
END_TEST

START_TEST(a_secret_is_one_line_of_a_sensible_length)
{
    char *line = apr_palloc(unit_pool, DP_REDIS_SECRET_MAX + 2);

    memset(line, 'x', DP_REDIS_SECRET_MAX + 1);
    line[DP_REDIS_SECRET_MAX + 1] = '\0';
    ck_assert_ptr_null(parse("h", file_with(line)));
    ck_assert_ptr_null(strstr(wrong, "xxxx"));
    line[DP_REDIS_SECRET_MAX] = '\0';
    ck_assert_str_eq(parse("h", file_with(line))->secret, line);
    ck_assert_ptr_null(parse("h", file_with("")));
    ck_assert_ptr_null(parse("h", file_with("\nsecond")));
    ck_assert_str_eq(parse("h", file_with("a b\t\r\n"))->secret, "a b\t");
    ck_assert_ptr_null(parse("h", unit_tempdir()));
}
END_TEST

START_TEST(tls_takes_the_systems_ca)
{
    const dp_redis_server_t *server = parse("rediss://h:6380/1", NULL);

    ck_assert_msg(wrong == NULL, "%s", wrong);
    ck_assert_ptr_nonnull(server->tls);
    ck_assert_str_eq(server->shown, "rediss://h:6380/1");
}
END_TEST

UNIT_MAIN("lock/redis_server", every_form_is_read,
          users_and_secrets_come_from_where_they_may,
          a_password_in_a_server_is_refused_and_not_quoted,
          what_makes_no_sense_is_refused,
          a_secret_is_one_line_of_a_sensible_length, tls_takes_the_systems_ca)
