/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encodes a window of a decoded PNG. Called by dp_split_piece().
 *
 * The file is framed here and not by libpng, because a tile needs nothing
 * that libpng's writer does: the rows exist, the chunks around them are the
 * source's, and filter and compression are chosen for maps (png_plan.c). The
 * filtered rows are deflated in one call by libdeflate, which finds matches in
 * half of zlib's time; where matches only harm, by zlib, which can do without.
 *
 * An encoder belongs to one thread at a time. Its buffers are sized once for
 * the largest window; of a level, what deflates is made when it is needed. It
 * remembers the last tile of one colour, of which seas have many.
 *
 * Invariant: equal pixels give equal bytes, whatever surrounds the window.
 */
#include "image/png_priv.h"

#include <apr_strings.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Chunk types, as the four letters are read. */
#define TYPE_IHDR 0x49484452
#define TYPE_IDAT 0x49444154
#define TYPE_IEND 0x49454e44

/* Of zlib, which only looks for runs: its other numbers don't matter. */
#define RUNS_LEVEL 1
#define WINDOW_BITS 15
#define MEMORY_LEVEL 8

/* Of a window, the part of its rows on which plans are tried. */
#define TRIAL_PART 16

#define PIXEL_BYTES_MAX 8

/* A tile of one colour. */
typedef struct plain_t {
    unsigned char pixel[PIXEL_BYTES_MAX];
    int width;
    int height;
    unsigned char *bytes; /* malloc; NULL: there was none yet */
    apr_size_t size;
} plain_t;

struct dp_png_encoder_t {
    const dp_png_t *png;
    struct libdeflate_compressor *levels[DP_PNG_LEVEL_MAX + 1];
    z_stream runs;
    int has_runs;
    unsigned char *filtered; /* a filter byte and a row, for each row */
    unsigned char *no_row;   /* zeros: what lies above the first row */
    unsigned char *deflated;
    apr_size_t deflated_max;
    plain_t plain;
};

dp_png_encoder_t *dp_png_encoder_make(const dp_png_t *png, int max_width,
                                      int max_height)
{
    dp_png_encoder_t *encoder = calloc(1, sizeof(*encoder));
    apr_size_t row = dp_png_bytes_of(png, max_width);
    apr_size_t size = (1 + row) * (apr_size_t)max_height;
    apr_size_t runs_max = compressBound(size);

    if (!encoder) {
        return NULL;
    }
    encoder->png = png;
    encoder->deflated_max = libdeflate_zlib_compress_bound(NULL, size);
    if (encoder->deflated_max < runs_max) {
        encoder->deflated_max = runs_max;
    }
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
    int i;

    if (!encoder) {
        return;
    }
    for (i = 0; i <= DP_PNG_LEVEL_MAX; i++) {
        libdeflate_free_compressor(encoder->levels[i]);
    }
    if (encoder->has_runs) {
        deflateEnd(&encoder->runs);
    }
    free(encoder->plain.bytes);
    free(encoder->deflated);
    free(encoder->no_row);
    free(encoder->filtered);
    free(encoder);
}

/* Returns the number of bytes in encoder->deflated, or 0 without memory. */
static apr_size_t deflate_runs(dp_png_encoder_t *encoder, apr_size_t size)
{
    z_stream *runs = &encoder->runs;

    if (encoder->has_runs) {
        deflateReset(runs);
    }
    else if (deflateInit2(runs, RUNS_LEVEL, Z_DEFLATED, WINDOW_BITS,
                          MEMORY_LEVEL, Z_RLE)
             != Z_OK) {
        return 0;
    }
    encoder->has_runs = 1;
    runs->next_in = encoder->filtered;
    runs->avail_in = (uInt)size;
    runs->next_out = encoder->deflated;
    runs->avail_out = (uInt)encoder->deflated_max;
    return deflate(runs, Z_FINISH) == Z_STREAM_END ? runs->total_out : 0;
}

/* The same, with matches. */
static apr_size_t deflate_level(dp_png_encoder_t *encoder, int level,
                                apr_size_t size)
{
    if (!encoder->levels[level]) {
        encoder->levels[level] = libdeflate_alloc_compressor(level);
    }
    if (!encoder->levels[level]) {
        return 0;
    }
    return libdeflate_zlib_compress(encoder->levels[level], encoder->filtered,
                                    size, encoder->deflated,
                                    encoder->deflated_max);
}

