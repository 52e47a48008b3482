/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes a PNG exactly as its bits are: no expansion, no gamma, no byte
 * swapping; only interlacing is undone. Called when a split is opened.
 *
 * libpng reads what comes before the pixels, and the pixels of a picture that
 * is interlaced; those of others are read in png_inflate.c, faster.
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
    png_bytep *pointers; /* malloc */
    dp_png_t *picture;
    dp_split_t *split;
    apr_size_t pos;      /* of the next byte for libpng */
    apr_status_t status; /* APR_SUCCESS: decoded to the end */
} reader_t;

static void fail(png_structp png, png_const_charp message)
{
    reader_t *reader = png_get_error_ptr(png);

    reader->split->why =
        apr_pstrcat(reader->split->pool, "a broken PNG: ", message, NULL);
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

    if (size > reader->split->size - reader->pos) {
        png_error(png, "cut short");
    }
    memcpy(out, reader->split->bytes + reader->pos, size);
    reader->pos += size;
}

static void set_limits(reader_t *reader)
{
    static const png_byte transparency[] = "tRNS";
    png_structp png = reader->png;

    png_set_user_limits(png, (png_uint_32)reader->split->width,
                        (png_uint_32)reader->split->height);
    png_set_chunk_malloc_max(png, CHUNK_MAX);
    png_set_chunk_cache_max(png, 1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, transparency,
                                1);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png, 0);
    png_set_check_for_invalid_index(png, -1);
}

static int allocate_rows(dp_png_t *picture)
{
    picture->rows =
        malloc((1 + picture->row_bytes) * (apr_size_t)picture->height);
    return picture->rows != NULL;
}

static void read_header(reader_t *reader)
{
    dp_png_t *picture = reader->picture;
    png_structp png = reader->png;

    set_limits(reader);
    png_set_read_fn(png, reader, read_bytes);
    png_read_info(png, reader->info);
    picture->bit_depth = png_get_bit_depth(png, reader->info);
    picture->colour_type = png_get_color_type(png, reader->info);
    picture->pixel_bits =
        picture->bit_depth * png_get_channels(png, reader->info);
    picture->height = reader->split->height;
    picture->row_bytes = png_get_rowbytes(png, reader->info);
}

/* Of an interlaced picture: it has no row before its last pass. */
static int read_interlaced(reader_t *reader)
{
    int height = reader->picture->height;
    int y;

    reader->pointers = malloc((apr_size_t)height * sizeof(*reader->pointers));
    if (!reader->pointers) {
        return 0;
    }
    for (y = 0; y < height; y++) {
        reader->pointers[y] = dp_png_row(reader->picture, y);
    }
    png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    png_read_image(reader->png, reader->pointers);
    png_read_end(reader->png, NULL);
    return 1;
}

static apr_status_t inflate_plain(reader_t *reader)
{
    /* libpng has read the length and the type of the first IDAT. */
    const unsigned char *first = reader->split->bytes + reader->pos - 8;

    reader->split->why = dp_png_inflate(reader->picture, first);
    if (reader->split->why == dp_png_no_memory) {
        return APR_ENOMEM;
    }
    return reader->split->why ? APR_EINVAL : APR_SUCCESS;
}

/* Sets reader->status. */
static void decode(reader_t *reader)
{
    if (setjmp(png_jmpbuf(reader->png))) {
        return;
    }
    read_header(reader);
    if (!allocate_rows(reader->picture)) {
        return;
    }
    if (png_get_interlace_type(reader->png, reader->info)
        == PNG_INTERLACE_NONE) {
        reader->status = inflate_plain(reader);
    }
    else if (read_interlaced(reader)) {
        reader->status = APR_SUCCESS;
    }
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
    const unsigned char *p = reader->split->bytes + DP_PNG_HEADER_BYTES;

    apr_array_header_t *kept =
        apr_array_make(reader->split->pool, 4, sizeof(dp_piece_t));

    while (memcmp(p + 4, "IDAT", 4) != 0) {
        apr_size_t length = dp_png_be32(p);

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

apr_status_t dp_png_read(dp_png_t *png, dp_split_t *split)
{
    reader_t reader = {.picture = png, .split = split, .status = APR_ENOMEM};

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
        split->why = dp_png_no_memory;
    }
    free(reader.pointers);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    return reader.status;
}
