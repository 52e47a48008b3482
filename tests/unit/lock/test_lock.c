/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/lock.h"

#include <apr_strings.h>
#include <string.h>

#include "base/digest.h"
#include "unit.h"

/* A back end that answers what it is told to, sense or nonsense. */
typedef struct parrot_t {
    dogpile_locker_t locker;
    apr_status_t answer;
    dogpile_id_t token;
    int calls;
} parrot_t;

static apr_status_t say(dogpile_locker_t *locker)
{
    ((parrot_t *)locker)->calls++;
    return ((parrot_t *)locker)->answer;
}

static apr_status_t acquire(dogpile_locker_t *locker,
                            const dogpile_lock_key_t *key,
                            dogpile_lock_mode_e mode, dogpile_id_t *token,
                            dogpile_holder_t *holder, apr_pool_t *pool)
{
    (void)key;
    (void)mode;
    (void)holder;
    (void)pool;
    *token = ((parrot_t *)locker)->token;
    return say(locker);
}

static apr_status_t by_token(dogpile_locker_t *locker,
                             const dogpile_lock_key_t *key,
                             const dogpile_id_t *token, apr_pool_t *pool)
{
    (void)key;
    (void)token;
    (void)pool;
    return say(locker);
}

static apr_status_t probe(dogpile_locker_t *locker,
                          const dogpile_lock_key_t *key,
                          dogpile_lock_mode_e mode, dogpile_lock_state_e *state,
                          dogpile_holder_t *holder, apr_pool_t *pool)
{
    (void)key;
    (void)mode;
    (void)state;
    (void)holder;
    (void)pool;
    return say(locker);
}

static apr_status_t break_lock(dogpile_locker_t *locker,
                               const dogpile_lock_key_t *key, apr_pool_t *pool)
{
    (void)key;
    (void)pool;
    return say(locker);
}

static const dogpile_locker_provider_t provider = {
    .version = DOGPILE_LOCKER_VERSION,
    .type = "parrot",
    .acquire = acquire,
    .renew = by_token,
    .release = by_token,
    .probe = probe,
    .break_lock = break_lock,
};

static const dogpile_lock_key_t key = {.label = "label"};

static parrot_t parrot_make(apr_status_t answer)
{
    parrot_t parrot = {.locker = {.provider = &provider}, .answer = answer};

    dp_id_make(&parrot.token);
    return parrot;
}

START_TEST(sensible_answers_are_passed_on)
{
    parrot_t parrot = parrot_make(APR_SUCCESS);
    dogpile_holder_t holder;
    dogpile_id_t token;

    ck_assert_int_eq(dp_lock_acquire(&parrot.locker, &key, DOGPILE_SHARED,
                                     &token, NULL, unit_pool),
                     APR_SUCCESS);
    ck_assert(dp_id_equal(&token, &parrot.token));
    parrot.answer = APR_EEXIST;
    ck_assert_int_eq(dp_lock_acquire(&parrot.locker, &key, DOGPILE_SHARED,
                                     &token, &holder, unit_pool),
                     APR_EEXIST);
    ck_assert(dp_id_is_none(&token));
    ck_assert_str_eq(holder.host, "");
    ck_assert_str_eq(holder.label, "");
    parrot.answer = APR_NOTFOUND;
    ck_assert_int_eq(
        dp_lock_renew(&parrot.locker, &key, &parrot.token, unit_pool),
        APR_NOTFOUND);
    ck_assert_int_eq(
        dp_lock_release(&parrot.locker, &key, &parrot.token, unit_pool),
        APR_NOTFOUND);
    ck_assert_int_eq(dp_lock_break(&parrot.locker, &key, unit_pool),
                     APR_NOTFOUND);
}
END_TEST