static apr_size_t filter_and_deflate(dp_png_encoder_t *encoder,
                                     const dp_window_t *window,
                                     const dp_png_plan_t *plan,
                                     const unsigned char *above)
{
    apr_size_t size = dp_png_filter(encoder->filtered, encoder->png, window,
                                    plan->filter, above);

    return plan->level == DP_PNG_RUNS
               ? deflate_runs(encoder, size)
               : deflate_level(encoder, plan->level, size);
}

/* The window's first pixel. */
static const unsigned char *corner_of(const dp_png_t *png,
                                      const dp_window_t *window)
{
    return dp_png_row(png, window->y)
           + (apr_size_t)window->x * (apr_size_t)png->pixel_bits / 8;
}

/* The one of the plans that makes a strip from the middle smallest. */
static const dp_png_plan_t *best_plan(dp_png_encoder_t *encoder,
                                      const dp_window_t *window)
{
    const dp_png_plan_t *plans;
    int n = dp_png_plans_of(&plans, encoder->png, window);
    const dp_png_plan_t *best = plans;
    const unsigned char *above = encoder->no_row;
    dp_window_t strip = *window;
    apr_size_t least = 0;
    int i;

    strip.height = (window->height + TRIAL_PART - 1) / TRIAL_PART;
    strip.y += (window->height - strip.height) / 2;
    if (strip.y > window->y) {
        above = corner_of(encoder->png, &strip) - (1 + encoder->png->row_bytes);
    }
    for (i = 0; i < n && n > 1; i++) {
        apr_size_t size = filter_and_deflate(encoder, &strip, &plans[i], above);

        if (size > 0 && (least == 0 || size < least)) {
            least = size;
            best = &plans[i];
        }
    }
    return best;
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
    return put_be32(out, libdeflate_crc32(0, checked, 4 + size));
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

/* Frame what is in encoder->deflated. */
static void frame(dp_piece_t *piece, const dp_png_encoder_t *encoder,
                  apr_size_t size, const dp_window_t *window, apr_pool_t *pool)
{
    const dp_png_t *png = encoder->png;
    const dp_piece_t *kept = (const dp_piece_t *)png->kept->elts;
    unsigned char *bytes;
    unsigned char *out;
    int i;

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
}

static int is_remembered(const dp_png_encoder_t *encoder,
                         const dp_window_t *window)
{
    const dp_png_t *png = encoder->png;
    const plain_t *plain = &encoder->plain;

    return plain->bytes && plain->width == window->width
           && plain->height == window->height
           && memcmp(plain->pixel, corner_of(png, window),
                     dp_png_bytes_of(png, 1))
                  == 0;
}

/* Without memory, the next one is encoded again. */
static void remember(dp_png_encoder_t *encoder, const dp_piece_t *piece,
                     const dp_window_t *window)
{
    plain_t *plain = &encoder->plain;

    free(plain->bytes);
    plain->bytes = malloc(piece->size);
    if (!plain->bytes) {
        return;
    }
    memcpy(plain->bytes, piece->bytes, piece->size);
    memcpy(plain->pixel, corner_of(encoder->png, window),
           dp_png_bytes_of(encoder->png, 1));
    plain->size = piece->size;
    plain->width = window->width;
    plain->height = window->height;
}

apr_status_t dp_png_encode(dp_piece_t *piece, dp_png_encoder_t *encoder,
                           const dp_window_t *window, apr_pool_t *pool)
{
    int is_plain = dp_png_is_plain(encoder->png, window);
    apr_size_t size;

    if (is_plain && is_remembered(encoder, window)) {
        piece->size = encoder->plain.size;
        piece->bytes = apr_pmemdup(pool, encoder->plain.bytes, piece->size);
        return APR_SUCCESS;
    }
    size = filter_and_deflate(encoder, window, best_plan(encoder, window),
                              encoder->no_row);
    if (size == 0) {
        return APR_ENOMEM;
    }
    frame(piece, encoder, size, window, pool);
    if (is_plain) {
        remember(encoder, piece, window);
    }
    return APR_SUCCESS;
}
