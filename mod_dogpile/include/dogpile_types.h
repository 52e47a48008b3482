/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain values that the locker and the store contract share.
 *
 * Installed, so that a back end can be built outside this tree. APR only: no
 * httpd, no pixels, no map protocol. Everything here may be copied, compared
 * and kept by value; nothing owns memory unless its comment says so.
 */
#ifndef DOGPILE_TYPES_H
#define DOGPILE_TYPES_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>
#include <apr_user.h>

/*
 * A SHA-256 digest. Keys reach back ends only in this form, so a back end
 * never escapes, truncates or trusts text that came from a request.
 */
#define DOGPILE_DIGEST_BYTES 32
typedef struct dogpile_digest_t {
    unsigned char bytes[DOGPILE_DIGEST_BYTES];
} dogpile_digest_t;

/*
 * A random 128-bit name: the token of a lock, the write id of a record, the
 * identity of a store. All zero means "none", which for a write id is a value
 * of its own: the record was absent.
 */
#define DOGPILE_ID_BYTES 16
typedef struct dogpile_id_t {
    unsigned char bytes[DOGPILE_ID_BYTES];
} dogpile_id_t;

/* The numbers of httpd's own levels, so that glue needs no table. */
typedef enum dogpile_log_level_e {
    DOGPILE_LOG_ERROR = 3,
    DOGPILE_LOG_WARNING = 4,
    DOGPILE_LOG_NOTICE = 5,
    DOGPILE_LOG_INFO = 6,
    DOGPILE_LOG_DEBUG = 7
} dogpile_log_level_e;

/*
 * Where messages go; passed by handle, there is no global log. `write` may be
 * called from any thread at once. `id` is the message's number (DPnnnn in
 * docs/MESSAGES.md), `status` is APR_SUCCESS or the reason, `text` is one
 * line without a line end.
 */
typedef struct dogpile_log_t {
    void (*write)(void *baton, dogpile_log_level_e level, int id,
                  apr_status_t status, const char *text);
    void *baton;
} dogpile_log_t;

/* Receives one line of a status report; both texts are copied by the callee. */
typedef void dogpile_row_fn(void *baton, const char *label, const char *value);

#endif
