/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the disk store. Pure but for making directories; called from
 * any thread, once a look and once a put.
 *
 *     <root>/<source>/<layers>-<hash>/<grid>/<z>/<x/64>/<y/64>/<x>_<y>_<key>
 *
 * for people: du, find and rm answer how much a layer takes, which metatiles
 * of a box are old, and how to be rid of a zoom, without an index. Identity is
 * the key's digest alone, in the record; names may be as friendly as they
 * like. Groups of 64 by 64 keep directories below 4096 names however large
 * the zoom.
 *
 * Invariant: no part made from a request's text contains a slash, begins with
 * a dot, is empty, or is longer than 57 bytes.
 */
#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "store/store_disk.h"

#define GROUP 64
#define NAME_HASH_BYTES 4
#define NAME_HASH_HEX (2 * NAME_HASH_BYTES + 1)
#define FILE_KEY_BYTES 8

static int is_kept(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* At most DP_DISK_NAME_BYTES of `text`, made harmless. Returns whether it is
 * still the text. An underscore counts as changed: it is what changed
 * characters become, so an unchanged name can't look like a changed one. */
static int make_harmless(char *name, const char *text)
{
    int same = text[0] != '\0';
    apr_size_t i;

    for (i = 0; text[i] && i < DP_DISK_NAME_BYTES; i++) {
        int keep = is_kept(text[i]) && (i > 0 || text[i] != '.');

        name[i] = keep ? text[i] : '_';
        same = same && keep;
    }
    same = same && text[i] == '\0';
    if (i == 0) {
        name[i++] = '_';
    }
    name[i] = '\0';
    return same;
}

static char *name_hash(char hex[NAME_HASH_HEX], const char *text,
                       apr_size_t length)
{
    dogpile_digest_t digest;

    dp_digest(&digest, text, length);
    return dp_hex(hex, digest.bytes, NAME_HASH_BYTES);
}

const char *dp_disk_name(const char *text, apr_pool_t *pool)
{
    char name[DP_DISK_NAME_BYTES + 1];
    char hash[NAME_HASH_HEX];

    if (make_harmless(name, text)) {
        return apr_pstrdup(pool, name);
    }
    return apr_pstrcat(pool, name, "-", name_hash(hash, text, strlen(text)),
                       NULL);
}

/* Layers always carry a hash, of the source as well: a list of layers is
 * often cut, and then a change of the source's name is a new folder. */
static const char *layers_name(const dogpile_key_t *key, apr_pool_t *pool)
{
    const char *both = apr_pstrcat(pool, key->source, "\n", key->layers, NULL);
    char name[DP_DISK_NAME_BYTES + 1];
    char hash[NAME_HASH_HEX];

    make_harmless(name, key->layers);
    return apr_pstrcat(pool, name, "-", name_hash(hash, both, strlen(both)),
                       NULL);
}

const char *dp_disk_path(const dp_store_disk_t *disk, const dogpile_key_t *key,
                         apr_pool_t *pool)
{
    char hex[2 * FILE_KEY_BYTES + 1];

    dp_hex(hex, key->digest.bytes, FILE_KEY_BYTES);
    return apr_psprintf(pool, "%s/%s/%s/%s/%d/%u/%u/%u_%u_%s", disk->root,
                        dp_disk_name(key->source, pool), layers_name(key, pool),
                        dp_disk_name(key->grid, pool), key->z, key->x / GROUP,
                        key->y / GROUP, key->x, key->y, hex);
}

void dp_disk_learn_mode(dp_store_disk_t *disk)
{
    struct stat info;

    if (stat(disk->root, &info) == 0) {
        disk->mode = info.st_mode & 02775;
    }
}

/* Modes as the root's, whatever the umask: a store shared through a group
 * stays shared. */
static apr_status_t make_one(const dp_store_disk_t *disk, const char *path)
{
    if (mkdir(path, disk->mode) != 0) {
        return errno == EEXIST ? APR_SUCCESS : errno;
    }
    /* Not ours to change any more if somebody removed it already. */
    if ((disk->mode & 07077) != 0 && chmod(path, disk->mode) != 0
        && errno != ENOENT) {
        return errno;
    }
    return APR_SUCCESS;
}

apr_status_t dp_disk_make_above(const dp_store_disk_t *disk, const char *path,
                                apr_pool_t *scratch_pool)
{
    char *above = apr_pstrdup(scratch_pool, path);
    char *slash = strchr(above + strlen(disk->root) + 1, '/');
    apr_status_t status = APR_SUCCESS;

    for (; slash != NULL && status == APR_SUCCESS;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_one(disk, above);
        *slash = '/';
    }
    return status;
}
