/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of failures: see recall.h. Called from request, fetcher and
 * keeper threads of every child.
 *
 * Both tables are arrays of small sets; a key can be in one set only, and the
 * entry that ends first makes room for a new one. An entry that isn't in use
 * has an `until` of 0. The invariant: nothing outside of the mutex depends on
 * an entry, so any of them may be forgotten at any time.
 */
#include "flight/recall.h"

#include <apr_strings.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "policy/backoff.h"

#define WAYS 8        /* entries of a set */
#define SOURCE_SETS 8 /* who has more sources than 64 that fail at once? */
#define PICTURE_SETS 128

/* Of a metatile. */
typedef struct picture_t {
    dogpile_digest_t key;
    apr_time_t until;
    uint32_t failures; /* in a row */
    dp_outcome_t outcome;
} picture_t;

typedef struct source_t {
    uint64_t source;
    apr_time_t until; /* of the period; not 0 for a few strikes either */
    apr_time_t since;
    uint32_t strikes; /* DP_RECALL_STRIKES: it is down */
    uint32_t failures;
    apr_time_t trial_until; /* somebody tries it */
    apr_int64_t trial_pid;
    dogpile_digest_t trial_key;
    apr_interval_time_t error_usec; /* as its last failure's location says */
    char name[DP_RECALL_NAME_BYTES];
    dp_outcome_t outcome;
} source_t;

struct dp_recall_t {
    pthread_mutex_t mutex;
    source_t sources[SOURCE_SETS * WAYS];
    picture_t pictures[PICTURE_SETS * WAYS];
};

apr_size_t dp_recall_size(void)
{
    return sizeof(dp_recall_t);
}

apr_status_t dp_recall_init(void *memory, dp_recall_t **recall)
{
    dp_recall_t *made = memory;
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);

    if (rc == 0) {
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        rc = pthread_mutex_init(&made->mutex, &attr);
        pthread_mutexattr_destroy(&attr);
    }
    *recall = made;
    return rc;
}

/* Not inline: gcc's sanitizer sees a null pointer there otherwise. */
static __attribute__((noinline)) void forget(void *entries, apr_size_t size)
{
    memset(entries, 0, size);
}

static void lock(dp_recall_t *recall)
{
    if (pthread_mutex_lock(&recall->mutex) == EOWNERDEAD) {
        forget(recall->sources, sizeof(recall->sources));
        forget(recall->pictures, sizeof(recall->pictures));
        pthread_mutex_consistent(&recall->mutex);
    }
}

static void unlock(dp_recall_t *recall)
{
    pthread_mutex_unlock(&recall->mutex);
}

/* --- entries ----------------------------------------------------------- */

static source_t *find_source_locked(dp_recall_t *recall, uint64_t source)
{
    source_t *set = recall->sources + source % SOURCE_SETS * WAYS;
    int i;

    for (i = 0; i < WAYS; i++) {
        if (set[i].until != 0 && set[i].source == source) {
            return set + i;
        }
    }
    return NULL;
}

static source_t *add_source_locked(dp_recall_t *recall, uint64_t source)
{
    source_t *set = recall->sources + source % SOURCE_SETS * WAYS;
    source_t *added = set;
    int i;

    for (i = 1; i < WAYS; i++) {
        added = set[i].until < added->until ? set + i : added;
    }
    memset(added, 0, sizeof(*added));
    added->source = source;
    return added;
}

static picture_t *set_of_pictures(dp_recall_t *recall,
                                  const dogpile_digest_t *key)
{
    uint32_t hash;

    memcpy(&hash, key->bytes, sizeof(hash));
    return recall->pictures + hash % PICTURE_SETS * WAYS;
}

static picture_t *find_picture_locked(dp_recall_t *recall,
                                      const dogpile_digest_t *key)
{
    picture_t *set = set_of_pictures(recall, key);
    int i;

    for (i = 0; i < WAYS; i++) {
        if (set[i].until != 0 && dp_digest_equal(&set[i].key, key)) {
            return set + i;
        }
    }
    return NULL;
}

static picture_t *add_picture_locked(dp_recall_t *recall,
                                     const dogpile_digest_t *key)
{
    picture_t *set = set_of_pictures(recall, key);
    picture_t *added = set;
    int i;

    for (i = 1; i < WAYS; i++) {
        added = set[i].until < added->until ? set + i : added;
    }
    memset(added, 0, sizeof(*added));
    added->key = *key;
    return added;
}

/* --- recalling --------------------------------------------------------- */

/* As a remembered outcome is told, with what is left of its time. */
static void tell(dp_outcome_t *told, const dp_outcome_t *outcome,
                 apr_interval_time_t left)
{
    *told = *outcome;
    told->is_remembered = 1;
    told->is_fetched = 0;
    told->fetch_ms = 0;
    told->retry_after_sec =
        left > 0 ? (int)apr_time_sec(left + APR_USEC_PER_SEC - 1) : 1;
}

