/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encodes a window of a decoded PNG. Called by dp_png_split().
 *
 * The file is framed here and not by libpng, because a tile needs nothing
 * that libpng's writer does: the rows exist, the chunks around them are the
 * source's, and filter and compression are chosen for maps (png_filter.c).
 * The filtered rows are deflated in one call; so another deflater is a change
 * of deflate_rows() alone.
 *
 * An encoder belongs to one thread at a time. Its buffers are sized once for
 * the largest window.
 *
 * Invariant: equal pixels give equal bytes, whatever surrounds the window.
 */
#include "image/png_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Chunk types, as the four letters are read. */
#define TYPE_IHDR 0x49484452
#define TYPE_IDAT 0x49444154
#define TYPE_IEND 0x49454e44

/* zlib's own defaults. Each window has its own level. */
#define LEVEL Z_DEFAULT_COMPRESSION
#define WINDOW_BITS 15
#define MEMORY_LEVEL 8

struct dp_png_encoder_t {
    const dp_png_t *png;
    z_stream zlib;
    unsigned char *filtered; /* a filter byte and a row, for each row */
    unsigned char *no_row;   /* zeros: what lies above the first row */
    unsigned char *deflated;
    apr_size_t deflated_max;
};

dp_png_encoder_t *dp_png_encoder_make(const dp_png_t *png, int max_width,
                                      int max_height)
{
    dp_png_encoder_t *encoder = calloc(1, sizeof(*encoder));
    apr_size_t row = dp_png_bytes_of(png, max_width);
    apr_size_t size = (1 + row) * (apr_size_t)max_height;

    if (!encoder) {
        return NULL;
    }
    encoder->png = png;
    if (deflateInit2(&encoder->zlib, LEVEL, Z_DEFLATED, WINDOW_BITS,
                     MEMORY_LEVEL, Z_DEFAULT_STRATEGY)
        != Z_OK) {
        free(encoder);
        return NULL;
    }
    encoder->deflated_max = deflateBound(&encoder->zlib, size);
    encoder->filtered = malloc(size);
    encoder->no_row = calloc(1, row);
    encoder->deflated = malloc(encoder->deflated_max);
    if (!encoder->filtered || !encoder->no_row || !encoder->deflated) {
        dp_png_encoder_free(encoder);
        return NULL;
    }
    return encoder;
}

void dp_png_encoder_free(dp_png_encoder_t *encoder)
{
    if (!encoder) {
        return;
    }
    free(encoder->deflated);
    free(encoder->no_row);
    free(encoder->filtered);
    deflateEnd(&encoder->zlib);
    free(encoder);
}

/* Returns the number of bytes in encoder->deflated, or 0. */
static apr_size_t deflate_rows(dp_png_encoder_t *encoder, apr_size_t size,
                               const dp_png_plan_t *plan)
{
    z_stream *zlib = &encoder->zlib;

    if (deflateReset(zlib) != Z_OK
        || deflateParams(zlib, plan->level, plan->strategy) != Z_OK) {
        return 0;
    }
    zlib->next_in = encoder->filtered;
    zlib->avail_in = (uInt)size;
    zlib->next_out = encoder->deflated;
    zlib->avail_out = (uInt)encoder->deflated_max;
    return deflate(zlib, Z_FINISH) == Z_STREAM_END ? zlib->total_out : 0;
}

static unsigned char *put_be32(unsigned char *out, apr_uint32_t value)
{
    out[0] = (unsigned char)(value >> 24);
    out[1] = (unsigned char)(value >> 16);
    out[2] = (unsigned char)(value >> 8);
    out[3] = (unsigned char)value;
    return out + 4;
}

static unsigned char *put_chunk(unsigned char *out, apr_uint32_t type,
                                const unsigned char *data, apr_size_t size)
{
    unsigned char *checked = out + 4;

    out = put_be32(out, (apr_uint32_t)size);
    put_be32(out, type);
    if (size > 0) {
        memcpy(out + 4, data, size);
    }
    out += 4 + size;
    return put_be32(out, (apr_uint32_t)crc32(0, checked, (uInt)(4 + size)));
}

static unsigned char *put_header(unsigned char *out, const dp_png_t *png,
                                 const dp_window_t *window)
{
    static const unsigned char signature[DP_PNG_SIGNATURE_BYTES] = {
        0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char header[13] = {0};

    put_be32(header, (apr_uint32_t)window->width);
    put_be32(header + 4, (apr_uint32_t)window->height);
    header[8] = (unsigned char)png->bit_depth;
    header[9] = (unsigned char)png->colour_type;
    memcpy(out, signature, sizeof(signature));
    return put_chunk(out + DP_PNG_SIGNATURE_BYTES, TYPE_IHDR, header,
                     sizeof(header));
}

static apr_size_t kept_bytes(const dp_png_t *png)
{
    const dp_piece_t *kept = (const dp_piece_t *)png->kept->elts;
    apr_size_t size = 0;
    int i;

    for (i = 0; i < png->kept->nelts; i++) {
        size += kept[i].size;
    }
    return size;
}

apr_status_t dp_png_encode(dp_piece_t *piece, dp_png_encoder_t *encoder,
                           const dp_window_t *window, apr_pool_t *pool)
{
    const dp_png_t *png = encoder->png;
    const dp_piece_t *kept = (const dp_piece_t *)png->kept->elts;
    const dp_png_plan_t *plan = dp_png_plan_of(png, window);
    apr_size_t size = dp_png_filter(encoder->filtered, png, window,
                                    plan->filter, encoder->no_row);
    unsigned char *bytes;
    unsigned char *out;
    int i;

    size = deflate_rows(encoder, size, plan);
    if (size == 0) {
        return APR_ENOMEM;
    }
    piece->size =
        DP_PNG_HEADER_BYTES + kept_bytes(png) + size + 2UL * DP_PNG_FRAME_BYTES;
    bytes = apr_palloc(pool, piece->size);
    out = put_header(bytes, png, window);
    for (i = 0; i < png->kept->nelts; i++) {
        memcpy(out, kept[i].bytes, kept[i].size);
        out += kept[i].size;
    }
    out = put_chunk(out, TYPE_IDAT, encoder->deflated, size);
    put_chunk(out, TYPE_IEND, NULL, 0);
    piece->bytes = bytes;
    return APR_SUCCESS;
}
