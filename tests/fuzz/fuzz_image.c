/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at all, inspected and, where they claim to be a small picture, cut
 * on and off the block corners. Built with libFuzzer, or with standalone.c,
 * which replays the corpus.
 *
 * The CRCs of a PNG are made right before it is cut, or hardly anything a
 * fuzzer writes would come behind them.
 */
#include "image/image.h"

#include <apr_general.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Larger pictures teach the fuzzer nothing and slow it down. */
#define SIDE_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a split must keep, whatever it was given. */
static void check_piece(const dp_piece_t *piece, const dp_window_t *window,
                        dp_image_kind_e kind)
{
    dp_image_info_t info;

    dp_image_inspect(&info, piece->bytes, piece->size);
    if (info.kind != kind || !info.is_complete || info.width != window->width
        || info.height != window->height) {
        abort();
    }
}

static void split(const uint8_t *data, size_t size, const dp_image_info_t *info,
                  int first, apr_pool_t *pool)
{
    dp_window_t windows[2] = {{0, 0, info->width, info->height}};
    dp_piece_t pieces[2];
    const char *why;
    apr_status_t status;

    windows[1].x = first < info->width ? first : 0;
    windows[1].y = first < info->height ? first : 0;
    windows[1].width = info->width - windows[1].x;
    windows[1].height = (info->height - windows[1].y + 1) / 2;
    status = dp_image_split(pieces, data, size, info->width, info->height,
                            windows, 2, &why, pool);
    if (status == APR_SUCCESS) {
        check_piece(&pieces[0], &windows[0], info->kind);
        check_piece(&pieces[1], &windows[1], info->kind);
    }
    else if (pieces[0].bytes || pieces[1].bytes || !why) {
        abort();
    }
}

/* A copy, malloc, of exactly the size, so that a sanitizer sees its end. */
static uint8_t *repair(const uint8_t *data, size_t size, dp_image_kind_e kind)
{
    uint8_t *copy = malloc(size);
    size_t at = 8; /* behind the signature */

    memcpy(copy, data, size);
    while (kind == DP_IMAGE_PNG && size - at >= 12) {
        size_t length = (size_t)copy[at] << 24 | (size_t)copy[at + 1] << 16
                        | (size_t)copy[at + 2] << 8 | copy[at + 3];
        uint8_t *end = copy + at + 8 + length;
        unsigned long crc;

        if (length > size - at - 12) {
            break;
        }
        crc = crc32(0, copy + at + 4, (uInt)length + 4);
        end[0] = (uint8_t)(crc >> 24);
        end[1] = (uint8_t)(crc >> 16);
        end[2] = (uint8_t)(crc >> 8);
        end[3] = (uint8_t)crc;
        at += 12 + length;
    }
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dp_image_info_t info;
    apr_pool_t *pool;
    uint8_t *copy;

    dp_image_inspect(&info, data, size);
    if (info.width <= 0 || info.height <= 0 || info.width > SIDE_MAX
        || info.height > SIDE_MAX) {
        return 0;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    copy = repair(data, size, info.kind);
    split(copy, size, &info, 32, pool);
    split(copy, size, &info, 3, pool);
    free(copy);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}
