/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real network file system to test with: GlusterFS, one brick on loopback
 * and mounts of it. It lives in a mount namespace of the test program and
 * ends with it.
 */
#ifndef DP_TESTS_GLUSTER_FIXTURE_H
#define DP_TESTS_GLUSTER_FIXTURE_H

#include <sys/types.h>

/* Two mounts without caches but the kernel's, and two with those that a
 * volume has by default. */
enum { GLUSTER_PLAIN, GLUSTER_CACHING, GLUSTER_KINDS };
#define GLUSTER_HOSTS 2

typedef struct gluster_t {
    char base[64];
    char mounts[GLUSTER_KINDS][GLUSTER_HOSTS][96];
    pid_t brick;
    pid_t clients[GLUSTER_KINDS * GLUSTER_HOSTS];
} gluster_t;

/* Start all of it. Says what is missing and returns 0 where it can't. */
int gluster_start(gluster_t *gluster);

void gluster_stop(gluster_t *gluster);

#endif
