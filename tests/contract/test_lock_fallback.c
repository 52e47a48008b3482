/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fallback of two disk lockers keeps every locker's promises, also while one
 * of its directories comes and goes.
 *
 * The members are made when the fallback is, from its own configuration, so
 * that what a test changes there is theirs too.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "lock/lock_disk.h"
#include "lock/lock_fallback.h"
#include "locker_contract.h"

#define MEMBERS 2

/* --- the fixture ------------------------------------------------------- */

static const char *directory_of(int index)
{
    void *path = NULL;

    apr_pool_userdata_get(&path, "lock directories", unit_pool);
    if (path == NULL) {
        path = apr_pstrdup(unit_pool, unit_tempdir());
        ck_assert_int_eq(chmod(path, 0755), 0);
        apr_pool_userdata_setn(path, "lock directories", NULL, unit_pool);
    }
    return apr_psprintf(unit_pool, "%s/locks%d", (const char *)path, index);
}

static void configure(dogpile_locker_conf_t *conf)
{
    directory_of(0); /* before any process is forked */
    conf->members = apr_array_make(unit_pool, MEMBERS, sizeof(void *));
}

static dogpile_locker_t *make_member(const dogpile_locker_conf_t *conf,
                                     int index)
{
    dogpile_locker_conf_t *own = apr_pmemdup(unit_pool, conf, sizeof(*conf));
    dogpile_locker_t *member = NULL;
    const char *wrong;

    own->name = apr_psprintf(unit_pool, "disk%d", index);
    own->directory = directory_of(index);
    own->members = NULL;
    wrong = dp_lock_disk.create(&member, own, unit_pool);
    ck_assert_msg(wrong == NULL, "create: %s", wrong ? wrong : "");
    return member;
}

static const char *create(dogpile_locker_t **locker,
                          const dogpile_locker_conf_t *conf, apr_pool_t *pool)
{
    dogpile_locker_conf_t *own = apr_pmemdup(pool, conf, sizeof(*conf));
    apr_array_header_t *members =
        apr_array_make(pool, MEMBERS, sizeof(dogpile_locker_t *));
    int i;

    for (i = 0; i < MEMBERS; i++) {
        APR_ARRAY_PUSH(members, dogpile_locker_t *) = make_member(conf, i);
    }
    own->members = members;
    return dp_lock_fallback.create(locker, own, pool);
}

static const char *prepare(dogpile_locker_t *locker, apr_pool_t *scratch_pool)
{
    return dp_lock_fallback.prepare(locker, scratch_pool);
}

static apr_status_t child_init(dogpile_locker_t *locker, apr_pool_t *child_pool)
{
    return dp_lock_fallback.child_init(locker, child_pool);
}

static apr_status_t list(dogpile_locker_t *locker,
                         void (*visit)(void *baton,
                                       const dogpile_holder_t *holder),
                         void *baton, apr_pool_t *scratch_pool)
{
    return dp_lock_fallback.list(locker, visit, baton, scratch_pool);
}

/* Only the making differs: what is made is a real one. */
static const dogpile_locker_provider_t provider = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "fallback of disks",
    .create = create,
    .prepare = prepare,
    .child_init = child_init,
    .list = list,
};

static void break_member(int index)
{
    const char *path = directory_of(index);

    ck_assert_int_eq(rename(path, apr_pstrcat(unit_pool, path, ".gone", NULL)),
                     0);
}

static void mend_member(int index)
{
    const char *path = directory_of(index);

    ck_assert_int_eq(rename(apr_pstrcat(unit_pool, path, ".gone", NULL), path),
                     0);
}

static void flush_member(int index)
{
    int i;

    for (i = 0; i < DP_BUCKETS; i++) {
        unlink(apr_psprintf(unit_pool, "%s/%02x", directory_of(index),
                            (unsigned int)i));
    }
}

static void break_both(void)
{
    break_member(0);
    break_member(1);
}

static void flush_both(void)
{
    flush_member(0);
    flush_member(1);
}

static const contract_locker_t lock_fallback = {.name = "lock/fallback",
                                                .provider = &provider,
                                                .configure = configure,
                                                .break_server = break_both,
                                                .flush = flush_both,
                                                .knows_the_dead = 1};

