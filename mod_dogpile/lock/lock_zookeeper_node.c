/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and records of the ZooKeeper locker's nodes. Called by its steps, from
 * any thread; no state. Names and contents come from a tree that others may
 * write to, so a name is accepted only if it is exactly what we would have
 * written, and a content only if its checksum is right (lock/lockfile.h).
 */
#include "lock/lock_zookeeper_node.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lock/lockfile.h"

/* A token is a nonce and a sequence number, most significant byte first. The
 * nonce's last bit tells the kind, so that the token is all there is to know. */
#define NONCE_BYTES 12
#define NONCE_HEX_BYTES (2 * NONCE_BYTES + 1)
#define DIGEST_DIGITS (2 * DOGPILE_DIGEST_BYTES)

/* Of "-x-", before the nonce. */
#define KIND_SIZE 3

static dp_lease_kind_e kind_of(const dogpile_id_t *token)
{
    return token->bytes[NONCE_BYTES - 1] & 1 ? DP_LEASE_SHARED
                                             : DP_LEASE_EXCLUSIVE;
}

static apr_int32_t sequence_of(const dogpile_id_t *token)
{
    const unsigned char *bytes = token->bytes + NONCE_BYTES;

    return (apr_int32_t)((apr_uint32_t)bytes[0] << 24
                         | (apr_uint32_t)bytes[1] << 16
                         | (apr_uint32_t)bytes[2] << 8 | bytes[3]);
}

static void set_sequence(dogpile_id_t *token, apr_int32_t sequence)
{
    int i;

    for (i = 0; i < DOGPILE_ID_BYTES - NONCE_BYTES; i++) {
        token->bytes[NONCE_BYTES + i] =
            (unsigned char)((apr_uint32_t)sequence >> (24 - 8 * i));
    }
}

const char *dp_zk_folder(const char *root, const dogpile_digest_t *digest,
                         apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s/%02x", root, (unsigned int)digest->bytes[0]);
}

const char *dp_zk_prefix(const dogpile_digest_t *digest, apr_pool_t *pool)
{
    char hex[DP_DIGEST_HEX_BYTES];

    return apr_pstrcat(pool, dp_hex(hex, digest->bytes, DOGPILE_DIGEST_BYTES),
                       "-", NULL);
}

static const char *nonce_path(const char *root, const dogpile_digest_t *digest,
                              const dogpile_id_t *token, apr_pool_t *pool)
{
    char hex[NONCE_HEX_BYTES];

    return apr_psprintf(pool, "%s/%s%c-%s-", dp_zk_folder(root, digest, pool),
                        dp_zk_prefix(digest, pool), (int)kind_of(token),
                        dp_hex(hex, token->bytes, NONCE_BYTES));
}

const char *dp_zk_new_path(const char *root, const dogpile_digest_t *digest,
                           dp_lease_kind_e kind, apr_pool_t *pool)
{
    dogpile_id_t token;

    dp_id_make(&token);
    token.bytes[NONCE_BYTES - 1] &= 0xfe;
    token.bytes[NONCE_BYTES - 1] |= kind == DP_LEASE_SHARED;
    return nonce_path(root, digest, &token, pool);
}

const char *dp_zk_token_path(const char *root, const dogpile_digest_t *digest,
                             const dogpile_id_t *token, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s%010d", nonce_path(root, digest, token, pool),
                        (int)sequence_of(token));
}

const char *dp_zk_wish_path(const char *root, const dogpile_digest_t *digest,
                            apr_pool_t *pool)
{
    return apr_pstrcat(pool, dp_zk_folder(root, digest, pool), "/",
                       dp_zk_prefix(digest, pool), "w", NULL);
}

/* `rest` is what follows digest and kind: the nonce, a hyphen, the number. */
static int read_token(dogpile_id_t *token, const char *rest)
{
    char hex[NONCE_HEX_BYTES];

    if (strlen(rest) <= NONCE_HEX_BYTES) {
        return 0;
    }
    apr_cpystrn(hex, rest, sizeof(hex));
    set_sequence(token, (apr_int32_t)strtol(rest + NONCE_HEX_BYTES, NULL, 10));
    return dp_unhex(token->bytes, NONCE_BYTES, hex);
}

