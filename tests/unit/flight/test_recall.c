/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of failures: who may ask a source, and when.
 */
#include "flight/recall.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define SEC APR_USEC_PER_SEC
#define PERIOD (5 * SEC)
#define PATIENCE (60 * SEC)

static dp_recall_t *recall;
static apr_time_t now;

static void set_up(void)
{
    void *memory = mmap(NULL, dp_recall_size(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(dp_recall_init(memory, &recall), 0);
    now = 1000 * SEC;
}

static dp_subject_t subject(int key, uint64_t source)
{
    dp_subject_t made = {
        .source = source, .source_name = "s", .error_usec = PERIOD};

    memcpy(made.key.bytes, &key, sizeof(key));
    made.key.bytes[31] = 1;
    return made;
}

static dp_news_e learn(int key, uint64_t source, dp_blame_e blame)
{
    dp_subject_t about = subject(key, source);
    dp_outcome_t outcome;

    dp_outcome_fail(&outcome, 502, 0, "no");
    outcome.blame = blame;
    return dp_recall_learn(recall, &about, now, &outcome);
}

static dp_news_e learn_good(int key, uint64_t source, dp_outcome_e kind)
{
    dp_subject_t about = subject(key, source);
    dp_outcome_t outcome = {.kind = kind};

    return dp_recall_learn(recall, &about, now, &outcome);
}

/* Seconds until it should be asked again, 0: there is nothing to recall. */
static int left(int key, uint64_t source)
{
    dp_subject_t about = subject(key, source);
    dp_outcome_t outcome;

    if (!dp_recall_find(recall, &about, now, &outcome)) {
        return 0;
    }
    ck_assert(outcome.is_remembered);
    return outcome.retry_after_sec;
}

static int may_ask(int key, uint64_t source, int *is_trial)
{
    dp_subject_t about = subject(key, source);
    dp_outcome_t outcome;

    return dp_recall_ask(recall, &about, now, PATIENCE, &outcome, is_trial);
}

START_TEST(a_metatile_that_fails_is_left_alone_for_a_period)
{
    int is_trial;

    set_up();
    ck_assert_int_eq(left(1, 7), 0);
    ck_assert_int_eq(learn(1, 7, DP_BLAME_PICTURE), DP_NEWS_NONE);
    ck_assert_int_eq(left(1, 7), 5);
    ck_assert(!may_ask(1, 7, &is_trial));
    ck_assert_int_eq(left(2, 7), 0);
    ck_assert(may_ask(2, 7, &is_trial) && !is_trial);
    now += PERIOD - 1;
    ck_assert_int_eq(left(1, 7), 1);
    now += 1;
    ck_assert_int_eq(left(1, 7), 0);
}
END_TEST

START_TEST(pauses_grow_with_failures_in_a_row_and_end_with_one_that_is_none)
{
    int last = 0;
    int i;

    set_up();
    for (i = 0; i < 8; i++) {
        learn(1, 7, DP_BLAME_PICTURE);
        last = left(1, 7);
        ck_assert_int_le(last, 40);
        now += last * SEC;
    }
    ck_assert_int_ge(last, 20);
    learn_good(1, 7, DP_OUTCOME_RECORD);
    learn(1, 7, DP_BLAME_PICTURE);
    ck_assert_int_eq(left(1, 7), 5);
    now += 46 * SEC; /* long ago */
    learn(1, 7, DP_BLAME_PICTURE);
    ck_assert_int_eq(left(1, 7), 5);
}
END_TEST

START_TEST(a_source_that_is_down_is_left_alone_with_all_its_metatiles)
{
    int is_trial;

    set_up();
    ck_assert_int_eq(learn(1, 7, DP_BLAME_SOURCE), DP_NEWS_DOWN);
    ck_assert_int_eq(left(2, 7), 5);
    ck_assert(!may_ask(2, 7, &is_trial));
    ck_assert_int_eq(left(2, 8), 0);
    now += SEC;
    /* What was asked before fails as well: no second failure. */
    ck_assert_int_eq(learn(3, 7, DP_BLAME_SOURCE), DP_NEWS_NONE);
    ck_assert_int_eq(left(2, 7), 4);
}
END_TEST

START_TEST(after_the_period_one_flight_tries)
{
    int is_trial;

    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    now += PERIOD;
    ck_assert(may_ask(2, 7, &is_trial) && is_trial);
    ck_assert(!may_ask(3, 7, &is_trial));
    ck_assert(may_ask(2, 7, &is_trial)); /* adopted by another child */
    now += PATIENCE - 1;
    ck_assert(!may_ask(3, 7, &is_trial));
    now += 1;
    ck_assert(may_ask(3, 7, &is_trial) && is_trial);
    ck_assert_int_eq(learn(3, 7, DP_BLAME_SOURCE), DP_NEWS_NONE);
    ck_assert_int_ge(left(4, 7), 5);
    ck_assert_int_le(left(4, 7), 10);
}
END_TEST

START_TEST(success_is_normal_at_once)
{
    int is_trial;

    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    ck_assert_int_eq(learn_good(9, 7, DP_OUTCOME_RECORD), DP_NEWS_UP);
    ck_assert_int_eq(left(1, 7), 0);
    ck_assert(may_ask(1, 7, &is_trial) && !is_trial);
    ck_assert_int_eq(learn_good(9, 7, DP_OUTCOME_RECORD), DP_NEWS_NONE);
}
END_TEST

START_TEST(a_source_that_refuses_one_picture_works)
{
    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    now += PERIOD;
    ck_assert_int_eq(learn(2, 7, DP_BLAME_PICTURE), DP_NEWS_UP);
    ck_assert_int_eq(left(2, 7), 5);
    ck_assert_int_eq(left(3, 7), 0);
}
END_TEST

START_TEST(three_doubtful_failures_in_a_row_are_the_sources)
{
    set_up();
    learn(1, 7, DP_BLAME_EITHER);
    learn(2, 7, DP_BLAME_EITHER);
    ck_assert_int_eq(left(1, 7), 5);
    ck_assert_int_eq(left(9, 7), 0);
    learn_good(3, 7, DP_OUTCOME_RECORD);
    learn(4, 7, DP_BLAME_EITHER);
    learn(5, 7, DP_BLAME_EITHER);
    ck_assert_int_eq(left(9, 7), 0);
    ck_assert_int_eq(learn(6, 7, DP_BLAME_EITHER), DP_NEWS_DOWN);
    ck_assert_int_eq(left(9, 7), 5);
}
END_TEST

START_TEST(strikes_of_long_ago_dont_count)
{
    set_up();
    learn(1, 7, DP_BLAME_EITHER);
    learn(2, 7, DP_BLAME_EITHER);
    now += 41 * SEC;
    ck_assert_int_eq(learn(3, 7, DP_BLAME_EITHER), DP_NEWS_NONE);
    ck_assert_int_eq(left(9, 7), 0);
}
END_TEST

START_TEST(the_sources_own_word_counts_within_reason)
{
    dp_subject_t about = subject(1, 7);
    dp_outcome_t outcome;

    set_up();
    dp_outcome_fail(&outcome, 502, 77, "no");
    outcome.blame = DP_BLAME_SOURCE;
    outcome.source_retry_sec = 77;
    dp_recall_learn(recall, &about, now, &outcome);
    ck_assert_int_eq(outcome.retry_after_sec, 77);
    ck_assert_int_eq(left(1, 7), 77);
    now += 77 * SEC;
    outcome.source_retry_sec = 3600;
    dp_recall_learn(recall, &about, now, &outcome);
    ck_assert_int_eq(left(1, 7), 300);
}
END_TEST

START_TEST(what_must_not_be_shared_goes_by_for_two_minutes)
{
    dp_subject_t about = subject(1, 7);
    dp_outcome_t outcome;

    set_up();
    learn_good(1, 7, DP_OUTCOME_PASS);
    ck_assert(dp_recall_find(recall, &about, now, &outcome));
    ck_assert_int_eq(outcome.kind, DP_OUTCOME_PASS);
    now += DP_RECALL_PASS_USEC;
    ck_assert_int_eq(left(1, 7), 0);
}
END_TEST

START_TEST(no_period_no_memory)
{
    dp_subject_t about = subject(1, 7);
    dp_outcome_t outcome;

    set_up();
    about.error_usec = 0;
    dp_outcome_fail(&outcome, 502, 9, "no");
    outcome.blame = DP_BLAME_SOURCE;
    ck_assert_int_eq(dp_recall_learn(recall, &about, now, &outcome),
                     DP_NEWS_NONE);
    ck_assert_int_eq(outcome.retry_after_sec, 9);
    outcome.blame = DP_BLAME_PICTURE;
    dp_recall_learn(recall, &about, now, &outcome);
    ck_assert_int_eq(left(1, 7), 0);
    learn(1, 7, DP_BLAME_NONE);
    ck_assert_int_eq(left(1, 7), 0);
}
END_TEST

START_TEST(it_is_bounded_and_forgets_what_ends_first)
{
    int i;

    set_up();
    for (i = 0; i < 5000; i++) {
        learn(i, (uint64_t)i, DP_BLAME_SOURCE);
        learn(i, (uint64_t)i, DP_BLAME_PICTURE);
        learn(i, (uint64_t)i, DP_BLAME_SOURCE);
        now++;
    }
    ck_assert_int_eq(left(4999, 4999), 5);
    ck_assert_int_eq(left(0, 0), 0);
    ck_assert_int_eq(dp_recall_list(recall, now, NULL, 0), 64);
}
END_TEST

START_TEST(a_trial_dies_with_its_process)
{
    int is_trial;
    int status;
    pid_t pid;

    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    now += PERIOD;
    pid = fork();
    if (pid == 0) {
        _exit(may_ask(2, 7, &is_trial) && is_trial ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert(may_ask(3, 7, &is_trial) && is_trial);
}
END_TEST

START_TEST(a_death_inside_leaves_nothing_but_a_memory_that_works)
{
    pid_t pid;

    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    pid = fork();
    if (pid == 0) {
        pthread_mutex_lock((pthread_mutex_t *)recall); /* its first member */
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(left(2, 7), 0);
    learn(1, 7, DP_BLAME_SOURCE);
    ck_assert_int_eq(left(2, 7), 5);
}
END_TEST

START_TEST(sources_are_listed_while_they_fail)
{
    dp_ailing_t ailing[2];
    int is_trial;

    set_up();
    learn(1, 7, DP_BLAME_SOURCE);
    learn(1, 8, DP_BLAME_EITHER);
    now += 2 * SEC;
    ck_assert_int_eq(dp_recall_list(recall, now, ailing, 2), 1);
    ck_assert_str_eq(ailing[0].name, "s");
    ck_assert_int_eq(ailing[0].since_usec, 2 * SEC);
    ck_assert_int_eq(ailing[0].left_usec, 3 * SEC);
    ck_assert(!ailing[0].is_tried);
    now += 3 * SEC;
    may_ask(2, 7, &is_trial);
    ck_assert_int_eq(dp_recall_list(recall, now, ailing, 2), 1);
    ck_assert_int_eq(ailing[0].left_usec, 0);
    ck_assert(ailing[0].is_tried);
    now += PATIENCE + 41 * SEC; /* nobody asks for it any more */
    ck_assert_int_eq(dp_recall_list(recall, now, ailing, 2), 0);
}
END_TEST

UNIT_MAIN("flight/recall", a_metatile_that_fails_is_left_alone_for_a_period,
          pauses_grow_with_failures_in_a_row_and_end_with_one_that_is_none,
          a_source_that_is_down_is_left_alone_with_all_its_metatiles,
          after_the_period_one_flight_tries, success_is_normal_at_once,
          a_source_that_refuses_one_picture_works,
          three_doubtful_failures_in_a_row_are_the_sources,
          strikes_of_long_ago_dont_count,
          the_sources_own_word_counts_within_reason,
          what_must_not_be_shared_goes_by_for_two_minutes, no_period_no_memory,
          it_is_bounded_and_forgets_what_ends_first,
          a_trial_dies_with_its_process,
          a_death_inside_leaves_nothing_but_a_memory_that_works,
          sources_are_listed_while_they_fail)
