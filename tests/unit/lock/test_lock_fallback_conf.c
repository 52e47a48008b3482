/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fallback's configuration, its table of tokens, and what it shows to people.
 */
#include "fallback_hosts.h"

static dogpile_lock_key_t key;

static dogpile_locker_t *begin(int n)
{
    world_make();
    key = chain_key("a");
    return chain_make(0, n);
}

/* --- configuration ----------------------------------------------------- */

/* What create() says of a chain of two that `spoil` has changed. */
static const char *refusal(void (*spoil)(dogpile_locker_conf_t *conf))
{
    dogpile_locker_conf_t *conf = chain_conf(0, 2);
    dogpile_locker_t *locker;

    spoil(conf);
    return dp_lock_fallback.create(&locker, conf, unit_pool);
}

static fake_t *member_of(dogpile_locker_conf_t *conf, int index)
{
    return APR_ARRAY_IDX(conf->members, index, fake_t *);
}

static apr_array_header_t *texts(const char *a, const char *b)
{
    apr_array_header_t *array = apr_array_make(unit_pool, 2, sizeof(char *));

    APR_ARRAY_PUSH(array, const char *) = a;
    APR_ARRAY_PUSH(array, const char *) = b;
    return array;
}

static void is_fine(dogpile_locker_conf_t *conf)
{
    member_of(conf, 0)->conf.servers = texts("a:1", "b:1");
    member_of(conf, 1)->conf.servers = texts("c:1", "d:1");
}

static void has_no_members(dogpile_locker_conf_t *conf)
{
    conf->members = NULL;
}

static void has_a_directory(dogpile_locker_conf_t *conf)
{
    conf->directory = "/locks";
}

static void has_a_server(dogpile_locker_conf_t *conf)
{
    conf->servers = texts("a:1", "b:1");
}

static void has_too_many(dogpile_locker_conf_t *conf)
{
    apr_array_header_t *members =
        apr_array_make(unit_pool, 9, sizeof(dogpile_locker_t *));
    int i;

    for (i = 0; i < DP_MEMBERS_MAX + 1; i++) {
        APR_ARRAY_PUSH(members, dogpile_locker_t *) = &fake_make(0, 0)->locker;
    }
    conf->members = members;
}

static void is_nested(dogpile_locker_conf_t *conf)
{
    dogpile_locker_t *inner = chain_make(0, 2);

    APR_ARRAY_IDX(conf->members, 1, dogpile_locker_t *) = inner;
}

static void has_one_twice(dogpile_locker_conf_t *conf)
{
    APR_ARRAY_IDX(conf->members, 1, fake_t *) = member_of(conf, 0);
}

static void has_one_directory_twice(dogpile_locker_conf_t *conf)
{
    member_of(conf, 0)->conf.directory = "/locks";
    member_of(conf, 1)->conf.directory = apr_pstrdup(unit_pool, "/locks");
}

static void has_one_server_twice(dogpile_locker_conf_t *conf)
{
    member_of(conf, 0)->conf.servers = texts("a:1", "b:1");
    member_of(conf, 1)->conf.servers = texts("c:1", "a:1");
}

static void has_a_hasty_member(dogpile_locker_conf_t *conf)
{
    member_of(conf, 1)->conf.lease_usec = LEASE - 1;
}

static void has_no_lease(dogpile_locker_conf_t *conf)
{
    conf->lease_usec = 0;
}

START_TEST(what_can_not_work_is_refused_and_explained)
{
    static const struct {
        void (*spoil)(dogpile_locker_conf_t *conf);
        const char *said;
    } rows[] = {{has_no_members, "needs lockers"},
                {has_a_directory, "DogpileLockDirectory"},
                {has_a_server, "DogpileLockServer"},
                {has_too_many, "more than 8"},
                {is_nested, "chain is a fallback itself"},
                {has_one_twice, "server0 and server0"},
                {has_one_directory_twice, "server0 and server1"},
                {has_one_server_twice, "same place"},
                {has_a_hasty_member, "server1: DogpileLockTimeout"},
                {has_no_lease, "DogpileLockTimeout"}};
    apr_size_t i;

    ck_assert_ptr_null(refusal(is_fine));
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *said = refusal(rows[i].spoil);

        ck_assert_msg(said && strstr(said, rows[i].said), "%s: %s",
                      rows[i].said, said ? said : "accepted");
    }
}
END_TEST