int dp_zk_node_read(dp_zk_node_t *node, const char *folder, const char *name,
                    apr_pool_t *pool)
{
    const char *root = apr_pstrmemdup(
        pool, folder, (apr_size_t)(strrchr(folder, '/') - folder));
    char hex[DP_DIGEST_HEX_BYTES];

    memset(node, 0, sizeof(*node));
    node->path = apr_pstrcat(pool, folder, "/", name, NULL);
    if (strlen(name) < DIGEST_DIGITS + 2) {
        return 0;
    }
    apr_cpystrn(hex, name, sizeof(hex));
    if (!dp_unhex(node->digest.bytes, DOGPILE_DIGEST_BYTES, hex)) {
        return 0;
    }
    if (strcmp(name + DIGEST_DIGITS, "-w") == 0) {
        node->kind = DP_LEASE_WISH;
        return strcmp(node->path, dp_zk_wish_path(root, &node->digest, pool))
               == 0;
    }
    if (strlen(name) < DIGEST_DIGITS + KIND_SIZE
        || !read_token(&node->token, name + DIGEST_DIGITS + KIND_SIZE)) {
        return 0;
    }
    node->kind = kind_of(&node->token);
    node->sequence = sequence_of(&node->token);
    return strcmp(node->path,
                  dp_zk_token_path(root, &node->digest, &node->token, pool))
           == 0;
}

int dp_zk_path_digest(dogpile_digest_t *digest, const char *path)
{
    const char *slash = strrchr(path, '/');
    char hex[DP_DIGEST_HEX_BYTES];

    apr_cpystrn(hex, slash ? slash + 1 : path, sizeof(hex));
    return dp_unhex(digest->bytes, DOGPILE_DIGEST_BYTES, hex);
}

int dp_zk_is_before(apr_int32_t a, apr_int32_t b)
{
    /* Serial number arithmetic, as of RFC 1982. */
    return (apr_int32_t)((apr_uint32_t)a - (apr_uint32_t)b) < 0;
}

const char *dp_zk_record(const dp_lease_t *lease, apr_size_t *size,
                         apr_pool_t *pool)
{
    apr_array_header_t *leases = apr_array_make(pool, 1, sizeof(dp_lease_t));
    const char *bytes = "";

    APR_ARRAY_PUSH(leases, dp_lease_t) = *lease;
    *size = 0;
    (void)dp_lockfile_write(&bytes, size, leases, pool); /* one always fits */
    return bytes;
}

apr_time_t dp_zk_time(apr_int64_t msec)
{
    if (msec < 0) {
        return 0;
    }
    return msec < DP_LEASE_TIME_MAX / 1000 ? msec * 1000 : DP_LEASE_TIME_MAX;
}

int dp_zk_lease_read(dp_lease_t *lease, const dp_zk_node_t *node,
                     const char *bytes, apr_size_t size,
                     const struct Stat *stat, apr_interval_time_t lease_usec,
                     apr_pool_t *pool)
{
    apr_array_header_t *leases = NULL;
    apr_status_t status = dp_lockfile_read(&leases, bytes, size, pool);
    int is_readable = status == APR_SUCCESS && leases->nelts == 1;

    memset(lease, 0, sizeof(*lease));
    lease->owner.host = "";
    lease->owner.boot = "-";
    lease->label = "";
    lease->lease_usec = lease_usec;
    if (is_readable) {
        *lease = APR_ARRAY_IDX(leases, 0, dp_lease_t);
    }
    lease->token = node->token;
    lease->digest = node->digest;
    lease->kind = node->kind;
    lease->since = dp_zk_time(stat->ctime);
    lease->until = dp_zk_time(stat->mtime) + lease->lease_usec;
    return is_readable;
}
