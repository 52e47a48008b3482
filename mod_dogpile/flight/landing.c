/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The landing area as a memfd. Called by leaders (write, clear) and waiters
 * (read) of any child; pread() and pwrite() share no file position.
 */
#include "flight/landing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

apr_status_t dp_landing_make(dp_landing_t *landing, apr_size_t place_bytes)
{
    landing->place_bytes = (apr_off_t)place_bytes;
    landing->fd = memfd_create("mod_dogpile", MFD_CLOEXEC);
    return landing->fd < 0 ? errno : APR_SUCCESS;
}

apr_status_t dp_landing_write(const dp_landing_t *landing, uint32_t place,
                              const void *bytes, apr_size_t size)
{
    apr_off_t at = (apr_off_t)place * landing->place_bytes;
    const char *from = bytes;

    if (size > (apr_size_t)landing->place_bytes) {
        return APR_ENOSPC;
    }
    while (size > 0) {
        ssize_t n = pwrite(landing->fd, from, size, at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        from += n;
        at += n;
        size -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

apr_status_t dp_landing_read(const dp_landing_t *landing, uint32_t place,
                             apr_size_t offset, void *bytes, apr_size_t size)
{
    apr_off_t at = (apr_off_t)place * landing->place_bytes + (apr_off_t)offset;
    char *to = bytes;

    if (size > (apr_size_t)landing->place_bytes
        || offset > (apr_size_t)landing->place_bytes - size) {
        return APR_EINVAL;
    }
    while (size > 0) {
        ssize_t n = pread(landing->fd, to, size, at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : APR_EOF;
        }
        to += n;
        at += n;
        size -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

void dp_landing_clear(const dp_landing_t *landing, uint32_t place)
{
    /* A failure costs memory until the place is used again, no more. */
    (void)fallocate(landing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (apr_off_t)place * landing->place_bytes,
                    landing->place_bytes);
}
