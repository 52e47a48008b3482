/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of a flight, as plain values: it lies in memory that all children
 * share, and every waiter copies it.
 */
#ifndef DP_FLIGHT_OUTCOME_H
#define DP_FLIGHT_OUTCOME_H

#include <stdint.h>

typedef enum dp_outcome_e {
    DP_OUTCOME_RECORD, /* a record, in the landing area */
    DP_OUTCOME_FAILED, /* an error for everyone who waits */
    DP_OUTCOME_PASS    /* the source's answer must not be shared: everyone
                          asks for himself */
} dp_outcome_e;

/* Whose fault a failure is. */
typedef enum dp_blame_e {
    DP_BLAME_NONE,    /* nobody's at the source: not remembered */
    DP_BLAME_PICTURE, /* the source works, but for this metatile */
    DP_BLAME_EITHER,  /* the metatile's; the source's, if it goes on */
    DP_BLAME_SOURCE   /* the source doesn't work */
} dp_blame_e;

#define DP_OUTCOME_WHY_BYTES 120

typedef struct dp_outcome_t {
    dp_outcome_e kind;
    int status;           /* of a failure: 502, 503, 504 or 500 */
    int retry_after_sec;  /* of a failure: when to ask again; 0 for none */
    int source_retry_sec; /* the source's own word for that; 0 for none */
    int source_status;    /* HTTP status of the source's answer; 0 for none */
    dp_blame_e blame;     /* of a failure */
    int is_remembered;    /* it was an earlier flight's */
    int is_storable;      /* the record may be kept, and is about to be */
    int is_fetched;       /* by this flight; otherwise found in the store */
    int is_part;          /* the record is of the one tile that was asked for */
    uint32_t length;      /* of the record, bytes */
    uint32_t fetch_ms;    /* how long the source took */
    char why[DP_OUTCOME_WHY_BYTES];   /* of a failure: a phrase for people */
    char fault[DP_OUTCOME_WHY_BYTES]; /* and one for the administrator only */
} dp_outcome_t;

/* Make `outcome` a failure; the phrase is cut where it is too long, and is for
 * the administrator too. */
void dp_outcome_fail(dp_outcome_t *outcome, int status, int retry_after_sec,
                     const char *why);

#endif
