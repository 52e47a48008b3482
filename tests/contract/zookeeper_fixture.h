/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ZooKeeper to test with, and hands on its tree.
 *
 * One server is started for the whole program, since Java takes its time;
 * each test has a folder of its own there, and reaches it through a relay of
 * its own. Tests that do something to the server itself start another.
 */
#ifndef DP_TESTS_ZOOKEEPER_FIXTURE_H
#define DP_TESTS_ZOOKEEPER_FIXTURE_H

/* zookeeper.h: the calls that wait, too. Nobody includes it before. */
#define THREADED

#include "lock/lock_zookeeper.h"
#include "locker_contract.h"
#include "zookeeper_relay.h"

typedef struct zookeeper_server_t {
    pid_t pid;
    int port;
    char directory[256]; /* absolute; of configuration and data */
} zookeeper_server_t;

/* Start one on what is in its directory, at its port (0: a free one), and wait
 * until it answers. Ends with the calling process at the latest. */
void zookeeper_start(zookeeper_server_t *server);
void zookeeper_kill(zookeeper_server_t *server);

/* Remove its data; or all of its directory. */
void zookeeper_forget(const zookeeper_server_t *server);
void zookeeper_remove(const zookeeper_server_t *server);

/* How many watches its clients have. */
int zookeeper_watches(int port);

/* A new one that goes with the test, in a directory that does, too. */
zookeeper_server_t *zookeeper_make(void);

/* The program: start the server that all tests share, run, stop it. The
 * contract and more, up to NULL; or these alone. */
int zookeeper_run(const TTest *const own[]);
int zookeeper_run_tests(const char *name, const TTest *const tests[],
                        int ntests);

extern const contract_locker_t zookeeper_contract;

/* The test's relay, and its folder. */
zookeeper_relay_t *zookeeper_relay(void);
const char *zookeeper_root(void);

/* A configuration with that lease, for the test's folder of another server
 * than the shared one. */
dogpile_locker_conf_t *zookeeper_conf_at(int port,
                                         apr_interval_time_t lease_usec);

/* A second client, on the shared server or at a port. The nodes in a folder
 * whose names begin with a digest; -1: no folder. Make and remove one. */
zhandle_t *zookeeper_client(int port);
int zookeeper_shared_port(void);
int zookeeper_count(zhandle_t *client, const char *folder);
void zookeeper_put(zhandle_t *client, const char *path, const char *bytes,
                   int mode);

/* All nodes below the folder are removed. */
void zookeeper_empty(zhandle_t *client, const char *folder);

/* Wait for what takes a while, with a deadline far beyond that. */
#define ZOOKEEPER_AWAIT(condition)                                             \
    do {                                                                       \
        apr_time_t await_until = apr_time_now() + 2 * CONTRACT_PATIENCE_USEC;  \
                                                                               \
        while (!(condition)) {                                                 \
            ck_assert_msg(apr_time_now() < await_until, "never: " #condition); \
            apr_sleep(CONTRACT_LOOK_USEC);                                     \
        }                                                                      \
    } while (0)

#endif
