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

/* Where a part is, from the beginning of its half. */
typedef struct slip_t {
    uint32_t offset;
    uint32_t size;
} slip_t;

apr_status_t dp_landing_make(dp_landing_t *landing, apr_size_t place_bytes)
{
    landing->place_bytes = (apr_off_t)place_bytes;
    landing->fd = memfd_create("mod_dogpile", MFD_CLOEXEC);
    return landing->fd < 0 ? errno : APR_SUCCESS;
}

/* Where a place begins; it has two halves. */
static apr_off_t start_of(const dp_landing_t *landing, uint32_t place)
{
    return (apr_off_t)place * 2 * landing->place_bytes;
}

static int fits(apr_off_t room, apr_size_t offset, apr_size_t size)
{
    return size <= (apr_size_t)room && offset <= (apr_size_t)room - size;
}

static apr_status_t write_at(int fd, apr_off_t at, const char *from,
                             apr_size_t size)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, at);

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

apr_status_t dp_landing_write(const dp_landing_t *landing, uint32_t place,
                              const void *bytes, apr_size_t size)
{
    if (!fits(landing->place_bytes, 0, size)) {
        return APR_ENOSPC;
    }
    return write_at(landing->fd, start_of(landing, place), bytes, size);
}

apr_status_t dp_landing_write_part(const dp_landing_t *landing, uint32_t place,
                                   int part, apr_size_t *used,
                                   const void *bytes, apr_size_t size)
{
    apr_off_t half = start_of(landing, place) + landing->place_bytes;
    apr_size_t offset = DP_LANDING_PARTS * sizeof(slip_t)
                        + __atomic_fetch_add(used, size, __ATOMIC_RELAXED);
    slip_t slip = {(uint32_t)offset, (uint32_t)size};
    apr_status_t rv;

    if (part < 0 || part >= DP_LANDING_PARTS
        || !fits(landing->place_bytes, offset, size)) {
        return APR_ENOSPC;
    }
    rv = write_at(landing->fd, half + (apr_off_t)offset, bytes, size);
    if (rv == APR_SUCCESS) {
        rv = write_at(landing->fd, half + part * (apr_off_t)sizeof(slip),
                      (const char *)&slip, sizeof(slip));
    }
    return rv;
}

apr_status_t dp_landing_find_part(const dp_landing_t *landing, uint32_t place,
                                  int part, apr_size_t *offset,
                                  apr_size_t *size)
{
    apr_size_t half = (apr_size_t)landing->place_bytes;
    slip_t slip;
    apr_status_t rv;

    if (part < 0 || part >= DP_LANDING_PARTS) {
        return APR_EINVAL;
    }
    rv = dp_landing_read(landing, place, half + (apr_size_t)part * sizeof(slip),
                         &slip, sizeof(slip));
    if (rv == APR_SUCCESS) {
        *offset = half + slip.offset;
        *size = slip.size;
    }
    return rv;
}

apr_status_t dp_landing_read(const dp_landing_t *landing, uint32_t place,
                             apr_size_t offset, void *bytes, apr_size_t size)
{
    apr_off_t at = start_of(landing, place) + (apr_off_t)offset;
    char *to = bytes;

    if (!fits(2 * landing->place_bytes, offset, size)) {
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
                    start_of(landing, place), 2 * landing->place_bytes);
}
