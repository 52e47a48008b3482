/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker on file systems that fail: which form a directory gets when
 * flock doesn't work, who may join it, and what handles that went stale,
 * failed reads and lost answers come to. The faults are put between the
 * locker and the kernel by this program's own versions of some calls.
 */
#include <apr_strings.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock_disk_fixture.h"

#define NFS_MAGIC 0x6969
#define GROUP 1
#define STARTERS 6
#define EVERYONE_IN (-1) /* flock succeeds and excludes nobody */

/* What goes wrong. */
static int flock_error;
static int pread_error;
static int pread_times;  /* how often still */
static int rename_error; /* once; told although it was done */
static int is_network;

int flock(int fd, int operation)
{
    int (*real)(int, int);

    *(void **)&real = dlsym(RTLD_NEXT, "flock");
    if (flock_error == EVERYONE_IN) {
        return 0;
    }
    errno = flock_error;
    return flock_error ? -1 : real(fd, operation);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    ssize_t (*real)(int, void *, size_t, off_t);

    *(void **)&real = dlsym(RTLD_NEXT, "pread");
    if (pread_times > 0) {
        pread_times--;
        errno = pread_error;
        return -1;
    }
    return real(fd, bytes, size, offset);
}

int renameat(int from, const char *old, int to, const char *new)
{
    int (*real)(int, const char *, int, const char *);
    int result;

    *(void **)&real = dlsym(RTLD_NEXT, "renameat");
    result = real(from, old, to, new);
    if (result == 0 && rename_error) {
        errno = rename_error;
        rename_error = 0;
        return -1;
    }
    return result;
}

int fstatfs(int fd, struct statfs *info)
{
    int (*real)(int, struct statfs *);
    int result;

    *(void **)&real = dlsym(RTLD_NEXT, "fstatfs");
    result = real(fd, info);
    if (is_network) {
        info->f_type = NFS_MAGIC;
    }
    return result;
}

static const dp_form_t *form_of(dogpile_locker_t *locker)
{
    return dp_disk_of(locker)->dir.form;
}

static dogpile_locker_t *in_directory(const char *name)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();

    conf->directory = apr_pstrcat(unit_pool, conf->directory, "/", name, NULL);
    return contract_locker(conf);
}

START_TEST(where_flock_does_not_work_rename_does)
{
    static const int errors[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EVERYONE_IN};
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    int i;

    for (i = 0; i < 4; i++) {
        flock_error = errors[i];
        locker = in_directory(apr_itoa(unit_pool, i));
        ck_assert_ptr_eq(form_of(locker), &dp_form_rename);
        contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    }
    flock_error = 0;
    ck_assert_ptr_eq(form_of(in_directory("works")), &dp_form_flock);
    /* flock may work on this host alone. */
    is_network = 1;
    ck_assert_ptr_eq(form_of(in_directory("network")), &dp_form_rename);
    ck_assert_int_eq(dp_disk_of(in_directory("network"))->dir.is_remote, 1);
}
END_TEST

START_TEST(what_the_directory_says_is_done)
{
    lock_disk_publish(lock_disk_directory(), &dp_form_rename);
    ck_assert_ptr_eq(form_of(lock_disk_locker()), &dp_form_rename);
}
END_TEST

START_TEST(a_host_without_flock_does_not_join_those_who_use_it)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    dogpile_id_t token;
    const char *wrong;

    contract_locker(conf);
    flock_error = EVERYONE_IN;
    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    wrong = dp_lock_disk.prepare(locker, unit_pool);
    ck_assert_msg(wrong && strstr(wrong, "use flock")
                      && strstr(wrong, "lets two in"),
                  "%s", wrong ? wrong : "accepted");
    /* Nor does a tool that doesn't ask. */
    ck_assert_int_eq(dp_lock_disk.child_init(locker, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_SHARED, &token),
                     ENOLCK);
}
END_TEST

START_TEST(a_directory_of_another_version_is_left_alone)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    const char *form = apr_pstrcat(unit_pool, conf->directory, "/form", NULL);
    dogpile_locker_t *locker;

    ck_assert_int_eq(mkdir(conf->directory, 0700), 0);
    ck_assert_int_eq(mkdir(form, 0700), 0);
    lock_disk_put(apr_pstrcat(unit_pool, form, "/quantum", NULL), "", 0);
    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    ck_assert_ptr_nonnull(dp_lock_disk.prepare(locker, unit_pool));
}
END_TEST

static int nothing_but_the_form;

static int look_for_drafts(const char *path, const struct stat *info, int type,
                           struct FTW *where)
{
    (void)info;
    (void)type;
    nothing_but_the_form &= path[where->base] != '.';
    return 0;
}

static int is_tidy(const char *directory)
{
    nothing_but_the_form = 1;
    nftw(directory, look_for_drafts, 16, FTW_PHYS);
    return nothing_but_the_form;
}

/* Half of them without flock: the others' form, or nothing. */
START_TEST(hosts_that_start_at_once_agree_on_the_form)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    dogpile_locker_t *locker;
    pid_t starters[STARTERS];
    const char *form;
    int status;
    int i;

    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    ck_assert_int_eq(mkdir(conf->directory, 0700), 0);
    for (i = 0; i < STARTERS; i++) {
        starters[i] = fork();
        ck_assert_int_ge(starters[i], 0);
        if (starters[i] == 0) {
            flock_error = i % 2 ? ENOLCK : 0;
            if (dp_lock_disk.prepare(locker, unit_pool) != NULL) {
                _exit(1);
            }
            dp_lock_disk.child_init(locker, unit_pool);
            _exit(form_of(locker) == &dp_form_flock ? 2 : 3);
        }
    }
    form = form_of(lock_disk_locker())->name;
    for (i = 0; i < STARTERS; i++) {
        ck_assert_int_eq(waitpid(starters[i], &status, 0), starters[i]);
        ck_assert_int_eq(WEXITSTATUS(status), form == dp_form_rename.name ? 3
                                              : i % 2                     ? 1
                                                                          : 2);
    }
    ck_assert(is_tidy(conf->directory));
}
END_TEST

