/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/redis_resolve.h"

#include <netinet/in.h>
#include <string.h>

#include "unit.h"

#define PATIENCE_USEC apr_time_from_sec(30)

static dp_redis_resolver_t resolver;

static apr_time_t in(apr_interval_time_t usec)
{
    return dp_clock_now(&dp_clock_monotonic) + usec;
}

static apr_status_t resolve(struct addrinfo **found, const char *host,
                            apr_interval_time_t usec)
{
    const char *why = NULL;

    return dp_redis_resolve(found, &why, &resolver, host, 6379, in(usec));
}

static void set_up_resolver(void)
{
    ck_assert_int_eq(dp_redis_resolver_make(&resolver, unit_pool), APR_SUCCESS);
}

START_TEST(addresses_need_no_time)
{
    struct addrinfo *found;
    struct sockaddr_in address;

    set_up_resolver();
    ck_assert_int_eq(resolve(&found, "192.0.2.7", -1), APR_SUCCESS);
    ck_assert_int_eq(found->ai_family, AF_INET);
    memcpy(&address, found->ai_addr, sizeof(address));
    ck_assert_uint_eq(ntohl(address.sin_addr.s_addr), 0xc0000207);
    ck_assert_uint_eq(ntohs(address.sin_port), 6379);
    freeaddrinfo(found);
    ck_assert_int_eq(resolve(&found, "2001:db8::7", -1), APR_SUCCESS);
    ck_assert_int_eq(found->ai_family, AF_INET6);
    freeaddrinfo(found);
}
END_TEST

START_TEST(names_are_looked_up)
{
    struct addrinfo *found;

    set_up_resolver();
    ck_assert_int_eq(resolve(&found, "localhost", PATIENCE_USEC), APR_SUCCESS);
    ck_assert_ptr_nonnull(found);
    freeaddrinfo(found);
    ck_assert_int_eq(resolver.asking, 0);
    ck_assert_int_eq(resolver.nlost, 0);
}
END_TEST

START_TEST(what_is_no_name_has_a_reason)
{
    const char *why = NULL;
    struct addrinfo *found;

    set_up_resolver();
    ck_assert_int_eq(dp_redis_resolve(&found, &why, &resolver, "not a name",
                                      6379, in(PATIENCE_USEC)),
                     APR_EGENERAL);
    ck_assert_ptr_nonnull(why);
    ck_assert_ptr_null(found);
}
END_TEST

/* Nobody's time is up so soon, but what happens is what happens when a
 * resolver doesn't answer. */
START_TEST(what_was_given_up_is_bounded_and_comes_back)
{
    apr_time_t deadline = in(PATIENCE_USEC);
    struct addrinfo *found;
    apr_status_t status;
    int i;

    set_up_resolver();
    for (i = 0; i < 20 * DP_REDIS_LOOKUPS_MAX; i++) {
        status = resolve(&found, "localhost", 0);
        ck_assert(status == APR_TIMEUP || status == APR_EGENERAL);
        ck_assert_ptr_null(found);
        ck_assert_int_le(resolver.nlost, DP_REDIS_LOOKUPS_MAX);
        ck_assert_int_eq(resolver.asking, 0);
    }
    do {
        ck_assert(in(0) < deadline);
        status = resolve(&found, "localhost", PATIENCE_USEC);
    } while (status != APR_SUCCESS);
    freeaddrinfo(found);
    while (resolver.nlost > 0) {
        ck_assert(in(0) < deadline);
        if (resolve(&found, "localhost", PATIENCE_USEC) == APR_SUCCESS) {
            freeaddrinfo(found);
        }
    }
}
END_TEST

UNIT_MAIN("lock/redis_resolve", addresses_need_no_time, names_are_looked_up,
          what_is_no_name_has_a_reason,
          what_was_given_up_is_bounded_and_comes_back)
