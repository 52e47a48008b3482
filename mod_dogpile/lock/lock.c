/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thin layer between those who want a lock and the back end that has it.
 *
 * Called from any thread of any process; holds no state. Its one invariant:
 * what leaves here is one of the results that dogpile_locker.h names for the
 * call, whatever a back end (perhaps built outside this tree) returned. An
 * answer that makes no sense is "unavailable", never "mine" or "free".
 */
#include "lock/lock.h"

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "lock/owner.h"

/* machine-id(5): 32 hexadecimal digits and a line end. */
#define MACHINE_ID_DIGITS 32

/* Longer leases are a slip of the pen, and memcached takes 30 days for a
 * date. */
#define LEASE_MAX_USEC apr_time_from_sec(7 * 24 * 3600)

/* A result that a call may not have, as one that says "unavailable". */
static apr_status_t never(apr_status_t status, apr_status_t forbidden)
{
    return status == forbidden ? APR_EGENERAL : status;
}

static void holder_finish(dogpile_holder_t *holder)
{
    if (holder->host == NULL) {
        holder->host = "";
    }
    if (holder->label == NULL) {
        holder->label = "";
    }
}

apr_status_t dp_lock_acquire(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             dogpile_lock_mode_e mode, dogpile_id_t *token,
                             dogpile_holder_t *holder, apr_pool_t *pool)
{
    dogpile_holder_t other = {.host = NULL};
    apr_status_t status;

    memset(token, 0, sizeof(*token));
    status = locker->provider->acquire(locker, key, mode, token, &other, pool);
    if (status == APR_SUCCESS && dp_id_is_none(token)) {
        return APR_EGENERAL;
    }
    if (status != APR_SUCCESS) {
        memset(token, 0, sizeof(*token));
    }
    holder_finish(&other);
    if (holder) {
        *holder = other;
    }
    return never(status, APR_NOTFOUND);
}

apr_status_t dp_lock_renew(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           const dogpile_id_t *token, apr_pool_t *scratch_pool)
{
    if (dp_id_is_none(token)) {
        return APR_NOTFOUND;
    }
    return never(locker->provider->renew(locker, key, token, scratch_pool),
                 APR_EEXIST);
}

apr_status_t dp_lock_release(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token,
                             apr_pool_t *scratch_pool)
{
    if (dp_id_is_none(token)) {
        return APR_NOTFOUND;
    }
    return never(locker->provider->release(locker, key, token, scratch_pool),
                 APR_EEXIST);
}

apr_status_t dp_lock_probe(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           dogpile_lock_mode_e mode,
                           dogpile_lock_state_e *state,
                           dogpile_holder_t *holder, apr_pool_t *pool)
{
    dogpile_holder_t other = {.host = NULL};
    apr_status_t status;

    *state = DOGPILE_HELD;
    status = locker->provider->probe(locker, key, mode, state, &other, pool);
    holder_finish(&other);
    if (holder) {
        *holder = other;
    }
    return never(never(status, APR_NOTFOUND), APR_EEXIST);
}

apr_status_t dp_lock_break(dogpile_locker_t *locker,
                           const dogpile_lock_key_t *key,
                           apr_pool_t *scratch_pool)
{
    return never(locker->provider->break_lock(locker, key, scratch_pool),
                 APR_EEXIST);
}

apr_status_t dp_lock_list(dogpile_locker_t *locker,
                          void (*visit)(void *baton,
                                        const dogpile_holder_t *holder),
                          void *baton, apr_pool_t *scratch_pool)
{
    if (locker->provider->list == NULL) {
        return APR_ENOTIMPL;
    }
    return locker->provider->list(locker, visit, baton, scratch_pool);
}

apr_status_t dp_lock_listen(dogpile_locker_t *locker,
                            dogpile_released_fn *released, void *baton,
                            apr_pool_t *child_pool)
{
    if (locker->provider->listen == NULL) {
        return APR_ENOTIMPL;
    }
    return locker->provider->listen(locker, released, baton, child_pool);
}

void dp_lock_describe(dogpile_locker_t *locker, dogpile_row_fn *row,
                      void *baton, apr_pool_t *scratch_pool)
{
    if (locker->provider->describe) {
        locker->provider->describe(locker, row, baton, scratch_pool);
    }
}

const char *dp_lock_label(const char *label, apr_pool_t *result_pool)
{
    apr_size_t size = label ? strnlen(label, DOGPILE_LABEL_MAX + 1) : 0;
    char *text;
    apr_size_t i;

    if (size > DOGPILE_LABEL_MAX) {
        size = DOGPILE_LABEL_MAX;
        /* Back to the beginning of a character that the cut would break:
         * 10xxxxxx goes on with one (RFC 3629, section 3). A text without any
         * such beginning isn't UTF-8 and is cut where it is. */
        for (i = size; i > size - 4 && (label[i] & 0xc0) == 0x80; i--) {
        }
        size = (label[i] & 0xc0) == 0x80 ? size : i;
    }
    text = apr_pstrmemdup(result_pool, size ? label : "", size);
    for (i = 0; i < size; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            text[i] = '?';
        }
    }
    return text;
}

/* The machine id into `id`, or 0. An image that was never booted has the word
 * "uninitialized" there, or nothing. */
static int machine_id(char id[MACHINE_ID_DIGITS + 1], const char *path,
                      apr_pool_t *pool)
{
    unsigned char bytes[MACHINE_ID_DIGITS / 2];
    apr_size_t size = MACHINE_ID_DIGITS;
    apr_file_t *file;
    apr_status_t status;

    status = apr_file_open(&file, path, APR_FOPEN_READ, 0, pool);
    if (status != APR_SUCCESS) {
        return 0;
    }
    status = apr_file_read_full(file, id, size, &size);
    apr_file_close(file);
    id[size] = '\0';
    return status == APR_SUCCESS && dp_unhex(bytes, sizeof(bytes), id);
}

const char *dp_lock_this_host(apr_pool_t *pool)
{
    char id[MACHINE_ID_DIGITS + 1];
    char name[APRMAXHOSTLEN + 1];
    dogpile_digest_t digest;
    const char *text;

    if (machine_id(id, "/etc/machine-id", pool)
        || machine_id(id, "/var/lib/dbus/machine-id", pool)) {
        text = apr_pstrcat(pool, "mod_dogpile host ", id, NULL);
        dp_digest(&digest, text, strlen(text));
        return dp_hex(apr_palloc(pool, MACHINE_ID_DIGITS + 1), digest.bytes,
                      MACHINE_ID_DIGITS / 2);
    }
    if (apr_gethostname(name, sizeof(name), pool) == APR_SUCCESS && name[0]) {
        return apr_pstrdup(pool, name);
    }
    return "localhost";
}

const char *dp_lock_host(const dogpile_locker_conf_t *conf, apr_pool_t *pool)
{
    return conf->host ? conf->host : dp_lock_this_host(pool);
}

const char *dp_lock_check(const dogpile_locker_conf_t *conf, const char *host,
                          apr_pool_t *pool)
{
    if (host[0] == '\0' || strlen(host) > DP_HOST_MAX) {
        return apr_psprintf(pool,
                            "DogpileLockHost: a name of 1 to %d bytes is "
                            "allowed",
                            DP_HOST_MAX);
    }
    if (conf->lease_usec <= 0 || conf->lease_usec > LEASE_MAX_USEC) {
        return "DogpileLockTimeout: more than zero, at most 7 days";
    }
    return NULL;
}