START_TEST(what_died_in_the_making_is_removed_when_it_is_old)
{
    const char *directory = lock_disk_directory();
    const char *draft = apr_pstrcat(unit_pool, directory, "/.form-1", NULL);
    const char *trial = apr_pstrcat(unit_pool, directory, "/.try-1", NULL);
    struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};

    lock_disk_locker();
    ck_assert_int_eq(mkdir(draft, 0700), 0);
    ck_assert_int_eq(mkdir(apr_pstrcat(unit_pool, draft, "/00", NULL), 0700),
                     0);
    lock_disk_put(trial, "", 0);
    lock_disk_locker();
    ck_assert(!is_tidy(directory));
    ck_assert_int_eq(utimensat(AT_FDCWD, draft, long_ago, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, trial, long_ago, 0), 0);
    lock_disk_locker();
    ck_assert(is_tidy(directory));
}
END_TEST

static int is_for_the_group(const char *path, const struct stat *info, int type,
                            struct FTW *where)
{
    (void)type;
    (void)where;
    ck_assert_msg(info->st_uid == LOCK_DISK_NOBODY && info->st_gid == GROUP
                      && (info->st_mode & 0777)
                             == (S_ISDIR(info->st_mode) ? 0770 : 0660),
                  "%s: %o, %d:%d", path, info->st_mode, (int)info->st_uid,
                  (int)info->st_gid);
    return 0;
}

/* As the command does: no prepare(), and root. */
static void use_as_root(const dp_form_t *form)
{
    dogpile_locker_conf_t *conf = lock_disk_conf();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;

    conf->directory =
        apr_pstrcat(unit_pool, conf->directory, "-", form->name, NULL);
    ck_assert_int_eq(mkdir(conf->directory, 0), 0);
    ck_assert_int_eq(chown(conf->directory, LOCK_DISK_NOBODY, GROUP), 0);
    ck_assert_int_eq(chmod(conf->directory, 02770), 0);
    flock_error = form == &dp_form_rename ? ENOLCK : 0;
    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    dp_lock_disk.child_init(locker, unit_pool);
    ck_assert_ptr_eq(form_of(locker), form);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    nftw(conf->directory, is_for_the_group, 16, FTW_PHYS);
    lock_disk_be_nobody(LOCK_DISK_NOBODY);
    dp_lock_disk.child_init(locker, unit_pool);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    lock_disk_be_root();
}

START_TEST(what_root_makes_belongs_to_whom_the_directory_does)
{
    if (geteuid() == 0) {
        use_as_root(&dp_form_flock);
        use_as_root(&dp_form_rename);
    }
}
END_TEST

/* A lease that this call reads, in that form. */
static dogpile_id_t hold_in(const dp_form_t *form, dogpile_locker_t **locker,
                            const dogpile_lock_key_t *key)
{
    flock_error = form == &dp_form_rename ? ENOLCK : 0;
    *locker = in_directory(form->name);
    return contract_take(*locker, key, DOGPILE_EXCLUSIVE);
}

static const dp_form_t *const forms[] = {&dp_form_flock, &dp_form_rename};

START_TEST(a_stale_handle_is_opened_again_once)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    dogpile_lock_state_e state;
    dogpile_id_t mine;
    int i;

    for (i = 0; i < 2; i++) {
        mine = hold_in(forms[i], &locker, &key);
        pread_error = ESTALE;
        pread_times = 1;
        ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
        pread_times = 1;
        ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED),
                         DOGPILE_HELD);
        pread_times = 2;
        ck_assert_int_eq(contract_renew(locker, &key, &mine), ESTALE);
        pread_times = 2;
        ck_assert_int_eq(dp_lock_probe(locker, &key, DOGPILE_SHARED, &state,
                                       NULL, unit_pool),
                         ESTALE);
        ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    }
}
END_TEST

START_TEST(a_failed_read_is_unavailable_and_harms_nobody)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    dogpile_id_t token;
    dogpile_id_t mine;
    int i;

    for (i = 0; i < 2; i++) {
        mine = hold_in(forms[i], &locker, &key);
        pread_error = EIO;
        pread_times = 1;
        ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                         EIO);
        ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    }
}
END_TEST

/* The file server did it, and its answer got lost: NFS asks again, and is
 * told that there is nothing to rename. */
START_TEST(an_answer_that_was_lost_is_found_out)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    dogpile_id_t mine = hold_in(&dp_form_rename, &locker, &key);

    rename_error = ENOENT;
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    rename_error = EIO;
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    rename_error = ENOENT;
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(rename_error, 0);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

UNIT_MAIN("lock/disk faults", where_flock_does_not_work_rename_does,
          what_the_directory_says_is_done,
          a_host_without_flock_does_not_join_those_who_use_it,
          a_directory_of_another_version_is_left_alone,
          hosts_that_start_at_once_agree_on_the_form,
          what_died_in_the_making_is_removed_when_it_is_old,
          what_root_makes_belongs_to_whom_the_directory_does,
          a_stale_handle_is_opened_again_once,
          a_failed_read_is_unavailable_and_harms_nobody,
          an_answer_that_was_lost_is_found_out)