static const char *refuse_to_start(dogpile_locker_t *locker, apr_pool_t *pool)
{
    (void)locker;
    (void)pool;
    return "no such directory";
}

START_TEST(a_member_that_can_not_start_says_its_name)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_locker_provider_t picky = fake_provider;
    const char *said;

    picky.prepare = refuse_to_start;
    dp_fallback_of(locker)->members[1].locker->provider = &picky;
    said = dp_lock_fallback.prepare(locker, unit_pool);
    ck_assert_ptr_nonnull(said);
    ck_assert_str_eq(said, "server1: no such directory");
}
END_TEST

/* --- tokens ------------------------------------------------------------ */

START_TEST(a_pool_has_one_table)
{
    dp_sets_t *a;
    dp_sets_t *b;
    apr_pool_t *pool;

    ck_assert_int_eq(dp_sets_of(&a, unit_pool), APR_SUCCESS);
    ck_assert_int_eq(dp_sets_of(&b, unit_pool), APR_SUCCESS);
    ck_assert_ptr_eq(a, b);
    apr_pool_create(&pool, unit_pool);
    ck_assert_int_eq(dp_sets_of(&b, pool), APR_SUCCESS);
    ck_assert_ptr_ne(a, b);
}
END_TEST

static dp_set_t some_set(void)
{
    dp_set_t set = {.mode = DOGPILE_SHARED};

    dp_id_make(&set.name);
    dp_id_make(&set.holds[0].token);
    return set;
}

START_TEST(the_table_is_bounded_and_forgets_what_is_over)
{
    dp_sets_t *sets;
    dp_set_t set;
    int i;

    ck_assert_int_eq(dp_sets_of(&sets, unit_pool), APR_SUCCESS);
    for (i = 0; i < DP_SETS_MAX; i++) {
        set = some_set();
        ck_assert_int_eq(dp_sets_add(sets, &set, 1000, 2000 + i), APR_SUCCESS);
    }
    set = some_set();
    ck_assert_int_eq(dp_sets_add(sets, &set, 1999, 9000), APR_ENOSPC);
    ck_assert_int_eq(dp_sets_count(sets), DP_SETS_MAX);
    ck_assert_int_eq(dp_sets_add(sets, &set, 2009, 9000), APR_SUCCESS);
    ck_assert_int_eq(dp_sets_count(sets), DP_SETS_MAX - 10 + 1);
    ck_assert(dp_sets_find(sets, &set, &set.name, &set.digest));
}
END_TEST

START_TEST(a_table_that_is_used_on_and_on_stays_small)
{
    dp_sets_t *sets;
    int i;

    ck_assert_int_eq(dp_sets_of(&sets, unit_pool), APR_SUCCESS);
    for (i = 0; i < 10000; i++) {
        dp_set_t set = some_set();

        ck_assert_int_eq(dp_sets_add(sets, &set, i, i + 10), APR_SUCCESS);
    }
    ck_assert_int_le(dp_sets_count(sets), 64);
}
END_TEST

START_TEST(without_room_for_its_token_a_lock_is_not_taken)
{
    dogpile_locker_t *locker = begin(2);
    dp_sets_t *sets = dp_fallback_of(locker)->sets;
    dogpile_id_t token;
    int i;

    for (i = 0; i < DP_SETS_MAX; i++) {
        dp_set_t set = some_set();

        dp_sets_add(sets, &set, 0, APR_INT64_MAX);
    }
    ck_assert_int_eq(chain_try(locker, &key, &token), APR_ENOSPC);
    ck_assert_str_eq(chain_where(&key), "");
}
END_TEST

/* --- for people -------------------------------------------------------- */

