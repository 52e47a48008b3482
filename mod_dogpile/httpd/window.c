/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many parked requests of a child may be on their way back at once.
 *
 * The MPM's listener waits for a free worker for each connection that an
 * eventfd brings back, and when it has had to wait it closes every idle
 * keep-alive connection of the child, those of strangers included. So no more
 * are brought back than leave most workers free: an eighth of those that are
 * free or busy with parked requests. Measured in docs/design/park.md.
 *
 * Called with the mutex of the lot held, from any thread. The scoreboard is
 * read as it is; a number that is a little old does no harm.
 */
#include "httpd/park_priv.h"

#include <ap_mpm.h>
#include <scoreboard.h>
#include <unistd.h>

/* This child's line in the scoreboard; it doesn't move while the child lives.
 * -1 where it isn't known (yet). */
static int line_of_child(void)
{
    static int line = -1;
    int daemons = 0;
    int i;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons);
    for (i = 0; line < 0 && i < daemons; i++) {
        if (ap_get_scoreboard_process(i)->pid == getpid()) {
            line = i;
        }
    }
    return line;
}

static int idle_workers(void)
{
    int line = line_of_child();
    int threads = 0;
    int idle = 0;
    int i;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    for (i = 0; line >= 0 && i < threads; i++) {
        idle += ap_get_scoreboard_worker_from_indexes(line, i)->status
                == SERVER_READY;
    }
    return idle;
}

int dp_window(int nawake)
{
    int window = (idle_workers() + nawake) / 8;

    return window > 1 ? window : 1;
}
