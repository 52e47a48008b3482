/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper locker when servers, networks and processes fail. Each test
 * that harms a server has one of its own.
 */
#include "zookeeper_fixture.h"

#include <apr_strings.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"

/* As soon as the server answers, this is what it says. */
static apr_status_t renewed(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            const dogpile_id_t *token)
{
    apr_status_t status = APR_EGENERAL;

    ZOOKEEPER_AWAIT((status = contract_renew(locker, key, token)) == APR_SUCCESS
                    || status == APR_NOTFOUND);
    return status;
}

/* One that waits no longer than it must in a test that lets it wait. */
static dogpile_locker_t *quick(int port, apr_interval_time_t lease_usec)
{
    dogpile_locker_conf_t *conf = zookeeper_conf_at(port, lease_usec);

    conf->socket_usec = apr_time_from_msec(500);
    return contract_locker(conf);
}

START_TEST(a_restarted_server_keeps_the_locks)
{
    zookeeper_server_t *server = zookeeper_make();
    dogpile_locker_t *locker = quick(server->port, CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    ZOOKEEPER_AWAIT(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token)
                    == APR_SUCCESS);
    zookeeper_kill(server);
    contract_assert_unavailable(locker, &key);
    ck_assert_int_eq(unit_log_last_id, 780);
    zookeeper_start(server);
    ck_assert_int_eq(renewed(locker, &key, &token), APR_SUCCESS);
    ck_assert_int_eq(unit_log_last_id, 782);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    zookeeper_kill(server);
}
END_TEST

/* It refuses clients that know more than it does, until they begin anew. */
START_TEST(a_server_that_forgot_everything_is_used_again)
{
    zookeeper_server_t *server = zookeeper_make();
    dogpile_locker_t *locker =
        contract_locker(zookeeper_conf_at(server->port, apr_time_from_sec(4)));
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    zookeeper_kill(server);
    zookeeper_forget(server);
    zookeeper_start(server);
    ck_assert_int_eq(renewed(locker, &key, &token), APR_NOTFOUND);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    zookeeper_kill(server);
}
END_TEST

START_TEST(a_hanging_server_is_unavailable_until_it_goes_on)
{
    zookeeper_server_t *server = zookeeper_make();
    dogpile_locker_t *locker = quick(server->port, CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_id_t token;
    dogpile_lock_state_e state;

    ZOOKEEPER_AWAIT(contract_try(locker, &other, DOGPILE_EXCLUSIVE, &token)
                    == APR_SUCCESS);
    kill(server->pid, SIGSTOP);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_TIMEUP);
    contract_assert_unavailable(locker, &key);
    kill(server->pid, SIGCONT);
    ZOOKEEPER_AWAIT(
        dp_lock_probe(locker, &key, DOGPILE_EXCLUSIVE, &state, NULL, unit_pool)
            == APR_SUCCESS
        && state == DOGPILE_FREE);
    ck_assert_int_eq(
        dp_lock_probe(locker, &other, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(state, DOGPILE_HELD);
    zookeeper_kill(server);
}
END_TEST

/* Make its next node through the relay one whose reply never comes. */
static void lose_a_lock(dogpile_locker_t *locker, const dogpile_lock_key_t *key)
{
    dogpile_id_t token;
    apr_status_t status;

    zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_LOSE);
    status = contract_try(locker, key, DOGPILE_EXCLUSIVE, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_EEXIST, "%d", status);
    ck_assert(dp_id_is_none(&token));
}

START_TEST(a_lock_whose_reply_was_lost_is_swept)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_locker_t *other = contract_locker(
        zookeeper_conf_at(zookeeper_shared_port(), CONTRACT_LONG_USEC));
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    dogpile_lock_key_t key = contract_key("a");
    const char *folder = dp_zk_folder(zookeeper_root(), &key.digest, unit_pool);
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    lose_a_lock(locker, &key);
    contract_await_free(other, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_lt(zookeeper_count(client, folder), 1);
    contract_take(other, &key, DOGPILE_EXCLUSIVE);
    zookeeper_close(client);
}
END_TEST

/* Two that share the server, but not the relay. The first has a connection. */
static void make_two(dogpile_locker_t **behind_relay, dogpile_locker_t **other,
                     const dogpile_lock_key_t *key)
{
    dogpile_id_t token;

    *behind_relay = quick(zookeeper_relay()->port, CONTRACT_LONG_USEC);
    *other = contract_locker(
        zookeeper_conf_at(zookeeper_shared_port(), CONTRACT_LONG_USEC));
    ZOOKEEPER_AWAIT(contract_try(*behind_relay, key, DOGPILE_EXCLUSIVE, &token)
                    == APR_SUCCESS);
    ZOOKEEPER_AWAIT(contract_release(*behind_relay, key, &token)
                    == APR_SUCCESS);
}

START_TEST(a_lock_that_came_too_late_is_swept)
{
    dogpile_locker_t *locker;
    dogpile_locker_t *other;
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    int i;

    make_two(&locker, &other, &key);
    for (i = 0; i < 3; i++) {
        zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_HOLD);
        ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                         APR_TIMEUP);
        ck_assert_int_eq(contract_look(other, &key, DOGPILE_SHARED),
                         DOGPILE_HELD);
        zookeeper_relay_order(zookeeper_relay(), ZOOKEEPER_PASS);
        contract_await_free(other, &key, DOGPILE_EXCLUSIVE);
    }
}
END_TEST

