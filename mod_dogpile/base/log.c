/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void dp_log(const dogpile_log_t *log, dogpile_log_level_e level, int id,
            apr_status_t status, const char *format, ...)
{
    char line[DP_LOG_LINE_MAX];
    va_list args;
    char *c;

    if (log == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    log->write(log->baton, level, id, status, line);
}
