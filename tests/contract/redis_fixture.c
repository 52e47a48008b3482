/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_fixture.h"

#include <apr_strings.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_USEC apr_time_from_sec(30)
#define PAUSE_USEC 2000
#define OPTIONS_MAX 40

/* One a test; a test is a process or the only one in it. */
typedef struct fixture_t {
    const char *directory;
    pid_t pid; /* 0: none runs */
    redisContext *side;
    const char *password;
} fixture_t;

static void close_side(fixture_t *fixture)
{
    if (fixture->side) {
        redisFree(fixture->side);
    }
    fixture->side = NULL;
}

static apr_status_t fixture_end(void *baton)
{
    fixture_t *fixture = baton;

    close_side(fixture);
    if (fixture->pid) {
        kill(fixture->pid, SIGKILL);
        waitpid(fixture->pid, NULL, 0);
    }
    return APR_SUCCESS;
}

static fixture_t *fixture_get(void)
{
    fixture_t *fixture;
    void *found = NULL;

    apr_pool_userdata_get(&found, "redis fixture", unit_pool);
    if (found) {
        return found;
    }
    fixture = apr_pcalloc(unit_pool, sizeof(*fixture));
    fixture->directory = unit_tempdir();
    apr_pool_userdata_setn(fixture, "redis fixture", NULL, unit_pool);
    apr_pool_cleanup_register(unit_pool, fixture, fixture_end,
                              apr_pool_cleanup_null);
    return fixture;
}

const char *redis_path(const char *name)
{
    return apr_pstrcat(unit_pool, fixture_get()->directory, "/", name, NULL);
}

const char *redis_file(const char *name, const char *content)
{
    const char *path = redis_path(name);
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(content, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* In a process of its own that ends with ours. */
static void become_server(const char *const options[], pid_t parent)
{
    const char *argv[OPTIONS_MAX] = {
        "redis-server", "--port",       "0",  "--save",    "",   "--dir",
        redis_path(""), "--unixsocket", NULL, "--logfile", NULL, "--bind",
        "127.0.0.1",    "--daemonize",  "no"};
    int argc = 15;

    argv[8] = redis_path("redis.sock");
    argv[10] = redis_path("redis.log");
    while (options && *options && argc < OPTIONS_MAX - 1) {
        argv[argc++] = *options++;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        execvp(argv[0], (char *const *)argv);
    }
    _exit(127);
}

static redisContext *enter_side(const fixture_t *fixture)
{
    struct timeval patience = {.tv_sec = 30, .tv_usec = 0};
    redisContext *side =
        redisConnectUnixWithTimeout(redis_path("redis.sock"), patience);
    redisReply *reply = NULL;

    if (side && side->err == 0) {
        redisSetTimeout(side, patience);
        reply = fixture->password
                    ? redisCommand(side, "AUTH %s", fixture->password)
                    : redisCommand(side, "PING");
    }
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
        redisFree(side);
        side = NULL;
    }
    freeReplyObject(reply);
    return side;
}

void redis_start(const char *const options[])
{
    fixture_t *fixture = fixture_get();
    apr_time_t deadline = apr_time_now() + PATIENCE_USEC;
    pid_t parent = getpid();

    ck_assert_int_eq(fixture->pid, 0);
    fixture->pid = fork();
    ck_assert_int_ge(fixture->pid, 0);
    if (fixture->pid == 0) {
        become_server(options, parent);
    }
    while (fixture->side == NULL) {
        ck_assert_msg(apr_time_now() < deadline
                          && waitpid(fixture->pid, NULL, WNOHANG) == 0,
                      "redis-server doesn't start; see apt-get install "
                      "redis-server");
        fixture->side = enter_side(fixture);
        if (fixture->side == NULL) {
            usleep(PAUSE_USEC);
        }
    }
}

static fixture_t *running(void)
{
    fixture_t *fixture = fixture_get();

    if (fixture->pid == 0) {
        redis_start(NULL);
    }
    return fixture;
}

const char *redis_socket(void)
{
    running();
    return apr_pstrcat(unit_pool, "unix:", redis_path("redis.sock"), NULL);
}

void redis_side_password(const char *password)
{
    fixture_get()->password = password;
}

void redis_kill(void)
{
    fixture_t *fixture = running();

    close_side(fixture);
    ck_assert_int_eq(kill(fixture->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(fixture->pid, NULL, 0), fixture->pid);
    fixture->pid = 0;
    unlink(redis_path("redis.sock"));
}

void redis_signal(int number)
{
    fixture_t *fixture = running();
    int status;

    ck_assert_int_eq(kill(fixture->pid, number), 0);
    if (number == SIGSTOP) {
        ck_assert_int_eq(waitpid(fixture->pid, &status, WUNTRACED),
                         fixture->pid);
        ck_assert(WIFSTOPPED(status));
    }
}

static apr_status_t reply_free(void *reply)
{
    freeReplyObject(reply);
    return APR_SUCCESS;
}

static const redisReply *keep_reply(redisReply *reply)
{
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s", reply->str);
    apr_pool_cleanup_register(unit_pool, reply, reply_free,
                              apr_pool_cleanup_null);
    return reply;
}

const redisReply *redis_do(const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = redisvCommand(running()->side, format, args);
    va_end(args);
    return keep_reply(reply);
}

void redis_put(const char *key, const void *bytes, size_t size)
{
    keep_reply(redisCommand(running()->side, "SET %s %b", key, bytes, size));
}

int redis_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

void redis_certificates(const char *name)
{
    static const char *const script =
        "cd '%s' && exec >certificates.log 2>&1 && "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem && "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-subj /CN=%s -keyout server.key -out server.csr && "
        "printf 'subjectAltName=DNS:%s' >server.ext && "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 "
        "-CAcreateserial -extfile server.ext -out server.pem";

    ck_assert_int_eq(system(apr_psprintf(unit_pool, script,
                                         fixture_get()->directory, name, name)),
                     0);
}
