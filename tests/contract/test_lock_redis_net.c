/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the redis locker gets in to its redis: passwords, users, names, TLS.
 */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "lock/lock_redis.h"
#include "lock_redis_fixture.h"

#define PASSWORD "sesame-0815"

static void find_password(void *baton, const char *label, const char *value)
{
    ck_assert_ptr_null(strstr(label, PASSWORD));
    ck_assert_ptr_null(strstr(value, PASSWORD));
    ++*(int *)baton;
}

/* ---- getting in ---- */

static void start_with_password(void)
{
    const char *const options[] = {"--requirepass", PASSWORD, NULL};

    redis_side_password(PASSWORD);
    redis_start(options);
}

START_TEST(a_password_opens)
{
    start_with_password();
    lock_redis_take_and_release(lock_redis_locker(
        redis_socket(), redis_file("secret", PASSWORD "\r\nand more\n")));
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_wrong_password_is_said_once_and_never_shown)
{
    dogpile_locker_t *locker;
    int rows = 0;
    int i;

    start_with_password();
    locker = lock_redis_locker(redis_socket(),
                               redis_file("secret", PASSWORD "-wrong\n"));
    for (i = 0; i < 5; i++) {
        ck_assert_int_eq(lock_redis_try(locker), APR_EACCES);
    }
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 740);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "AUTH was refused"));
    ck_assert_ptr_nonnull(strstr(unit_log_last, "DogpileLockSecretFile"));
    ck_assert_ptr_null(strstr(unit_log_last, PASSWORD));
    dp_lock_describe(locker, find_password, &rows, unit_pool);
    ck_assert_int_ge(rows, 3);
}
END_TEST

START_TEST(no_password_where_one_is_needed_is_unavailable)
{
    start_with_password();
    ck_assert_int_eq(lock_redis_try(lock_redis_locker(redis_socket(), NULL)),
                     APR_EACCES);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "NOAUTH"));
}
END_TEST

/* A server that doesn't know AUTH quotes its words. */
START_TEST(a_refusal_that_quotes_the_password_is_not_repeated)
{
    const char *server =
        redis_impostor("-ERR unknown command 'AUTH', with args beginning "
                       "with: '" PASSWORD "'\r\n");
    dogpile_locker_t *locker =
        lock_redis_locker(server, redis_file("secret", PASSWORD));
    int rows = 0;

    ck_assert_int_eq(lock_redis_try(locker), APR_EACCES);
    ck_assert_int_eq(unit_log_last_id, 740);
    ck_assert_ptr_null(strstr(unit_log_last, PASSWORD));
    dp_lock_describe(locker, find_password, &rows, unit_pool);
}
END_TEST

/* The rights that docs/design/redis.md names are enough. */
START_TEST(a_user_with_few_rights_is_enough)
{
    dogpile_locker_t *locker;
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    redis_do("ACL SETUSER tiles on >" PASSWORD
             " ~dogpile:* &dogpile:* -@all +select +evalsha +eval +get +set "
             "+del +exists +type +pttl +pexpire +hset +hget +hdel +hgetall "
             "+hlen +time +publish +scan");
    locker = lock_redis_locker(
        apr_pstrcat(unit_pool, redis_socket(), "?user=tiles&db=2", NULL),
        redis_file("secret", PASSWORD));
    lock_redis_take_and_release(locker);
    token = contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(lock_redis_try(locker), APR_EEXIST);
    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_SUCCESS);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_user_without_rights_is_told_which)
{
    redis_do("ACL SETUSER tiles on >" PASSWORD " ~dogpile:* -@all +evalsha");
    ck_assert_int_eq(
        lock_redis_try(lock_redis_locker(
            apr_pstrcat(unit_pool, redis_socket(), "?user=tiles", NULL),
            redis_file("secret", PASSWORD))),
        APR_EACCES);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "NOPERM"));
}
END_TEST

/* ---- TCP, names, TLS ---- */

static int start_tcp(void)
{
    int port = redis_free_port();
    const char *const options[] = {"--port",
                                   apr_psprintf(unit_pool, "%d", port), NULL};

    redis_start(options);
    return port;
}

START_TEST(addresses_and_names_are_reached)
{
    int port = start_tcp();

    lock_redis_take_and_release(
        lock_redis_locker(apr_psprintf(unit_pool, "127.0.0.1:%d", port), NULL));
    lock_redis_take_and_release(
        lock_redis_locker(apr_psprintf(unit_pool, "localhost:%d", port), NULL));
    lock_redis_take_and_release(lock_redis_locker(
        apr_psprintf(unit_pool, "redis://localhost:%d/1", port), NULL));
}
END_TEST

