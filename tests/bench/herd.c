/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd: clients that ask one server at the same moment, for benchmarks.
 *
 *     herd -p port [-n clients] [-s deadline_s] [-d delay_ms] [-l leave_ms]
 *          [-w earlier [-r rest_ms] | -o 1]
 *          [-i interval_ms -u until_ms -q probe] < paths
 *
 * One thread and one epoll, so that the herd itself costs little. All
 * connections are open before the first request leaves; client i asks for the
 * path of line i, beginning anew where there are fewer lines. With -d all but
 * client 0 ask that much later, with -l client 0 hangs up after so long. With
 * -i one more client comes every so often and asks for `probe`.
 *
 * A server with TCP_DEFER_ACCEPT doesn't know of a connection before its first
 * request, and has room for no more silent ones than its backlog. With -w each
 * client fetches `earlier` over its connection, one after the other, and then
 * all rest for -r; a client without that PNG in 30 seconds, and a connection
 * that the server ends before the herd asks, end the program with a message
 * and the exit code 1. With -o each one asks as soon as its own is open.
 *
 * Prints a line for each client: its kind (c, or p for a probe), its port,
 * the status (0: none), 1 if the body begins as a PNG, its bytes, and when,
 * in microseconds of CLOCK_MONOTONIC, it asked (a probe: connected), had the
 * first byte and had the last.
 */
#include "herd_client.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATHS_MAX = 4096, CONNECT_SEC_MAX = 30 };

typedef struct herd_t {
    int epoll;
    struct sockaddr_in server;
    const char *paths[PATHS_MAX];
    int npaths;
    int port;
    int nclients;
    int nprobes;
    int nprobes_max;
    int nleft; /* clients and probes without an answer */
    int delay_ms;
    int leave_ms;
    int interval_ms;
    int until_ms;
    int deadline_s;
    int rest_ms;
    int asks_at_once; /* each client, before the next one connects */
    const char *probe;
    const char *earlier; /* what each client fetches first, or NULL */
    client_t *clients;   /* then the probes */
} herd_t;

static long long now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void end_client(herd_t *herd, client_t *client)
{
    if (client->fd < 0) {
        return;
    }
    close(client->fd);
    client->fd = -1;
    client->last = now_usec();
    herd->nleft--;
}

static int is_over(const herd_t *herd)
{
    return herd->nleft == 0 && herd->nprobes == herd->nprobes_max;
}

static void connect_client(herd_t *herd, client_t *client)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};

    if (!client_connect(client, &herd->server)) {
        err(1, "connect");
    }
    if (epoll_ctl(herd->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        err(1, "epoll_ctl");
    }
}

static void ask(herd_t *herd, client_t *client)
{
    if (!client->is_probe) {
        client->asked = now_usec();
    }
    if (!client_ask(client, client->path, herd->port)) {
        end_client(herd, client);
    }
}

static void answer(herd_t *herd, client_t *client)
{
    static char bytes[65536];

    while (client->fd >= 0) {
        ssize_t size = read(client->fd, bytes, sizeof(bytes));

        if (size < 0 && errno == EAGAIN) {
            return;
        }
        if (size > 0 && !client->first) {
            client->first = now_usec();
        }
        if (size > 0 && !client_take(client, bytes, (int)size)) {
            continue;
        }
        if (size > 0 && client->is_early) {
            client->is_early = 0; /* the herd's comes the same way */
            continue;
        }
        end_client(herd, client);
    }
}

static void happened(herd_t *herd, client_t *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (client->is_open) {
        answer(herd, client);
        return;
    }
    client->is_open = 1;
    epoll_ctl(herd->epoll, EPOLL_CTL_MOD, client->fd, &event);
    if (client->is_probe) {
        ask(herd, client);
    }
}

/* Handles what happens until that time or, earlier, an event. */
static void look(herd_t *herd, long long until)
{
    struct epoll_event events[256];
    long long rest = until - now_usec();
    struct timespec pause = {0, 0};
    int n;

    if (rest > 0) {
        pause = (struct timespec){rest / 1000000, rest % 1000000 * 1000};
    }
    n = epoll_pwait2(herd->epoll, events, 256, &pause, NULL);
    for (int i = 0; i < n; i++) {
        happened(herd, events[i].data.ptr);
    }
}

/* One tile over the connection that the herd's request will take. */
static void fetch_earlier(herd_t *herd, client_t *client, long long deadline)
{
    client->is_early = 1;
    if (!client_ask(client, herd->earlier, herd->port)) {
        errx(1, "a connection ended before its first request");
    }
    while (client->is_early && client->fd >= 0 && now_usec() < deadline) {
        look(herd, deadline);
    }
    if (client->is_early || client->status != 200 || !client->is_png) {
        errx(1, "a client didn't get the tile before the herd's");
    }
    client_forget_answer(client);
}

