/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats a message for a log sink. Message numbers are listed in
 * docs/MESSAGES.md, hundreds by room, and never used again:
 *
 *    1xx configuration   2xx requests   3xx images     4xx stores
 *    5xx flights         6xx fetches    7xx lockers    8xx start, children
 */
#ifndef DP_BASE_LOG_H
#define DP_BASE_LOG_H

#include "dogpile_types.h"

/* Longer messages are cut. */
#define DP_LOG_LINE_MAX 1024

/* `log` may be NULL: then nothing is said. Control characters of the
 * formatted text are replaced, so no input can forge a line. */
void dp_log(const dogpile_log_t *log, dogpile_log_level_e level, int id,
            apr_status_t status, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
