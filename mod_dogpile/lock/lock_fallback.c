/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fallback locker: a list of other lockers, so that no lock server is the
 * one on which everything depends. Here is the provider: configuration and
 * start; the rules are in lock_fallback_step.c, _renew.c and _look.c.
 *
 * Made and prepared by the parent, used by any thread of any child. A fallback
 * prepares its members itself, so whoever has it needs no list of them. The
 * members' health is in memory of this process until prepare() moves it to
 * where the children, forked after that, share it.
 */
#include "lock/lock_fallback.h"

#include <apr_strings.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "lock/lock.h"

/* --- what can be refused ----------------------------------------------- */

static const char *name_of(const dogpile_locker_t *locker)
{
    return locker->conf->name ? locker->conf->name : locker->provider->type;
}

static int share_a_text(const apr_array_header_t *a,
                        const apr_array_header_t *b)
{
    int i;
    int j;

    for (i = 0; a && i < a->nelts; i++) {
        for (j = 0; b && j < b->nelts; j++) {
            if (strcmp(APR_ARRAY_IDX(a, i, const char *),
                       APR_ARRAY_IDX(b, j, const char *))
                == 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* Each would find the other's lease there and call it someone else's. */
static int is_same_place(const dogpile_locker_t *a, const dogpile_locker_t *b)
{
    const char *here = a->conf->directory;
    const char *there = b->conf->directory;

    if (a == b || a->provider != b->provider) {
        return a == b;
    }
    return (here && there && strcmp(here, there) == 0)
           || share_a_text(a->conf->servers, b->conf->servers);
}

static const char *check_member(const dp_fallback_t *fallback,
                                const dogpile_locker_t *member)
{
    int i;

    if (member->provider->type == dp_lock_fallback.type) {
        return apr_psprintf(fallback->pool,
                            "%s is a fallback itself: list its lockers here "
                            "instead, which is the same",
                            name_of(member));
    }
    if (member->conf->lease_usec < fallback->locker.conf->lease_usec) {
        return apr_psprintf(fallback->pool,
                            "%s: DogpileLockTimeout must not be shorter than "
                            "that of its fallback, whose renewals it waits for",
                            name_of(member));
    }
    for (i = 0; i < fallback->nmembers; i++) {
        const dogpile_locker_t *other = fallback->members[i].locker;

        if (is_same_place(member, other)) {
            return apr_psprintf(fallback->pool,
                                "%s and %s keep their locks in the same "
                                "place: one of them is enough",
                                name_of(other), name_of(member));
        }
    }
    return NULL;
}

static const char *check_conf(const dogpile_locker_conf_t *conf)
{
    if (conf->directory || conf->secret_file
        || (conf->servers && conf->servers->nelts)) {
        return "a fallback has no place of its own: DogpileLockDirectory, "
               "DogpileLockServer and DogpileLockSecretFile belong to the "
               "lockers inside it";
    }
    if (conf->members == NULL || conf->members->nelts == 0) {
        return "a fallback needs lockers inside it, in the order in which "
               "they are to be asked";
    }
    if (conf->members->nelts > DP_MEMBERS_MAX) {
        return "a fallback of more than " APR_STRINGIFY(
            DP_MEMBERS_MAX) " lockers is not allowed";
    }
    return conf->lease_usec > 0 ? NULL : "DogpileLockTimeout: more than zero";
}

/* --- create ------------------------------------------------------------ */

static void add_member(dp_fallback_t *fallback, dogpile_locker_t *locker)
{
    dp_member_t *member = &fallback->members[fallback->nmembers++];
    apr_interval_time_t first = locker->conf->socket_usec;

    member->locker = locker;
    member->name = name_of(locker);
    member->health = apr_pcalloc(fallback->pool, sizeof(*member->health));
    /* Not sooner than it can say that it is still down, so that a server which
     * hangs is waited for at most half of the time, by one caller. */
    member->backoff.first_usec =
        first > DP_MEMBER_PAUSE_USEC ? first : DP_MEMBER_PAUSE_USEC;
    member->backoff.longest_usec = fallback->third_usec;
}

static const char *fallback_create(dogpile_locker_t **locker,
                                   const dogpile_locker_conf_t *conf,
                                   apr_pool_t *result_pool)
{
    dp_fallback_t *fallback = apr_pcalloc(result_pool, sizeof(*fallback));
    const char *wrong = check_conf(conf);
    int i;

    fallback->locker.provider = &dp_lock_fallback;
    fallback->locker.conf = conf;
    fallback->clock = &dp_clock_monotonic;
    fallback->name = name_of(&fallback->locker);
    fallback->pool = result_pool;
    fallback->third_usec = conf->lease_usec / 3;
    for (i = 0; wrong == NULL && i < conf->members->nelts; i++) {
        dogpile_locker_t *member =
            APR_ARRAY_IDX(conf->members, i, dogpile_locker_t *);

        wrong = check_member(fallback, member);
        add_member(fallback, member);
    }
    if (wrong == NULL
        && dp_sets_of(&fallback->sets, result_pool) != APR_SUCCESS) {
        wrong = "no memory for a fallback";
    }
    if (wrong == NULL) {
        *locker = &fallback->locker;
    }
    return wrong;
}

/* --- start ------------------------------------------------------------- */

static apr_status_t forget_shared(void *health)
{
    munmap(health, DP_MEMBERS_MAX * sizeof(dp_health_t));
    return APR_SUCCESS;
}

static apr_status_t share_health(dp_fallback_t *fallback)
{
    dp_health_t *health =
        mmap(NULL, DP_MEMBERS_MAX * sizeof(*health), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int i;

    if (health == MAP_FAILED) {
        return errno;
    }
    apr_pool_cleanup_register(fallback->pool, health, forget_shared,
                              apr_pool_cleanup_null);
    for (i = 0; i < fallback->nmembers; i++) {
        fallback->members[i].health = &health[i];
    }
    return APR_SUCCESS;
}

static const char *fallback_prepare(dogpile_locker_t *locker,
                                    apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    apr_status_t status = share_health(fallback);
    char text[128];
    int i;

    if (status != APR_SUCCESS) {
        return apr_psprintf(scratch_pool, "no memory for a fallback: %s",
                            apr_strerror(status, text, sizeof(text)));
    }
    for (i = 0; i < fallback->nmembers; i++) {
        dp_member_t *member = &fallback->members[i];
        const dogpile_locker_provider_t *provider = member->locker->provider;
        const char *wrong =
            provider->prepare ? provider->prepare(member->locker, scratch_pool)
                              : NULL;

        if (wrong) {
            return apr_psprintf(scratch_pool, "%s: %s", member->name, wrong);
        }
    }
    return NULL;
}

/* A member that can't be used in this process is unavailable in it; the
 * others don't suffer for that. */
static apr_status_t fallback_child_init(dogpile_locker_t *locker,
                                        apr_pool_t *child_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    int nusable = 0;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        dp_member_t *member = &fallback->members[i];
        const dogpile_locker_provider_t *provider = member->locker->provider;
        apr_status_t status =
            provider->child_init
                ? provider->child_init(member->locker, child_pool)
                : APR_SUCCESS;

        member->is_unusable = status != APR_SUCCESS;
        nusable += status == APR_SUCCESS;
        if (status != APR_SUCCESS) {
            dp_log(locker->conf->log, DOGPILE_LOG_ERROR, 762, status,
                   "locker %s: %s can't be used in this process",
                   fallback->name, member->name);
        }
    }
    return nusable > 0 ? APR_SUCCESS : APR_EGENERAL;
}

/* Each member that can tell does so itself: waiters hear of the first release
 * and of the last. */
static apr_status_t fallback_listen(dogpile_locker_t *locker,
                                    dogpile_released_fn *released, void *baton,
                                    apr_pool_t *child_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    apr_status_t result = APR_ENOTIMPL;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        dp_member_t *member = &fallback->members[i];
        apr_status_t status =
            member->is_unusable
                ? APR_ENOTIMPL
                : dp_lock_listen(member->locker, released, baton, child_pool);

        if (status == APR_SUCCESS || result == APR_ENOTIMPL) {
            result = status;
        }
    }
    return result;
}

/* An operator's order goes to every member, whatever is believed of it. */
static apr_status_t fallback_break(dogpile_locker_t *locker,
                                   const dogpile_lock_key_t *key,
                                   apr_pool_t *scratch_pool)
{
    dp_fallback_t *fallback = dp_fallback_of(locker);
    apr_status_t result = APR_NOTFOUND;
    int i;

    for (i = 0; i < fallback->nmembers; i++) {
        dp_member_t *member = &fallback->members[i];
        apr_status_t status =
            member->is_unusable
                ? dp_member_failure(member)
                : dp_lock_break(member->locker, key, scratch_pool);

        if (status == APR_SUCCESS || result == APR_NOTFOUND) {
            result = status;
        }
    }
    return result;
}

const dogpile_locker_provider_t dp_lock_fallback = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "fallback",
    .create = fallback_create,
    .prepare = fallback_prepare,
    .child_init = fallback_child_init,
    .acquire = dp_fallback_acquire,
    .renew = dp_fallback_renew,
    .release = dp_fallback_release,
    .probe = dp_fallback_probe,
    .break_lock = fallback_break,
    .list = dp_fallback_list,
    .listen = fallback_listen,
    .describe = dp_fallback_describe,
};
