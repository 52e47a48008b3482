/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a PNG: decode once, encode each window. Called by dp_split_open()
 * on a fetcher thread, and by dp_split_piece() on any. What is kept, and what
 * was measured, is in docs/design/image.md.
 *
 * An encoder has buffers of half a megabyte and more, so one that is done
 * waits for the next window, of whatever thread. The mutex guards those that
 * wait and nothing else.
 *
 * Invariant: all memory outside the pool is owned by the picture and its
 * encoders, which are freed when the split's pool goes.
 */
#include "image/png_priv.h"

#include <apr_thread_mutex.h>
#include <stdlib.h>
#include <string.h>

/* More threads than that encode one picture with encoders made for once. */
#define IDLE_MAX 8

typedef struct picture_t {
    dp_png_t png;
    int max_width; /* of the windows */
    int max_height;
    apr_thread_mutex_t *mutex; /* guards the two below */
    dp_png_encoder_t *idle[IDLE_MAX];
    int nidle;
} picture_t;

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static apr_status_t forget(void *data)
{
    picture_t *picture = data;
    int i;

    for (i = 0; i < picture->nidle; i++) {
        dp_png_encoder_free(picture->idle[i]);
    }
    free(picture->png.rows);
    return APR_SUCCESS;
}

static apr_status_t open_png(dp_split_t *split)
{
    picture_t *picture = apr_pcalloc(split->pool, sizeof(*picture));
    int i;

    split->picture = picture;
    apr_pool_cleanup_register(split->pool, picture, forget,
                              apr_pool_cleanup_null);
    for (i = 0; i < split->nwindows; i++) {
        picture->max_width =
            larger(picture->max_width, split->windows[i].width);
        picture->max_height =
            larger(picture->max_height, split->windows[i].height);
    }
    if (apr_thread_mutex_create(&picture->mutex, APR_THREAD_MUTEX_DEFAULT,
                                split->pool)
        != APR_SUCCESS) {
        split->why = dp_png_no_memory;
        return APR_ENOMEM;
    }
    return dp_png_read(&picture->png, split);
}

/* NULL without memory. */
static dp_png_encoder_t *take_encoder(picture_t *picture)
{
    dp_png_encoder_t *encoder = NULL;

    apr_thread_mutex_lock(picture->mutex);
    if (picture->nidle > 0) {
        encoder = picture->idle[--picture->nidle];
    }
    apr_thread_mutex_unlock(picture->mutex);
    return encoder ? encoder
                   : dp_png_encoder_make(&picture->png, picture->max_width,
                                         picture->max_height);
}

static void give_encoder(picture_t *picture, dp_png_encoder_t *encoder)
{
    apr_thread_mutex_lock(picture->mutex);
    if (picture->nidle < IDLE_MAX) {
        picture->idle[picture->nidle++] = encoder;
        encoder = NULL;
    }
    apr_thread_mutex_unlock(picture->mutex);
    dp_png_encoder_free(encoder);
}

static apr_status_t cut_png(dp_piece_t *piece, dp_split_t *split,
                            const dp_window_t *window, apr_pool_t *pool)
{
    picture_t *picture = split->picture;
    dp_png_encoder_t *encoder = take_encoder(picture);
    apr_status_t status;

    if (!encoder) {
        return APR_ENOMEM;
    }
    status = dp_png_encode(piece, encoder, window, pool);
    give_encoder(picture, encoder);
    return status;
}

/* PNG 7.2: pixels of less than a byte begin at its high end. */
static void copy_pixel(unsigned char *to, int x, const unsigned char *from,
                       int at, int bits)
{
    int shift = 8 - bits - x * bits % 8;
    unsigned int mask = (1u << bits) - 1;
    unsigned int pixel =
        (unsigned int)from[at * bits / 8] >> (8 - bits - at * bits % 8) & mask;

    to[x * bits / 8] =
        (unsigned char)((to[x * bits / 8] & ~(mask << shift)) | pixel << shift);
}

static void resample_row(unsigned char *to, const unsigned char *from,
                         const int *columns, int width, int bits)
{
    apr_size_t bytes = (apr_size_t)bits / 8;
    int x;

    for (x = 0; x < width; x++) {
        if (bits < 8) {
            copy_pixel(to, x, from, columns[x], bits);
        }
        else {
            memcpy(to + (apr_size_t)x * bytes,
                   from + (apr_size_t)columns[x] * bytes, bytes);
        }
    }
}

static apr_status_t resample_png(dp_split_t *split, const int *columns,
                                 const int *rows)
{
    picture_t *picture = split->picture;
    dp_png_t to = picture->png;
    int y;

    to.rows = calloc((apr_size_t)to.height, 1 + to.row_bytes);
    if (to.rows == NULL) {
        return APR_ENOMEM;
    }
    for (y = 0; y < to.height; y++) {
        resample_row(dp_png_row(&to, y), dp_png_row(&picture->png, rows[y]),
                     columns, split->width, to.pixel_bits);
    }
    free(picture->png.rows);
    picture->png.rows = to.rows;
    return APR_SUCCESS;
}

const dp_codec_t dp_png_codec = {open_png, cut_png, resample_png};
