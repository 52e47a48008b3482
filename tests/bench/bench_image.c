/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Not a test: how long cutting metatiles takes and how large their tiles are,
 * beside two other ways through libpng and zlib. The numbers in
 * docs/design/image.md come from here.
 *
 *     bench_image FILE...
 *
 * cuts as many tiles of 256 x 256 as fit within a buffer of 16 pixels, nine
 * times, and prints the best time: of the processor and of one thread, so
 * that a busy machine changes little. Of our own way also the time until the
 * picture is decoded, and until the first tile is there.
 */
#include "image/image.h"

#include <apr_general.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TILE_PX 256
#define TILES_MAX 256
#define RUNS 9
#define BUFFER_PX 16
#define FILE_MAX (64 * 1024 * 1024)

typedef struct job_t {
    unsigned char *bytes;
    apr_size_t size;
    dp_image_info_t info;
    dp_window_t windows[TILES_MAX];
    int nwindows;
} job_t;

/* What one way did with a picture. */
typedef struct result_t {
    apr_size_t bytes; /* of all tiles */
    double decoded;   /* times since the start, ms */
    double first;
    double all;
} result_t;

typedef void way_fn(result_t *result, const job_t *job, apr_pool_t *pool);

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void die(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(EXIT_FAILURE);
}

static void ours(result_t *result, const job_t *job, apr_pool_t *pool)
{
    double start = now_ms();
    dp_split_t *split;
    const char *why;
    int i;

    if (dp_split_open(&split, job->bytes, job->size, job->info.width,
                      job->info.height, job->windows, job->nwindows, &why, pool)
        != APR_SUCCESS) {
        die(why);
    }
    result->decoded = now_ms() - start;
    for (i = 0; i < job->nwindows; i++) {
        dp_piece_t piece;

        if (dp_split_piece(&piece, split, i, &why, pool) != APR_SUCCESS) {
            die(why);
        }
        result->bytes += piece.size;
        if (i == 0) {
            result->first = now_ms() - start;
        }
    }
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

static void libpng_default(result_t *result, const job_t *job, apr_pool_t *pool)
{
    (void)pool;
    result->bytes = libpng(job, 0);
}

static void libpng_rgba(result_t *result, const job_t *job, apr_pool_t *pool)
{
    (void)pool;
    result->bytes = libpng(job, 1);
}

/* Of several runs, the fastest. */
static result_t measure(way_fn *way, const job_t *job)
{
    result_t best = {0};
    int i;

    for (i = 0; i < RUNS; i++) {
        result_t result = {0};
        double start = now_ms();
        apr_pool_t *pool;

        apr_pool_create(&pool, NULL);
        way(&result, job, pool);
        apr_pool_destroy(pool);
        result.all = now_ms() - start;
        if (i == 0 || result.all < best.all) {
            best = result;
        }
    }
    return best;
}

static void print(const char *name, const result_t *result)
{
    printf("  %-24s %9lu bytes %7.1f ms", name, (unsigned long)result->bytes,
           result->all);
}

static void compare(const char *name, way_fn *way, const job_t *job,
                    const result_t *own)
{
    result_t other = measure(way, job);

    print(name, &other);
    printf("   size x %.2f, time x %.2f\n",
           (double)own->bytes / (double)other.bytes, own->all / other.all);
}

static void load(job_t *job, const char *path)
{
    FILE *file = fopen(path, "rb");
    int x;
    int y;

    job->bytes = malloc(FILE_MAX);
    if (!file || !job->bytes) {
        die(path);
    }
    job->size = fread(job->bytes, 1, FILE_MAX, file);
    fclose(file);
    dp_image_inspect(&job->info, job->bytes, job->size);
    for (y = BUFFER_PX; y + TILE_PX <= job->info.height - BUFFER_PX;
         y += TILE_PX) {
        for (x = BUFFER_PX; x + TILE_PX <= job->info.width - BUFFER_PX
                            && job->nwindows < TILES_MAX;
             x += TILE_PX) {
            dp_window_t window = {x, y, TILE_PX, TILE_PX};

            job->windows[job->nwindows++] = window;
        }
    }
}

static void bench(const char *path)
{
    job_t job = {0};
    result_t own;

    load(&job, path);
    own = measure(ours, &job);
    printf("%s: %dx%d, %lu bytes, %d tiles\n", path, job.info.width,
           job.info.height, (unsigned long)job.size, job.nwindows);
    print("mod_dogpile", &own);
    printf("   decoded %.1f, first tile %.1f\n", own.decoded, own.first);
    if (job.info.kind == DP_IMAGE_PNG) {
        compare("libpng default", libpng_default, &job, &own);
        compare("libpng RGBA level 1", libpng_rgba, &job, &own);
    }
    free(job.bytes);
}

int main(int argc, char **argv)
{
    int i;

    apr_initialize();
    for (i = 1; i < argc; i++) {
        bench(argv[i]);
    }
    apr_terminate();
    return EXIT_SUCCESS;
}
