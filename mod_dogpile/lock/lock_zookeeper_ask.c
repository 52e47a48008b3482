/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of ZooKeeper, and how its replies are taken.
 *
 * The calls are begun by any thread of a child. The got_ functions run in the
 * client's completion thread, each exactly once a call, or never when the
 * handle is closed first. They copy what is wanted and settle the call.
 *
 * The invariant: a call's result is written only before it is settled, and
 * read only afterwards.
 */
#include "lock/lock_zookeeper_priv.h"

#include <string.h>

/* ---- replies, in the client's thread ---- */

static void got_data(int rc, const char *value, int size,
                     const struct Stat *stat, const void *data)
{
    dp_zk_call_t *call = (dp_zk_call_t *)data;

    if (rc == ZOK && stat) {
        call->stat = *stat;
        /* What is too long has no content: it isn't a record of ours. */
        if (value && size > 0 && size <= DP_ZK_BYTES_MAX) {
            call->bytes = dp_zk_copy(value, (apr_size_t)size);
            call->size = (apr_size_t)size;
        }
    }
    dp_zk_settle(call, rc);
}

static void got_stat(int rc, const struct Stat *stat, const void *data)
{
    dp_zk_call_t *call = (dp_zk_call_t *)data;

    if (rc == ZOK && stat) {
        call->stat = *stat;
    }
    dp_zk_settle(call, rc);
}

static void got_path(int rc, const char *path, const struct Stat *stat,
                     const void *data)
{
    dp_zk_call_t *call = (dp_zk_call_t *)data;

    if (rc == ZOK && path) {
        call->size = strlen(path);
        call->bytes = dp_zk_copy(path, call->size);
    }
    got_stat(rc, stat, call);
}

static void got_path_only(int rc, const char *path, const void *data)
{
    got_path(rc, path, NULL, data);
}

static void got_nothing(int rc, const void *data)
{
    dp_zk_settle((dp_zk_call_t *)data, rc);
}

static void add_name(dp_zk_call_t *call, const char *name)
{
    apr_size_t size = strlen(name) + 1;

    call->bytes = dp_zk_memory(call->bytes, call->size + size);
    memcpy(call->bytes + call->size, name, size);
    call->size += size;
    call->nnames++;
}

static void got_names(int rc, const struct String_vector *names,
                      const void *data)
{
    dp_zk_call_t *call = (dp_zk_call_t *)data;
    apr_size_t size = strlen(call->prefix);
    int i;

    for (i = 0; rc == ZOK && names && i < names->count; i++) {
        if (strncmp(names->data[i], call->prefix, size) != 0) {
            continue;
        }
        if (call->nnames == DP_ZK_NAMES_MAX) {
            rc = ZMARSHALLINGERROR;
        }
        else {
            add_name(call, names->data[i]);
        }
    }
    dp_zk_settle(call, rc);
}

/* ---- calls ---- */

dp_zk_call_t *dp_zk_get(dp_zk_session_t *session, const char *path, int watches)
{
    dp_zk_call_t *call = dp_zk_call_make(session, DP_ZK_READS, path);

    if (dp_zk_begin(call)) {
        watches = watches && session->is_listened;
        dp_zk_begun(call, zoo_awget(session->handle, call->path,
                                    watches ? dp_zk_on_change : NULL, session,
                                    got_data, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_set(dp_zk_session_t *session, const char *path,
                        const char *bytes, apr_size_t size)
{
    dp_zk_call_t *call = dp_zk_call_make(session, DP_ZK_WRITES, path);

    if (dp_zk_begin(call)) {
        dp_zk_begun(call, zoo_aset(session->handle, call->path, bytes,
                                   (int)size, -1, got_stat, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_create(dp_zk_session_t *session, const char *path,
                           const char *bytes, apr_size_t size, int mode)
{
    int takes = mode == ZOO_EPHEMERAL_SEQUENTIAL;
    dp_zk_call_t *call =
        dp_zk_call_make(session, takes ? DP_ZK_TAKES : DP_ZK_WRITES, path);

    if (!dp_zk_begin(call)) {
        return call;
    }
    if (mode == ZOO_CONTAINER) {
        dp_zk_begun(call,
                    zoo_acreate(session->handle, call->path, bytes, (int)size,
                                dp_zk_acl(session), mode, got_path_only, call));
    }
    else {
        dp_zk_begun(call,
                    zoo_acreate2(session->handle, call->path, bytes, (int)size,
                                 dp_zk_acl(session), mode, got_path, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_delete(dp_zk_session_t *session, const char *path,
                           int version)
{
    dp_zk_call_t *call = dp_zk_call_make(
        session, version == -1 ? DP_ZK_ENDS : DP_ZK_WRITES, path);

    if (dp_zk_begin(call)) {
        dp_zk_begun(call, zoo_adelete(session->handle, call->path, version,
                                      got_nothing, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_end(dp_zk_session_t *session, const char *path)
{
    dp_zk_call_t *call = dp_zk_call_make(session, DP_ZK_ENDS, path);
    zoo_op_t steps[2];

    if (dp_zk_begin(call)) {
        zoo_set_op_init(&steps[0], call->path, "", 0, -1, &call->stat);
        zoo_delete_op_init(&steps[1], call->path, -1);
        dp_zk_begun(call, zoo_amulti(session->handle, 2, steps, call->results,
                                     got_nothing, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_list(dp_zk_session_t *session, const char *path,
                         const char *prefix)
{
    dp_zk_call_t *call = dp_zk_call_make(session, DP_ZK_READS, path);

    call->prefix = dp_zk_copy(prefix, strlen(prefix));
    if (dp_zk_begin(call)) {
        dp_zk_begun(call, zoo_aget_children(session->handle, call->path, 0,
                                            got_names, call));
    }
    return call;
}

dp_zk_call_t *dp_zk_sync(dp_zk_session_t *session, const char *path)
{
    dp_zk_call_t *call = dp_zk_call_make(session, DP_ZK_READS, path);

    if (dp_zk_begin(call)) {
        dp_zk_begun(
            call, zoo_async(session->handle, call->path, got_path_only, call));
    }
    return call;
}
