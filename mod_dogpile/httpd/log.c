/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages into httpd's error log, each with its number: "DP0701: ...".
 *
 * Called from any thread of any process. Levels, LogLevel dogpile:debug,
 * ErrorLogFormat and the rest are httpd's.
 */
#include "httpd/httpd_priv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

void dp_slog_(const char *file, int line, int module_index, int level,
              apr_status_t rv, const server_rec *s, int id, const char *format,
              ...)
{
    char text[DP_LOG_LINE_MAX];
    va_list args;

    if (!APLOG_MODULE_IS_LEVEL(s, module_index, level)) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ap_log_error_(file, line, module_index, level, rv, s, "DP%04d: %s", id,
                  text);
}

void dp_rlog_(const char *file, int line, int module_index, int level,
              apr_status_t rv, const request_rec *r, int id, const char *format,
              ...)
{
    char text[DP_LOG_LINE_MAX];
    va_list args;

    if (!APLOG_R_MODULE_IS_LEVEL(r, module_index, level)) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ap_log_rerror_(file, line, module_index, level, rv, r, "DP%04d: %s", id,
                   text);
}

static void write_line(void *baton, dogpile_log_level_e level, int id,
                       apr_status_t status, const char *text)
{
    const server_rec *s = baton;

    dp_slog(s, (int)level, status, id, "%s", text);
}

const dogpile_log_t *dp_log_of(const server_rec *s, apr_pool_t *pool)
{
    dogpile_log_t *log = apr_palloc(pool, sizeof(*log));

    log->write = write_line;
    log->baton = (void *)s;
    return log;
}
