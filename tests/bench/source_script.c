/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script of tests/bench/source.c: which answer goes with which request.
 *
 * Pure functions of the script, the album and a request line; when an answer
 * is due, and whether a connection lasts that long, is the source's business.
 * Answers that aren't pictures say nothing about caching, as those of map
 * servers don't.
 */
#include "source_script.h"

#include <stdio.h>
#include <string.h>

static const char exception[] =
    "<?xml version=\"1.0\"?>\n<ServiceExceptionReport version=\"1.1.1\">"
    "<ServiceException>out of memory</ServiceException>"
    "</ServiceExceptionReport>\n";

static const char *const faults[] = {
    [FAULT_NONE] = "fault=none",         [FAULT_EXCEPTION] = "fault=exception",
    [FAULT_REDIRECT] = "fault=redirect", [FAULT_CUT] = "fault=cut",
    [FAULT_FLEETING] = "fault=fleeting",
};

void script_set(script_t *script, const char *request)
{
    int delay = query_number(request, "delay=");
    int status = query_number(request, "status=");
    int hold = query_number(request, "hold=");

    script->delay_ms = delay >= 0 ? delay : script->delay_ms;
    script->status = status >= 0 ? status : script->status;
    script->is_held = hold >= 0 ? hold : script->is_held;
    for (int i = 0; i <= FAULT_FLEETING; i++) {
        if (strstr(request, faults[i])) {
            script->fault = (fault_e)i;
        }
    }
}

void answer_make(answer_t *answer, int status, const char *more,
                 const char *body, size_t size)
{
    answer->head_size = (size_t)snprintf(answer->head, sizeof(answer->head),
                                         "HTTP/1.1 %d Said\r\n%s"
                                         "Content-Length: %zu\r\n\r\n",
                                         status, more, size);
    answer->body = body;
    answer->body_size = size;
    answer->ends = 0;
}

static void show(const picture_t *picture, const char *request,
                 answer_t *answer)
{
    int is_short = !strncmp(request, "GET /short", 10);

    answer_make(answer, 200,
                is_short ? "Content-Type: image/png\r\n"
                           "Cache-Control: max-age=1\r\n"
                         : "Content-Type: image/png\r\n"
                           "Cache-Control: max-age=3600\r\n",
                picture->bytes, picture->size);
}

void script_answer(const script_t *script, const album_t *album,
                   const char *request, answer_t *answer)
{
    const picture_t *picture = album_find(album, request);

    if (!picture || script->status != 200) {
        answer_make(answer, picture ? script->status : 404,
                    "Content-Type: text/plain\r\n", "broken\n", 7);
    }
    else if (script->fault == FAULT_EXCEPTION) {
        answer_make(answer, 200, "Content-Type: application/vnd.ogc.se_xml\r\n",
                    exception, sizeof(exception) - 1);
    }
    else if (script->fault == FAULT_REDIRECT) {
        answer_make(answer, 302, "Location: /elsewhere\r\n", "", 0);
    }
    else {
        show(picture, request, answer);
    }
    if (script->fault == FAULT_CUT) {
        answer->body_size /= 2;
        answer->ends = 1;
    }
}
