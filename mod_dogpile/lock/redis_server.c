/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads addresses of redis servers. Called by the parent (and by tools) while
 * the configuration is read, as root, so that the password's file need not be
 * readable by those who serve requests.
 *
 * The invariant: a password reaches `secret` and nothing else. A text that may
 * hold one where none belongs is refused before any part of it is quoted.
 */
#include "lock/redis_server.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <string.h>

#include "base/text.h"
#include "lock/redis_tls.h"

/* redis itself knows no bound; its configuration files have a few dozen. */
#define DATABASE_MAX 99999

/* What stands after '?'. */
typedef struct options_t {
    const char *db;
    const char *user;
    const char *secret;
    const char *ca;
    const char *cert;
    const char *key;
} options_t;

static const char *const allowed =
    "host:port, unix:/path, redis://user@host:port/db or "
    "rediss://user@host:port/db is allowed";

static const char **option_of(options_t *options, const char *name)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = {{"db", &options->db},         {"user", &options->user},
                 {"secret", &options->secret}, {"ca", &options->ca},
                 {"cert", &options->cert},     {"key", &options->key}};
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].value;
        }
    }
    return NULL;
}

/* "db=2&user=tiles"; each at most once. */
static const char *read_options(options_t *options, char *text,
                                apr_pool_t *pool)
{
    char *rest = NULL;
    char *word = apr_strtok(text, "&", &rest);

    for (; word; word = apr_strtok(NULL, "&", &rest)) {
        char *value = strchr(word, '=');
        const char **option;

        if (value == NULL) {
            return "after '?' in a server, name=value is allowed";
        }
        *value++ = '\0';
        option = option_of(options, word);
        if (option == NULL || *option != NULL) {
            return "after '?' in a server, db=, user=, secret=, ca=, cert= and "
                   "key= are allowed, each once";
        }
        *option = dp_text_unescape(value, strlen(value), 0, pool);
        if (*option == NULL || **option == '\0') {
            return apr_psprintf(pool,
                                "the option %s= of a server is empty or "
                                "wrongly escaped",
                                word);
        }
    }
    return NULL;
}

/* Could `text` hold a password before an '@'? Then it is never quoted. */
static int holds_secret(const char *text)
{
    const char *at = strrchr(text, '@');
    const char *begin = strstr(text, "//");
    const char *colon;

    if (at == NULL || strncmp(text, "unix:", 5) == 0) {
        return 0;
    }
    begin = begin && begin < at ? begin + 2 : text;
    colon = memchr(begin, ':', (apr_size_t)(at - begin));
    return colon != NULL;
}

/* Takes "redis://" or what stands for it off `text`: 1 for a URL. */
static int take_scheme(char **text, int *is_tls)
{
    static const char *const schemes[] = {"//", "redis://", "rediss://"};
    int i;

    for (i = 0; i < 3; i++) {
        apr_size_t size = strlen(schemes[i]);

        if (strncmp(*text, schemes[i], size) == 0) {
            *text += size;
            *is_tls = i == 2;
            return 1;
        }
    }
    *is_tls = 0;
    return 0;
}

/* Takes user and database off a URL's rest, which leaves host and port. */
static const char *take_parts(options_t *options, char **text, apr_pool_t *pool)
{
    char *slash = strchr(*text, '/');
    char *at;

    if (slash) {
        *slash++ = '\0';
        if (*slash && options->db) {
            return "a server has one database: /db or db=";
        }
        options->db = *slash ? slash : options->db;
    }
    at = strrchr(*text, '@');
    if (at) {
        if (options->user) {
            return "a server has one user: user@ or user=";
        }
        options->user =
            dp_text_unescape(*text, (apr_size_t)(at - *text), 0, pool);
        if (options->user == NULL || options->user[0] == '\0') {
            return "the user of a server is empty or wrongly escaped";
        }
        *text = at + 1;
    }
    return NULL;
}

