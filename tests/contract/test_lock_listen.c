/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back ends that can tell of a release do: the redis locker, and a fallback
 * that has one among its members.
 */
#include <apr_atomic.h>
#include <apr_strings.h>
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "lock/lock_fallback.h"
#include "lock/lock_redis.h"
#include "lock_redis_fixture.h"

/* What was heard of one key. */
typedef struct ear_t {
    dogpile_lock_key_t key;
    apr_uint32_t nheard;  /* releases of it */
    apr_uint32_t nothers; /* of others */
} ear_t;

static void heard(void *baton, const dogpile_digest_t *digest)
{
    ear_t *ear = baton;
    int is_ours = memcmp(digest, &ear->key.digest, sizeof(*digest)) == 0;

    apr_atomic_inc32(is_ours ? &ear->nheard : &ear->nothers);
}

static ear_t *listen_to(dogpile_locker_t *locker, apr_pool_t *pool)
{
    ear_t *ear = apr_pcalloc(unit_pool, sizeof(*ear));

    ear->key = contract_key("a");
    ck_assert_int_eq(dp_lock_listen(locker, heard, ear, pool), APR_SUCCESS);
    return ear;
}

typedef struct rows_t {
    const char *wanted;
    int is_there;
} rows_t;

static void find_row(void *baton, const char *label, const char *value)
{
    rows_t *rows = baton;

    rows->is_there |=
        strstr(label, "releases") != NULL && strstr(value, rows->wanted);
}

/* Until the status says so of the releases. */
static void await_status(dogpile_locker_t *locker, const char *wanted)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    rows_t rows = {.wanted = wanted};

    while (!rows.is_there) {
        dp_lock_describe(locker, find_row, &rows, unit_pool);
        ck_assert_msg(apr_time_now() < deadline, "never \"%s\"", wanted);
        apr_sleep(CONTRACT_LOOK_USEC);
    }
}

static void await_heard(const ear_t *ear, apr_uint32_t wanted)
{
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;

    while (apr_atomic_read32((apr_uint32_t *)&ear->nheard) < wanted) {
        ck_assert_msg(apr_time_now() < deadline, "never heard");
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    ck_assert_uint_eq(apr_atomic_read32((apr_uint32_t *)&ear->nheard), wanted);
}

static void take_and_release(dogpile_locker_t *locker)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}

static dogpile_locker_t *locker_here(void)
{
    return lock_redis_locker(redis_socket(), NULL);
}

/* ---- releases ---- */

