/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper that all tests of a program share, each test's relay and
 * folder, and a second client to look at the tree with.
 */
#include "zookeeper_fixture.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static zookeeper_server_t shared;

static void say_nothing(const char *message)
{
    (void)message;
}

zookeeper_server_t *zookeeper_make(void)
{
    zookeeper_server_t *server = apr_pcalloc(unit_pool, sizeof(*server));

    apr_cpystrn(server->directory, unit_tempdir(), sizeof(server->directory));
    zookeeper_start(server);
    return server;
}

int zookeeper_shared_port(void)
{
    return shared.port;
}

/* What belongs to the running test. */
typedef struct scene_t {
    zookeeper_relay_t relay;
    const char *root;
} scene_t;

static apr_status_t end_scene(void *baton)
{
    scene_t *scene = baton;

    zookeeper_relay_kill(&scene->relay);
    return APR_SUCCESS;
}

static scene_t *scene_now(void)
{
    void *found = NULL;
    scene_t *scene;

    apr_pool_userdata_get(&found, "zookeeper scene", unit_pool);
    if (found) {
        return found;
    }
    scene = apr_pcalloc(unit_pool, sizeof(*scene));
    scene->root = apr_psprintf(unit_pool, "/tests/%d", (int)getpid());
    zookeeper_relay_start(&scene->relay, shared.port);
    apr_pool_userdata_setn(scene, "zookeeper scene", NULL, unit_pool);
    apr_pool_cleanup_register(unit_pool, scene, end_scene,
                              apr_pool_cleanup_null);
    return scene;
}

zookeeper_relay_t *zookeeper_relay(void)
{
    return &scene_now()->relay;
}

const char *zookeeper_root(void)
{
    return scene_now()->root;
}

static void set_server(dogpile_locker_conf_t *conf, int port)
{
    apr_array_header_t *servers = apr_array_make(unit_pool, 1, sizeof(char *));

    APR_ARRAY_PUSH(servers, const char *) =
        apr_psprintf(unit_pool, "127.0.0.1:%d%s", port, zookeeper_root());
    conf->servers = servers;
    conf->socket_usec = apr_time_from_sec(3);
}

static void configure(dogpile_locker_conf_t *conf)
{
    set_server(conf, zookeeper_relay()->port);
}

dogpile_locker_conf_t *zookeeper_conf_at(int port,
                                         apr_interval_time_t lease_usec)
{
    dogpile_locker_conf_t *conf = contract_conf(lease_usec);

    set_server(conf, port);
    return conf;
}

static void break_server(void)
{
    zookeeper_relay_kill(zookeeper_relay());
}

static void flush(void)
{
    zhandle_t *client = zookeeper_client(shared.port);

    zookeeper_empty(client, zookeeper_root());
    zookeeper_close(client);
}

/*
 * Tests fork. A process forked while one of the client's threads is in
 * getaddrinfo(3) would wait for its locks for ever, so children begin only
 * after their session has.
 */
static apr_status_t init_and_await(dogpile_locker_t *locker, apr_pool_t *pool)
{
    apr_status_t status = dp_lock_zookeeper.child_init(locker, pool);

    if (status == APR_SUCCESS) {
        (void)dp_zk_session_await(dp_zk_of(locker)->session, APR_INT64_MAX);
    }
    return status;
}

static dogpile_locker_provider_t settled;

const contract_locker_t zookeeper_contract = {.name = "lock/zookeeper",
                                              .provider = &settled,
                                              .configure = configure,
                                              .break_server = break_server,
                                              .flush = flush,
                                              .knows_the_dead = 1};

static void start_shared(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(shared.directory, sizeof(shared.directory),
             "%s/dogpile-zookeeper-XXXXXX", base ? base : "/tmp");
    ZOOKEEPER_MUST(mkdtemp(shared.directory) != NULL);
    zookeeper_start(&shared);
    settled = dp_lock_zookeeper;
    settled.child_init = init_and_await;
    contract_under_test = &zookeeper_contract;
}

static void stop_shared(void)
{
    zookeeper_kill(&shared);
    zookeeper_remove(&shared);
}

int zookeeper_run(const TTest *const own[])
{
    int failed;

    start_shared();
    failed = locker_contract_run(&zookeeper_contract, own);
    stop_shared();
    return failed;
}

int zookeeper_run_tests(const char *name, const TTest *const tests[],
                        int ntests)
{
    int failed;

    start_shared();
    failed = unit_run(name, tests, ntests);
    stop_shared();
    return failed;
}

zhandle_t *zookeeper_client(int port)
{
    const char *server = apr_psprintf(unit_pool, "127.0.0.1:%d", port);
    zhandle_t *client = zookeeper_init2(server, NULL, 20000, NULL, NULL,
                                        ZOO_NO_LOG_CLIENTENV, say_nothing);

    ck_assert_ptr_nonnull(client);
    ZOOKEEPER_AWAIT(zoo_state(client) == ZOO_CONNECTED_STATE);
    return client;
}

int zookeeper_count(zhandle_t *client, const char *folder)
{
    struct String_vector names;
    int count = 0;
    int i;

    if (zoo_get_children(client, folder, 0, &names) != ZOK) {
        return -1;
    }
    for (i = 0; i < names.count; i++) {
        count += strlen(names.data[i]) > 64;
    }
    deallocate_String_vector(&names);
    return count;
}

void zookeeper_put(zhandle_t *client, const char *path, const char *bytes,
                   int mode)
{
    char *parent = apr_pstrdup(unit_pool, path);
    char *slash = strrchr(parent, '/');
    int rc;

    *slash = '\0';
    if (slash > parent && zoo_exists(client, parent, 0, NULL) == ZNONODE) {
        zookeeper_put(client, parent, "", ZOO_PERSISTENT);
    }
    rc = zoo_create(client, path, bytes, (int)strlen(bytes),
                    &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0);
    ck_assert_msg(rc == ZOK, "%s: %s", path, zerror(rc));
}

void zookeeper_empty(zhandle_t *client, const char *folder)
{
    struct String_vector names;
    int i;

    if (zoo_get_children(client, folder, 0, &names) != ZOK) {
        return;
    }
    for (i = 0; i < names.count; i++) {
        const char *path =
            apr_pstrcat(unit_pool, folder, "/", names.data[i], NULL);

        zookeeper_empty(client, path);
        zoo_delete(client, path, -1);
    }
    deallocate_String_vector(&names);
}
