/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names the own process and judges others, by proc(5) and kill(2).
 *
 * Called from any thread; no state. The invariant: "dead" is said only when
 * it is certain. Every doubt (no /proc, another boot, another namespace,
 * hidden processes) is "perhaps alive", and the lease decides.
 */
#include "lock/owner.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"

/* The boot id, or "-". */
static const char *read_boot_id(apr_pool_t *pool)
{
    char text[DP_BOOT_MAX];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) {
        return "-";
    }
    got = read(fd, text, sizeof(text));
    close(fd);
    return got == (ssize_t)sizeof(text)
               ? apr_pstrmemdup(pool, text, DP_BOOT_MAX)
               : "-";
}

/* A /proc of another pid namespace knows us by another number; then nothing
 * that it says of others can be used. */
static int is_proc_ours(void)
{
    char text[32];
    apr_int64_t pid;
    ssize_t got = readlink("/proc/self", text, sizeof(text) - 1);

    if (got <= 0) {
        return 0;
    }
    text[got] = '\0';
    return dp_text_int(text, 1, APR_INT32_MAX, &pid) && pid == getpid();
}

void dp_owner_self(dp_owner_t *self, const char *host, apr_pool_t *result_pool)
{
    struct stat info;

    self->host = apr_pstrdup(result_pool, host);
    self->boot = read_boot_id(result_pool);
    self->pid = getpid();
    self->start = is_proc_ours() ? dp_process_started(getpid()) : 0;
    self->pidns = 0;
    if (self->start > 0 && stat("/proc/self/ns/pid", &info) == 0) {
        self->pidns = (apr_int64_t)info.st_ino;
    }
}

static int is_comparable(const dp_owner_t *a, const dp_owner_t *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->boot, b->boot) == 0
           && strcmp(a->boot, "-") != 0 && a->pidns == b->pidns && a->pidns != 0
           && a->pid > 0 && b->pid > 0;
}

int dp_owner_is_dead(const dp_owner_t *self, const dp_owner_t *other)
{
    apr_int64_t start;
    int error;

    if (!is_comparable(self, other)) {
        return 0;
    }
    error = kill((pid_t)other->pid, 0) == 0 ? 0 : errno;
    if (error == ESRCH) {
        return 1;
    }
    start = dp_process_started((pid_t)other->pid);
    /* None: a zombie; or hidden from us (proc(5), hidepid), as only those can
     * be whom we may not signal. */
    return start == 0 ? error == 0 : start != other->start;
}
