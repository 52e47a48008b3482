/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ZooKeeper as a process: how it is configured, started, asked and ended.
 * Used by zookeeper_fixture.c for the server that all tests share, and by the
 * tests that harm one.
 */
#include "zookeeper_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Debian's; its manifest names all others. */
#define JAR "/usr/share/java/zookeeper.jar"

/* Java on a busy machine. */
#define START_USEC apr_time_from_sec(50)

/* Sessions last at least 2 ticks and at most 20. */
#define TICK_MSEC 1000

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

void zookeeper_forget(const zookeeper_server_t *server)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/data", server->directory);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void zookeeper_remove(const zookeeper_server_t *server)
{
    nftw(server->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_configuration(const zookeeper_server_t *server)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/zoo.cfg", server->directory);
    file = fopen(path, "w");
    ZOOKEEPER_MUST(file != NULL);
    fprintf(file,
            "tickTime=%d\ndataDir=%s/data\nclientPort=%d\n"
            "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr,wchs\n",
            TICK_MSEC, server->directory, server->port);
    fclose(file);
}

/* Folders that are empty vanish after a second rather than after a minute, so
 * every test meets that. */
static void become_java(const zookeeper_server_t *server)
{
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(server->directory) != 0) {
        _exit(1);
    }
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    unsetenv("LD_PRELOAD");
    execlp("java", "java", "-Xmx64m", "-Xss256k", "-XX:+UseSerialGC",
           "-Xshare:auto", "-XX:TieredStopAtLevel=1",
           "-Dzookeeper.forceSync=no", "-Dznode.container.checkIntervalMs=1000",
           "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
           "zoo.cfg", (char *)NULL);
    _exit(1);
}

/* Ask it by its own little protocol. One that isn't ready may take the question
 * and never answer. */
static void ask(char answer[1024], int port, const char *word)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = 1};
    size_t used = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0
        && send(fd, word, strlen(word), MSG_NOSIGNAL) > 0) {
        do {
            got = recv(fd, answer + used, 1023 - used, 0);
            used += got > 0 ? (size_t)got : 0;
        } while (got > 0 && used < 1023);
    }
    answer[used] = '\0';
    close(fd);
}

static int is_serving(int port)
{
    char answer[1024];

    ask(answer, port, "srvr");
    return strstr(answer, "Mode: ") != NULL;
}

int zookeeper_watches(int port)
{
    char answer[1024];
    const char *total;

    ask(answer, port, "wchs");
    total = strstr(answer, "Total watches:");
    ck_assert_ptr_nonnull(total);
    return atoi(total + strlen("Total watches:"));
}

/* 0 when it ended, perhaps as somebody else has the port now. */
static int try_start(zookeeper_server_t *server)
{
    apr_time_t deadline = apr_time_now() + START_USEC;

    write_configuration(server);
    server->pid = fork();
    ZOOKEEPER_MUST(server->pid >= 0);
    if (server->pid == 0) {
        become_java(server);
    }
    while (!is_serving(server->port)) {
        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            return 0;
        }
        ZOOKEEPER_MUST(apr_time_now() < deadline);
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    return 1;
}

void zookeeper_start(zookeeper_server_t *server)
{
    int is_new = server->port == 0;
    int i;

    for (i = 0; i < 5; i++) {
        if (is_new) {
            server->port = zookeeper_free_port();
        }
        if (try_start(server)) {
            return;
        }
    }
    fputs("ZooKeeper ends at once: is " JAR " there, and java?\n", stderr);
    abort();
}

void zookeeper_kill(zookeeper_server_t *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}
