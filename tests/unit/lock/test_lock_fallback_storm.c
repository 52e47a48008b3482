/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of accidents that nobody thought of: hosts render, wait and renew
 * as flights do, while servers crash, forget and are cut off at random. What
 * the models in tests/models/ claim of the protocol is asserted of the code.
 *
 * Each storm has a number, which decides everything in it but the jitter of the
 * back-off; a failure tells it.
 */
#include "fallback_hosts.h"

#define TICK (LEASE / 60)
#define STORM_TICKS 3000
#define NSERVERS 2

/* A fault is forgotten a lease, a back-off and a renewal after its end. */
#define FORGOTTEN (LEASE + 2 * THIRD + 2 * TICK)

/* A metatile stays fresh for longer than that, as in any real store. */
#define FRESH (2 * THIRD)

typedef enum doing_e { IDLING, WAITING, RENDERING } doing_e;

typedef struct host_t {
    dogpile_locker_t *locker;
    doing_e doing;
    dogpile_id_t token;
    int has_lock;
    apr_time_t renew_at;
    apr_time_t done_at;
} host_t;

typedef struct storm_t {
    unsigned int number;
    unsigned int seed;
    host_t hosts[HOSTS];
    dogpile_lock_key_t key;
    apr_time_t fresh_until;
    apr_time_t quiet_at; /* when the last fault is forgotten */
    int nfaults;
    int nrenders;
    int nbeside; /* renders begun beside another one */
} storm_t;

static unsigned int dice(storm_t *storm, unsigned int sides)
{
    storm->seed = storm->seed * 1103515245u + 12345u;
    return (storm->seed >> 8) % sides;
}

/* --- faults ------------------------------------------------------------ */

static int is_common(int server)
{
    int host;

    for (host = 0; host < HOSTS; host++) {
        if (world->is_cut[host][server]) {
            return 0;
        }
    }
    return !world->servers[server].is_down;
}

static void note_fault(storm_t *storm, int is_new)
{
    storm->nfaults += is_new;
    storm->quiet_at = world->now + FORGOTTEN;
}

/* One member always stays up and in everybody's reach. */
static void inject_fault(storm_t *storm)
{
    int server = (int)dice(storm, NSERVERS);
    int host = (int)dice(storm, HOSTS);

    switch (dice(storm, 3)) {
    case 0:
        server_flush(server);
        note_fault(storm, 1);
        break;
    case 1:
        if (is_common(1 - server) && !world->servers[server].is_down) {
            world->servers[server].is_hanging = (int)dice(storm, 2);
            server_crash(server);
            note_fault(storm, 1);
        }
        break;
    default:
        if (is_common(1 - server) && !world->is_cut[host][server]) {
            world->is_cut[host][server] = 1;
            note_fault(storm, 1);
        }
    }
}

static void mend_something(storm_t *storm)
{
    int server = (int)dice(storm, NSERVERS);
    int host = (int)dice(storm, HOSTS);

    if (world->servers[server].is_down || world->is_cut[host][server]) {
        world->servers[server].is_down = 0;
        world->is_cut[host][server] = 0;
        note_fault(storm, 0);
    }
}

/* --- hosts ------------------------------------------------------------- */

static int has_lease(const storm_t *storm, int host)
{
    int server;
    int i;

    for (server = 0; server < NSERVERS; server++) {
        for (i = 0; i < RECORDS; i++) {
            const record_t *record = &world->servers[server].records[i];

            if (!record_is_over(record) && record->host == host
                && dp_digest_equal(&record->digest, &storm->key.digest)) {
                return 1;
            }
        }
    }
    return 0;
}

static void judge(storm_t *storm, int host)
{
    int other;

    storm->nrenders++;
    for (other = 0; other < HOSTS; other++) {
        if (other == host || storm->hosts[other].doing != RENDERING) {
            continue;
        }
        storm->nbeside++;
        ck_assert_msg(!has_lease(storm, other) || world->now < storm->quiet_at,
                      "storm %u: two hold the lock in quiet time",
                      storm->number);
        ck_assert_msg(storm->nfaults != 1,
                      "storm %u: one fault, and two render", storm->number);
    }
}