/* As until the next move of a map. */
static void rest(herd_t *herd)
{
    long long end = now_usec() + herd->rest_ms * 1000LL;

    while (herd->nleft == herd->nclients && now_usec() < end) {
        look(herd, end);
    }
    if (herd->nleft < herd->nclients) {
        errx(1, "the server ended a connection before the herd's request");
    }
}

static void connect_all(herd_t *herd)
{
    long long deadline = now_usec() + CONNECT_SEC_MAX * 1000000LL;

    for (int i = 0; i < herd->nclients; i++) {
        client_t *client = &herd->clients[i];

        client->path = herd->paths[i % herd->npaths];
        connect_client(herd, client);
        while (!client->is_open && now_usec() < deadline) {
            look(herd, deadline);
        }
        if (herd->earlier) {
            fetch_earlier(herd, client, deadline);
        }
        if (herd->asks_at_once) {
            ask(herd, client);
        }
    }
    if (herd->earlier) {
        rest(herd);
    }
}

static void start_probe(herd_t *herd)
{
    client_t *client = &herd->clients[herd->nclients + herd->nprobes++];

    client->is_probe = 1;
    client->path = herd->probe;
    client->asked = now_usec();
    herd->nleft++;
    connect_client(herd, client);
}

/* What is due at that time; when the next thing is. */
static long long act(herd_t *herd, long long begin, int *nasked)
{
    long long now = now_usec();
    long long next = begin + herd->deadline_s * 1000000LL;
    long long follow = begin + herd->delay_ms * 1000LL;
    long long leave = begin + herd->leave_ms * 1000LL;
    long long probe = begin + (herd->nprobes + 1) * herd->interval_ms * 1000LL;

    while (*nasked < herd->nclients && (*nasked == 0 || now >= follow)) {
        ask(herd, &herd->clients[(*nasked)++]);
    }
    if (*nasked < herd->nclients) {
        next = follow;
    }
    if (herd->leave_ms && now >= leave) {
        end_client(herd, &herd->clients[0]);
    }
    else if (herd->leave_ms && leave < next) {
        next = leave;
    }
    if (herd->nprobes == herd->nprobes_max) {
        return next;
    }
    if (now >= probe) {
        start_probe(herd);
    }
    return probe < next ? probe : next;
}

static void run(herd_t *herd)
{
    long long begin = now_usec();
    long long deadline = begin + herd->deadline_s * 1000000LL;
    int nasked = herd->asks_at_once ? herd->nclients : 0;

    while (!is_over(herd) && now_usec() < deadline) {
        look(herd, act(herd, begin, &nasked));
    }
}

static void print(const herd_t *herd)
{
    for (int i = 0; i < herd->nclients + herd->nprobes; i++) {
        client_print(&herd->clients[i]);
    }
}

static void read_paths(herd_t *herd)
{
    char line[PATH_LEN_MAX];

    while (herd->npaths < PATHS_MAX && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        herd->paths[herd->npaths++] = strdup(line);
    }
    if (herd->nclients == 0) {
        herd->nclients = herd->npaths;
    }
}

static void read_options(herd_t *herd, int argc, char **argv)
{
    int *const numbers[] = {
        ['n'] = &herd->nclients,     ['s'] = &herd->deadline_s,
        ['d'] = &herd->delay_ms,     ['l'] = &herd->leave_ms,
        ['i'] = &herd->interval_ms,  ['u'] = &herd->until_ms,
        ['o'] = &herd->asks_at_once, ['p'] = &herd->port,
        ['r'] = &herd->rest_ms,
    };
    static const char known[] = "n:s:d:l:o:i:u:p:q:w:r:";
    int option;

    for (option = getopt(argc, argv, known); option != -1;
         option = getopt(argc, argv, known)) {
        if (option == '?') {
            exit(EXIT_FAILURE);
        }
        if (option == 'q') {
            herd->probe = optarg;
        }
        else if (option == 'w') {
            herd->earlier = optarg;
        }
        else {
            *numbers[option] = atoi(optarg);
        }
    }
    herd->server.sin_family = AF_INET;
    herd->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    herd->server.sin_port = htons((uint16_t)herd->port);
}

int main(int argc, char **argv)
{
    static herd_t herd = {.deadline_s = 60};

    read_options(&herd, argc, argv);
    read_paths(&herd);
    if (herd.interval_ms) {
        herd.nprobes_max = herd.until_ms / herd.interval_ms;
    }
    herd.clients = calloc(herd.nclients + herd.nprobes_max, sizeof(client_t));
    herd.epoll = epoll_create1(0);
    if (!herd.npaths || !herd.port || (herd.earlier && herd.asks_at_once)) {
        errx(1, "wants -p and paths; -w and -o exclude each other");
    }
    if (!herd.clients || herd.epoll < 0) {
        err(1, "start");
    }
    herd.nleft = herd.nclients;
    connect_all(&herd);
    run(&herd);
    print(&herd);
    return 0;
}
