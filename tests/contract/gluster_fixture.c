/* SPDX-License-Identifier: Apache-2.0 */
#include "gluster_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546
#define PATIENCE_SEC 30

/* Of a server without glusterd: a directory, its locks, its port. */
static const char brick_text[] = "volume posix\n"
                                 "    type storage/posix\n"
                                 "    option directory %s/brick\n"
                                 "end-volume\n"
                                 "volume locks\n"
                                 "    type features/locks\n"
                                 "    subvolumes posix\n"
                                 "end-volume\n"
                                 "volume brick\n"
                                 "    type performance/io-threads\n"
                                 "    subvolumes locks\n"
                                 "end-volume\n"
                                 "volume server\n"
                                 "    type protocol/server\n"
                                 "    option transport-type tcp\n"
                                 "    option transport.socket.bind-address "
                                 "127.0.0.1\n"
                                 "    option transport.socket.listen-port %d\n"
                                 "    option auth.addr.brick.allow 127.0.0.1\n"
                                 "    subvolumes brick\n"
                                 "end-volume\n";

static const char client_text[] = "volume client\n"
                                  "    type protocol/client\n"
                                  "    option transport-type tcp\n"
                                  "    option remote-host 127.0.0.1\n"
                                  "    option remote-port %d\n"
                                  "    option remote-subvolume brick\n"
                                  "end-volume\n"
                                  "%s";

/* What glusterd adds to a new volume. */
static const char caches_text[] = "volume write-behind\n"
                                  "    type performance/write-behind\n"
                                  "    subvolumes client\n"
                                  "end-volume\n"
                                  "volume readdir-ahead\n"
                                  "    type performance/readdir-ahead\n"
                                  "    subvolumes write-behind\n"
                                  "end-volume\n"
                                  "volume open-behind\n"
                                  "    type performance/open-behind\n"
                                  "    subvolumes readdir-ahead\n"
                                  "end-volume\n"
                                  "volume quick-read\n"
                                  "    type performance/quick-read\n"
                                  "    subvolumes open-behind\n"
                                  "end-volume\n"
                                  "volume md-cache\n"
                                  "    type performance/md-cache\n"
                                  "    subvolumes quick-read\n"
                                  "end-volume\n";

static int complain(const char *what)
{
    fprintf(stderr,
            "GlusterFS on loopback: %s: %s. These tests need root, /dev/fuse "
            "and the packages glusterfs-server and glusterfs-client.\n",
            what, strerror(errno));
    return 0;
}

__attribute__((format(printf, 2, 3))) static void
put_text(const char *path, const char *format, ...)
{
    FILE *file = fopen(path, "we");
    va_list values;

    if (file == NULL) {
        return; /* whoever reads it will complain */
    }
    va_start(values, format);
    vfprintf(file, format, values);
    va_end(values);
    fclose(file);
}

/* A daemon in the foreground that ends with us, at the latest. */
static pid_t start(const gluster_t *gluster, const char *program,
                   const char *volume, const char *log, const char *where)
{
    char volfile[128];
    char logfile[128];
    char pidfile[128];
    pid_t parent = getpid();
    pid_t child = fork();

    if (child != 0) {
        return child;
    }
    snprintf(volfile, sizeof(volfile), "%s/%s.vol", gluster->base, volume);
    snprintf(logfile, sizeof(logfile), "%s/log/%s", gluster->base, log);
    snprintf(pidfile, sizeof(pidfile), "%s/log/%s.pid", gluster->base, log);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    execlp(program, program, "-N", "-f", volfile, "-l", logfile, "-p", pidfile,
           where, (char *)NULL);
    _exit(127);
}

/* Until `is_ready`, unless the daemon ends. */
static int await(pid_t daemon, int (*is_ready)(const void *baton),
                 const void *baton)
{
    struct timespec pause = {.tv_nsec = 10000000};
    time_t deadline = time(NULL) + PATIENCE_SEC;

    while (time(NULL) < deadline && waitpid(daemon, NULL, WNOHANG) == 0) {
        if (is_ready(baton)) {
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return 0;
}

static int is_mounted(const void *path)
{
    struct statfs info;

    return statfs(path, &info) == 0 && info.f_type == FUSE_MAGIC;
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int is_listening(const void *port)
{
    struct sockaddr_in address = loopback(*(const int *)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int status = connect(fd, (struct sockaddr *)&address, sizeof(address));

    close(fd);
    return status == 0;
}

static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, size) != 0
        || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        address.sin_port = 0;
    }
    close(fd);
    return ntohs(address.sin_port);
}

static int write_volumes(const gluster_t *gluster, int port)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/brick", gluster->base);
    if (mkdir(path, 0755) != 0) {
        return complain(path);
    }
    snprintf(path, sizeof(path), "%s/log", gluster->base);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/brick.vol", gluster->base);
    put_text(path, brick_text, gluster->base, port);
    snprintf(path, sizeof(path), "%s/plain.vol", gluster->base);
    put_text(path, client_text, port, "");
    snprintf(path, sizeof(path), "%s/caching.vol", gluster->base);
    put_text(path, client_text, port, caches_text);
    return 1;
}

static int start_client(gluster_t *gluster, int kind, int host)
{
    int number = kind * GLUSTER_HOSTS + host;
    char *path = gluster->mounts[kind][host];
    char log[32];

    snprintf(path, sizeof(gluster->mounts[0][0]), "%s/%s-%d", gluster->base,
             kind == GLUSTER_PLAIN ? "plain" : "caching", host);
    snprintf(log, sizeof(log), "client-%d", number);
    if (mkdir(path, 0755) != 0) {
        return complain(path);
    }
    gluster->clients[number] =
        start(gluster, "glusterfs", kind == GLUSTER_PLAIN ? "plain" : "caching",
              log, path);
    return await(gluster->clients[number], is_mounted, path)
           || complain("a mount");
}

int gluster_start(gluster_t *gluster)
{
    int port = free_port();
    int kind;
    int host;

    memset(gluster, 0, sizeof(*gluster));
    strcpy(gluster->base, "/tmp/dogpile-gluster-XXXXXX");
    if (mkdtemp(gluster->base) == NULL) {
        return complain(gluster->base);
    }
    chmod(gluster->base, 0755);
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        return complain("/dev/fuse");
    }
    if (unshare(CLONE_NEWNS) != 0
        || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return complain("a mount namespace");
    }
    if (!write_volumes(gluster, port)) {
        return 0;
    }
    gluster->brick = start(gluster, "glusterfsd", "brick", "brick", NULL);
    if (!await(gluster->brick, is_listening, &port)) {
        return complain("the server");
    }
    for (kind = 0; kind < GLUSTER_KINDS; kind++) {
        for (host = 0; host < GLUSTER_HOSTS; host++) {
            if (!start_client(gluster, kind, host)) {
                return 0;
            }
        }
    }
    return 1;
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void stop(pid_t daemon)
{
    if (daemon > 0) {
        kill(daemon, SIGKILL);
        waitpid(daemon, NULL, 0);
    }
}

void gluster_stop(gluster_t *gluster)
{
    int i;

    for (i = 0; i < GLUSTER_KINDS * GLUSTER_HOSTS; i++) {
        const char *path =
            gluster->mounts[i / GLUSTER_HOSTS][i % GLUSTER_HOSTS];

        stop(gluster->clients[i]);
        if (path[0]) {
            umount2(path, MNT_DETACH);
        }
    }
    stop(gluster->brick);
    nftw(gluster->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