START_TEST(a_release_in_another_process_is_heard)
{
    dogpile_locker_t *here = locker_here();
    ear_t *ear = listen_to(here, unit_pool);
    pid_t child;
    int status;

    await_status(here, "heard at once");
    child = fork();
    if (child == 0) {
        take_and_release(locker_here());
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    await_heard(ear, 1);
    await_status(here, "1 so far");
}
END_TEST

START_TEST(a_break_is_heard)
{
    dogpile_locker_t *here = locker_here();
    ear_t *ear = listen_to(here, unit_pool);

    await_status(here, "heard at once");
    contract_take(here, &ear->key, DOGPILE_SHARED);
    ck_assert_int_eq(dp_lock_break(here, &ear->key, unit_pool), APR_SUCCESS);
    await_heard(ear, 1);
}
END_TEST

/* One connection may bring many, and the last is heard like the first. */
START_TEST(every_one_of_many_is_heard)
{
    dogpile_locker_t *here = locker_here();
    ear_t *ear = listen_to(here, unit_pool);
    int i;

    await_status(here, "heard at once");
    for (i = 0; i < 200; i++) {
        take_and_release(here);
    }
    await_heard(ear, 200);
}
END_TEST

START_TEST(what_is_not_ours_is_not_heard)
{
    dogpile_locker_t *here = locker_here();
    dogpile_locker_t *elsewhere = lock_redis_locker(
        apr_pstrcat(unit_pool, redis_socket(), "?db=3", NULL), NULL);
    dogpile_lock_key_t other = contract_key("of another namespace");
    dogpile_id_t token = contract_take(here, &other, DOGPILE_EXCLUSIVE);
    ear_t *ear = listen_to(here, unit_pool);

    await_status(here, "heard at once");
    take_and_release(elsewhere);
    redis_do("PUBLISH " DP_REDIS_CHANNEL "0 %s", "");
    redis_do("PUBLISH " DP_REDIS_CHANNEL "0 %s", "what is that");
    redis_do("PUBLISH " DP_REDIS_CHANNEL "0 %064d", 0);
    redis_do("PUBLISH " DP_REDIS_CHANNEL "0 x%063d", 0);
    ck_assert_int_eq(contract_release(here, &other, &token), APR_SUCCESS);
    take_and_release(here);
    await_heard(ear, 1);
    ck_assert_uint_eq(apr_atomic_read32(&ear->nothers), 2);
    await_status(here, "3 so far");
}
END_TEST

START_TEST(tls_is_heard_too)
{
    int port = redis_free_port();
    dogpile_locker_t *locker;
    ear_t *ear;
    int i;

    redis_certificates("localhost");
    redis_start((const char *const[]){
        "--tls-port", apr_psprintf(unit_pool, "%d", port), "--tls-cert-file",
        redis_path("server.pem"), "--tls-key-file", redis_path("server.key"),
        "--tls-ca-cert-file", redis_path("ca.pem"), "--tls-auth-clients", "no",
        NULL});
    locker = lock_redis_locker(apr_psprintf(unit_pool,
                                            "rediss://localhost:%d/0?ca=%s",
                                            port, redis_path("ca.pem")),
                               NULL);
    ear = listen_to(locker, unit_pool);
    await_status(locker, "heard at once");
    for (i = 0; i < 20; i++) {
        take_and_release(locker);
    }
    await_heard(ear, 20);
}
END_TEST

/* ---- a connection that is lost ---- */

START_TEST(a_redis_that_returns_is_heard_again)
{
    dogpile_locker_t *here = locker_here();
    ear_t *ear;

    redis_kill();
    ear = listen_to(here, unit_pool);
    await_status(here, "not heard: connect");
    redis_start(NULL);
    await_status(here, "heard at once");
    take_and_release(here);
    await_heard(ear, 1);
    redis_kill();
    await_status(here, "not heard");
    redis_start(NULL);
    await_status(here, "heard at once");
    lock_redis_await(here);
    take_and_release(here);
    await_heard(ear, 2);
    ck_assert_int_ne(unit_log_last_id, 743);
}
END_TEST

/* A firewall that has forgotten a connection says nothing. */
START_TEST(a_line_gone_silent_is_replaced)
{
    dogpile_locker_t *here = lock_redis_hasty_locker(redis_socket());
    dogpile_locker_conf_t *hasty =
        apr_pmemdup(unit_pool, here->conf, sizeof(*hasty));
    dogpile_locker_t *there;
    ear_t *ear;

    hasty->socket_usec = apr_time_from_msec(40);
    hasty->servers = apr_array_make(unit_pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH((apr_array_header_t *)hasty->servers, const char *) =
        redis_proxy();
    there = contract_locker(hasty);
    ear = listen_to(there, unit_pool);
    await_status(there, "heard at once");
    redis_proxy_next(REDIS_PROXY_SWALLOW);
    take_and_release(here);
    await_status(there, "not heard: no answer in time");
    await_status(there, "heard at once");
    take_and_release(here);
    await_heard(ear, 1);
}
END_TEST

START_TEST(too_long_a_message_costs_the_connection_only)
{
    char *text = apr_pcalloc(unit_pool, 4001);
    dogpile_locker_t *here = locker_here();
    ear_t *ear = listen_to(here, unit_pool);

    await_status(here, "heard at once");
    memset(text, '7', 4000);
    redis_do("PUBLISH " DP_REDIS_CHANNEL "0 %s", text);
    await_status(here, "isn't ours");
    await_status(here, "heard at once");
    take_and_release(here);
    await_heard(ear, 1);
}
END_TEST

START_TEST(a_missing_right_is_said_once)
{
    dogpile_locker_t *locker;
    apr_time_t deadline = apr_time_now() + CONTRACT_PATIENCE_USEC;
    unsigned visits = 0;

    redis_do("ACL SETUSER tiles on >secret ~dogpile:* &dogpile:* -@all "
             "+select +evalsha +eval +get +set +del +exists +type +pttl "
             "+pexpire +hset +hget +hdel +hgetall +hlen +time +publish +scan");
    locker = lock_redis_locker(
        apr_pstrcat(unit_pool, redis_socket(), "?user=tiles", NULL),
        redis_file("secret", "secret"));
    listen_to(locker, unit_pool);
    await_status(locker, "not heard: NOPERM");
    /* Until it has come a second time. */
    while (visits < 2) {
        const redisReply *log = redis_do("ACL LOG");

        visits =
            log->elements ? (unsigned)log->element[0]->element[1]->integer : 0;
        ck_assert_msg(apr_time_now() < deadline, "never came again");
        apr_sleep(CONTRACT_LOOK_USEC);
    }
    await_status(locker, "not heard: NOPERM");
    take_and_release(locker);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 743);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "NOPERM"));
    redis_do("ACL SETUSER tiles +subscribe");
    await_status(locker, "heard at once");
}
END_TEST

/* ---- the end ---- */

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder)) {
        n++;
    }
    closedir(folder);
    return n;
}

