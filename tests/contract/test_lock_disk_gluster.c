/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker keeps every locker's promises on a real network file
 * system, with contenders through two mounts of one volume: by rename, which
 * is what it chooses, under the caches that GlusterFS has by default; and by
 * flock, as on NFS, under the kernel's alone. Then what only a network can do:
 * hang, and have hosts whose clocks differ.
 */
#include <apr_file_io.h>
#include <apr_strings.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gluster_fixture.h"
#include "lock_disk_fixture.h"

#define FAKETIME "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
#define CONTENDERS 4
#define ROUNDS 25

static gluster_t gluster;
static int kind;
static int calls; /* of configure() in this test: which mount is next */
static int is_believed;

/* Done once between opening a file and locking it. */
static void (*before_lock)(void);

int flock(int fd, int operation)
{
    int (*real)(int, int);
    void (*meanwhile)(void) = operation & LOCK_EX ? before_lock : NULL;

    *(void **)&real = dlsym(RTLD_NEXT, "flock");
    if (meanwhile) {
        before_lock = NULL;
        meanwhile();
    }
    return real(fd, operation);
}

/* In the eyes of the locker, the file system becomes one whose flock excludes
 * other hosts: as it does here without the volume's own caches. */
FILE *fopen(const char *path, const char *mode)
{
    FILE *(*real)(const char *, const char *);
    char line[4096];
    FILE *copy;
    FILE *file;

    *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    file = real(path, mode);
    if (!is_believed || file == NULL
        || strcmp(path, "/proc/self/mountinfo") != 0) {
        return file;
    }
    copy = tmpfile();
    while (copy && fgets(line, sizeof(line), file)) {
        char *type = strstr(line, " fuse.glusterfs ");

        if (type) {
            memcpy(type, " nfs4          ", 15);
        }
        fputs(line, copy);
    }
    fclose(file);
    rewind(copy);
    return copy;
}

/* libfaketime sends its own time where "now" is asked of the kernel, which a
 * host whose clock is wrong doesn't do. */
int futimens(int fd, const struct timespec times[2])
{
    return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

/* The lock directory as that host sees it. A test is a process. */
static const char *locks_of(int host)
{
    static char name[32];

    if (name[0] == '\0') {
        snprintf(name, sizeof(name), "test-%d", (int)getpid());
        (void)mkdir(
            apr_pstrcat(unit_pool, gluster.mounts[kind][0], "/", name, NULL),
            0755);
    }
    return apr_pstrcat(unit_pool, gluster.mounts[kind][host], "/", name,
                       "/locks", NULL);
}

/* Each locker of a test is another host's. */
static void configure(dogpile_locker_conf_t *conf)
{
    conf->directory = locks_of(calls++ % GLUSTER_HOSTS);
    conf->socket_usec = CONTRACT_PATIENCE_USEC;
}

static void configure_caching(dogpile_locker_conf_t *conf)
{
    kind = GLUSTER_CACHING;
    configure(conf);
}

static void configure_flock(dogpile_locker_conf_t *conf)
{
    kind = GLUSTER_PLAIN;
    is_believed = 1;
    configure(conf);
    lock_disk_publish(locks_of(0), &dp_form_flock);
}

/* A host may remember the name for a second. */
static void break_server(void)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    struct stat info;

    ck_assert_int_eq(
        rename(locks_of(0), apr_pstrcat(unit_pool, locks_of(0), ".gone", NULL)),
        0);
    while (stat(locks_of(0), &info) == 0 || stat(locks_of(1), &info) == 0) {
        ck_assert(apr_time_now() < deadline);
        apr_sleep(CONTRACT_LOOK_USEC);
    }
}

static void flush(void)
{
    lock_disk_forget(locks_of(0));
}

static const contract_locker_t caching = {.name = "lock/disk on GlusterFS",
                                          .provider = &dp_lock_disk,
                                          .configure = configure_caching,
                                          .break_server = break_server,
                                          .flush = flush,
                                          .knows_the_dead = 1};

