/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the session: lock_zookeeper_keeper.c, which opens,
 * closes and sweeps, lock_zookeeper_call.c, which begins and finishes calls,
 * lock_zookeeper_ask.c, which has the calls, and lock_zookeeper_watch.c, which
 * tells of nodes that have changed.
 *
 * `mutex` guards everything that isn't constant. It is never held while
 * anything waits for the network; the client's zoo_a* calls only queue.
 */
#ifndef DP_LOCK_ZOOKEEPER_PRIV_H
#define DP_LOCK_ZOOKEEPER_PRIV_H

#include <pthread.h>

#include "lock/lock_zookeeper_session.h"

/* Nodes that wait for being swept. Beyond that the oldest is forgotten and
 * ends by itself, as its lease isn't renewed. */
#define DP_ZK_ORPHANS_MAX 64

/* A server that hangs costs one call its time in so long, not every call. */
#define DP_ZK_TRY_USEC apr_time_from_sec(1)

struct dp_zk_session_t {
    dp_zk_where_t where;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* of what is below: connection, orphans, stop */
    pthread_t keeper;
    int stop;

    zhandle_t *handle;   /* NULL while there is none */
    int connected;       /* and it can be used now */
    int over;            /* the session: expired or refused */
    int refused;         /* the secret */
    int was_connected;   /* since the handle was made */
    int said_unresolved; /* since a name could last be resolved */
    int is_silent;       /* a call had no reply in time, and none came since */
    apr_time_t next_try; /* when silent: who calls then tries; monotonic */
    apr_time_t opened;   /* the handle; monotonic */
    apr_time_t down_since;            /* monotonic; when not connected */
    apr_interval_time_t session_usec; /* as negotiated */
    apr_int64_t id;                   /* of the session */
    apr_uint32_t sessions;            /* begun so far */

    apr_time_t server_usec;  /* the server's time; 0 unknown */
    apr_time_t server_as_of; /* monotonic */

    dp_zk_call_t *calls; /* begun, without reply */
    int is_listened;     /* somebody wants to know of changes */

    char *orphans[DP_ZK_ORPHANS_MAX];
    int norphans;
    apr_time_t next_sweep; /* monotonic */

    /* Guards the two below and is held while somebody is told, who may have
     * a mutex that others hold while they call: so no call takes this one. */
    pthread_mutex_t listening;
    dogpile_released_fn *released; /* NULL: nobody listens */
    void *baton;
};

typedef enum dp_zk_what_e {
    DP_ZK_READS,
    DP_ZK_WRITES,
    DP_ZK_TAKES, /* makes a lock */
    DP_ZK_ENDS   /* deletes one */
} dp_zk_what_e;

struct dp_zk_call_t {
    dp_zk_session_t *session;
    dp_zk_call_t *next; /* of session->calls */
    dp_zk_call_t *previous;
    pthread_cond_t replied;
    dp_zk_what_e what;
    char *path;     /* as asked */
    char *prefix;   /* of list: what is wanted */
    int is_awaited; /* by dp_zk_finish(), or whoever is going to call it */
    int is_begun;   /* and has no reply yet */
    int rc;         /* ZOK or why not */
    struct Stat stat;
    char *bytes; /* content, new path, or names one after the other */
    apr_size_t size;
    int nnames;
    zoo_op_result_t results[2]; /* of a transaction */
};

/* A new call, to be begun by the client's function in between:
 *
 *     if (dp_zk_begin(call)) {
 *         dp_zk_begun(call, zoo_a...(session->handle, ..., call));
 *     }
 */
dp_zk_call_t *dp_zk_call_make(dp_zk_session_t *session, dp_zk_what_e what,
                              const char *path);
int dp_zk_begin(dp_zk_call_t *call);
void dp_zk_begun(dp_zk_call_t *call, int rc);

/* The reply is there; `call` may be gone afterwards. */
void dp_zk_settle(dp_zk_call_t *call, int rc);

/* malloc() that doesn't fail, as everywhere in httpd: without memory there
 * is nothing to be saved. */
void *dp_zk_memory(void *memory, apr_size_t size);
char *dp_zk_copy(const char *bytes, apr_size_t size);

/* The addresses of these dp_net_server_t, for the client, from malloc(); NULL
 * when none is known. May take long. */
char *dp_zk_addresses(const apr_array_header_t *servers);

/* The keeper's thread; `baton` is the session. */
void *dp_zk_keep(void *baton);

/* Of the client: a watched node has changed; `baton` is the session. */
void dp_zk_on_change(zhandle_t *handle, int type, int state, const char *path,
                     void *baton);

/* Complete every call for which no reply will come any more. */
void dp_zk_abandon_calls(dp_zk_session_t *session);

/* As dp_zk_session_sweep_later(); takes over `path`, from malloc(). */
void dp_zk_orphan_locked(dp_zk_session_t *session, char *path);

/* Let the conditions above wait by the monotonic clock. */
void dp_zk_cond_init(pthread_cond_t *cond);

/* Wait until then; 0 when that time has come. */
int dp_zk_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                    apr_time_t deadline);

/* What the nodes that we make allow to whom. */
const struct ACL_vector *dp_zk_acl(const dp_zk_session_t *session);

#endif
