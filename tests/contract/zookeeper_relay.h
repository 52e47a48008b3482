/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay between a locker and a ZooKeeper, in a process of its own: what is
 * to be said of networks is done to it.
 */
#ifndef DP_TESTS_ZOOKEEPER_RELAY_H
#define DP_TESTS_ZOOKEEPER_RELAY_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

typedef struct zookeeper_relay_t {
    pid_t pid;   /* stop it, and the network hangs; kill it: no route */
    int port;    /* on the loopback interface */
    int control; /* a socket */
} zookeeper_relay_t;

/* For what must be, also outside of a running test. */
#define ZOOKEEPER_MUST(condition)                                              \
    do {                                                                       \
        if (!(condition)) {                                                    \
            perror(#condition);                                                \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* A port of the loopback interface, listened at; where it is 0, a free one.
 * And one that was free a moment ago. */
int zookeeper_listen(int *port);
int zookeeper_free_port(void);

/* At relay->port, or where that is 0, at a free one. Ends with the calling
 * process at the latest. */
void zookeeper_relay_start(zookeeper_relay_t *relay, int server_port);
void zookeeper_relay_kill(zookeeper_relay_t *relay);

typedef enum zookeeper_order_e {
    ZOOKEEPER_LOSE = 'l', /* the next node that is created through it is
                             created, but instead of the reply there is the
                             end of the connection */
    ZOOKEEPER_HOLD = 'h', /* instead of the reply there is nothing */
    ZOOKEEPER_PASS = 'p'  /* everything, and what was held */
} zookeeper_order_e;

/* Returns when that is in force. */
void zookeeper_relay_order(zookeeper_relay_t *relay, zookeeper_order_e order);

#endif