static const contract_locker_t by_flock = {
    .name = "lock/disk on GlusterFS by flock",
    .provider = &dp_lock_disk,
    .configure = configure_flock,
    .break_server = break_server,
    .flush = flush,
    .knows_the_dead = 1};

START_TEST(the_form_is_as_announced)
{
    const dp_lockdir_t *dir = &dp_disk_of(contract_steady())->dir;

    ck_assert_str_eq(dir->form->name, is_believed ? "flock" : "rename");
    ck_assert_int_eq(dir->is_remote, 1);
}
END_TEST

/* In a process of its own: take the lock ROUNDS times, and see each time that
 * nobody else has it. The mark is on a local file system. */
static int contend(const dogpile_locker_conf_t *conf, const char *mark)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker = contract_locker(conf);
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    dogpile_id_t token;
    int rounds = 0;
    int fd;

    while (rounds < ROUNDS && apr_time_now() < deadline) {
        if (contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token)
            != APR_SUCCESS) {
            apr_sleep(1000);
            continue;
        }
        fd = open(mark, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) {
            return 2;
        }
        close(fd);
        unlink(mark);
        if (contract_release(locker, &key, &token) != APR_SUCCESS) {
            return 3;
        }
        rounds++;
    }
    return rounds == ROUNDS ? 0 : 4;
}

START_TEST(hosts_keep_each_other_out)
{
    const char *mark = apr_pstrcat(unit_pool, unit_tempdir(), "/mark", NULL);
    pid_t children[CONTENDERS];
    int status;
    int i;

    for (i = 0; i < CONTENDERS; i++) {
        const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);

        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            _exit(contend(conf, mark));
        }
    }
    for (i = 0; i < CONTENDERS; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
}
END_TEST

static dogpile_locker_t *other_host;
static dogpile_id_t first_lease;

/* This host's kernel remembers the file, then another changes it. */
static void read_and_change(void)
{
    dogpile_lock_key_t key = contract_key("a");
    const char *path = apr_psprintf(unit_pool, "%s/%02x", locks_of(0),
                                    (unsigned int)key.digest.bytes[0]);
    char bytes[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_gt(read(fd, bytes, sizeof(bytes)), 0);
    close(fd);
    ck_assert_int_eq(contract_release(other_host, &key, &first_lease),
                     APR_SUCCESS);
    contract_take(other_host, &key, DOGPILE_EXCLUSIVE);
}

START_TEST(what_was_read_before_the_lock_is_not_believed)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker = contract_steady();

    other_host = contract_steady();
    first_lease = contract_take(other_host, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_renew(locker, &key, &first_lease), APR_SUCCESS);
    before_lock = read_and_change;
    ck_assert_int_eq(contract_renew(locker, &key, &first_lease), APR_NOTFOUND);
    ck_assert_ptr_null(before_lock);
}
END_TEST

static dogpile_locker_t *hasty_locker(void)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);

    conf->socket_usec = apr_time_from_msec(200);
    return contract_locker(conf);
}

