/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line is some 300 bytes; the name in it has at most 64. */
#define STAT_BYTES 1024

apr_int64_t dp_process_started(pid_t pid)
{
    char line[STAT_BYTES];
    char path[64];
    const char *at;
    ssize_t size;
    int field;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    size = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (size <= 0) {
        return 0;
    }
    line[size] = '\0';
    /* The name may contain anything, but nothing after it has a ')'. */
    at = strrchr(line, ')');
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') {
        return 0;
    }
    for (field = 2; field < 22 && at != NULL; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtoll(at + 1, NULL, 10) : 0;
}

int dp_process_is_gone(pid_t pid, apr_int64_t started)
{
    return dp_process_started(pid) != started;
}
