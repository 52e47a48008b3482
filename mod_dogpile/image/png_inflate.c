/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pixels of a PNG that isn't interlaced: its IDAT chunks are inflated in
 * one call of libdeflate, in half of the time that zlib takes behind libpng,
 * and the filters are undone in place. Called by dp_png_read() once libpng has
 * read what comes before them; the frames of all chunks are sound.
 *
 * The header tells how many bytes must come out, so the room for them is
 * taken before, and a stream of more or less is refused: there is nothing
 * that a bomb could blow up.
 *
 * Invariant: what libpng would refuse is refused here (CRCs, checksum, a
 * stream that doesn't end with the last IDAT, IDATs apart, critical chunks
 * behind them).
 */
#include "image/png_priv.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

/* A bit of the first letter of a chunk's type, PNG 5.4. */
#define IS_ANCILLARY 0x20

const char dp_png_no_memory[] = "no memory to decode the PNG";

/* The IDAT chunks of a file, which lie in a row. */
typedef struct stream_t {
    const unsigned char *first;
    const unsigned char *behind; /* the last */
    apr_size_t size;             /* of their contents */
} stream_t;

static int is_type(const unsigned char *chunk, const char *type)
{
    return memcmp(chunk + 4, type, 4) == 0;
}

static int is_sound(const unsigned char *chunk)
{
    apr_size_t size = 4 + (apr_size_t)dp_png_be32(chunk);

    return libdeflate_crc32(0, chunk + 4, size)
           == dp_png_be32(chunk + 4 + size);
}

static const unsigned char *behind(const unsigned char *chunk)
{
    return chunk + DP_PNG_FRAME_BYTES + dp_png_be32(chunk);
}

/* NULL, or what is wrong with the chunks from the first IDAT to IEND. */
static const char *walk(stream_t *stream, const unsigned char *chunk)
{
    stream->first = chunk;
    stream->size = 0;
    for (; is_type(chunk, "IDAT"); chunk = behind(chunk)) {
        if (!is_sound(chunk)) {
            return "a broken PNG: IDAT: CRC error";
        }
        stream->size += dp_png_be32(chunk);
    }
    stream->behind = chunk;
    for (; !is_type(chunk, "IEND"); chunk = behind(chunk)) {
        if (!is_sound(chunk)) {
            return "a broken PNG: CRC error";
        }
        if (!(chunk[4] & IS_ANCILLARY)) {
            return "a broken PNG: a chunk out of place";
        }
    }
    return is_sound(chunk) && dp_png_be32(chunk) == 0
               ? NULL
               : "a broken PNG: IEND: CRC error";
}

/* The contents without frames: `room`, or, of one chunk, where they are. */
static const unsigned char *join(unsigned char *room, const stream_t *stream)
{
    const unsigned char *chunk = stream->first;
    unsigned char *out = room;

    if (behind(chunk) == stream->behind) {
        return chunk + 8;
    }
    for (; chunk != stream->behind; chunk = behind(chunk)) {
        memcpy(out, chunk + 8, dp_png_be32(chunk));
        out += dp_png_be32(chunk);
    }
    return room;
}

static const char *inflate_rows(dp_png_t *png, const unsigned char *in,
                                apr_size_t size)
{
    struct libdeflate_decompressor *zlib = libdeflate_alloc_decompressor();
    apr_size_t out_size = (1 + png->row_bytes) * (apr_size_t)png->height;
    apr_size_t used = 0;
    enum libdeflate_result result;

    if (!zlib) {
        return dp_png_no_memory;
    }
    result = libdeflate_zlib_decompress_ex(zlib, in, size, png->rows, out_size,
                                           &used, NULL);
    libdeflate_free_decompressor(zlib);
    switch (result) {
    case LIBDEFLATE_SUCCESS:
        return used == size ? NULL : "a broken PNG: data behind the pixels";
    case LIBDEFLATE_SHORT_OUTPUT:
        return "a broken PNG: too few pixels";
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return "a broken PNG: too many pixels";
    default:
        return "a broken PNG: its pixels can't be inflated";
    }
}

static const char *unfilter_rows(dp_png_t *png, const unsigned char *no_row)
{
    const unsigned char *above = no_row;
    apr_size_t pixel_bytes = dp_png_bytes_of(png, 1);
    int y;

    for (y = 0; y < png->height; y++) {
        unsigned char *row = dp_png_row(png, y);

        if (!dp_png_unfilter(row, above, row[-1], png->row_bytes,
                             pixel_bytes)) {
            return "a broken PNG: a filter that doesn't exist";
        }
        above = row;
    }
    return NULL;
}

const char *dp_png_inflate(dp_png_t *png, const unsigned char *first)
{
    unsigned char *room;
    unsigned char *no_row;
    stream_t stream;
    const char *wrong = walk(&stream, first);

    if (wrong) {
        return wrong;
    }
    room = malloc(stream.size + 1);
    no_row = calloc(1, png->row_bytes);
    wrong = dp_png_no_memory;
    if (room && no_row) {
        wrong = inflate_rows(png, join(room, &stream), stream.size);
        wrong = wrong ? wrong : unfilter_rows(png, no_row);
    }
    free(no_row);
    free(room);
    return wrong;
}
