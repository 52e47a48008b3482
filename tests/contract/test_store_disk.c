/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk store keeps the promises of a store, and what only a directory can
 * break. Tests of rights take another user when run by root, who may do
 * everything.
 */
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "store_disk_fixture.h"

static const dogpile_id_t none;

static void put_one(dogpile_store_t *store, const char *text)
{
    dogpile_key_t key = store_contract_key(text);
    store_sample_t sample = store_contract_sample(&key, unit_pool);

    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
}

static int is_absent(dogpile_store_t *store, const dogpile_key_t *key)
{
    dogpile_id_t seen = store_contract_seen(store, key);

    return dp_id_is_none(&seen);
}

START_TEST(nothing_is_left_beside_what_is_stored)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);

    put_one(store, "a");
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_EEXIST);
    ck_assert_int_eq(store_disk_files_in(store, DP_DISK_TEMPORARY), 0);
}
END_TEST

START_TEST(missing_directories_are_made_again)
{
    dogpile_store_t *store = store_contract_open();
    const char *root = store_disk_root(store);
    const char *command = apr_psprintf(
        unit_pool, "rm -rf %s/m* %s/.tmp %s/.exclusion", root, root, root);
    struct stat info;

    put_one(store, "a");
    ck_assert_int_eq(system(command), 0);
    put_one(store, "b");
    ck_assert_int_eq(
        stat(apr_pstrcat(unit_pool, root, "/.exclusion", NULL), &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0700);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

/* A remover and a writer at once: a put may lose, never hang or leave
 * anything, and what it says is stored can't have been half. */
START_TEST(directories_may_vanish_while_records_are_put)
{
    dogpile_store_t *store = store_contract_open();
    const char *command = apr_psprintf(unit_pool, "rm -rf %s/m* 2>/dev/null",
                                       store_disk_root(store));
    dogpile_key_t key = store_contract_key("a");
    pid_t remover = fork();
    int status;
    int i;

    ck_assert_int_ge(remover, 0);
    if (remover == 0) {
        for (i = 0; i < 40; i++) {
            (void)!system(command);
        }
        _exit(0);
    }
    for (i = 0; waitpid(remover, &status, WNOHANG) == 0; i++) {
        store_sample_t sample = store_contract_sample(&key, unit_pool);
        dogpile_id_t base = store_contract_seen(store, &key);
        apr_status_t put = store_contract_put(store, &key, &base, &sample);

        ck_assert_msg(put == APR_SUCCESS || put == APR_EEXIST
                          || put == APR_ENOENT,
                      "%d", put);
    }
    put_one(store, "b");
    ck_assert_int_eq(store_disk_files_in(store, DP_DISK_TEMPORARY), 0);
}
END_TEST

START_TEST(hostile_texts_stay_below_the_root)
{
    static const char *const texts[] = {
        "../../../../etc",   "..",   "",    "/etc/passwd", ".store-id", ".tmp",
        "\xc3\xa9t\xc3\xa9", "a\nb", "a b", "a/b",         "a:b"};
    dogpile_store_t *store = store_contract_open();
    const char *long_text = apr_psprintf(unit_pool, "%0300d", 7);
    apr_size_t count = sizeof(texts) / sizeof(*texts);
    apr_size_t i;

    for (i = 0; i <= count; i++) {
        const char *text = i < count ? texts[i] : long_text;
        dogpile_key_t key =
            store_contract_key(apr_psprintf(unit_pool, "%d", (int)i));
        store_sample_t sample = store_contract_sample(&key, unit_pool);
        char *real;

        key.source = text;
        key.layers = text;
        key.grid = text;
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
        real = realpath(store_disk_path(store, &key), NULL);
        ck_assert_ptr_nonnull(real);
        ck_assert_int_eq(strncmp(real, store_disk_root(store),
                                 strlen(store_disk_root(store))),
                         0);
        free(real);
        ck_assert(!is_absent(store, &key));
    }
}
END_TEST

START_TEST(a_link_at_the_target_is_replaced_not_followed)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    const char *victim =
        apr_pstrcat(unit_pool, unit_tempdir(), "/victim", NULL);
    struct stat info;
    int fd = open(victim, O_CREAT | O_WRONLY, 0600);

    ck_assert_int_eq(write(fd, "precious", 8), 8);
    close(fd);
    store_disk_plant(store, &key, "", 0);
    ck_assert_int_eq(unlink(store_disk_path(store, &key)), 0);
    ck_assert_int_eq(symlink(victim, store_disk_path(store, &key)), 0);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
    ck_assert_int_eq(lstat(store_disk_path(store, &key), &info), 0);
    ck_assert(S_ISREG(info.st_mode));
    ck_assert_int_eq(stat(victim, &info), 0);
    ck_assert_int_eq(info.st_size, 8);
}
END_TEST

static void plant_oddity(const char *path, int which)
{
    const char *below = apr_pstrcat(unit_pool, path, "/below", NULL);

    switch (which) {
    case 0:
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        break;
    case 1:
        ck_assert_int_eq(symlink(path, path), 0);
        break;
    case 2:
        ck_assert_int_eq(symlink("/dev/zero", path), 0);
        break;
    default:
        ck_assert_int_eq(mkdir(path, 0700), 0);
        close(open(below, O_CREAT | O_WRONLY, 0600));
        break;
    }
}

START_TEST(what_is_no_file_is_a_miss_and_set_aside)
{
    dogpile_store_t *store = store_contract_open();
    int which;

    for (which = 0; which < 4; which++) {
        dogpile_key_t key =
            store_contract_key(apr_psprintf(unit_pool, "%d", which));
        store_sample_t sample = store_contract_sample(&key, unit_pool);

        store_disk_plant(store, &key, "", 0);
        ck_assert_int_eq(unlink(store_disk_path(store, &key)), 0);
        plant_oddity(store_disk_path(store, &key), which);
        ck_assert(is_absent(store, &key));
        ck_assert_int_eq(unit_log_count, which + 1);
        ck_assert_int_eq(unit_log_last_id, 400);
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                         APR_SUCCESS);
    }
}
END_TEST

