/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes a PNG with libpng, exactly as its bits are: no expansion, no gamma,
 * no byte swapping; only interlacing is undone. Called by dp_png_split().
 *
 * Everything that libpng calls an error or a "benign error" (a wrong CRC, a
 * wrong checksum of the pixels, too few or too many of them) ends the attempt.
 * libpng leaves by longjmp(): what must survive that lies in a reader_t of the
 * caller's frame, and the only function with setjmp() has no locals.
 *
 * Chunks that change how pixels look are handed on as bytes of the source;
 * libpng never unpacks them, so a compressed profile can't be a bomb.
 *
 * Invariant: dp_png_read() ends with libpng's structures gone.
 */
#include "image/png_priv.h"

#include <apr_strings.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

/* Of one chunk that is handed on to every tile: more than any palette or
 * sensible colour profile, less than what would make tiles heavy. */
#define KEPT_CHUNK_MAX (32UL * 1024)

/* The longest chunk besides the pixels that libpng may skip or hold. */
#define CHUNK_MAX (8UL * 1024 * 1024)

typedef struct reader_t {
    png_structp png;
    png_infop info;
    png_bytep *rows; /* malloc */
    dp_png_t *picture;
    dp_cut_t *cut;
    apr_size_t pos;      /* of the next byte for libpng */
    apr_status_t status; /* APR_SUCCESS: decoded to the end */
} reader_t;

static void fail(png_structp png, png_const_charp message)
{
    reader_t *reader = png_get_error_ptr(png);

    reader->cut->why =
        apr_pstrcat(reader->cut->pool, "a broken PNG: ", message, NULL);
    reader->status = APR_EINVAL;
    png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t size)
{
    reader_t *reader = png_get_io_ptr(png);

    if (size > reader->cut->size - reader->pos) {
        png_error(png, "cut short");
    }
    memcpy(out, reader->cut->bytes + reader->pos, size);
    reader->pos += size;
}

static void set_limits(reader_t *reader)
{
    static const png_byte transparency[] = "tRNS";
    png_structp png = reader->png;

    png_set_user_limits(png, (png_uint_32)reader->cut->width,
                        (png_uint_32)reader->cut->height);
    png_set_chunk_malloc_max(png, CHUNK_MAX);
    png_set_chunk_cache_max(png, 1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, transparency,
                                1);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png, 0);
    png_set_check_for_invalid_index(png, -1);
}

static int allocate(reader_t *reader)
{
    dp_png_t *picture = reader->picture;
    apr_size_t height = (apr_size_t)reader->cut->height;
    apr_size_t i;

    picture->pixels = malloc(picture->row_bytes * height);
    reader->rows = malloc(height * sizeof(*reader->rows));
    if (!picture->pixels || !reader->rows) {
        return 0;
    }
    for (i = 0; i < height; i++) {
        reader->rows[i] = picture->pixels + i * picture->row_bytes;
    }
    return 1;
}

/* Sets reader->status. */
static void decode(reader_t *reader)
{
    if (setjmp(png_jmpbuf(reader->png))) {
        return;
    }
    set_limits(reader);
    png_set_read_fn(reader->png, reader, read_bytes);
    png_read_info(reader->png, reader->info);
    png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    reader->picture->bit_depth = png_get_bit_depth(reader->png, reader->info);
    reader->picture->colour_type =
        png_get_color_type(reader->png, reader->info);
    reader->picture->pixel_bits = reader->picture->bit_depth
                                  * png_get_channels(reader->png, reader->info);
    reader->picture->row_bytes = png_get_rowbytes(reader->png, reader->info);
    if (!allocate(reader)) {
        return;
    }
    png_read_image(reader->png, reader->rows);
    png_read_end(reader->png, NULL);
    reader->status = APR_SUCCESS;
}

/* Whether a chunk changes how the pixels look in a browser. */
static int is_kept(const reader_t *reader, const unsigned char *type)
{
    static const char *const looks[] = {"gAMA", "cHRM", "sRGB", "iCCP", "cICP"};
    apr_size_t i;

    if (memcmp(type, "PLTE", 4) == 0) {
        return reader->picture->colour_type == PNG_COLOR_TYPE_PALETTE;
    }
    if (memcmp(type, "tRNS", 4) == 0) {
        return png_get_valid(reader->png, reader->info, PNG_INFO_tRNS) != 0;
    }
    for (i = 0; i < sizeof(looks) / sizeof(*looks); i++) {
        if (memcmp(type, looks[i], 4) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A type that comes twice would be kept once for each tile and time. */
static int is_kept_already(const apr_array_header_t *kept,
                           const unsigned char *type)
{
    int i;

    for (i = 0; i < kept->nelts; i++) {
        if (memcmp(APR_ARRAY_IDX(kept, i, dp_piece_t).bytes + 4, type, 4)
            == 0) {
            return 1;
        }
    }
    return 0;
}

/* The picture was read to its end, so its chunks are framed soundly. */
static void keep_chunks(reader_t *reader)
{
    const unsigned char *p = reader->cut->bytes + DP_PNG_HEADER_BYTES;

    apr_array_header_t *kept =
        apr_array_make(reader->cut->pool, 4, sizeof(dp_piece_t));

    while (memcmp(p + 4, "IDAT", 4) != 0) {
        apr_size_t length = png_get_uint_32(p);

        if (length <= KEPT_CHUNK_MAX && is_kept(reader, p + 4)
            && !is_kept_already(kept, p + 4)) {
            dp_piece_t *piece = apr_array_push(kept);

            piece->bytes = p;
            piece->size = length + DP_PNG_FRAME_BYTES;
        }
        p += length + DP_PNG_FRAME_BYTES;
    }
    reader->picture->kept = kept;
}

apr_status_t dp_png_read(dp_png_t *png, dp_cut_t *cut)
{
    reader_t reader = {.picture = png, .cut = cut, .status = APR_ENOMEM};

    reader.png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, fail, ignore);
    reader.info = reader.png ? png_create_info_struct(reader.png) : NULL;
    if (reader.info) {
        decode(&reader);
    }
    if (reader.status == APR_SUCCESS) {
        keep_chunks(&reader);
    }
    else if (reader.status == APR_ENOMEM) {
        cut->why = "no memory to decode the PNG";
    }
    free(reader.rows);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    return reader.status;
}

void dp_png_free(dp_png_t *png)
{
    free(png->pixels);
    png->pixels = NULL;
}
