/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of those who wait. In the parent, at configuration and start; in
 * a child when it begins.
 *
 * A child of the event MPM accepts connections while they are fewer than
 * ThreadsPerChild + AsyncRequestWorkerFactor x (idle threads), and parked ones
 * count. So by default at most ThreadsPerChild x AsyncRequestWorkerFactor are
 * parked. A child with so many accepts new connections only while its threads
 * are idle, and leaves them to other children else. The factor can't be asked
 * of the MPM; it is read where the MPM read it.
 */
#include "httpd/capacity.h"

#include <ap_mpm.h>
#include <sys/resource.h>
#include <util_cfgtree.h>

#include "base/text.h"
#include "httpd/park.h"

/* AsyncRequestWorkerFactor, as the MPM has it without the directive. */
#define DEFAULT_FACTOR 2

/* A parked request has its connection and an eventfd. */
#define FDS_PER_WAITER 2

/* What a child has open besides: logs, libraries, records, back ends. */
#define OTHER_FDS 256

static int query(int what)
{
    int value = 0;

    ap_mpm_query(what, &value);
    return value;
}

static int threads_per_child(void)
{
    int threads = query(AP_MPMQ_MAX_THREADS);

    return threads > 0 ? threads : 1;
}

int dp_capacity_threads(void)
{
    return query(AP_MPMQ_MAX_DAEMONS) * threads_per_child();
}

int dp_capacity_blocked(void)
{
    int half = dp_capacity_threads() / 2;

    if (dp_global->max_blocked >= 0) {
        return dp_global->max_blocked;
    }
    return half > 0 ? half : 1;
}

/* The last one counts, wherever it stands. The MPM takes fractions, and drops
 * them. */
static int factor_in(const ap_directive_t *tree, int factor)
{
    double value;

    for (; tree != NULL; tree = tree->next) {
        if (strcasecmp(tree->directive, "AsyncRequestWorkerFactor") == 0
            && dp_text_double(tree->args, &value)) {
            factor = value > 1 ? (int)value : 1;
        }
        factor = factor_in(tree->first_child, factor);
    }
    return factor;
}

/* How many a child whose threads are idle can park without turning everyone
 * else away. */
static int room_of_child(void)
{
    return threads_per_child() * factor_in(ap_conftree, DEFAULT_FACTOR);
}

int dp_capacity_waiters(void)
{
    if (!dp_global->is_async || dp_park_obstacle() != NULL) {
        return 0;
    }
    return dp_global->max_waiters >= 0 ? dp_global->max_waiters
                                       : room_of_child();
}

int dp_capacity_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s)
{
    int room = room_of_child();

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (dp_global->is_enabled && dp_capacity_waiters() > room) {
        dp_slog(s, APLOG_WARNING | APLOG_STARTUP, 0, 119,
                "DogpileMaxWaiters %d: with ThreadsPerChild %d and this "
                "AsyncRequestWorkerFactor %d may wait in a child before it "
                "accepts no more connections; raise the factor to %d",
                dp_global->max_waiters, threads_per_child(), room,
                (dp_global->max_waiters + threads_per_child() - 1)
                    / threads_per_child());
    }
    return OK;
}

static void check_descriptors(server_rec *s)
{
    int needed = FDS_PER_WAITER * dp_capacity_waiters() + OTHER_FDS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
        && limit.rlim_cur < (rlim_t)needed) {
        dp_slog(s, APLOG_WARNING | APLOG_STARTUP, 0, 807,
                "a child may open %lu files, but %d requests that wait there "
                "take %d; raise LimitNOFILE (or ulimit -n), or lower "
                "DogpileMaxWaiters",
                (unsigned long)limit.rlim_cur, dp_capacity_waiters(), needed);
    }
}

void dp_capacity_announce(server_rec *s)
{
    const char *why =
        dp_global->is_async ? dp_park_obstacle() : "DogpileAsync is Off";

    if (why != NULL) {
        dp_slog(s, APLOG_INFO, 0, 805,
                "requests that wait hold a thread, %d at most: %s",
                dp_capacity_blocked(), why);
        return;
    }
    check_descriptors(s);
}
