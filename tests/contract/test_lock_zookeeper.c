/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper locker keeps every locker's promises; and what is in the tree:
 * configuration, names, records, folders, access, wishes.
 */
#include "zookeeper_fixture.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"

/* What is wrong with these servers and this secret file, or NULL. */
static const char *refusal(const char *server, const char *other,
                           const char *secret_file)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);
    apr_array_header_t *servers = apr_array_make(unit_pool, 2, sizeof(char *));
    dogpile_locker_t *locker;

    if (server) {
        APR_ARRAY_PUSH(servers, const char *) = server;
    }
    if (other) {
        APR_ARRAY_PUSH(servers, const char *) = other;
    }
    conf->servers = servers;
    conf->secret_file = secret_file;
    return dp_lock_zookeeper.create(&locker, conf, unit_pool);
}

START_TEST(servers_and_folder_are_checked)
{
    static const char *const good[] = {"zk1",        "zk1:2181,zk2:2182/locks",
                                       "[::1]:2181", "10.0.0.1/a/b",
                                       "zk1/",       "zk1/Zoo-keeper_1.x"};
    static const char *const bad[] = {"",
                                      "/locks",
                                      "zk1:0",
                                      "zk1:65536",
                                      "unix:/run/zk",
                                      "zookeeper://zk1",
                                      "zk1,zk1",
                                      "zk1//a",
                                      "zk1/a/",
                                      "zk1/a/../b",
                                      "zk1/.",
                                      "zk1/a b",
                                      "zk1/zookeeper/x",
                                      "zk1/a\xc3\xa9",
                                      "user:pw@zk1"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
        const char *wrong = refusal(good[i], NULL, NULL);

        ck_assert_msg(wrong == NULL, "%s: %s", good[i], wrong);
    }
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_msg(refusal(bad[i], NULL, NULL) != NULL, "%s", bad[i]);
    }
    ck_assert_ptr_nonnull(refusal(NULL, NULL, NULL));
    ck_assert_ptr_null(refusal("zk1/a", "zk2", NULL));
    ck_assert_ptr_null(refusal("zk1/a", "zk2/a", NULL));
    ck_assert_ptr_nonnull(refusal("zk1/a", "zk2/b", NULL));
}
END_TEST

/* A file of the test with that content. */
static const char *file_of(const char *content)
{
    const char *path = apr_pstrcat(unit_pool, unit_tempdir(), "/secret", NULL);
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    fclose(file);
    return path;
}

START_TEST(secrets_are_read_at_start_and_never_shown)
{
    const char *wrong = refusal("zk1", NULL, file_of("topsecret\n"));

    ck_assert_ptr_null(refusal("zk1", NULL, file_of("user:pass:word\r\nrest")));
    ck_assert_ptr_nonnull(wrong);
    ck_assert_ptr_null(strstr(wrong, "topsecret"));
    ck_assert_ptr_nonnull(refusal("zk1", NULL, file_of("")));
    ck_assert_ptr_nonnull(refusal("zk1", NULL, file_of(":password")));
    ck_assert_ptr_nonnull(refusal("zk1", NULL, file_of("user:")));
    ck_assert_ptr_nonnull(refusal("zk1", NULL, "/nonexistent"));
    wrong = apr_psprintf(unit_pool, "user:%01200d", 0);
    ck_assert_ptr_nonnull(refusal("zk1", NULL, file_of(wrong)));
}
END_TEST

START_TEST(sequence_numbers_come_round)
{
    dp_zk_node_t node;
    dp_zk_node_t again;
    dogpile_lock_key_t key = contract_key("a");
    const char *path =
        dp_zk_new_path("/r", &key.digest, DP_LEASE_SHARED, unit_pool);
    const char *folder = dp_zk_folder("/r", &key.digest, unit_pool);
    const char *name = strrchr(path, '/') + 1;

    ck_assert(dp_zk_is_before(1, 2));
    ck_assert(!dp_zk_is_before(2, 2));
    ck_assert(dp_zk_is_before(APR_INT32_MAX, APR_INT32_MIN));
    ck_assert(!dp_zk_is_before(APR_INT32_MIN, APR_INT32_MAX));
    ck_assert(dp_zk_is_before(-1, 0));
    ck_assert(dp_zk_node_read(&node, folder,
                              apr_pstrcat(unit_pool, name, "-000000007", NULL),
                              unit_pool));
    ck_assert_int_eq(node.sequence, -7);
    ck_assert_int_eq(node.kind, DP_LEASE_SHARED);
    path = dp_zk_token_path("/r", &key.digest, &node.token, unit_pool);
    ck_assert_str_eq(path, node.path);
    ck_assert(
        dp_zk_node_read(&again, folder, strrchr(path, '/') + 1, unit_pool));
    ck_assert(dp_id_equal(&node.token, &again.token));
    ck_assert(dp_digest_equal(&again.digest, &key.digest));
}
END_TEST