START_TEST(a_name_that_is_none_is_unavailable)
{
    ck_assert_int_ne(lock_redis_try(lock_redis_hasty_locker("nowhere.invalid")),
                     APR_SUCCESS);
    ck_assert_int_eq(unit_log_last_id, 740);
}
END_TEST

static void start_tls_at(int port, const char *clients)
{
    const char *options[] = {"--tls-port",
                             apr_psprintf(unit_pool, "%d", port),
                             "--tls-cert-file",
                             redis_path("server.pem"),
                             "--tls-key-file",
                             redis_path("server.key"),
                             "--tls-ca-cert-file",
                             redis_path("ca.pem"),
                             "--tls-auth-clients",
                             clients,
                             NULL};

    redis_start(options);
}

static int start_tls(const char *name, const char *clients)
{
    int port = redis_free_port();

    redis_certificates(name);
    start_tls_at(port, clients);
    return port;
}

static dogpile_locker_t *tls_locker(int port, const char *options)
{
    return lock_redis_locker(
        apr_psprintf(unit_pool, "rediss://localhost:%d/0%s", port, options),
        NULL);
}

START_TEST(tls_works_with_a_ca_of_ones_own)
{
    int port = start_tls("localhost", "no");
    dogpile_locker_t *locker = tls_locker(
        port, apr_pstrcat(unit_pool, "?ca=", redis_path("ca.pem"), NULL));
    int i;

    for (i = 0; i < 3; i++) {
        lock_redis_take_and_release(locker);
    }
    ck_assert_int_eq(unit_log_count, 0);
    ck_assert_int_eq(setenv("SSL_CERT_FILE", redis_path("ca.pem"), 1), 0);
    lock_redis_take_and_release(tls_locker(port, ""));
}
END_TEST

START_TEST(tls_survives_a_restart)
{
    int port = start_tls("localhost", "no");
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker = tls_locker(
        port, apr_pstrcat(unit_pool, "?ca=", redis_path("ca.pem"), NULL));
    dogpile_id_t mine;

    lock_redis_take_and_release(locker);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    redis_kill();
    start_tls_at(port, "no");
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_NOTFOUND);
    lock_redis_take_and_release(locker);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(tls_needs_a_ca_that_is_trusted)
{
    dogpile_locker_t *locker = tls_locker(start_tls("localhost", "no"), "");

    ck_assert_int_eq(lock_redis_try(locker), EPROTO);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "TLS"));
    ck_assert_ptr_nonnull(strstr(unit_log_last, "certificate"));
}
END_TEST

START_TEST(tls_needs_the_name_that_was_configured)
{
    int port = start_tls("redis.example.org", "no");

    ck_assert_int_eq(
        lock_redis_try(tls_locker(
            port, apr_pstrcat(unit_pool, "?ca=", redis_path("ca.pem"), NULL))),
        EPROTO);
    ck_assert_ptr_nonnull(strstr(unit_log_last, "ostname mismatch"));
}
END_TEST

START_TEST(tls_can_show_a_certificate_of_ours)
{
    int port = start_tls("localhost", "yes");
    const char *options =
        apr_psprintf(unit_pool, "?ca=%s&cert=%s&key=%s", redis_path("ca.pem"),
                     redis_path("server.pem"), redis_path("server.key"));

    lock_redis_take_and_release(tls_locker(port, options));
    ck_assert_int_ne(
        lock_redis_try(tls_locker(
            port, apr_pstrcat(unit_pool, "?ca=", redis_path("ca.pem"), NULL))),
        APR_SUCCESS);
}
END_TEST

UNIT_MAIN("lock/redis/net", a_password_opens,
          a_wrong_password_is_said_once_and_never_shown,
          no_password_where_one_is_needed_is_unavailable,
          a_refusal_that_quotes_the_password_is_not_repeated,
          a_user_with_few_rights_is_enough, a_user_without_rights_is_told_which,
          addresses_and_names_are_reached, a_name_that_is_none_is_unavailable,
          tls_works_with_a_ca_of_ones_own, tls_survives_a_restart,
          tls_needs_a_ca_that_is_trusted,
          tls_needs_the_name_that_was_configured,
          tls_can_show_a_certificate_of_ours)
