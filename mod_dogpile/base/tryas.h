/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories that belong to the user httpd's children run as, prepared while
 * the parent is still root.
 *
 * Inside a directory that the user owns, root does nothing by name: whoever
 * owns a directory can swap a file in it for a link to somewhere else. Work
 * there is done by a process that has become the user, which also answers
 * whether the user can do it at all: at start, with the reason, and not by
 * the first request at night.
 */
#ifndef DP_BASE_TRYAS_H
#define DP_BASE_TRYAS_H

#include <apr_errno.h>
#include <apr_file_info.h>
#include <apr_pools.h>
#include <apr_user.h>

/* Longest reason that work can give, with its final zero. */
#define DP_WHY_BYTES 480

/* APR_SUCCESS, or the reason, in words in `why`. */
typedef apr_status_t dp_work_fn(void *baton, char why[DP_WHY_BYTES]);

/*
 * Do `work` in a child process that is that user (when this process is root;
 * otherwise it stays who it is). At most five seconds; a hanging file server
 * is APR_TIMEUP. Returns what `work` returned; `why` (in `pool`) is its
 * reason, NULL after APR_SUCCESS.
 */
apr_status_t dp_as_user(apr_uid_t uid, apr_gid_t gid, dp_work_fn *work,
                        void *baton, const char **why, apr_pool_t *pool);

/* What dp_try_as() tries. */
#define DP_TRY_WRITE 0 /* create, write, rename, remove */
#define DP_TRY_LINK 1  /* and link */
#define DP_TRY_FLOCK 2 /* and flock, which must exclude a second opener */

/*
 * Can that user work in this directory? Tries it with a probe file, as
 * dp_as_user(). APR_SUCCESS, or the reason; then `why` says which step failed
 * and for whom: "user www-data (33) may not create a file in /srv/tiles:
 * Permission denied". Leaves nothing behind unless removing is what failed.
 */
apr_status_t dp_try_as(apr_uid_t uid, apr_gid_t gid, const char *directory,
                       unsigned wants, const char **why, apr_pool_t *pool);

/*
 * Make `directory` (an absolute path) and what is missing above it. What is
 * made here is given to uid and gid (when this process is root); the last
 * gets `mode` whatever the umask, the others 0755. What was there is left as
 * it is. `made` (may be NULL) says whether the last was made here. `mode` is
 * as of chmod(2), so that 02770 is possible.
 */
apr_status_t dp_make_directory(const char *directory, unsigned mode,
                               apr_uid_t uid, apr_gid_t gid, int *made,
                               apr_pool_t *scratch_pool);

#endif
