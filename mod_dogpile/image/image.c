/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of picture some bytes are, how large it is, and whether it is all
 * there.
 *
 * Called on answers of the source before anything else looks at them, from
 * any thread, without state. Nothing is decoded: a file is walked from block
 * to block as its format frames them (PNG 5.3, ITU-T T.81 B.1, GIF89a, RFC
 * 9649), so the work is at most one pass over the bytes, whatever they say.
 *
 * Invariant: every step advances, and nothing is read at or beyond the size.
 */
#include "image/image.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

typedef struct media_t {
    const char *type;
    dp_image_kind_e kind;
} media_t;

/* The first of each kind is the registered name. The others are what map
 * servers answer with or are asked for. */
static const media_t media[] = {
    {"image/png", DP_IMAGE_PNG},   {"image/jpeg", DP_IMAGE_JPEG},
    {"image/gif", DP_IMAGE_GIF},   {"image/webp", DP_IMAGE_WEBP},
    {"image/png8", DP_IMAGE_PNG},  {"image/png24", DP_IMAGE_PNG},
    {"image/png32", DP_IMAGE_PNG}, {"image/x-png", DP_IMAGE_PNG},
    {"image/jpg", DP_IMAGE_JPEG},  {"image/pjpeg", DP_IMAGE_JPEG},
};

#define NMEDIA (sizeof(media) / sizeof(*media))

const char *dp_image_media_type(dp_image_kind_e kind)
{
    apr_size_t i;

    for (i = 0; i < NMEDIA; i++) {
        if (media[i].kind == kind) {
            return media[i].type;
        }
    }
    return NULL;
}

dp_image_kind_e dp_image_kind_of(const char *media_type)
{
    apr_size_t size = strcspn(media_type, "; \t");
    apr_size_t i;

    for (i = 0; i < NMEDIA; i++) {
        if (strlen(media[i].type) == size
            && strncasecmp(media[i].type, media_type, size) == 0) {
            return media[i].kind;
        }
    }
    return DP_IMAGE_UNKNOWN;
}

static unsigned be16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static unsigned le16(const unsigned char *p)
{
    return (unsigned)p[1] << 8 | p[0];
}

static apr_uint32_t be32(const unsigned char *p)
{
    return (apr_uint32_t)be16(p) << 16 | be16(p + 2);
}

static apr_uint32_t le32(const unsigned char *p)
{
    return (apr_uint32_t)le16(p + 2) << 16 | le16(p);
}

/* A side that fits no picture of ours becomes 0. */
static int side(apr_uint32_t value)
{
    return value > INT_MAX ? 0 : (int)value;
}

#define PNG_SIGNATURE "\x89PNG\r\n\x1a\n"
#define PNG_SIGNATURE_BYTES 8
#define PNG_HEADER_BYTES 33 /* signature and IHDR */
#define PNG_FRAME_BYTES 12  /* length, type and CRC of a chunk */

static void inspect_png(dp_image_info_t *info, const unsigned char *p,
                        apr_size_t size)
{
    apr_size_t pos = PNG_SIGNATURE_BYTES;

    if (size < PNG_HEADER_BYTES || memcmp(p + pos + 4, "IHDR", 4) != 0) {
        return;
    }
    info->width = side(be32(p + 16));
    info->height = side(be32(p + 20));
    while (size - pos >= PNG_FRAME_BYTES) {
        apr_uint32_t length = be32(p + pos);

        if (length > size - pos - PNG_FRAME_BYTES) {
            return;
        }
        if (memcmp(p + pos + 4, "IEND", 4) == 0) {
            info->is_complete = 1;
            return;
        }
        pos += PNG_FRAME_BYTES + length;
    }
}

static int jpeg_is_standalone(int marker)
{
    return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7);
}

/* SOF0 to SOF15, without DHT, JPG and DAC, which lie between them. */
static int jpeg_is_frame(int marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8
           && marker != 0xcc;
}

/* The position of the first marker after entropy-coded data. */
static apr_size_t jpeg_skip_scan(const unsigned char *p, apr_size_t size,
                                 apr_size_t pos)
{
    while (pos < size) {
        const unsigned char *found = memchr(p + pos, 0xff, size - pos);

        if (!found || found + 1 == p + size) {
            return size;
        }
        pos = (apr_size_t)(found - p);
        if (found[1] != 0 && !jpeg_is_standalone(found[1])) {
            return pos;
        }
        pos += 2;
    }
    return size;
}