/* The locks of the server are those of a stopped process while it hangs. */
START_TEST(a_hanging_server_holds_some_threads_and_nobody_else)
{
    dogpile_locker_t *hasty = hasty_locker();
    dogpile_locker_t *patient = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    int i;

    contract_release(hasty, &key, &(dogpile_id_t){{0}});
    ck_assert_int_eq(kill(gluster.brick, SIGSTOP), 0);
    for (i = 0; i < DP_WORK_THREADS_MAX + 20; i++) {
        if (contract_try(hasty, &key, DOGPILE_EXCLUSIVE, &token)
            != APR_TIMEUP) {
            break;
        }
    }
    kill(gluster.brick, SIGCONT);
    ck_assert_int_eq(i, DP_WORK_THREADS_MAX + 20);
    /* What came late was given back, and the threads with it. */
    while (dp_work_hanging(dp_disk_of(hasty)->work) > 0) {
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    token = contract_take(patient, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(patient, &key, &token), APR_SUCCESS);
}
END_TEST

START_TEST(httpd_starts_while_the_server_hangs)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    const char *wrong;
    apr_status_t status;

    contract_locker(conf);
    conf->socket_usec = apr_time_from_msec(200);
    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    ck_assert_int_eq(kill(gluster.brick, SIGSTOP), 0);
    wrong = dp_lock_disk.prepare(locker, unit_pool);
    status = dp_lock_disk.child_init(locker, unit_pool);
    kill(gluster.brick, SIGCONT);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    ck_assert_int_eq(status, APR_SUCCESS);
    while (dp_work_hanging(dp_disk_of(locker)->work) > 0) {
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* What the program does when it is started again by the test below. */
static int be_a_host_two_hours_ahead(const char *directory)
{
    dogpile_locker_conf_t conf = {.name = "ahead",
                                  .directory = directory,
                                  .lease_usec = CONTRACT_LONG_USEC,
                                  .host = "host-ahead"};
    dogpile_lock_key_t held = contract_key("held");
    dogpile_lock_key_t kept = contract_key("kept");
    dogpile_locker_t *locker;
    dogpile_id_t token;

    apr_initialize();
    apr_pool_create(&unit_pool, NULL);
    if (dp_lock_disk.create(&locker, &conf, unit_pool) != NULL
        || dp_lock_disk.child_init(locker, unit_pool) != APR_SUCCESS) {
        return 1;
    }
    if (contract_try(locker, &held, DOGPILE_EXCLUSIVE, &token) != APR_EEXIST) {
        return 2;
    }
    return contract_try(locker, &kept, DOGPILE_EXCLUSIVE, &token) ? 3 : 0;
}

START_TEST(a_host_whose_clock_is_wrong_judges_as_the_others)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t held = contract_key("held");
    dogpile_lock_key_t kept = contract_key("kept");
    const char *directory = locks_of(1);
    dogpile_lock_state_e state;
    dogpile_holder_t holder;
    int status;
    pid_t child;

    ck_assert_int_eq(access(FAKETIME, R_OK), 0);
    contract_take(locker, &held, DOGPILE_EXCLUSIVE);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        setenv("LD_PRELOAD", FAKETIME, 1);
        setenv("FAKETIME", "+7200", 1);
        setenv("NO_FAKE_STAT", "1", 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        execl("/proc/self/exe", "ahead", directory, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(dp_lock_probe(locker, &kept, DOGPILE_EXCLUSIVE, &state,
                                   &holder, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(state, DOGPILE_HELD);
    ck_assert_str_eq(holder.host, "host-ahead");
    ck_assert(holder.left_usec <= CONTRACT_LONG_USEC);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const own[] = {
        the_form_is_as_announced,
        hosts_keep_each_other_out,
        a_hanging_server_holds_some_threads_and_nobody_else,
        httpd_starts_while_the_server_hangs,
        a_host_whose_clock_is_wrong_judges_as_the_others,
        NULL};
    const TTest *const own_by_flock[] = {
        the_form_is_as_announced, hosts_keep_each_other_out,
        what_was_read_before_the_lock_is_not_believed, NULL};
    const TTest *all[CONTRACT_TESTS_MAX];
    int failed = 1;
    int n = 0;

    if (argc == 2 && strcmp(argv[0], "ahead") == 0) {
        return be_a_host_two_hours_ahead(argv[1]);
    }
    if (gluster_start(&gluster)) {
        failed = locker_contract_run(&caching, own);
        contract_under_test = &by_flock;
        n = locker_contract_leases(all, n);
        n = locker_contract_shared(all, n);
        n = contract_add(all, n, own_by_flock);
        failed |= unit_run(by_flock.name, all, n);
    }
    gluster_stop(&gluster);
    return failed;
}
