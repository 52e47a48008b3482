/* SPDX-License-Identifier: Apache-2.0 */
#include "memcached_fixture.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often to look whether a server has begun to listen, and for how long:
 * far beyond any sensible wait. */
#define LOOK_USEC 5000
#define LOOKS 4000

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_port = htons((in_port_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int mcd_free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static int connect_to(const mcd_t *server)
{
    struct sockaddr_in address = loopback(server->port);
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    int fd;
    int error;

    if (server->port) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    }
    else {
        apr_cpystrn(path.sun_path, server->address + strlen("unix:"),
                    sizeof(path.sun_path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error = connect(fd, (const struct sockaddr *)&path, sizeof(path));
    }
    if (error) {
        close(fd);
        return -1;
    }
    return fd;
}

static void execute(const mcd_t *server, pid_t parent)
{
    const char *path = server->address + strlen("unix:");
    const char *port = apr_itoa(unit_pool, server->port);

    /* It may never outlive the test. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    if (server->port) {
        execlp("memcached", "memcached", "-u", "root", "-l", "127.0.0.1", "-p",
               port, "-U", "0", "-m", "64", "-t", "2", server->option,
               server->another, (char *)NULL);
    }
    else {
        execlp("memcached", "memcached", "-u", "root", "-s", path, "-m", "64",
               "-t", "2", server->option, server->another, (char *)NULL);
    }
    _exit(127);
}

/* 0 when it ended instead: somebody else was faster at its port. */
static int launch(mcd_t *server)
{
    pid_t parent = getpid();
    int looks;
    int fd;

    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        execute(server, parent);
    }
    for (looks = 0; looks < LOOKS; looks++) {
        int status;

        fd = connect_to(server);
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            ck_assert_msg(!WIFEXITED(status) || WEXITSTATUS(status) != 127,
                          "memcached is not installed");
            close(fd);
            server->pid = 0;
            return 0;
        }
        if (fd >= 0) {
            close(fd);
            return 1;
        }
        usleep(LOOK_USEC);
    }
    ck_abort_msg("memcached doesn't listen on %s", server->address);
    return 0;
}

static apr_status_t end_server(void *data)
{
    mcd_t *server = data;

    if (server->pid) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    return APR_SUCCESS;
}

static mcd_t *new_server(void)
{
    mcd_t *server = apr_pcalloc(unit_pool, sizeof(*server));

    apr_pool_cleanup_register(unit_pool, server, end_server,
                              apr_pool_cleanup_null);
    return server;
}

mcd_t *mcd_start(void)
{
    return mcd_start_with(NULL, NULL);
}

mcd_t *mcd_start_with(const char *option, const char *another)
{
    mcd_t *server = new_server();
    int tries = 0;

    server->option = option;
    server->another = another;
    do {
        ck_assert_int_lt(tries++, 10);
        server->port = mcd_free_port();
        server->address = apr_psprintf(unit_pool, "127.0.0.1:%d", server->port);
    } while (!launch(server));
    return server;
}

mcd_t *mcd_start_socket(void)
{
    mcd_t *server = new_server();

    server->address =
        apr_pstrcat(unit_pool, "unix:", unit_tempdir(), "/m.sock", NULL);
    ck_assert(launch(server));
    return server;
}

void mcd_kill(mcd_t *server)
{
    end_server(server);
}

void mcd_restart(mcd_t *server)
{
    int tries = 0;

    end_server(server);
    if (server->port == 0) {
        unlink(server->address + strlen("unix:"));
    }
    while (!launch(server)) {
        ck_assert_int_lt(tries++, LOOKS);
        usleep(LOOK_USEC);
    }
}

void mcd_stop(mcd_t *server)
{
    int status;

    ck_assert_int_eq(kill(server->pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(server->pid, &status, WUNTRACED), server->pid);
    ck_assert(WIFSTOPPED(status));
}

void mcd_go_on(mcd_t *server)
{
    ck_assert_int_eq(kill(server->pid, SIGCONT), 0);
}

/* ---- past everything ---- */

static int is_answer(const char *text)
{
    static const char *const ends[] = {"END\r\n",
                                       "STORED\r\n",
                                       "DELETED\r\n",
                                       "NOT_FOUND\r\n",
                                       "NOT_STORED\r\n",
                                       "OK\r\n",
                                       "ERROR",
                                       "EN\r\n",
                                       "HD",
                                       NULL};
    int i;

    for (i = 0; ends[i]; i++) {
        if (strstr(text, ends[i])) {
            return 1;
        }
    }
    return 0;
}

static void send_all(int fd, const void *bytes, apr_size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        ck_assert_int_gt(sent, 0);
        at += sent;
        size -= (apr_size_t)sent;
    }
}

static const char *read_answer(int fd)
{
    apr_size_t room = 65536;
    char *answer = apr_pcalloc(unit_pool, room);
    apr_size_t have = 0;

    while (!is_answer(answer)) {
        ssize_t got = recv(fd, answer + have, room - have - 1, 0);

        ck_assert_int_gt(got, 0);
        have += (apr_size_t)got;
        ck_assert_uint_lt(have, room - 1);
    }
    return answer;
}

const char *mcd_ask(const mcd_t *server, const char *command)
{
    int fd = connect_to(server);
    const char *answer;

    ck_assert_int_ge(fd, 0);
    send_all(fd, command, strlen(command));
    answer = read_answer(fd);
    close(fd);
    return answer;
}

void mcd_plant(const mcd_t *server, const char *key, const void *bytes,
               apr_size_t size, unsigned flags)
{
    const char *head = apr_psprintf(unit_pool, "set %s %u 3600 %lu\r\n", key,
                                    flags, (unsigned long)size);
    int fd = connect_to(server);

    ck_assert_int_ge(fd, 0);
    send_all(fd, head, strlen(head));
    send_all(fd, bytes, size);
    send_all(fd, "\r\n", 2);
    ck_assert_str_eq(read_answer(fd), "STORED\r\n");
    close(fd);
}

void mcd_delete(const mcd_t *server, const char *key)
{
    ck_assert_str_eq(
        mcd_ask(server, apr_pstrcat(unit_pool, "delete ", key, "\r\n", NULL)),
        "DELETED\r\n");
}