/* However long it may wait for what: an hour here. */
static void end_while(dogpile_locker_t *locker, const char *state)
{
    apr_pool_t *pool;
    int nthreads;
    int nfiles;

    apr_pool_create(&pool, unit_pool);
    nthreads = entries("/proc/self/task");
    nfiles = entries("/proc/self/fd");
    listen_to(locker, pool);
    ck_assert_int_eq(entries("/proc/self/task"), nthreads + 1);
    await_status(locker, state);
    apr_pool_destroy(pool);
    ck_assert_int_eq(entries("/proc/self/task"), nthreads);
    ck_assert_int_eq(entries("/proc/self/fd"), nfiles);
}

static dogpile_locker_t *patient_locker(const char *server)
{
    dogpile_locker_t *locker = lock_redis_locker(server, NULL);
    dogpile_locker_conf_t *conf =
        apr_pmemdup(unit_pool, locker->conf, sizeof(*conf));

    conf->socket_usec = apr_time_from_sec(3600);
    return contract_locker(conf);
}

START_TEST(the_end_of_the_pool_ends_it)
{
    end_while(patient_locker(redis_socket()), "heard at once");
}
END_TEST

START_TEST(the_end_comes_while_nobody_answers)
{
    dogpile_locker_t *locker = patient_locker(redis_socket());

    redis_signal(SIGSTOP);
    end_while(locker, "not connected yet");
}
END_TEST

START_TEST(the_end_comes_while_nobody_is_there)
{
    dogpile_locker_t *locker = patient_locker(redis_socket());

    redis_kill();
    end_while(locker, "not heard: connect");
}
END_TEST

/* ---- lockers that can't, and a fallback ---- */

static dogpile_locker_t *disk_locker(void)
{
    dogpile_locker_t *locker = NULL;
    dogpile_locker_conf_t *conf;

    contract_under_test = &lock_redis_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);
    conf->name = "disk";
    conf->servers = NULL;
    conf->directory = redis_path("locks");
    ck_assert_ptr_null(dp_lock_disk.create(&locker, conf, unit_pool));
    return locker;
}

static dogpile_locker_t *fallback_of(dogpile_locker_t *first,
                                     dogpile_locker_t *second)
{
    dogpile_locker_conf_t *conf =
        apr_pmemdup(unit_pool, first->conf, sizeof(*conf));
    apr_array_header_t *members =
        apr_array_make(unit_pool, 2, sizeof(dogpile_locker_t *));
    dogpile_locker_t *locker = NULL;

    APR_ARRAY_PUSH(members, dogpile_locker_t *) = first;
    if (second) {
        APR_ARRAY_PUSH(members, dogpile_locker_t *) = second;
    }
    conf->members = members;
    conf->directory = NULL;
    conf->servers = NULL;
    ck_assert_ptr_null(dp_lock_fallback.create(&locker, conf, unit_pool));
    ck_assert_ptr_null(dp_lock_fallback.prepare(locker, unit_pool));
    ck_assert_int_eq(dp_lock_fallback.child_init(locker, unit_pool),
                     APR_SUCCESS);
    return locker;
}

static dogpile_locker_t *redis_member(void)
{
    dogpile_locker_t *member = NULL;
    dogpile_locker_conf_t *conf;

    contract_under_test = &lock_redis_contract;
    conf = contract_conf(CONTRACT_LONG_USEC);
    ck_assert_ptr_null(dp_lock_redis.create(&member, conf, unit_pool));
    return member;
}

START_TEST(a_fallback_passes_it_on)
{
    dogpile_locker_t *chain = fallback_of(disk_locker(), redis_member());
    ear_t *ear = listen_to(chain, unit_pool);

    await_status(chain, "heard at once");
    take_and_release(chain);
    await_heard(ear, 1);
}
END_TEST

START_TEST(who_cannot_know_says_so)
{
    dogpile_locker_t *disk = disk_locker();
    ear_t ear;

    ck_assert_int_eq(dp_lock_listen(disk, heard, &ear, unit_pool),
                     APR_ENOTIMPL);
    ck_assert_int_eq(
        dp_lock_listen(fallback_of(disk, NULL), heard, &ear, unit_pool),
        APR_ENOTIMPL);
}
END_TEST

UNIT_MAIN("lock/listen", a_release_in_another_process_is_heard,
          a_break_is_heard, every_one_of_many_is_heard,
          what_is_not_ours_is_not_heard, tls_is_heard_too,
          a_redis_that_returns_is_heard_again, a_line_gone_silent_is_replaced,
          too_long_a_message_costs_the_connection_only,
          a_missing_right_is_said_once, the_end_of_the_pool_ends_it,
          the_end_comes_while_nobody_answers,
          the_end_comes_while_nobody_is_there, a_fallback_passes_it_on,
          who_cannot_know_says_so)
