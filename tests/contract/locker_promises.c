/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every locker promises of a lock that nobody contends for: mine, someone
 * else's or unavailable; the token; the dead; what people are shown.
 */
#include <apr_strings.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "locker_contract.h"

/* ---- promises 1 and 2: mine, someone else's; by token ---- */

START_TEST(an_exclusive_lock_keeps_everyone_out)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t token;

    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert(dp_id_is_none(&token));
    ck_assert_int_eq(
        contract_try(contract_steady(), &key, DOGPILE_SHARED, &token),
        APR_EEXIST);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    contract_take(contract_steady(), &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(different_keys_have_nothing_to_do_with_each_other)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t a = contract_key("a");
    dogpile_lock_key_t b = a;
    dogpile_id_t token;

    /* The closest two keys can be. */
    b.digest.bytes[DOGPILE_DIGEST_BYTES - 1] ^= 1;
    token = contract_take(locker, &a, DOGPILE_EXCLUSIVE);
    contract_take(locker, &b, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(locker, &b, &token), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &a, &token), APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &b, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
}
END_TEST

START_TEST(only_the_token_renews_and_releases)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t other = {{0}};

    ck_assert_int_eq(contract_renew(locker, &key, &other), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &key, &other), APR_NOTFOUND);
    dp_id_make(&other);
    ck_assert_int_eq(contract_renew(locker, &key, &other), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &key, &other), APR_NOTFOUND);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    /* By whomever: the token is all that counts. */
    ck_assert_int_eq(contract_release(contract_steady(), &key, &mine),
                     APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_NOTFOUND);
}
END_TEST

START_TEST(tokens_are_never_the_same)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t tokens[32];
    int i;
    int j;

    for (i = 0; i < 32; i++) {
        tokens[i] = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
        ck_assert_int_eq(contract_release(locker, &key, &tokens[i]),
                         APR_SUCCESS);
        for (j = 0; j < i; j++) {
            ck_assert(!dp_id_equal(&tokens[i], &tokens[j]));
            ck_assert_int_eq(contract_release(locker, &key, &tokens[j]),
                             APR_NOTFOUND);
        }
    }
}
END_TEST

START_TEST(whoever_is_late_harms_nobody)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t late = contract_take(hasty, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t next;

    contract_await_free(locker, &key, DOGPILE_EXCLUSIVE);
    next = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_renew(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_look(hasty, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &next), APR_SUCCESS);
}
END_TEST

START_TEST(a_lease_that_ended_is_not_revived)
{
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t late = contract_take(hasty, &key, DOGPILE_EXCLUSIVE);

    contract_await_free(hasty, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_renew(hasty, &key, &late), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(hasty, &key, &late), APR_NOTFOUND);
}
END_TEST

START_TEST(the_refused_learn_who_holds_it)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("roads/5/17/11");
    dogpile_holder_t holder;
    dogpile_lock_state_e state;
    dogpile_id_t mine;
    dogpile_id_t token;

    dp_id_make(&key.store_id);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(dp_lock_acquire(contract_steady(), &key, DOGPILE_SHARED,
                                     &token, &holder, unit_pool),
                     APR_EEXIST);
    ck_assert_str_eq(holder.label, "roads/5/17/11");
    ck_assert_str_eq(holder.host, "host-a");
    ck_assert_int_eq(holder.mode, DOGPILE_EXCLUSIVE);
    ck_assert(dp_id_equal(&holder.store_id, &key.store_id));
    ck_assert(holder.pid == 0 || holder.pid == getpid());
    ck_assert(holder.age_usec >= 0 && holder.left_usec > 0);
    ck_assert(holder.left_usec <= CONTRACT_LONG_USEC);
    memset(&holder, 0, sizeof(holder));
    ck_assert_int_eq(
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, &holder, unit_pool),
        APR_SUCCESS);
    ck_assert_int_eq(state, DOGPILE_HELD);
    ck_assert_str_eq(holder.label, "roads/5/17/11");
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(looking_takes_nothing)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine;

    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_FREE);
}
END_TEST

/* ---- promise 4: the dead ---- */

START_TEST(the_dead_of_this_host_are_recognised_at_once)
{
    const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker = contract_locker(conf);
    dogpile_lock_key_t key = contract_key("a");

    if (!contract_under_test->knows_the_dead) {
        return;
    }
    contract_die_holding(conf, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_SHARED), DOGPILE_FREE);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    key = contract_key("b");
    contract_die_holding(conf, &key, DOGPILE_SHARED);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(the_dead_of_another_host_are_not_judged)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t token;

    conf->host = "host-b";
    contract_die_holding(conf, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(
        contract_try(contract_steady(), &key, DOGPILE_EXCLUSIVE, &token),
        APR_EEXIST);
}
END_TEST

START_TEST(the_dead_of_another_host_end_with_their_lease)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_SHORT_USEC);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_locker_t *locker = contract_steady();

    conf->host = "host-b";
    contract_die_holding(conf, &key, DOGPILE_EXCLUSIVE);
    contract_await_free(locker, &key, DOGPILE_EXCLUSIVE);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(one_death_harms_no_other_holder)
{
    const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker = contract_locker(conf);
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);

    contract_die_holding(conf, &key, DOGPILE_SHARED);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

/* ---- unavailable ---- */