START_TEST(only_names_that_we_give_are_read)
{
    static const char *const ends[] = {
        "",
        "-",
        "-w0",
        "-x",
        "-x-",
        "-x-0123",
        "-q-000000000000000000000000-1",
        "-x-000000000000000000000000-1",
        "-x-000000000000000000000001-0000000001",
        "-x-000000000000000000000000-9999999999",
        "-x-000000000000000000000000-0000000001x",
        "-x-00000000000000000000000A-0000000001",
        "-x-000000000000000000000000_0000000001"};
    dogpile_lock_key_t key = contract_key("a");
    const char *folder = dp_zk_folder("/r", &key.digest, unit_pool);
    const char *prefix = dp_zk_prefix(&key.digest, unit_pool);
    char *digest = apr_pstrmemdup(unit_pool, prefix, strlen(prefix) - 1);
    dp_zk_node_t node;
    size_t i;

    for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        ck_assert_msg(
            !dp_zk_node_read(&node, folder,
                             apr_pstrcat(unit_pool, digest, ends[i], NULL),
                             unit_pool),
            "%s", ends[i]);
    }
    ck_assert(dp_zk_node_read(
        &node, folder,
        apr_pstrcat(unit_pool, digest, "-x-000000000000000000000000-0000000001",
                    NULL),
        unit_pool));
    ck_assert(!dp_zk_node_read(
        &node, "/r/zz", apr_pstrcat(unit_pool, digest, "-w", NULL), unit_pool));
}
END_TEST

/* A node of the key under test, put there by somebody. */
static const char *node_path(const dogpile_lock_key_t *key, const char *end)
{
    return apr_pstrcat(unit_pool,
                       dp_zk_folder(zookeeper_root(), &key->digest, unit_pool),
                       "/", dp_zk_prefix(&key->digest, unit_pool), end, NULL);
}

#define FOREIGN_LEASE "x-000000000000000000000000-0000000000"

START_TEST(what_is_not_ours_is_no_lock)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());

    zookeeper_put(client, node_path(&key, "notes"), "x", ZOO_PERSISTENT);
    zookeeper_put(client, node_path(&key, FOREIGN_LEASE "0"), "x",
                  ZOO_PERSISTENT);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    zookeeper_close(client);
}
END_TEST

START_TEST(a_record_that_cannot_be_read_holds_as_long_as_a_lease)
{
    dogpile_locker_t *patient = contract_steady();
    dogpile_locker_t *hasty =
        contract_locker(contract_conf(CONTRACT_SHORT_USEC));
    dogpile_lock_key_t key = contract_key("a");
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    char *huge = apr_palloc(unit_pool, DP_ZK_BYTES_MAX + 2);
    dogpile_id_t token;

    memset(huge, 'x', DP_ZK_BYTES_MAX + 1);
    huge[DP_ZK_BYTES_MAX + 1] = '\0';
    zookeeper_put(client, node_path(&key, FOREIGN_LEASE), huge, ZOO_PERSISTENT);
    ck_assert_int_eq(contract_try(patient, &key, DOGPILE_SHARED, &token),
                     APR_EEXIST);
    contract_await_free(hasty, &key, DOGPILE_EXCLUSIVE);
    token = contract_take(hasty, &key, DOGPILE_EXCLUSIVE);
    zookeeper_close(client);
}
END_TEST

/* One who judged a lease doesn't delete it when it was renewed meanwhile. */
START_TEST(only_the_version_that_was_judged_is_deleted)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    dp_zk_t *zk = dp_zk_of(locker);
    apr_time_t deadline = APR_INT64_MAX;
    const char *path =
        dp_zk_token_path(zookeeper_root(), &key.digest, &mine, unit_pool);
    dp_zk_reply_t seen;
    dp_zk_reply_t reply;

    ck_assert_int_eq(dp_zk_finish(dp_zk_get(zk->session, path, 0), &seen,
                                  deadline, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(
        dp_zk_finish(dp_zk_delete(zk->session, path, seen.stat.version), &reply,
                     deadline, unit_pool),
        APR_EBUSY);
    ck_assert_int_eq(contract_renew(locker, &key, &mine), APR_SUCCESS);
}
END_TEST

START_TEST(empty_folders_vanish)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    const char *folder = dp_zk_folder(zookeeper_root(), &key.digest, unit_pool);
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(zookeeper_count(client, folder), 1);
    ck_assert_int_eq(contract_release(locker, &key, &token), APR_SUCCESS);
    ZOOKEEPER_AWAIT(zookeeper_count(client, zookeeper_root()) == -1);
    token = contract_take(locker, &key, DOGPILE_SHARED);
    ck_assert_int_eq(zookeeper_count(client, folder), 1);
    zookeeper_close(client);
}
END_TEST

