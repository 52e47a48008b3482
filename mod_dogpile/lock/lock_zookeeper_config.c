/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says of a ZooKeeper ensemble: servers, folder,
 * secret. Called once, by the parent or by configtest; contacts nothing.
 *
 * The secret is read here, while we are root, so that its file needs no other
 * reader. It is never shown: no message below has a byte of it.
 */
#include <apr_file_io.h>
#include <apr_strings.h>
#include <string.h>

#include "lock/lock_net.h"
#include "lock/lock_zookeeper.h"

#define PORT 2181

/* Longest folder, and longest line of a secret file. */
#define ROOT_MAX 200
#define SECRET_MAX 1000

#define ALLOWED                                                                \
    "allowed: host, host:port, [IPv6]:port, several with commas between, and " \
    "then perhaps the folder of the locks: zk1:2181,zk2:2181/locks"

/* "/a/b": what every ZooKeeper takes for a path, and no more. */
static int is_root(const char *root)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789._-";

    if (strlen(root) > ROOT_MAX || strcmp(root, "/zookeeper") == 0
        || strncmp(root, "/zookeeper/", 11) == 0) {
        return 0;
    }
    while (*root == '/') {
        apr_size_t size = strspn(++root, letters);

        if (size == 0 || strspn(root, ".") == size) {
            return 0;
        }
        root += size;
    }
    return *root == '\0';
}

/* Cut "zk1,zk2/root" in two. Every server's root must be the same. */
static const char *cut(const char **hosts, const char **root, const char *text,
                       apr_pool_t *pool)
{
    const char *slash = strchr(text, '/');

    if (strncmp(text, "unix:", 5) == 0 || strstr(text, "://")) {
        return apr_psprintf(pool, "DogpileLockServer %s: " ALLOWED, text);
    }
    *hosts = text;
    if (slash == NULL) {
        return NULL;
    }
    *hosts = apr_pstrmemdup(pool, text, (apr_size_t)(slash - text));
    if (slash[1] == '\0') {
        return NULL;
    }
    if (!is_root(slash)) {
        return apr_psprintf(pool,
                            "DogpileLockServer %s: a folder is written as "
                            "/name/name, with letters, digits and ._-, and "
                            "not below /zookeeper",
                            text);
    }
    if (*root && strcmp(*root, slash) != 0) {
        return "DogpileLockServer: the servers of one locker can't have "
               "different folders";
    }
    *root = slash;
    return NULL;
}

static const char *read_servers(dp_zk_where_t *where,
                                const dogpile_locker_conf_t *conf,
                                apr_pool_t *pool)
{
    apr_array_header_t *texts = apr_array_make(pool, 4, sizeof(char *));
    apr_array_header_t *servers;
    const char *root = NULL;
    const char *wrong;
    int i;

    if (conf->servers == NULL || conf->servers->nelts == 0) {
        return "a zookeeper locker needs DogpileLockServer; " ALLOWED;
    }
    for (i = 0; i < conf->servers->nelts; i++) {
        const char *hosts = NULL;

        wrong = cut(&hosts, &root,
                    APR_ARRAY_IDX(conf->servers, i, const char *), pool);
        if (wrong) {
            return wrong;
        }
        APR_ARRAY_PUSH(texts, const char *) = hosts;
    }
    wrong = dp_net_servers(&servers, texts, PORT, pool);
    if (wrong) {
        return wrong;
    }
    for (i = 0; i < servers->nelts; i++) {
        if (APR_ARRAY_IDX(servers, i, dp_net_server_t).path) {
            return "DogpileLockServer: ZooKeeper has no unix socket; " ALLOWED;
        }
    }
    where->servers = servers;
    where->root = root ? apr_pstrdup(pool, root) : DP_ZK_ROOT;
    return NULL;
}

/* The first line of a file, into `line`. */
static apr_status_t read_line(char line[SECRET_MAX + 2], const char *path,
                              apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t status = apr_file_open(
        &file, path, APR_FOPEN_READ | APR_FOPEN_BUFFERED, 0, pool);

    if (status != APR_SUCCESS) {
        return status;
    }
    line[0] = '\0';
    status = apr_file_gets(line, SECRET_MAX + 2, file);
    apr_file_close(file);
    line[strcspn(line, "\r\n")] = '\0';
    return APR_STATUS_IS_EOF(status) ? APR_SUCCESS : status;
}

static const char *read_secret(dp_zk_where_t *where, const char *path,
                               apr_pool_t *pool)
{
    char line[SECRET_MAX + 2];
    char why[128];
    apr_status_t status = read_line(line, path, pool);
    const char *colon = strchr(line, ':');

    if (status != APR_SUCCESS) {
        return apr_psprintf(pool, "DogpileLockSecretFile %s: %s", path,
                            apr_strerror(status, why, sizeof(why)));
    }
    if (strlen(line) > SECRET_MAX || colon == NULL || colon == line
        || colon[1] == '\0') {
        return apr_psprintf(pool,
                            "DogpileLockSecretFile %s: its first line must be "
                            "user:password, at most %d bytes",
                            path, SECRET_MAX);
    }
    where->secret = apr_pstrdup(pool, line);
    return NULL;
}

const char *dp_zk_configure(dp_zk_where_t *where,
                            const dogpile_locker_conf_t *conf,
                            apr_pool_t *result_pool)
{
    const char *wrong = read_servers(where, conf, result_pool);

    if (wrong || conf->secret_file == NULL) {
        return wrong;
    }
    return read_secret(where, conf->secret_file, result_pool);
}