/* The first line of a file. */
static const char *read_secret(const char **secret, const char *path,
                               apr_pool_t *pool)
{
    char *line = apr_palloc(pool, DP_REDIS_SECRET_MAX + 2);
    apr_size_t size = DP_REDIS_SECRET_MAX + 1;
    apr_file_t *file;
    char text[128];
    /* Not blocking: a fifo of that name must not stop configtest. */
    apr_status_t status = apr_file_open(
        &file, path, APR_FOPEN_READ | APR_FOPEN_NONBLOCK, 0, pool);

    if (status == APR_SUCCESS) {
        status = apr_file_read_full(file, line, size, &size);
        apr_file_close(file);
        status = APR_STATUS_IS_EOF(status) ? APR_SUCCESS : status;
    }
    if (status != APR_SUCCESS) {
        return apr_psprintf(pool, "the file with the secret, %s: %s", path,
                            apr_strerror(status, text, sizeof(text)));
    }
    line[size] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || strlen(line) > DP_REDIS_SECRET_MAX) {
        return apr_psprintf(pool,
                            "the file with the secret, %s: a first line of 1 "
                            "to %d bytes is allowed",
                            path, DP_REDIS_SECRET_MAX);
    }
    *secret = line;
    return NULL;
}

/* How one gets in. */
static const char *use_options(dp_redis_server_t *server,
                               const options_t *options,
                               const char *secret_file, apr_pool_t *pool)
{
    apr_int64_t database = 0;

    if (options->db && !dp_text_int(options->db, 0, DATABASE_MAX, &database)) {
        return "the database of a redis is a number";
    }
    server->database = apr_psprintf(pool, "%d", (int)database);
    server->user = options->user;
    secret_file = options->secret ? options->secret : secret_file;
    if (secret_file == NULL) {
        return server->user ? "a redis with a user needs the user's password: "
                              "DogpileLockSecretFile or secret=/path"
                            : NULL;
    }
    return read_secret(&server->secret, secret_file, pool);
}

static const char *use_tls(dp_redis_server_t *server, const options_t *options,
                           int is_tls, apr_pool_t *pool)
{
    if (is_tls) {
        return dp_redis_tls_make(&server->tls, options->ca, options->cert,
                                 options->key, pool);
    }
    return options->ca || options->cert || options->key
               ? "ca=, cert= and key= need rediss://"
               : NULL;
}

const char *dp_redis_server_read(dp_redis_server_t **result, const char *text,
                                 const char *secret_file,
                                 apr_pool_t *result_pool)
{
    dp_redis_server_t *server = apr_pcalloc(result_pool, sizeof(*server));
    char *rest = apr_pstrdup(result_pool, text);
    char *query = strchr(rest, '?');
    options_t options = {.db = NULL};
    const char *wrong = NULL;
    int is_tls;

    if (holds_secret(text)) {
        return "a password is never part of a server: "
               "redis://user@host:port/db and DogpileLockSecretFile or "
               "?secret=/path are allowed";
    }
    if (query) {
        *query++ = '\0';
        wrong = read_options(&options, query, result_pool);
    }
    if (wrong == NULL && take_scheme(&rest, &is_tls)) {
        wrong = take_parts(&options, &rest, result_pool);
    }
    if (wrong == NULL && strstr(rest, "//")) {
        wrong = apr_psprintf(result_pool, "%s: %s", text, allowed);
    }
    if (wrong == NULL) {
        wrong = dp_net_server(&server->at, rest, DP_REDIS_PORT, result_pool);
    }
    if (wrong == NULL) {
        wrong = use_options(server, &options, secret_file, result_pool);
    }
    if (wrong == NULL) {
        wrong = use_tls(server, &options, is_tls, result_pool);
    }
    if (wrong) {
        return wrong;
    }
    server->shown =
        apr_pstrcat(result_pool, is_tls ? "rediss://" : "redis://",
                    server->user ? server->user : "", server->user ? "@" : "",
                    server->at.name, "/", server->database, NULL);
    *result = server;
    return NULL;
}
