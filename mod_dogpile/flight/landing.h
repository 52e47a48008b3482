/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The landing area: where a flight lays its record down for the waiters of
 * all children, before and whether or not the store takes it.
 *
 * One anonymous file, made before the children are forked, with a place for
 * each flight of the table. Places are sparse: a place costs memory from the
 * landing until it is cleared. Who may write or read a place when is decided
 * by the table (a leader before it lands, waiters between landing and leaving);
 * nothing here locks.
 *
 * A place has two halves: the record, and before that is complete its parts,
 * one tile each, in the order in which they are ready, with a table of where
 * they are. What was written once isn't written again.
 */
#ifndef DP_FLIGHT_LANDING_H
#define DP_FLIGHT_LANDING_H

#include <apr.h>
#include <apr_errno.h>
#include <stdint.h>

typedef struct dp_landing_t {
    int fd;                /* closed on exec */
    apr_off_t place_bytes; /* a record is never longer, nor are its parts */
} dp_landing_t;

/* Parts that can be laid down before the record; those of a larger metatile
 * come with it. */
#define DP_LANDING_PARTS 64

/* Make the area. APR_SUCCESS or an error of memfd_create(2). */
apr_status_t dp_landing_make(dp_landing_t *landing, apr_size_t place_bytes);

apr_status_t dp_landing_write(const dp_landing_t *landing, uint32_t place,
                              const void *bytes, apr_size_t size);

/* Lay a part down after `used` bytes of parts; adds to that, atomically, so that
 * several threads may lay different parts down. */
apr_status_t dp_landing_write_part(const dp_landing_t *landing, uint32_t place,
                                   int part, apr_size_t *used,
                                   const void *bytes, apr_size_t size);

/* Where a part that was laid down is, for dp_landing_read(). */
apr_status_t dp_landing_find_part(const dp_landing_t *landing, uint32_t place,
                                  int part, apr_size_t *offset,
                                  apr_size_t *size);

/* Read exactly `size` bytes at `offset` of a place, or fail. */
apr_status_t dp_landing_read(const dp_landing_t *landing, uint32_t place,
                             apr_size_t offset, void *bytes, apr_size_t size);

/* Give the memory of a place back. */
void dp_landing_clear(const dp_landing_t *landing, uint32_t place);

#endif
