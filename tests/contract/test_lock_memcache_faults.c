/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers and networks do to the memcache locker: restarts, silence, lost
 * answers, things on the port that are no memcached.
 */
#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "lock_memcache_fixture.h"

/* ---- a server that comes and goes ---- */

START_TEST(a_restart_is_a_lost_lease_and_nothing_else)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t a = contract_key("a");
    dogpile_lock_key_t b = contract_key("b");
    dogpile_id_t mine = contract_take(locker, &a, DOGPILE_EXCLUSIVE);
    dogpile_id_t next;

    mcd_restart(lock_memcache_server());
    /* The connection is gone: no reason to be unavailable. */
    next = contract_take(locker, &b, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_renew(locker, &a, &mine), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &a, &mine), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &b, &next), APR_SUCCESS);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(every_call_survives_a_restart)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    mcd_restart(lock_memcache_server());
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
    mcd_restart(lock_memcache_server());
    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_NOTFOUND);
    mcd_restart(lock_memcache_server());
    ck_assert_int_eq(contract_release(locker, &key, &token), APR_NOTFOUND);
    mcd_restart(lock_memcache_server());
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_NOTFOUND);
    mcd_restart(lock_memcache_server());
    contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

START_TEST(a_dead_server_is_unavailable_until_it_is_back)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");

    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    mcd_kill(lock_memcache_server());
    lock_memcache_assert_unavailable(locker, &key);
    lock_memcache_assert_unavailable(locker, &key);
    ck_assert_int_eq(unit_log_count, 1);
    ck_assert_int_eq(unit_log_last_id, 720);
    mcd_restart(lock_memcache_server());
    lock_memcache_await(locker, &key);
    ck_assert_int_eq(unit_log_count, 2);
    ck_assert_int_eq(unit_log_last_id, 721);
}
END_TEST

START_TEST(a_server_that_hangs_is_unavailable_until_it_goes_on)
{
    dogpile_locker_t *locker =
        lock_memcache_hasty_at(lock_memcache_server()->address);
    dogpile_lock_key_t held = contract_key("held");
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = lock_memcache_await(locker, &held);

    mcd_stop(lock_memcache_server());
    lock_memcache_assert_unavailable(locker, &key);
    mcd_go_on(lock_memcache_server());
    /* Whatever it carries out late is given back, long before an hour. */
    lock_memcache_await(locker, &key);
    ck_assert_int_eq(
        contract_renew(lock_memcache_at(lock_memcache_server()->address), &held,
                       &mine),
        APR_SUCCESS);
}
END_TEST

/* ---- answers that are lost ---- */