static int is_down(const source_t *source)
{
    return source != NULL && source->strikes >= DP_RECALL_STRIKES;
}

static int recall_locked(dp_recall_t *recall, const dp_subject_t *subject,
                         apr_time_t now, dp_outcome_t *outcome)
{
    const picture_t *picture = find_picture_locked(recall, &subject->key);
    const source_t *source = find_source_locked(recall, subject->source);

    if (picture != NULL && now < picture->until) {
        tell(outcome, &picture->outcome, picture->until - now);
        return 1;
    }
    if (is_down(source) && now < source->until) {
        tell(outcome, &source->outcome, source->until - now);
        return 1;
    }
    return 0;
}

int dp_recall_find(dp_recall_t *recall, const dp_subject_t *subject,
                   apr_time_t now, dp_outcome_t *outcome)
{
    int found;

    lock(recall);
    found = recall_locked(recall, subject, now, outcome);
    unlock(recall);
    return found;
}

/* Another flight, of a process that lives. */
static int is_tried(const source_t *source, const dogpile_digest_t *key,
                    apr_time_t now)
{
    return now < source->trial_until
           && (key == NULL || !dp_digest_equal(&source->trial_key, key))
           && (kill((pid_t)source->trial_pid, 0) == 0 || errno != ESRCH);
}

static int try_locked(source_t *source, const dp_subject_t *subject,
                      apr_time_t now, apr_interval_time_t patience_usec,
                      dp_outcome_t *outcome)
{
    if (is_tried(source, &subject->key, now)) {
        tell(outcome, &source->outcome, 0);
        return 0;
    }
    source->trial_until = now + patience_usec;
    source->trial_pid = getpid();
    source->trial_key = subject->key;
    return 1;
}

int dp_recall_ask(dp_recall_t *recall, const dp_subject_t *subject,
                  apr_time_t now, apr_interval_time_t patience_usec,
                  dp_outcome_t *outcome, int *is_trial)
{
    source_t *source;
    int may;

    *is_trial = 0;
    lock(recall);
    may = !recall_locked(recall, subject, now, outcome);
    source = find_source_locked(recall, subject->source);
    if (may && is_down(source)) {
        may = try_locked(source, subject, now, patience_usec, outcome);
        *is_trial = may;
    }
    unlock(recall);
    return may;
}

/* --- learning ---------------------------------------------------------- */

/* Exactly DogpileErrorExpire at first; then longer, and not the same for all
 * who failed together. */
static apr_interval_time_t pause_after(uint32_t failures,
                                       const dp_subject_t *subject,
                                       const dp_outcome_t *outcome,
                                       apr_time_t now)
{
    const dp_backoff_t backoff = {subject->error_usec,
                                  DP_RECALL_LONGEST * subject->error_usec};
    apr_interval_time_t pause =
        failures > 1 ? dp_backoff_pause(&backoff, failures, (unsigned int)now)
                     : subject->error_usec;
    apr_interval_time_t wish = apr_time_from_sec(outcome->source_retry_sec);

    if (wish > DP_RECALL_RETRY_MAX_USEC) {
        wish = DP_RECALL_RETRY_MAX_USEC;
    }
    return pause > wish ? pause : wish;
}

/* So long ago that it doesn't count as a failure in a row. */
static int is_old(apr_time_t until, const dp_subject_t *subject, apr_time_t now)
{
    return now > until + DP_RECALL_LONGEST * subject->error_usec;
}

static void remember_picture_locked(dp_recall_t *recall,
                                    const dp_subject_t *subject, apr_time_t now,
                                    dp_outcome_t *outcome)
{
    picture_t *picture = find_picture_locked(recall, &subject->key);
    apr_interval_time_t pause = DP_RECALL_PASS_USEC;

    if (picture == NULL) {
        picture = add_picture_locked(recall, &subject->key);
    }
    if (outcome->kind == DP_OUTCOME_FAILED) {
        picture->failures =
            is_old(picture->until, subject, now) ? 1 : picture->failures + 1;
        pause = pause_after(picture->failures, subject, outcome, now);
        outcome->retry_after_sec =
            (int)apr_time_sec(pause + APR_USEC_PER_SEC - 1);
    }
    picture->until = now + pause;
    picture->outcome = *outcome;
}

