/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the glue: the module, its log calls.
 */
#ifndef DP_HTTPD_PRIV_H
#define DP_HTTPD_PRIV_H

#include <httpd.h>

#include <http_config.h>
#include <http_log.h>

#include "dogpile_types.h"

/* The one symbol that mod_dogpile.so exports. */
extern module AP_MODULE_DECLARE_DATA dogpile_module
    __attribute__((visibility("default")));

APLOG_USE_MODULE(dogpile);

/* Memory that is lent to whoever answers a request. */
typedef struct dp_scratch_t {
    char *at; /* what is left of it */
    apr_size_t left;
} dp_scratch_t;

/* What the module keeps of a connection, as its module config. */
typedef struct dp_conn_t {
    struct dp_internal_t *internal; /* of the module's own, else NULL */
    struct dp_parking_t *parking;   /* of a client's, where it may park */
} dp_conn_t;

/* What the module keeps of a request, as its module config. */
typedef struct dp_req_t {
    struct dp_known_t *known; /* of a client's that can be answered (known.c) */
    int has_passed_through;   /* it was left to httpd (pass.c) */
    request_rec *previous;    /* of the module's own (internal_hooks.c) */
} dp_req_t;

/* NULL where nothing is kept yet. */
static inline dp_req_t *dp_req_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &dogpile_module);
}

static inline dp_req_t *dp_req_make(request_rec *r)
{
    dp_req_t *req = dp_req_of(r);

    if (req == NULL) {
        req = apr_pcalloc(r->pool, sizeof(*req));
        ap_set_module_config(r->request_config, &dogpile_module, req);
    }
    return req;
}

/* Log with a message number of docs/MESSAGES.md. */
#define dp_slog(s, level, rv, id, ...)                                         \
    dp_slog_(APLOG_MARK, level, rv, s, id, __VA_ARGS__)
#define dp_rlog(r, level, rv, id, ...)                                         \
    dp_rlog_(APLOG_MARK, level, rv, r, id, __VA_ARGS__)

void dp_slog_(const char *file, int line, int module_index, int level,
              apr_status_t rv, const server_rec *s, int id, const char *format,
              ...) __attribute__((format(printf, 8, 9)));
void dp_rlog_(const char *file, int line, int module_index, int level,
              apr_status_t rv, const request_rec *r, int id, const char *format,
              ...) __attribute__((format(printf, 8, 9)));

/* The error log of the server, for the rooms that know no httpd. */
const dogpile_log_t *dp_log_of(const server_rec *s, apr_pool_t *pool);

#endif
