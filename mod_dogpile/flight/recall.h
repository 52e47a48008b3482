/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What flights have come to, remembered for a while by all children of an
 * httpd, so that a source that is sick is asked once a period and not once a
 * client.
 *
 * Two bounded tables in shared memory. One is of sources that failed as a
 * whole; the other of metatiles: of those that the source can't draw, and of
 * those whose answer must not be shared. docs/design/failure.md says what
 * counts as which.
 *
 *     request:  dp_recall_find()   nothing need be begun, or go on
 *     flight:   dp_recall_ask()    just before the source would be asked
 *               dp_recall_learn()  when it has answered, or hasn't
 *
 * A source is half-open when its period is over: one flight asks it, and
 * nobody else does until that one knows more. Whatever answers like a source
 * that works makes everything normal at once.
 *
 * Every function takes one robust mutex for a few instructions. A child that
 * dies inside leaves an empty memory: that costs a fetch.
 */
#ifndef DP_FLIGHT_RECALL_H
#define DP_FLIGHT_RECALL_H

#include <apr_time.h>

#include "dogpile_types.h"
#include "flight/outcome.h"

/* How long a metatile's requests go by after an answer that must not be
 * shared: long enough that a wrong guess is rare, short enough that a source
 * that has changed its mind is noticed. */
#define DP_RECALL_PASS_USEC apr_time_from_sec(120)

/* Pauses grow up to this many times DogpileErrorExpire. */
#define DP_RECALL_LONGEST 8

/* A source that asks for more patience than this gets no more. */
#define DP_RECALL_RETRY_MAX_USEC apr_time_from_sec(300)

/* Failures in a row that may be the picture's fault or the source's, until it
 * is the source's. */
#define DP_RECALL_STRIKES 3

#define DP_RECALL_NAME_BYTES 80

typedef struct dp_recall_t dp_recall_t;

/* What is remembered about. */
typedef struct dp_subject_t {
    dogpile_digest_t key;           /* of the metatile */
    uint64_t source;                /* any number that stands for its source */
    const char *source_name;        /* for people; for learning only */
    apr_interval_time_t error_usec; /* DogpileErrorExpire; 0: failures aren't
                                       remembered */
} dp_subject_t;

/* Bytes of memory that it needs, and making it in such memory: zeroed, shared,
 * aligned as malloc() does. APR_SUCCESS, or why there can be no mutex. */
apr_size_t dp_recall_size(void);
apr_status_t dp_recall_init(void *memory, dp_recall_t **recall);

/*
 * Returns 1 where the metatile's or the source's period isn't over: `outcome`
 * is what a flight would come to, with the rest of the period as its
 * retry_after_sec.
 */
int dp_recall_find(dp_recall_t *recall, const dp_subject_t *subject,
                   apr_time_t now, dp_outcome_t *outcome);

/*
 * May the source be asked? Returns 1 if so, and dp_recall_learn() must follow.
 * Otherwise 0 and `outcome`, as above; also where another flight tries a
 * half-open source, for as long as its process lives and `patience_usec` isn't
 * over. `is_trial` is set where this is the flight that tries.
 */
int dp_recall_ask(dp_recall_t *recall, const dp_subject_t *subject,
                  apr_time_t now, apr_interval_time_t patience_usec,
                  dp_outcome_t *outcome, int *is_trial);

/* What an outcome says of the source. */
typedef enum dp_news_e {
    DP_NEWS_NONE,
    DP_NEWS_DOWN, /* from now on it is asked once a period */
    DP_NEWS_UP    /* it works again */
} dp_news_e;

/* A flight has asked the source. Sets the retry_after_sec of a failure that is
 * remembered. */
dp_news_e dp_recall_learn(dp_recall_t *recall, const dp_subject_t *subject,
                          apr_time_t now, dp_outcome_t *outcome);

/* Leave a source alone for one more period: another host tries it. */
void dp_recall_wait(dp_recall_t *recall, const dp_subject_t *subject,
                    apr_time_t now, dp_outcome_t *outcome);

/* A source that isn't asked freely. */
typedef struct dp_ailing_t {
    char name[DP_RECALL_NAME_BYTES]; /* perhaps cut */
    apr_interval_time_t since_usec;  /* for how long it has failed */
    apr_interval_time_t left_usec;   /* of its period; 0: it may be tried */
    int is_tried;                    /* and is */
    unsigned int failures;           /* in a row, one a period */
    dp_outcome_t outcome;
} dp_ailing_t;

/* Returns how many there are; the first `max` are copied. */
int dp_recall_list(dp_recall_t *recall, apr_time_t now, dp_ailing_t *ailing,
                   int max);

#endif
