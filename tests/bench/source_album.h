/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pictures of the benchmarks' source: read once, handed out as they are.
 */
#ifndef DP_BENCH_SOURCE_ALBUM_H
#define DP_BENCH_SOURCE_ALBUM_H

#include <stddef.h>

enum { PICTURES_MAX = 16 };

typedef struct picture_t {
    char layers[32]; /* "LAYERS=one" */
    int width;
    int height;
    char *bytes;
    size_t size;
} picture_t;

typedef struct album_t {
    picture_t pictures[PICTURES_MAX];
    int npictures;
} album_t;

/* Reads every LAYERS-WIDTHxHEIGHT.png of the folder; exits where it can't. */
void album_read(album_t *album, const char *folder);

/* What a GetMap asks for; NULL if it isn't there. */
const picture_t *album_find(const album_t *album, const char *request);

/* The number behind "NAME=" in a request line; -1 without it. */
int query_number(const char *request, const char *name);

#endif