/* --- what only a chain can get wrong ----------------------------------- */

/* A clock that stands still until a test moves it, so that nothing depends on
 * how soon a member is tried again. */
static dogpile_locker_t *steady_at_will(void)
{
    dogpile_locker_t *locker = contract_steady();

    dp_fallback_of(locker)->clock = &unit_clock;
    return locker;
}

static void let_members_be_tried(void)
{
    unit_now += CONTRACT_LONG_USEC / 3;
}

typedef struct sight_t {
    const char *label;
    int count;
} sight_t;

static void count_alike(void *baton, const dogpile_holder_t *holder)
{
    sight_t *sight = baton;

    sight->count += strcmp(holder->label, sight->label) == 0;
}

/* How many leases on the key that member alone has. */
static int leases_of(int index, const dogpile_lock_key_t *key)
{
    dogpile_locker_t *member =
        make_member(contract_conf(CONTRACT_LONG_USEC), index);
    sight_t sight = {.label = key->label};

    ck_assert_int_eq(dp_lock_disk.child_init(member, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(dp_lock_list(member, count_alike, &sight, unit_pool),
                     APR_SUCCESS);
    return sight.count;
}

static int member_has(int index, const dogpile_lock_key_t *key)
{
    return leases_of(index, key) == 1;
}

static int none_in(int index, const dogpile_lock_key_t *key)
{
    return leases_of(index, key) == 0;
}

START_TEST(every_member_holds_the_lock)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert(member_has(0, &key) && member_has(1, &key));
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert(none_in(0, &key) && none_in(1, &key));
}
END_TEST

START_TEST(a_member_that_breaks_while_held_costs_nothing)
{
    dogpile_locker_t *locker = steady_at_will();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    dogpile_id_t token;

    break_member(0);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert_int_eq(
        contract_try(contract_steady(), &key, DOGPILE_EXCLUSIVE, &token),
        APR_EEXIST);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert(none_in(1, &key));
}
END_TEST

START_TEST(a_member_that_returns_is_taken_back)
{
    dogpile_locker_t *locker = steady_at_will();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine;

    break_member(0);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    mend_member(0);
    ck_assert(none_in(0, &key) && member_has(1, &key));
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert(none_in(0, &key)); /* not its turn yet */
    let_members_be_tried();
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert(member_has(0, &key) && member_has(1, &key));
    /* So now the other one may go. */
    break_member(1);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert(none_in(0, &key));
}
END_TEST

START_TEST(a_member_that_forgets_is_taken_again)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t token;

    flush_member(1);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert(member_has(1, &key));
    /* In the same mode. */
    token = contract_take(contract_steady(), &key, DOGPILE_SHARED);
    ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert(none_in(0, &key) && none_in(1, &key));
}
END_TEST

START_TEST(hosts_that_share_one_member_exclude_each_other)
{
    dogpile_locker_t *here = steady_at_will();
    dogpile_locker_t *there = steady_at_will();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_key_t other = contract_key("other");
    dogpile_id_t mine;
    dogpile_id_t token;

    break_member(0);
    mine = contract_take(here, &other, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_release(here, &other, &mine), APR_SUCCESS);
    mend_member(0);
    /* One leaves out what the other believes well. */
    mine = contract_take(there, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_try(here, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert_int_eq(contract_release(there, &key, &mine), APR_SUCCESS);
    mine = contract_take(here, &key, DOGPILE_EXCLUSIVE);
    ck_assert(none_in(0, &key));
    ck_assert_int_eq(contract_try(there, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert(none_in(0, &key)); /* given back */
    ck_assert_int_eq(contract_release(here, &key, &mine), APR_SUCCESS);
}
END_TEST

LOCKER_CONTRACT_MAIN(lock_fallback, every_member_holds_the_lock,
                     a_member_that_breaks_while_held_costs_nothing,
                     a_member_that_returns_is_taken_back,
                     a_member_that_forgets_is_taken_again,
                     hosts_that_share_one_member_exclude_each_other)