static dp_news_e fail_locked(source_t *source, const dp_subject_t *subject,
                             apr_time_t now, dp_outcome_t *outcome)
{
    apr_interval_time_t pause;

    if (source->failures > 0 && now < source->until) {
        /* It was asked before the first one failed: no news. */
        outcome->retry_after_sec =
            (int)apr_time_sec(source->until - now + APR_USEC_PER_SEC - 1);
        return DP_NEWS_NONE;
    }
    source->failures++;
    pause = pause_after(source->failures, subject, outcome, now);
    source->until = now + pause;
    source->trial_until = 0;
    source->error_usec = subject->error_usec;
    apr_cpystrn(source->name, subject->source_name, sizeof(source->name));
    outcome->retry_after_sec = (int)apr_time_sec(pause + APR_USEC_PER_SEC - 1);
    source->outcome = *outcome;
    return source->failures == 1 ? DP_NEWS_DOWN : DP_NEWS_NONE;
}

/* Nobody has asked the source for long. */
static int is_forgotten(const source_t *source, const dp_subject_t *subject,
                        apr_time_t now)
{
    return is_old(source->until, subject, now)
           && is_old(source->trial_until, subject, now);
}

static dp_news_e strike_locked(dp_recall_t *recall, const dp_subject_t *subject,
                               apr_time_t now, dp_outcome_t *outcome)
{
    source_t *source = find_source_locked(recall, subject->source);

    if (source == NULL || is_forgotten(source, subject, now)) {
        if (source != NULL) {
            memset(source, 0, sizeof(*source)); /* a room for the new one */
        }
        source = add_source_locked(recall, subject->source);
        source->since = now;
    }
    source->strikes = outcome->blame == DP_BLAME_SOURCE ? DP_RECALL_STRIKES
                                                        : source->strikes + 1;
    if (is_down(source)) {
        return fail_locked(source, subject, now, outcome);
    }
    source->until = now;
    return DP_NEWS_NONE;
}

/* It answers. */
static dp_news_e clear_source_locked(dp_recall_t *recall,
                                     const dp_subject_t *subject)
{
    source_t *source = find_source_locked(recall, subject->source);
    int was_down = is_down(source);

    if (source != NULL) {
        memset(source, 0, sizeof(*source));
    }
    return was_down ? DP_NEWS_UP : DP_NEWS_NONE;
}

static dp_news_e learn_failure_locked(dp_recall_t *recall,
                                      const dp_subject_t *subject,
                                      apr_time_t now, dp_outcome_t *outcome)
{
    if (outcome->blame == DP_BLAME_NONE || subject->error_usec <= 0) {
        return DP_NEWS_NONE;
    }
    if (outcome->blame != DP_BLAME_SOURCE) {
        remember_picture_locked(recall, subject, now, outcome);
    }
    return outcome->blame == DP_BLAME_PICTURE
               ? clear_source_locked(recall, subject)
               : strike_locked(recall, subject, now, outcome);
}

dp_news_e dp_recall_learn(dp_recall_t *recall, const dp_subject_t *subject,
                          apr_time_t now, dp_outcome_t *outcome)
{
    dp_news_e news;
    picture_t *picture;

    lock(recall);
    if (outcome->kind == DP_OUTCOME_FAILED) {
        news = learn_failure_locked(recall, subject, now, outcome);
    }
    else {
        news = clear_source_locked(recall, subject);
        picture = find_picture_locked(recall, &subject->key);
        if (outcome->kind == DP_OUTCOME_PASS) {
            remember_picture_locked(recall, subject, now, outcome);
        }
        else if (picture != NULL) {
            memset(picture, 0, sizeof(*picture));
        }
    }
    unlock(recall);
    return news;
}

void dp_recall_wait(dp_recall_t *recall, const dp_subject_t *subject,
                    apr_time_t now, dp_outcome_t *outcome)
{
    source_t *source;

    lock(recall);
    source = find_source_locked(recall, subject->source);
    if (source != NULL) {
        source->until = now + source->error_usec;
        source->trial_until = 0;
        tell(outcome, &source->outcome, source->error_usec);
    }
    unlock(recall);
}

/* --- status ------------------------------------------------------------ */

int dp_recall_list(dp_recall_t *recall, apr_time_t now, dp_ailing_t *ailing,
                   int max)
{
    int n = 0;
    int i;

    lock(recall);
    for (i = 0; i < SOURCE_SETS * WAYS; i++) {
        const source_t *source = recall->sources + i;
        dp_subject_t subject = {.error_usec = source->error_usec};

        if (!is_down(source) || is_forgotten(source, &subject, now)) {
            continue;
        }
        if (n < max) {
            memcpy(ailing[n].name, source->name, sizeof(source->name));
            ailing[n].since_usec = now - source->since;
            ailing[n].left_usec = source->until > now ? source->until - now : 0;
            ailing[n].is_tried = is_tried(source, NULL, now);
            ailing[n].failures = source->failures;
            ailing[n].outcome = source->outcome;
        }
        n++;
    }
    unlock(recall);
    return n;
}