START_TEST(whoever_is_refused_leaves_nothing_but_a_wish)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    const char *folder = dp_zk_folder(zookeeper_root(), &key.digest, unit_pool);
    dogpile_id_t mine = contract_take(locker, &key, DOGPILE_SHARED);
    dogpile_id_t token;

    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ck_assert_int_eq(contract_look(locker, &key, DOGPILE_EXCLUSIVE),
                     DOGPILE_HELD);
    ck_assert_int_eq(zookeeper_count(client, folder), 2);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    mine = contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(contract_try(locker, &key, DOGPILE_EXCLUSIVE, &token),
                     APR_EEXIST);
    ZOOKEEPER_AWAIT(zookeeper_count(client, folder) == 1);
    ck_assert_int_eq(contract_release(locker, &key, &mine), APR_SUCCESS);
    ck_assert_int_eq(dp_lock_break(locker, &key, unit_pool), APR_NOTFOUND);
    zookeeper_close(client);
}
END_TEST

static void count_one(void *baton, const dogpile_holder_t *holder)
{
    int *count = baton;

    *count += strcmp(holder->label, "many") == 0;
}

/* More than are asked for at once, in several folders. */
START_TEST(all_of_many_locks_are_shown)
{
    dogpile_locker_t *locker = contract_steady();
    dogpile_lock_key_t key = contract_key("many");
    int count = 0;
    int i;

    for (i = 0; i < 250; i++) {
        key.digest.bytes[0] = (unsigned char)(i % 3);
        key.digest.bytes[1] = (unsigned char)i;
        contract_take(locker, &key, DOGPILE_SHARED);
    }
    ck_assert_int_eq(dp_lock_list(locker, count_one, &count, unit_pool),
                     APR_SUCCESS);
    ck_assert_int_eq(count, 250);
}
END_TEST

static dogpile_locker_t *locker_with_secret(const char *secret)
{
    dogpile_locker_conf_t *conf = contract_conf(CONTRACT_LONG_USEC);

    conf->secret_file = file_of(secret);
    return contract_locker(conf);
}

START_TEST(only_those_with_the_secret_share_locks)
{
    dogpile_locker_t *locker = locker_with_secret("tiles:s3cret\n");
    dogpile_locker_t *same = locker_with_secret("tiles:s3cret\n");
    dogpile_locker_t *wrong = locker_with_secret("tiles:guess\n");
    dogpile_locker_t *open = contract_steady();
    dogpile_lock_key_t key = contract_key("a");
    dogpile_lock_state_e state;
    dogpile_id_t token = contract_take(locker, &key, DOGPILE_EXCLUSIVE);

    ck_assert_int_eq(contract_renew(locker, &key, &token), APR_SUCCESS);
    ck_assert_int_eq(contract_look(same, &key, DOGPILE_SHARED), DOGPILE_HELD);
    ck_assert_int_eq(contract_release(wrong, &key, &token), APR_EACCES);
    ck_assert_int_eq(
        dp_lock_probe(open, &key, DOGPILE_SHARED, &state, NULL, unit_pool),
        APR_EACCES);
    ck_assert_int_eq(dp_lock_break(open, &key, unit_pool), APR_EACCES);
    ck_assert_int_eq(contract_release(same, &key, &token), APR_SUCCESS);
    ck_assert_int_eq(contract_try(wrong, &key, DOGPILE_SHARED, &token),
                     APR_EACCES);
    contract_take(same, &key, DOGPILE_EXCLUSIVE);
}
END_TEST

START_TEST(the_end_of_a_child_ends_its_locks)
{
    dogpile_locker_t *locker;
    dogpile_lock_key_t key = contract_key("a");
    zhandle_t *client = zookeeper_client(zookeeper_shared_port());
    const char *folder = dp_zk_folder(zookeeper_root(), &key.digest, unit_pool);
    apr_pool_t *child;

    apr_pool_create(&child, unit_pool);
    ck_assert_ptr_null(dp_lock_zookeeper.create(
        &locker, contract_conf(CONTRACT_LONG_USEC), unit_pool));
    ck_assert_int_eq(dp_lock_zookeeper.child_init(locker, child), APR_SUCCESS);
    contract_take(locker, &key, DOGPILE_EXCLUSIVE);
    ck_assert_int_eq(zookeeper_count(client, folder), 1);
    apr_pool_destroy(child);
    ZOOKEEPER_AWAIT(zookeeper_count(client, folder) < 1);
    zookeeper_close(client);
}
END_TEST

int main(void)
{
    const TTest *const own[] = {
        servers_and_folder_are_checked,
        secrets_are_read_at_start_and_never_shown,
        sequence_numbers_come_round,
        only_names_that_we_give_are_read,
        what_is_not_ours_is_no_lock,
        a_record_that_cannot_be_read_holds_as_long_as_a_lease,
        only_the_version_that_was_judged_is_deleted,
        empty_folders_vanish,
        whoever_is_refused_leaves_nothing_but_a_wish,
        all_of_many_locks_are_shown,
        only_those_with_the_secret_share_locks,
        the_end_of_a_child_ends_its_locks,
        NULL};

    return zookeeper_run(own);
}