START_TEST(a_bad_record_is_kept_for_inspection)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    struct stat info;

    store_disk_plant(store, &key, "not a record", 12);
    (void)store_contract_seen(store, &key);
    ck_assert_int_eq(
        stat(apr_pstrcat(unit_pool, store_disk_path(store, &key), ".bad", NULL),
             &info),
        0);
    ck_assert_int_eq(info.st_size, 12);
}
END_TEST

/* The file must follow a bucket that httpd keeps beyond the request. */
START_TEST(an_open_record_may_move_to_another_pool)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    apr_pool_t *request;
    apr_pool_t *connection;
    apr_file_t *moved;
    apr_os_file_t fd;
    dp_found_t found;
    char byte;

    put_one(store, "a");
    apr_pool_create(&request, unit_pool);
    apr_pool_create(&connection, unit_pool);
    ck_assert_int_eq(dp_store_look(store, &key, &found, request), APR_SUCCESS);
    ck_assert_ptr_nonnull(found.blob.file);
    ck_assert(apr_file_flags_get(found.blob.file) & APR_FOPEN_SENDFILE_ENABLED);
    ck_assert_int_eq(apr_file_setaside(&moved, found.blob.file, connection),
                     APR_SUCCESS);
    apr_os_file_get(&fd, moved);
    apr_pool_destroy(request);
    ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
    apr_pool_destroy(connection);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* A file system of 64 kB, or where that can't be had, files of at most 64 kB:
 * returns what a put then says. */
static apr_status_t make_full(const char *root)
{
    struct rlimit limit;

    if (store_disk_can_mount()
        && mount("tmpfs", root, "tmpfs", 0, "size=64k,mode=0700") == 0) {
        return ENOSPC;
    }
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 65536;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return EFBIG;
}

static void make_roomy(const char *root, apr_status_t was)
{
    struct rlimit limit;

    if (was == ENOSPC) {
        ck_assert_int_eq(umount(root), 0);
        return;
    }
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_is_said_once_and_leaves_nothing)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    apr_status_t full = make_full(store_disk_root(store));
    int i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(store_contract_put(store, &key, &none, &sample), full);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 402);
    ck_assert_int_eq(store_disk_files_in(store, DP_DISK_TEMPORARY), 0);
    ck_assert(is_absent(store, &key));
    make_roomy(store_disk_root(store), full);
    put_one(store, "b");
    ck_assert_int_eq(unit_log_count, 2);
    ck_assert_int_eq(unit_log_last_id, 403);
}
END_TEST

/* What a child of another user sees; its answer is the exit status. */
static int try_unwritable(dogpile_store_t *store, const dogpile_key_t *good,
                          const dogpile_key_t *bad)
{
    store_sample_t sample = store_contract_sample(bad, unit_pool);
    dp_found_t found;

    if (geteuid() == 0 && setuid(SOMEBODY) != 0) {
        return 1;
    }
    if (store->provider->child_init(store, unit_pool) != APR_SUCCESS
        || dp_id_is_none(&store->id)) {
        return 2;
    }
    if (dp_store_look(store, good, &found, unit_pool) != APR_SUCCESS
        || !store_contract_is_whole(&found, unit_pool)) {
        return 3;
    }
    if (dp_store_look(store, bad, &found, unit_pool) != APR_NOTFOUND
        || dp_store_look(store, bad, &found, unit_pool) != APR_NOTFOUND
        || unit_log_count != 1 || unit_log_last_id != 401) {
        return 4;
    }
    return store_contract_put(store, bad, &none, &sample) == APR_EACCES ? 0 : 5;
}