START_TEST(a_release_that_was_not_heard_is_made_up_for)
{
    zookeeper_relay_t *relay = zookeeper_relay();
    dogpile_locker_t *locker;
    dogpile_locker_t *other;
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;
    apr_status_t status;

    make_two(&locker, &other, &key);
    ZOOKEEPER_AWAIT(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token)
                    == APR_SUCCESS);
    zookeeper_relay_kill(relay);
    status = contract_release(locker, &key, &token);
    ck_assert_msg(status != APR_SUCCESS && status != APR_NOTFOUND, "%d",
                  status);
    ck_assert_int_eq(contract_look(other, &key, DOGPILE_SHARED), DOGPILE_HELD);
    zookeeper_relay_start(relay, zookeeper_shared_port());
    contract_await_free(other, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* A child of httpd that takes a lock, says so, and goes on when told. */
static void be_a_child(int port, int ends[2])
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_locker_t *locker =
        contract_locker(zookeeper_conf_at(port, apr_time_from_sec(4)));
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    apr_status_t status;
    char byte = 'x';

    ck_assert_int_eq(write(ends[1], &byte, 1), 1);
    raise(SIGSTOP);
    if (renewed(locker, &key, &token) != APR_NOTFOUND) {
        _exit(2);
    }
    if (contract_release(locker, &key, &token) != APR_NOTFOUND) {
        _exit(3);
    }
    ZOOKEEPER_AWAIT(
        (status = contract_try(locker, &other, DOGPILE_EXCLUSIVE, &token))
        == APR_SUCCESS);
    _exit(0);
}

START_TEST(a_session_that_ended_takes_its_locks_along)
{
    dogpile_locker_t *locker = contract_steady();
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    dogpile_lock_key_t key = contract_key("a");
    const char *folder = dp_zk_folder(zookeeper_root(), &key.digest, unit_pool);
    int port = zookeeper_relay()->port;
    dogpile_id_t token;
    int ends[2];
    char byte;
    int status;
    pid_t child;

    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        be_a_child(port, ends);
    }
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ZOOKEEPER_AWAIT(zookeeper_count(client, folder) < 1);
    token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    kill(child, SIGCONT);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_SUCCESS);
    zookeeper_close(client);
}
END_TEST

/* A lease that the session took which is over is not that of its successor,
 * though the server may not know yet. */
START_TEST(a_session_does_not_renew_what_another_took)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_locker_t *other = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_renew(other, &key, &token), APR_NOTFOUND);
    contract_await_free(other, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* Whoever calls is answered with something else. */
static void *babble(void *baton)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n0123456789"
                                 "0123456789012345678901234567890123456789";
    int listener = *(int *)baton;
    char asked[256];

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            return NULL;
        }
        if (recv(fd, asked, sizeof(asked), 0) > 0) {
            (void)!send(fd, answer, sizeof(answer), MSG_NOSIGNAL);
        }
        close(fd);
    }
}

START_TEST(something_else_at_the_port_is_unavailable)
{
    pthread_t thread;
    int port = 0;
    int listener = zookeeper_listen(&port);
    dogpile_lock_key_t key = contract_key("a");

    pthread_create(&thread, NULL, babble, &listener);
    contract_assert_unavailable(quick(port, CONTRACT_LONG_USEC), &key);
    /* That it can't be used, and no more. */
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 780);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
}
END_TEST

START_TEST(a_host_without_address_is_unavailable)
{
    dogpile_locker_conf_t *conf = zookeeper_conf_at(1, CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");

    APR_ARRAY_IDX(conf->servers, 0, const char *) = "no-such-host.invalid";
    conf->socket_usec = apr_time_from_msec(500);
    contract_assert_unavailable(contract_locker(conf), &key);
}
END_TEST

/* The client would write a line for every trifle, as httpd's own stderr. */
START_TEST(the_client_says_nothing_of_its_own)
{
    const char *path = apr_pstrcat(unit_pool, unit_tempdir(), "/said", NULL);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker;
    dogpile_id_t token;
    int before = dup(2);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct stat info;

    ck_assert_int_eq(dup2(fd, 2), 2);
    contract_assert_unavailable(
        quick(zookeeper_free_port(), CONTRACT_LONG_USEC), &key);
    locker = contract_steady();
    token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    zookeeper_relay_kill(zookeeper_relay());
    contract_renew(locker, &key, &token);
    dup2(before, 2);
    ck_assert_int_eq(fstat(fd, &info), 0);
    ck_assert_int_eq(info.st_size, 0);
    close(fd);
    close(before);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_restarted_server_keeps_the_locks,
        a_server_that_forgot_everything_is_used_again,
        a_hanging_server_is_unavailable_until_it_goes_on,
        a_lock_whose_reply_was_lost_is_swept,
        a_lock_that_came_too_late_is_swept,
        a_release_that_was_not_heard_is_made_up_for,
        a_session_that_ended_takes_its_locks_along,
        a_session_does_not_renew_what_another_took,
        something_else_at_the_port_is_unavailable,
        a_host_without_address_is_unavailable,
        the_client_says_nothing_of_its_own};

    return zookeeper_run_tests("lock/zookeeper faults", tests,
                               (int)(sizeof(tests) / sizeof(*tests)));
}
