/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling of locks that may be free: for the member `listen` of the provider.
 *
 * Whoever looks at a lock that is held asks for the node that stands in his
 * way, with a watch. ZooKeeper tells the session once when that node changes;
 * dp_zk_on_change() runs then, in the client's completion thread. A release
 * writes before it deletes, so the first sign of it looks like a renewal: both
 * are told, and a renewal costs a look in vain. That look leaves the next
 * watch. So there is at most one for each lease that somebody waits for. The
 * client takes its watches along to another server of the ensemble; a new
 * session has none until somebody looks.
 *
 * The invariant: nobody is told after his pool was cleared.
 */
#include "lock/lock_zookeeper_node.h"
#include "lock/lock_zookeeper_priv.h"

void dp_zk_on_change(zhandle_t *handle, int type, int state, const char *path,
                     void *baton)
{
    dp_zk_session_t *session = baton;
    dogpile_digest_t digest;

    (void)handle;
    (void)state;
    if ((type != ZOO_DELETED_EVENT && type != ZOO_CHANGED_EVENT)
        || !dp_zk_path_digest(&digest, path)) {
        return;
    }
    pthread_mutex_lock(&session->listening);
    if (session->released) {
        session->released(session->baton, &digest);
    }
    pthread_mutex_unlock(&session->listening);
}

static void set_listener(dp_zk_session_t *session,
                         dogpile_released_fn *released, void *baton)
{
    pthread_mutex_lock(&session->listening);
    session->released = released;
    session->baton = baton;
    pthread_mutex_unlock(&session->listening);
    pthread_mutex_lock(&session->mutex);
    session->is_listened = released != NULL;
    pthread_mutex_unlock(&session->mutex);
}

static apr_status_t forget_listener(void *baton)
{
    set_listener(baton, NULL, NULL);
    return APR_SUCCESS;
}

void dp_zk_session_listen(dp_zk_session_t *session,
                          dogpile_released_fn *released, void *baton,
                          apr_pool_t *pool)
{
    set_listener(session, released, baton);
    apr_pool_cleanup_register(pool, session, forget_listener,
                              apr_pool_cleanup_null);
}