START_TEST(a_broken_server_never_looks_free)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t held = contract_key("held");
    dogpile_lock_key_t key = contract_key("other");
    dogpile_id_t mine = contract_take(locker, &held, DOGPILE_EXCLUSIVE);
    dogpile_lock_state_e state = DOGPILE_FREE;
    dogpile_id_t token;
    apr_status_t status;

    contract_under_test->break_server();
    status = contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token);
    ck_assert(status != APR_SUCCESS && status != APR_EEXIST);
    ck_assert(dp_id_is_none(&token));
    status = contract_renew(locker, &held, &mine);
    ck_assert(status != APR_SUCCESS && status != APR_NOTFOUND);
    status = contract_release(locker, &held, &mine);
    ck_assert(status != APR_SUCCESS && status != APR_NOTFOUND);
    status =
        dp_lock_probe(locker, &key, DOGPILE_SHARED, &state, NULL, unit_pool);
    ck_assert_int_ne(status, APR_SUCCESS);
    ck_assert_int_ne(state, DOGPILE_FREE);
    status = dp_lock_break(locker, &held, unit_pool);
    ck_assert(status != APR_SUCCESS && status != APR_NOTFOUND);
}
END_TEST

START_TEST(a_flushed_server_tells_the_holder)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    if (contract_under_test->flush == NULL) {
        return;
    }
    contract_under_test->flush();
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_NOTFOUND);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

/* ---- labels, operators ---- */

static const char *label_as_told(dogpile_locker_t *locker, const char *label)
{
    dogpile_lock_key_t key = contract_key("a");
    dogpile_holder_t holder;
    dogpile_id_t mine;
    dogpile_id_t token;

    key.label = label;
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(dp_lock_acquire(locker, &key, DOGPILE_EXCLUSIVE, &token,
                                     &holder, unit_pool),
                     APR_EEXIST);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    return holder.label;
}

START_TEST(labels_hold_anything_and_no_more_than_fits)
{
    dogpile_locker_t *locker = contract_steady();
    char *huge = apr_palloc(unit_pool, 65537);
    char every[256];
    const char *told;
    int i;

    ck_assert_str_eq(label_as_told(locker, NULL), "");
    ck_assert_str_eq(label_as_told(locker, ""), "");
    ck_assert_str_eq(label_as_told(locker, "-"), "-");
    ck_assert_str_eq(label_as_told(locker, "a b%20\"\\ \xc3\xa9+"),
                     "a b%20\"\\ \xc3\xa9+");
    for (i = 1; i < 256; i++) {
        every[i - 1] = (char)(256 - i);
    }
    every[255] = '\0';
    told = label_as_told(locker, every);
    ck_assert_uint_le(strlen(told), DOGPILE_LABEL_MAX);
    ck_assert_int_eq(memcmp(told, every, 128), 0);
    told = label_as_told(locker, "one\r\ntwo\x1b[2J\x7f");
    ck_assert_str_eq(told, "one??two?[2J?");
    memset(huge, 'x', 65536);
    huge[65536] = '\0';
    told = label_as_told(locker, huge);
    ck_assert_uint_eq(strlen(told), DOGPILE_LABEL_MAX);
}
END_TEST

START_TEST(an_operator_breaks_every_lease_of_a_key)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("b");
    dogpile_id_t first = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t second = contract_take(locker, &key, DOGPILE_SHARED);

    contract_take(locker, &other, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_NOTFOUND);
    ck_assert_int_eq(contract_renew(locker, &key, &first), APR_NOTFOUND);
    ck_assert_int_eq(contract_release(locker, &key, &second), APR_NOTFOUND);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_look(locker, &other, DOGPILE_SHARED),
                     DOGPILE_HELD);
}
END_TEST

static void note_label(void *baton, const dogpile_holder_t *holder)
{
    char *labels = baton;

    ck_assert_uint_lt(strlen(labels) + strlen(holder->label), 60);
    strcat(labels, holder->label);
}

START_TEST(the_list_shows_what_is_held)
{
    const dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    dogpile_locker_t *locker = contract_locker(conf);
    dogpile_lock_key_t a = contract_key("a");
    dogpile_lock_key_t b = contract_key("b");
    char labels[64] = "";
    dogpile_id_t mine;

    if (contract_under_test->provider->list == NULL) {
        return;
    }
    mine = contract_take(locker, &a, DOGPILE_EXCLUSIVE);
    contract_take(locker, &b, DOGPILE_SHARED);
    ck_assert_int_eq(contract_release(locker, &a, &mine), APR_SUCCESS);
    contract_take(locker, &b, DOGPILE_SHARED);
    ck_assert_int_eq(dp_lock_list(locker, note_label, labels, unit_pool),
                     APR_SUCCESS);
    ck_assert_str_eq(labels, "bb");
}
END_TEST

static void note_row(void *baton, const char *label, const char *value)
{
    ck_assert(label[0] != '\0' && value != NULL);
    ++*(int *)baton;
}

START_TEST(a_locker_describes_itself)
{
    int rows = 0;

    dp_lock_describe(contract_steady(), note_row, &rows, unit_pool);
    ck_assert_int_gt(rows, 0);
}
END_TEST

int locker_contract_promises(const TTest **all, int n)
{
    const TTest *const tests[] = {
        an_exclusive_lock_keeps_everyone_out,
        different_keys_have_nothing_to_do_with_each_other,
        only_the_token_renews_and_releases,
        tokens_are_never_the_same,
        whoever_is_late_harms_nobody,
        a_lease_that_ended_is_not_revived,
        the_refused_learn_who_holds_it,
        looking_takes_nothing,
        the_dead_of_this_host_are_recognised_at_once,
        the_dead_of_another_host_are_not_judged,
        the_dead_of_another_host_end_with_their_lease,
        one_death_harms_no_other_holder,
        a_broken_server_never_looks_free,
        a_flushed_server_tells_the_holder,
        labels_hold_anything_and_no_more_than_fits,
        an_operator_breaks_every_lease_of_a_key,
        the_list_shows_what_is_held,
        a_locker_describes_itself,
        NULL};

    return contract_add(all, n, tests);
}