START_TEST(nonsense_is_unavailable)
{
    parrot_t parrot = parrot_make(APR_NOTFOUND);
    dogpile_lock_state_e state = DOGPILE_FREE;
    dogpile_id_t token;

    ck_assert_int_eq(dp_lock_acquire(&parrot.locker, &key, DOGPILE_SHARED,
                                     &token, NULL, unit_pool),
                     APR_EGENERAL);
    ck_assert_int_eq(dp_lock_probe(&parrot.locker, &key, DOGPILE_SHARED, &state,
                                   NULL, unit_pool),
                     APR_EGENERAL);
    ck_assert_int_eq(state, DOGPILE_HELD);
    parrot.answer = APR_EEXIST;
    ck_assert_int_eq(dp_lock_probe(&parrot.locker, &key, DOGPILE_SHARED, &state,
                                   NULL, unit_pool),
                     APR_EGENERAL);
    ck_assert_int_eq(
        dp_lock_renew(&parrot.locker, &key, &parrot.token, unit_pool),
        APR_EGENERAL);
    ck_assert_int_eq(
        dp_lock_release(&parrot.locker, &key, &parrot.token, unit_pool),
        APR_EGENERAL);
    ck_assert_int_eq(dp_lock_break(&parrot.locker, &key, unit_pool),
                     APR_EGENERAL);
    /* A lock without a token could never be given back. */
    parrot.answer = APR_SUCCESS;
    memset(&parrot.token, 0, sizeof(parrot.token));
    ck_assert_int_eq(dp_lock_acquire(&parrot.locker, &key, DOGPILE_SHARED,
                                     &token, NULL, unit_pool),
                     APR_EGENERAL);
}
END_TEST

START_TEST(no_token_is_nobodys)
{
    parrot_t parrot = parrot_make(APR_SUCCESS);
    dogpile_id_t zero = {{0}};

    ck_assert_int_eq(dp_lock_renew(&parrot.locker, &key, &zero, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(dp_lock_release(&parrot.locker, &key, &zero, unit_pool),
                     APR_NOTFOUND);
    ck_assert_int_eq(parrot.calls, 0);
}
END_TEST

static void unwanted(void *baton, const dogpile_holder_t *holder)
{
    (void)baton;
    ck_abort_msg("%s", holder->label);
}

START_TEST(what_a_back_end_lacks_is_no_crash)
{
    parrot_t parrot = parrot_make(APR_SUCCESS);

    ck_assert_int_eq(dp_lock_list(&parrot.locker, unwanted, NULL, unit_pool),
                     APR_ENOTIMPL);
    dp_lock_describe(&parrot.locker, NULL, NULL, unit_pool);
}
END_TEST

START_TEST(labels_are_cut_between_characters)
{
    char *text = apr_palloc(unit_pool, DOGPILE_LABEL_MAX + 8);

    memset(text, 'x', DOGPILE_LABEL_MAX);
    strcpy(text + DOGPILE_LABEL_MAX, "yz");
    ck_assert_uint_eq(strlen(dp_lock_label(text, unit_pool)),
                      DOGPILE_LABEL_MAX);
    /* U+20AC across the end, and just before it. */
    strcpy(text + DOGPILE_LABEL_MAX - 1, "\xe2\x82\xac");
    ck_assert_uint_eq(strlen(dp_lock_label(text, unit_pool)),
                      DOGPILE_LABEL_MAX - 1);
    strcpy(text + DOGPILE_LABEL_MAX - 3, "\xe2\x82\xacz");
    ck_assert_uint_eq(strlen(dp_lock_label(text, unit_pool)),
                      DOGPILE_LABEL_MAX);
    /* Not UTF-8 at all. */
    memset(text, 0x80, DOGPILE_LABEL_MAX + 2);
    text[DOGPILE_LABEL_MAX + 2] = '\0';
    ck_assert_uint_eq(strlen(dp_lock_label(text, unit_pool)),
                      DOGPILE_LABEL_MAX);
    ck_assert_str_eq(dp_lock_label(NULL, unit_pool), "");
    ck_assert_str_eq(dp_lock_label("a\tb\nc", unit_pool), "a?b?c");
}
END_TEST

START_TEST(a_host_has_a_lasting_name)
{
    const char *name = dp_lock_this_host(unit_pool);

    ck_assert_uint_gt(strlen(name), 0);
    ck_assert_str_eq(name, dp_lock_this_host(unit_pool));
}
END_TEST

UNIT_MAIN("lock/lock", sensible_answers_are_passed_on, nonsense_is_unavailable,
          no_token_is_nobodys, what_a_back_end_lacks_is_no_crash,
          labels_are_cut_between_characters, a_host_has_a_lasting_name)
