/* SPDX-License-Identifier: Apache-2.0 */
#include "store_disk_fixture.h"

#include <apr_strings.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

dogpile_store_t *store_disk_at(const char *where, apr_uid_t uid)
{
    dogpile_store_conf_t *conf = apr_pcalloc(unit_pool, sizeof(*conf));
    dogpile_store_t *store = NULL;
    const char *error;

    conf->where = where;
    conf->uid = uid;
    conf->gid = uid;
    conf->log = &unit_log;
    error = dp_store_disk.create(&store, conf, unit_pool);
    ck_assert_msg(error == NULL, "%s", error);
    return store;
}

const char *store_disk_prepare(dogpile_store_t *store)
{
    return store->provider->prepare(store, unit_pool);
}

dogpile_store_t *store_disk_make(void)
{
    const char *where =
        apr_pstrcat(unit_pool, unit_tempdir(), "/new/store/", NULL);
    dogpile_store_t *store = store_disk_at(where, geteuid());
    const char *error = store_disk_prepare(store);

    ck_assert_msg(error == NULL, "%s", error);
    return store;
}

const char *store_disk_root(dogpile_store_t *store)
{
    return ((dp_store_disk_t *)store)->root;
}

const char *store_disk_path(dogpile_store_t *store, const dogpile_key_t *key)
{
    return dp_disk_path((dp_store_disk_t *)store, key, unit_pool);
}

void store_disk_plant(dogpile_store_t *store, const dogpile_key_t *key,
                      const void *bytes, apr_size_t size)
{
    const char *path = store_disk_path(store, key);
    int fd;

    ck_assert_int_eq(
        dp_disk_make_above((dp_store_disk_t *)store, path, unit_pool),
        APR_SUCCESS);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void remove_record(dogpile_store_t *store, const dogpile_key_t *key)
{
    ck_assert_int_eq(unlink(store_disk_path(store, key)), 0);
}

const store_under_test_t store_disk_under_test = {
    .make = store_disk_make,
    .plant = store_disk_plant,
    .remove = remove_record,
    .too_large_bytes = DP_RECORD_BYTES_MAX + 1,
};

/* How many files are in `root`/`name`. */
int store_disk_files_in(dogpile_store_t *store, const char *name)
{
    DIR *directory = opendir(
        apr_pstrcat(unit_pool, store_disk_root(store), "/", name, NULL));
    const struct dirent *entry;
    int files = 0;

    ck_assert_ptr_nonnull(directory);
    for (entry = readdir(directory); entry; entry = readdir(directory)) {
        files += entry->d_name[0] != '.';
    }
    closedir(directory);
    return files;
}

int store_disk_can_mount(void)
{
    return unshare(CLONE_NEWNS) == 0
           && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
