/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main() for a fuzz target without libFuzzer: every file named on the
 * command line is given to the target once, in order. So `make test` replays
 * each corpus with any compiler. A finding ends the program by a signal; a
 * file that can't be read is an error, not something to skip.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Larger inputs find nothing that smaller ones don't. */
#define INPUT_MAX (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    size_t size;
    int failed;

    if (file == NULL || data == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size = fread(data, 1, INPUT_MAX, file);
    failed = ferror(file);
    fclose(file);
    if (failed) {
        perror(path);
    }
    else {
        /* A block of exactly that size: sanitizers see one byte too far. */
        uint8_t *exact = malloc(size ? size : 1);

        if (exact == NULL) {
            abort();
        }
        for (size_t i = 0; i < size; i++) {
            exact[i] = data[i];
        }
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    free(data);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    int i;

    for (i = 1; i < argc; i++) {
        failed |= run_file(argv[i]);
    }
    printf("%d inputs replayed\n", argc - 1);
    return failed || argc == 1 ? EXIT_FAILURE : EXIT_SUCCESS;
}