static void try_to_take(storm_t *storm, int index)
{
    host_t *host = &storm->hosts[index];
    apr_status_t status;

    if (world->now < storm->fresh_until) {
        host->doing = IDLING;
        return;
    }
    status = chain_try(host->locker, &storm->key, &host->token);
    /* Some member is always there. */
    ck_assert_msg(status == APR_SUCCESS || status == APR_EEXIST,
                  "storm %u: unavailable", storm->number);
    host->doing = WAITING;
    if (status == APR_SUCCESS && world->now < storm->fresh_until) {
        chain_release(host->locker, &storm->key, &host->token);
        host->doing = IDLING;
    }
    else if (status == APR_SUCCESS) {
        judge(storm, index);
        host->doing = RENDERING;
        host->has_lock = 1;
        host->renew_at = world->now + THIRD;
        host->done_at = world->now + dice(storm, 4 * 60) * TICK;
    }
}

static void go_on_rendering(storm_t *storm, host_t *host)
{
    if (host->has_lock && world->now >= host->renew_at) {
        host->has_lock = chain_renew(host->locker, &storm->key, &host->token)
                         != APR_NOTFOUND;
        host->renew_at = world->now + THIRD;
    }
    if (world->now >= host->done_at) {
        storm->fresh_until = world->now + FRESH;
        host->doing = IDLING;
        if (host->has_lock) {
            chain_release(host->locker, &storm->key, &host->token);
        }
    }
}

static void act(storm_t *storm, int index)
{
    host_t *host = &storm->hosts[index];

    switch (host->doing) {
    case IDLING:
        if (dice(storm, 10) == 0) {
            try_to_take(storm, index);
        }
        break;
    case WAITING:
        if (dice(storm, 3) == 0
            && chain_look(host->locker, &storm->key) != DOGPILE_HELD) {
            try_to_take(storm, index);
        }
        break;
    case RENDERING:
        go_on_rendering(storm, host);
    }
}

/* --- storms ------------------------------------------------------------ */

/* Up to `faults` of them, in one storm. Returns how many times somebody began
 * to render beside another one. */
static int weather(unsigned int number, int faults)
{
    storm_t storm = {.number = number, .seed = number * 2654435761u};
    int ticks;
    int i;

    world_make();
    storm.key = chain_key("a");
    for (i = 0; i < HOSTS; i++) {
        storm.hosts[i].locker = chain_make(i, NSERVERS);
    }
    for (ticks = 0; ticks < STORM_TICKS; ticks++) {
        world->trace[0] = '\0';
        world->now += TICK;
        if (storm.nfaults < faults && dice(&storm, 60) == 0) {
            inject_fault(&storm);
        }
        if (dice(&storm, 90) == 0) {
            mend_something(&storm);
        }
        for (i = 0; i < HOSTS; i++) {
            act(&storm, (i + ticks) % HOSTS);
        }
    }
    ck_assert_msg(storm.nrenders > 10, "storm %u: %d renders", number,
                  storm.nrenders);
    munmap(world, sizeof(*world));
    return storm.nbeside;
}

START_TEST(nobody_renders_beside_another_in_quiet_time)
{
    unsigned int number;

    for (number = 1; number <= 150; number++) {
        weather(number, 1000);
    }
}
END_TEST

START_TEST(after_one_fault_nobody_renders_beside_another)
{
    unsigned int number;

    for (number = 1; number <= 150; number++) {
        ck_assert_int_eq(weather(number, 1), 0);
    }
}
END_TEST

START_TEST(in_fair_weather_nobody_does)
{
    ck_assert_int_eq(weather(1, 0), 0);
    ck_assert_int_eq(unit_log_count, 0);
}
END_TEST

UNIT_MAIN("lock/fallback_storm", nobody_renders_beside_another_in_quiet_time,
          after_one_fault_nobody_renders_beside_another,
          in_fair_weather_nobody_does)