START_TEST(an_acquisition_whose_answer_was_cut_off_is_found_again)
{
    mcd_proxy_t *proxy = mcd_proxy(lock_memcache_server());
    dogpile_locker_t *locker = lock_memcache_at(proxy->address);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine;
    dogpile_id_t other;

    /* A connection that was used before: it may have been idle for long. */
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    proxy->closes = 1;
    proxy->armed = "add dogpile-lock-";
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(proxy->lost, 1);
    ck_assert_int_eq(
        contract_try(contract_steady(), &key, DOGPILE_SHARED, &other),
        APR_EEXIST);
    proxy->armed = "cas dogpile-lock-";
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(proxy->lost, 2);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(an_acquisition_without_an_answer_is_given_back)
{
    mcd_proxy_t *proxy = mcd_proxy(lock_memcache_server());
    dogpile_locker_t *locker = lock_memcache_hasty_at(proxy->address);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_id_t token;
    apr_status_t status;

    proxy->armed = "add dogpile-lock-";
    do {
        /* A busy machine may miss the deadline without our help. */
        status = contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token);
    } while (proxy->lost == 0);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    /* The server has given it to nobody who knows; whoever sees it, waits. */
    ck_assert_int_eq(contract_look(contract_steady(), &key, DOGPILE_SHARED),
                     DOGPILE_HELD);
    lock_memcache_await(locker, &other);
    contract_await_free(contract_steady(), &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(a_release_without_an_answer_is_made_good)
{
    mcd_proxy_t *proxy = mcd_proxy(lock_memcache_server());
    dogpile_locker_t *locker = lock_memcache_hasty_at(proxy->address);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = lock_memcache_await(locker, &key);
    apr_status_t status;

    proxy->armed = "gets dogpile-lock-";
    status = contract_release(locker, &key, &mine);
    ck_assert(status != APR_SUCCESS && status != APR_NOTFOUND);
    lock_memcache_await(locker, &key);
}
END_TEST

/* ---- things that are no memcached ---- */

START_TEST(whatever_else_is_on_the_port_is_unavailable)
{
    static const impostor_line_t web[] = {
        {"version", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
                    "<html>Bad Request</html>"},
        {"version", NULL},
        {NULL, NULL}};
    static const impostor_line_t mail[] = {
        {"", "500 5.5.1 Command unrecognized\r\n"}, {NULL, NULL}};
    static const impostor_line_t music[] = {{"", "OK\n"}, {NULL, NULL}};
    static const impostor_line_t deaf[] = {{"", NULL}, {NULL, NULL}};
    static const impostor_line_t odd[] = {
        {"version", "VERSION \r\n"}, {"", "STORED\r\n"}, {NULL, NULL}};
    dogpile_lock_key_t key = contract_key("a");
    const char *const addresses[] = {
        mcd_impostor(NULL, web),
        mcd_impostor("220 mail.example.org ESMTP\r\n", mail),
        mcd_impostor("OK MPD 0.23.5\n", music),
        mcd_impostor(NULL, deaf),
        mcd_impostor("VERSION banana\r\n", odd),
        mcd_impostor("\xff\xfe\x00", odd),
        mcd_impostor(NULL, NULL)};
    int i;

    for (i = 0; i < (int)(sizeof(addresses) / sizeof(*addresses)); i++) {
        lock_memcache_assert_unavailable(lock_memcache_hasty_at(addresses[i]),
                                         &key);
        ck_assert_int_eq(unit_log_count, i + 1);
        ck_assert_int_eq(unit_log_last_id, 720);
    }
}
END_TEST

/* libmemcached reports some of these as "no such item". */
START_TEST(an_answer_that_makes_no_sense_is_no_miss)
{
    static const char *const answers[] = {
        "SERVER_ERROR out of memory writing get response\r\n",
        "SERVER_ERROR\r\n",
        "CLIENT_ERROR line format\r\n",
        "ERROR\r\n",
        "OK\r\n",
        "4711\r\n",
        "VALUE\r\n",
        "VALUE dogpile-lock-other 0 1 1\r\nx\r\nEND\r\n",
        "VALUE dogpile-lock-other 0 99999999999999999999 1\r\n",
        "VALUE x 0 4\r\nab",
        "gibberish\r\n",
        NULL};
    dogpile_lock_key_t key = contract_key("a");
    int i;

    for (i = 0; i < (int)(sizeof(answers) / sizeof(*answers)); i++) {
        impostor_line_t lines[] = {
            {"version", "VERSION 1.6.18\r\n"}, {"", answers[i]}, {NULL, NULL}};
        dogpile_lock_state_e state = DOGPILE_FREE;
        apr_status_t status = dp_lock_probe(
            lock_memcache_hasty_at(mcd_impostor(
                NULL, apr_pmemdup(unit_pool, lines, sizeof(lines)))),
            &key, DOGPILE_SHARED, &state, NULL, unit_pool);

        ck_assert_msg(status != APR_SUCCESS, "'%s'",
                      answers[i] ? answers[i] : "closed");
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_restart_is_a_lost_lease_and_nothing_else,
        every_call_survives_a_restart,
        a_dead_server_is_unavailable_until_it_is_back,
        a_server_that_hangs_is_unavailable_until_it_goes_on,
        an_acquisition_whose_answer_was_cut_off_is_found_again,
        an_acquisition_without_an_answer_is_given_back,
        a_release_without_an_answer_is_made_good,
        whatever_else_is_on_the_port_is_unavailable,
        an_answer_that_makes_no_sense_is_no_miss,
    };

    contract_under_test = &lock_memcache_contract;
    return unit_run("lock/memcache faults", tests,
                    (int)(sizeof(tests) / sizeof(*tests)));
}
