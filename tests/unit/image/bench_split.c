/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Not a test: how long cutting a metatile takes and how large its tiles are,
 * beside two other ways through libpng. The numbers in docs/design/image.md
 * come from here.
 *
 *     bench_split FILE [BUFFER_PX]
 *
 * cuts as many tiles of 256 x 256 as fit within the buffer, five times, and
 * prints the best time.
 */
#include "image/image.h"

#include <apr_general.h>
#include <apr_time.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILE_PX 256
#define TILES_MAX 256
#define RUNS 5
#define FILE_MAX (64 * 1024 * 1024)

typedef struct job_t {
    unsigned char *bytes;
    apr_size_t size;
    dp_image_info_t info;
    dp_window_t windows[TILES_MAX];
    int nwindows;
} job_t;

/* A way of cutting: returns the sum of the tiles' sizes. */
typedef apr_size_t way_fn(const job_t *job, apr_pool_t *pool);

static apr_size_t ours(const job_t *job, apr_pool_t *pool)
{
    dp_piece_t pieces[TILES_MAX];
    apr_size_t sum = 0;
    const char *why;
    int i;

    if (dp_image_split(pieces, job->bytes, job->size, job->info.width,
                       job->info.height, job->windows, job->nwindows, &why,
                       pool)
        != APR_SUCCESS) {
        fprintf(stderr, "%s\n", why);
        exit(EXIT_FAILURE);
    }
    for (i = 0; i < job->nwindows; i++) {
        sum += pieces[i].size;
    }
    return sum;
}

typedef struct source_t {
    const job_t *job;
    apr_size_t pos;
} source_t;

static void read_bytes(png_structp png, png_bytep out, size_t size)
{
    source_t *source = png_get_io_ptr(png);

    memcpy(out, source->job->bytes + source->pos, size);
    source->pos += size;
}

static void count_bytes(png_structp png, png_bytep data, size_t size)
{
    (void)data;
    *(apr_size_t *)png_get_io_ptr(png) += size;
}

static apr_size_t write_tile(png_structp in, png_infop from, png_bytepp rows,
                             const dp_window_t *window, int is_fast)
{
    png_structp out =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(out);
    apr_size_t pixel =
        (apr_size_t)png_get_channels(in, from) * png_get_bit_depth(in, from);
    apr_size_t size = 0;
    png_colorp palette;
    int ncolours;
    int y;

    png_set_write_fn(out, &size, count_bytes, NULL);
    png_set_IHDR(out, info, (png_uint_32)window->width,
                 (png_uint_32)window->height, png_get_bit_depth(in, from),
                 png_get_color_type(in, from), PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (png_get_color_type(in, from) == PNG_COLOR_TYPE_PALETTE
        && png_get_PLTE(in, from, &palette, &ncolours)) {
        png_set_PLTE(out, info, palette, ncolours);
    }
    if (is_fast) {
        png_set_compression_level(out, 1);
        png_set_filter(out, 0, PNG_FILTER_NONE);
    }
    png_write_info(out, info);
    for (y = 0; y < window->height; y++) {
        png_write_row(out,
                      rows[window->y + y] + (apr_size_t)window->x * pixel / 8);
    }
    png_write_end(out, info);
    png_destroy_write_struct(&out, &info);
    return size;
}

/* Through libpng: as it is, level 6; or expanded to RGBA, level 1. */
static apr_size_t libpng(const job_t *job, int is_fast)
{
    int transforms = is_fast ? PNG_TRANSFORM_EXPAND | PNG_TRANSFORM_STRIP_16
                                   | PNG_TRANSFORM_GRAY_TO_RGB
                             : PNG_TRANSFORM_IDENTITY;
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    source_t source = {job, 0};
    apr_size_t sum = 0;
    int i;

    png_set_read_fn(png, &source, read_bytes);
    if (is_fast) {
        png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
    }
    png_read_png(png, info, transforms, NULL);
    for (i = 0; i < job->nwindows; i++) {
        sum += write_tile(png, info, png_get_rows(png, info), &job->windows[i],
                          is_fast);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return sum;
}

static apr_size_t libpng_default(const job_t *job, apr_pool_t *pool)
{
    (void)pool;
    return libpng(job, 0);
}

static apr_size_t libpng_rgba(const job_t *job, apr_pool_t *pool)
{
    (void)pool;
    return libpng(job, 1);
}

static void measure(const char *name, way_fn *way, const job_t *job)
{
    apr_interval_time_t best = apr_time_from_sec(3600);
    apr_size_t sum = 0;
    int i;

    for (i = 0; i < RUNS; i++) {
        apr_time_t start = apr_time_now();
        apr_interval_time_t took;
        apr_pool_t *pool;

        apr_pool_create(&pool, NULL);
        sum = way(job, pool);
        apr_pool_destroy(pool);
        took = apr_time_now() - start;
        best = took < best ? took : best;
    }
    printf("  %-24s %9lu bytes %7.1f ms\n", name, (unsigned long)sum,
           (double)best / 1000);
}

static void load(job_t *job, const char *path, int buffer_px)
{
    FILE *file = fopen(path, "rb");
    int x;
    int y;

    job->bytes = malloc(FILE_MAX);
    if (!file || !job->bytes) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    job->size = fread(job->bytes, 1, FILE_MAX, file);
    fclose(file);
    dp_image_inspect(&job->info, job->bytes, job->size);
    for (y = buffer_px; y + TILE_PX <= job->info.height - buffer_px;
         y += TILE_PX) {
        for (x = buffer_px; x + TILE_PX <= job->info.width - buffer_px
                            && job->nwindows < TILES_MAX;
             x += TILE_PX) {
            dp_window_t window = {x, y, TILE_PX, TILE_PX};

            job->windows[job->nwindows++] = window;
        }
    }
}

int main(int argc, char **argv)
{
    job_t job = {0};

    if (argc < 2) {
        fprintf(stderr, "usage: bench_split FILE [BUFFER_PX]\n");
        return EXIT_FAILURE;
    }
    apr_initialize();
    load(&job, argv[1], argc > 2 ? atoi(argv[2]) : 16);
    printf("%s: %dx%d, %lu bytes, %d tiles\n", argv[1], job.info.width,
           job.info.height, (unsigned long)job.size, job.nwindows);
    measure("mod_dogpile", ours, &job);
    if (job.info.kind == DP_IMAGE_PNG) {
        measure("libpng default", libpng_default, &job);
        measure("libpng RGBA level 1", libpng_rgba, &job);
    }
    free(job.bytes);
    apr_terminate();
    return EXIT_SUCCESS;
}