static void inspect_jpeg(dp_image_info_t *info, const unsigned char *p,
                         apr_size_t size)
{
    apr_size_t pos = 2;

    while (size - pos >= 2 && p[pos] == 0xff) {
        int marker = p[pos + 1];
        unsigned length;

        if (marker == 0xd9) {
            info->is_complete = 1;
            return;
        }
        if (marker == 0xff || jpeg_is_standalone(marker)) {
            pos += marker == 0xff ? 1 : 2;
            continue;
        }
        length = size - pos >= 4 ? be16(p + pos + 2) : 0;
        if (length < 2 || length > size - pos - 2) {
            return;
        }
        if (jpeg_is_frame(marker) && length >= 8 && info->width == 0) {
            info->height = (int)be16(p + pos + 5);
            info->width = (int)be16(p + pos + 7);
        }
        pos += 2 + length;
        if (marker == 0xda) {
            pos = jpeg_skip_scan(p, size, pos);
        }
    }
}

/* The bytes of the colour table that a packed field announces. */
static apr_size_t gif_table(unsigned char flags)
{
    return flags & 0x80 ? (apr_size_t)3 << ((flags & 7) + 1) : 0;
}

/* The position behind a chain of sub-blocks, at most size. */
static apr_size_t gif_skip_blocks(const unsigned char *p, apr_size_t size,
                                  apr_size_t pos)
{
    while (pos < size) {
        unsigned char length = p[pos];

        pos += 1 + (apr_size_t)length;
        if (length == 0) {
            return pos;
        }
    }
    return size;
}

static void inspect_gif(dp_image_info_t *info, const unsigned char *p,
                        apr_size_t size)
{
    apr_size_t pos = 13;

    if (size < pos) {
        return;
    }
    info->width = (int)le16(p + 6);
    info->height = (int)le16(p + 8);
    pos += gif_table(p[10]);
    while (pos < size && p[pos] != ';') {
        if (p[pos] == '!') {
            pos = gif_skip_blocks(p, size, pos + 2);
        }
        else if (p[pos] == ',' && size - pos > 10) {
            pos += 11 + gif_table(p[pos + 9]);
            pos = gif_skip_blocks(p, size, pos);
        }
        else {
            return;
        }
    }
    info->is_complete = pos < size;
}

static void inspect_webp(dp_image_info_t *info, const unsigned char *p,
                         apr_size_t size)
{
    if (size < 30) {
        return;
    }
    info->is_complete = le32(p + 4) <= size - 8;
    if (memcmp(p + 12, "VP8X", 4) == 0) {
        info->width = (int)(le32(p + 24) & 0xffffff) + 1;
        info->height = (int)(le32(p + 26) >> 8) + 1;
    }
    else if (memcmp(p + 12, "VP8L", 4) == 0 && p[20] == 0x2f) {
        info->width = (int)(le32(p + 21) & 0x3fff) + 1;
        info->height = (int)(le32(p + 21) >> 14 & 0x3fff) + 1;
    }
    else if (memcmp(p + 12, "VP8 ", 4) == 0
             && memcmp(p + 23, "\x9d\x01\x2a", 3) == 0) {
        info->width = (int)(le16(p + 26) & 0x3fff);
        info->height = (int)(le16(p + 28) & 0x3fff);
    }
}

static dp_image_kind_e kind_by_magic(const unsigned char *p, apr_size_t size)
{
    if (size >= PNG_SIGNATURE_BYTES
        && memcmp(p, PNG_SIGNATURE, PNG_SIGNATURE_BYTES) == 0) {
        return DP_IMAGE_PNG;
    }
    if (size >= 3 && memcmp(p, "\xff\xd8\xff", 3) == 0) {
        return DP_IMAGE_JPEG;
    }
    if (size >= 6
        && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0)) {
        return DP_IMAGE_GIF;
    }
    if (size >= 12 && memcmp(p, "RIFF", 4) == 0
        && memcmp(p + 8, "WEBP", 4) == 0) {
        return DP_IMAGE_WEBP;
    }
    return DP_IMAGE_UNKNOWN;
}

void dp_image_inspect(dp_image_info_t *info, const void *bytes, apr_size_t size)
{
    memset(info, 0, sizeof(*info));
    info->kind = kind_by_magic(bytes, size);
    switch (info->kind) {
    case DP_IMAGE_PNG:
        inspect_png(info, bytes, size);
        break;
    case DP_IMAGE_JPEG:
        inspect_jpeg(info, bytes, size);
        break;
    case DP_IMAGE_GIF:
        inspect_gif(info, bytes, size);
        break;
    case DP_IMAGE_WEBP:
        inspect_webp(info, bytes, size);
        break;
    case DP_IMAGE_UNKNOWN:
        break;
    }
}
