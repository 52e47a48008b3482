/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this the picture that was asked for? Nothing that fails here is stored or
 * shared. A WMS reports errors with HTTP 200 and an XML text (OGC 01-068r3,
 * 6.7), proxies cut bodies, and misconfigured sites answer with a page, so the
 * bytes decide, not the headers. Called on fetcher threads.
 */
#include "httpd/fetch.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>

/* How much of a service exception goes to the log. */
#define EXCERPT_BYTES 240

void dp_picture_size(const dp_task_t *task, int *width, int *height)
{
    if (task->verdict == DP_VERDICT_TILE) {
        *width = task->request.metatile.width_px;
        *height = task->request.metatile.height_px;
    }
    else {
        *width = task->request.width_px;
        *height = task->request.height_px;
    }
}

/* The beginning of a text without its tags and line ends. */
static const char *excerpt(const char *body, apr_size_t size, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, EXCERPT_BYTES + 1);
    apr_size_t n = 0;
    apr_size_t i;
    int in_tag = 0;

    for (i = 0; i < size && n < EXCERPT_BYTES; i++) {
        char c = body[i];

        if (c == '<' || c == '>') {
            in_tag = c == '<';
            c = ' ';
        }
        if (in_tag || (apr_isspace(c) && (n == 0 || text[n - 1] == ' '))) {
            continue;
        }
        text[n++] = apr_isprint(c) ? c : apr_isspace(c) ? ' ' : '?';
    }
    text[n] = '\0';
    return text;
}

static const char *wrong_status(const dp_answer_t *answer, int *status,
                                apr_pool_t *pool)
{
    const char *location = apr_table_get(answer->headers, "Location");

    *status = answer->status == HTTP_GATEWAY_TIME_OUT ? HTTP_GATEWAY_TIME_OUT
                                                      : HTTP_BAD_GATEWAY;
    if (answer->status == 0) {
        return "it gave no answer";
    }
    if (answer->status == HTTP_NOT_MODIFIED) {
        return "it answered HTTP status 304 to a request without a condition";
    }
    if (ap_is_HTTP_REDIRECT(answer->status)) {
        return apr_psprintf(pool, "it redirects (%d) to %.200s", answer->status,
                            location ? location : "nowhere");
    }
    return apr_psprintf(pool, "it answered HTTP status %d", answer->status);
}

static const char *wrong_length(const dp_answer_t *answer, apr_pool_t *pool)
{
    const char *length = apr_table_get(answer->headers, "Content-Length");
    apr_off_t announced;

    if (answer->is_too_long) {
        return "its answer is longer than such a picture can be";
    }
    if (!answer->is_complete) {
        return "its answer was cut off";
    }
    if (length && ap_parse_strict_length(&announced, length)
        && announced != (apr_off_t)answer->size) {
        return apr_psprintf(pool,
                            "its answer was cut off after %" APR_SIZE_T_FMT
                            " of %" APR_OFF_T_FMT " bytes",
                            answer->size, announced);
    }
    return NULL;
}

/* Media types without their parameters: MapServer answers "image/png;
 * mode=8bit". */
static int is_same_type(const char *one, const char *other)
{
    apr_size_t size = strcspn(one, "; ");

    return size == strcspn(other, "; ")
           && ap_cstr_casecmpn(one, other, size) == 0;
}

static int looks_like_xml(const dp_answer_t *answer)
{
    apr_size_t i = 0;

    while (i < answer->size && apr_isspace(answer->body[i])) {
        i++;
    }
    return i < answer->size && answer->body[i] == '<';
}

static const char *wrong_kind(const dp_answer_t *answer, const char *format,
                              const dp_image_info_t *info, apr_pool_t *pool)
{
    dp_image_kind_e asked = dp_image_kind_of(format);
    const char *type = answer->media_type ? answer->media_type : "no type";

    if (info->kind == asked && asked != DP_IMAGE_UNKNOWN) {
        return NULL;
    }
    if (looks_like_xml(answer)) {
        return apr_psprintf(pool, "it answered a service exception: %s",
                            excerpt(answer->body, answer->size, pool));
    }
    if (asked == DP_IMAGE_UNKNOWN && info->kind == DP_IMAGE_UNKNOWN
        && answer->size > 0 && is_same_type(type, format)) {
        return NULL;
    }
    return apr_psprintf(pool, "it answered %.100s instead of %.100s", type,
                        format);
}

static const char *wrong_picture(const dp_image_info_t *info,
                                 const dp_task_t *task, apr_pool_t *pool)
{
    int width;
    int height;

    if (info->kind == DP_IMAGE_UNKNOWN) {
        return NULL; /* a format whose header we can't read */
    }
    dp_picture_size(task, &width, &height);
    if (info->width != width || info->height != height) {
        return apr_psprintf(pool, "its picture is %dx%d instead of %dx%d",
                            info->width, info->height, width, height);
    }
    return info->is_complete ? NULL : "its picture has no end";
}

const char *dp_validate(const dp_answer_t *answer, const dp_task_t *task,
                        dp_image_kind_e *kind, int *status, apr_pool_t *pool)
{
    dp_image_info_t info;
    const char *wrong;

    if (answer->status != HTTP_OK) {
        return wrong_status(answer, status, pool);
    }
    *status = HTTP_BAD_GATEWAY;
    wrong = wrong_length(answer, pool);
    if (wrong) {
        return wrong;
    }
    dp_image_inspect(&info, answer->body, answer->size);
    wrong = wrong_kind(answer, task->request.format, &info, pool);
    if (wrong == NULL) {
        wrong = wrong_picture(&info, task, pool);
    }
    *kind = info.kind;
    return wrong;
}
