/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a canonical request to the name of its metatile, which is the name of
 * its lock and of its record on every host.
 *
 * Called on every request, from any thread; pure. The digest is taken over a
 * sequence of fields, each a text with its length before it or a number of
 * eight bytes, low byte first: no two different sequences have the same bytes,
 * and hosts of either byte order agree.
 *
 * What is in it is whatever can change the picture. Of the grid these are its
 * numbers, not only its name, so that a grid that is changed or differs
 * between two hosts never serves the other's tiles. Only numbers that were
 * read go in, none that was computed: processors round in different ways.
 */
#include "request/request.h"

#include <string.h>

#include "base/digest.h"

/* Changes whenever the fields or their meaning do. */
#define FORMAT "dogpile-key-1"

/* Written twice: first without memory, to learn the size. */
typedef struct writer_t {
    unsigned char *bytes; /* NULL: only count */
    apr_size_t size;
} writer_t;

static void put_bytes(writer_t *writer, const void *bytes, apr_size_t size)
{
    if (writer->bytes) {
        memcpy(writer->bytes + writer->size, bytes, size);
    }
    writer->size += size;
}

static void put_number(writer_t *writer, apr_uint64_t number)
{
    unsigned char bytes[8];
    int i;

    for (i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(number >> 8 * i);
    }
    put_bytes(writer, bytes, sizeof(bytes));
}

static void put_text(writer_t *writer, const char *text)
{
    apr_size_t size = strlen(text);

    put_number(writer, size);
    put_bytes(writer, text, size);
}

static void put_double(writer_t *writer, double value)
{
    apr_uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    put_number(writer, bits);
}

static void put_bbox(writer_t *writer, const dp_bbox_t *bbox)
{
    put_double(writer, bbox->minx);
    put_double(writer, bbox->miny);
    put_double(writer, bbox->maxx);
    put_double(writer, bbox->maxy);
}

static void put_metatile(writer_t *writer, const dp_metatile_t *metatile)
{
    const dp_grid_t *grid = metatile->grid;

    put_text(writer, "tile");
    put_bbox(writer, &grid->extent);
    put_double(writer, grid->resolutions[metatile->z]);
    put_number(writer, (apr_uint64_t)grid->tile_px);
    put_number(writer, (apr_uint64_t)grid->origin);
    put_number(writer, (apr_uint64_t)metatile->z);
    put_number(writer, metatile->x);
    put_number(writer, metatile->y);
    put_number(writer, (apr_uint64_t)metatile->tile_px);
    put_number(writer, (apr_uint64_t)metatile->rule.cols);
    put_number(writer, (apr_uint64_t)metatile->rule.rows);
    put_number(writer, (apr_uint64_t)metatile->rule.buffer_px);
}

static void put_off_grid(writer_t *writer, const dp_request_t *request)
{
    put_text(writer, "off-grid");
    put_bbox(writer, &request->bbox);
    put_number(writer, (apr_uint64_t)request->width_px);
    put_number(writer, (apr_uint64_t)request->height_px);
}

static void put_request(writer_t *writer, const dp_request_t *request)
{
    int i;

    put_text(writer, request->layers);
    put_text(writer, request->styles);
    put_text(writer, request->format);
    put_number(writer, request->transparent != 0);
    put_text(writer, request->bgcolor);
    put_number(writer, (apr_uint64_t)request->nparams);
    for (i = 0; i < request->nparams; i++) {
        put_text(writer, request->params[i].name);
        put_text(writer, request->params[i].value);
    }
    put_text(writer, request->grid->name);
    put_text(writer, request->grid->crs[0].name);
    if (request->tile_px > 0) {
        put_metatile(writer, &request->metatile);
    }
    else {
        put_off_grid(writer, request);
    }
}

static void put_all(writer_t *writer, const dp_request_t *request,
                    const char *source_name, const char *lock_namespace)
{
    put_text(writer, FORMAT);
    put_text(writer, lock_namespace);
    put_text(writer, source_name);
    put_request(writer, request);
}

void dp_key_make(dogpile_key_t *key, const dp_request_t *request,
                 const char *source_name, const char *lock_namespace,
                 apr_pool_t *pool)
{
    int is_tile = request->tile_px > 0;
    writer_t writer = {NULL, 0};

    put_all(&writer, request, source_name, lock_namespace);
    writer.bytes = apr_palloc(pool, writer.size);
    writer.size = 0;
    put_all(&writer, request, source_name, lock_namespace);
    dp_digest(&key->digest, writer.bytes, writer.size);
    key->source = source_name;
    key->layers = request->layers;
    key->grid = request->grid->name;
    key->z = is_tile ? request->metatile.z : -1;
    key->x = is_tile ? request->metatile.x : 0;
    key->y = is_tile ? request->metatile.y : 0;
}