START_TEST(an_order_to_break_goes_to_all)
{
    dogpile_locker_t *locker = begin(3);

    chain_take(locker, &key);
    trace();
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    ck_assert_str_eq(trace(), "B0 B1 B2");
    ck_assert_str_eq(chain_where(&key), "");
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_NOTFOUND);
    server_crash(1);
    ck_assert(is_unavailable(dp_lock_break(locker, &key, unit_pool)));
    chain_take(locker, &key);
    trace();
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_SUCCESS);
    ck_assert_str_eq(trace(), "B0 B1 B2"); /* also who is left out */
}
END_TEST

static void count_one(void *baton, const dogpile_holder_t *holder)
{
    (void)holder;
    ++*(int *)baton;
}

START_TEST(a_lease_is_listed_once)
{
    dogpile_locker_t *locker = begin(3);
    dogpile_lock_key_t other = chain_key("b");
    int count = 0;

    chain_take(locker, &key);
    server_crash(2);
    chain_take(locker, &other);
    world->servers[2].is_down = 0;
    chain_take(&fake_make(1, 2)->locker, &other);
    trace();
    ck_assert_int_eq(dp_lock_list(locker, count_one, &count, unit_pool),
                     APR_SUCCESS);
    ck_assert_str_eq(trace(), "L0 L1"); /* who is left out isn't asked */
    ck_assert_int_eq(count, 2);
    await_turn(locker, 2);
    key = chain_key("c");
    chain_take(locker, &key);
    count = 0;
    dp_lock_list(locker, count_one, &count, unit_pool);
    ck_assert_int_eq(count, 4);
    server_crash(0);
    server_crash(1);
    server_crash(2);
    ck_assert(
        is_unavailable(dp_lock_list(locker, count_one, &count, unit_pool)));
    ck_assert_int_eq(health_of(locker, 0)->left_until, 0);
}
END_TEST

static void note_row(void *baton, const char *label, const char *value)
{
    char **text = baton;

    *text = apr_pstrcat(unit_pool, *text, label, "=", value, "\n", NULL);
}

static const char *described(dogpile_locker_t *locker)
{
    char *text = apr_pstrdup(unit_pool, "");

    dp_lock_describe(locker, note_row, &text, unit_pool);
    return text;
}

START_TEST(the_status_page_says_how_the_members_are)
{
    dogpile_locker_t *locker = begin(2);
    dogpile_id_t mine = chain_take(locker, &key);
    const char *text = described(locker);

    ck_assert_ptr_nonnull(strstr(text, "held by this process=1\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 type=fake\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 state=up\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 since=the start\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 last error=none\n"));
    server_crash(0);
    chain_renew(locker, &key, &mine);
    text = described(locker);
    ck_assert_ptr_nonnull(strstr(text, "server0 state=down\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 since=0 s ago\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 next try=in 1 s\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 last error=0 s ago: "));
    ck_assert_ptr_nonnull(strstr(text, "server0 failures=1\n"));
    ck_assert_ptr_nonnull(strstr(text, "server1 state=up\n"));
    await_turn(locker, 0);
    world->now += apr_time_from_sec(3);
    ck_assert_ptr_nonnull(
        strstr(described(locker), "server0 next try=at the next call\n"));
    world->servers[0].is_down = 0;
    chain_renew(locker, &key, &mine);
    world->now += apr_time_from_sec(7);
    text = described(locker);
    ck_assert_ptr_nonnull(strstr(text, "server0 state=up\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 since=7 s ago\n"));
    ck_assert_ptr_null(strstr(text, "server0 next try="));
    ck_assert_ptr_nonnull(strstr(text, "server0 lost=1\n"));
    ck_assert_ptr_nonnull(strstr(text, "server0 contested=0\n"));
}
END_TEST

UNIT_MAIN("lock/fallback_conf", what_can_not_work_is_refused_and_explained,
          a_member_that_can_not_start_says_its_name, a_pool_has_one_table,
          the_table_is_bounded_and_forgets_what_is_over,
          a_table_that_is_used_on_and_on_stays_small,
          without_room_for_its_token_a_lock_is_not_taken,
          an_order_to_break_goes_to_all, a_lease_is_listed_once,
          the_status_page_says_how_the_members_are)