START_TEST(a_store_that_can_not_be_written_serves_hits)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t good = store_contract_key("a");
    dogpile_key_t bad = store_contract_key("b");
    const char *top = apr_pstrndup(unit_pool, store_disk_root(store),
                                   strlen(store_disk_root(store)) - 10);
    pid_t child;
    int status;

    put_one(store, "a");
    store_disk_plant(store, &bad, "foreign", 7);
    ck_assert_int_eq(system(apr_psprintf(unit_pool, "chmod -R a=rX %s", top)),
                     0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(try_unwritable(store, &good, &bad));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(system(apr_psprintf(unit_pool, "chmod -R u+w %s", top)),
                     0);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* How many times this process has that file open, under its name or none. */
static int opens_of(const char *path)
{
    DIR *fds = opendir("/proc/self/fd");
    const struct dirent *entry;
    char target[APR_PATH_MAX];
    int opens = 0;

    ck_assert_ptr_nonnull(fds);
    for (entry = readdir(fds); entry; entry = readdir(fds)) {
        ssize_t length =
            readlinkat(dirfd(fds), entry->d_name, target, sizeof(target));

        opens += length > 0 && strncmp(target, path, (apr_size_t)length) == 0
                 && path[length] == '\0';
    }
    closedir(fds);
    return opens;
}

/* Enters a bucket whose file is unlinked while it waits. */
typedef struct entering_t {
    dp_store_disk_t *disk;
    dogpile_key_t key;
    apr_status_t status;
    int fd;
} entering_t;

static void *APR_THREAD_FUNC enter_thread(apr_thread_t *self, void *data)
{
    entering_t *entering = data;

    entering->status =
        dp_disk_enter(&entering->fd, entering->disk, &entering->key.digest,
                      apr_thread_pool_get(self));
    return NULL;
}

START_TEST(a_bucket_that_was_unlinked_is_entered_anew)
{
    dogpile_store_t *store = store_contract_open();
    entering_t entering = {.disk = (dp_store_disk_t *)store,
                           .key = store_contract_key("a")};
    const char *path = apr_psprintf(
        unit_pool, "%s/" DP_DISK_EXCLUSION "/%02u", store_disk_root(store),
        entering.key.digest.bytes[0] % DP_DISK_BUCKETS);
    apr_status_t ended;
    apr_thread_t *thread;
    struct stat info;
    int fd;

    ck_assert_int_eq(
        dp_disk_enter(&fd, entering.disk, &entering.key.digest, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(
        apr_thread_create(&thread, NULL, enter_thread, &entering, unit_pool),
        APR_SUCCESS);
    while (opens_of(path) < 2) {
        sched_yield();
    }
    ck_assert_int_eq(unlink(path), 0);
    close(fd);
    apr_thread_join(&ended, thread);
    ck_assert_int_eq(entering.status, APR_SUCCESS);
    ck_assert_int_eq(fstat(entering.fd, &info), 0);
    ck_assert_int_eq(info.st_nlink, 1);
    close(entering.fd);
}
END_TEST

/* Who stumbled over a bad record may be late. */
START_TEST(a_good_record_is_never_set_aside)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");

    put_one(store, "a");
    store->provider->set_aside(store, &key, unit_pool);
    ck_assert(!is_absent(store, &key));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_bucket_that_stays_taken_ends_the_put)
{
    dogpile_store_t *store = store_contract_open();
    dogpile_key_t key = store_contract_key("a");
    store_sample_t sample = store_contract_sample(&key, unit_pool);
    int fd;

    ck_assert_int_eq(
        dp_disk_enter(&fd, (dp_store_disk_t *)store, &key.digest, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_TIMEUP);
    close(fd);
    ck_assert_int_eq(store_disk_files_in(store, DP_DISK_TEMPORARY), 0);
    ck_assert_int_eq(store_contract_put(store, &key, &none, &sample),
                     APR_SUCCESS);
}
END_TEST

STORE_CONTRACT_MAIN("contract/store_disk", &store_disk_under_test,
                    nothing_is_left_beside_what_is_stored,
                    missing_directories_are_made_again,
                    directories_may_vanish_while_records_are_put,
                    hostile_texts_stay_below_the_root,
                    a_link_at_the_target_is_replaced_not_followed,
                    what_is_no_file_is_a_miss_and_set_aside,
                    a_bad_record_is_kept_for_inspection,
                    an_open_record_may_move_to_another_pool,
                    a_full_disk_is_said_once_and_leaves_nothing,
                    a_store_that_can_not_be_written_serves_hits,
                    a_bucket_that_was_unlinked_is_entered_anew,
                    a_good_record_is_never_set_aside,
                    a_bucket_that_stays_taken_ends_the_put)
