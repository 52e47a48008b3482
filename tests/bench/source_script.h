/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks' source is told to do, and the answers it gives then.
 */
#ifndef DP_BENCH_SOURCE_SCRIPT_H
#define DP_BENCH_SOURCE_SCRIPT_H

#include "source_album.h"

typedef enum fault_e {
    FAULT_NONE,
    FAULT_EXCEPTION, /* 200 and a service exception */
    FAULT_REDIRECT,  /* 302 to a page that isn't there */
    FAULT_CUT,       /* half of the picture, then the end */
    FAULT_FLEETING   /* a kept connection ends when the next request comes */
} fault_e;

typedef struct script_t {
    int delay_ms; /* from a request to its answer */
    int status;   /* if not 200: this, instead of a picture */
    int is_held;  /* nobody is answered */
    fault_e fault;
} script_t;

typedef struct answer_t {
    char head[256];
    size_t head_size;
    const char *body; /* never freed */
    size_t body_size;
    int ends; /* the connection, too */
} answer_t;

/* Changes what the request line of /set names. */
void script_set(script_t *script, const char *request);

/* What a GetMap is answered with. */
void script_answer(const script_t *script, const album_t *album,
                   const char *request, answer_t *answer);

/* An answer of plain bytes; `more` are header lines. */
void answer_make(answer_t *answer, int status, const char *more,
                 const char *body, size_t size);

#endif
