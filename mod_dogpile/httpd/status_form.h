/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two forms of the status page: one list of what there is to say, written
 * for people (HTML) or for programs (JSON). Whatever bytes a text has, what is
 * written is well-formed UTF-8.
 *
 * Groups may stand in groups. In JSON a group is an object under its name, or
 * in a list under no name; in HTML it is a heading with a table.
 */
#ifndef DP_HTTPD_STATUS_FORM_H
#define DP_HTTPD_STATUS_FORM_H

#include "httpd/httpd_priv.h"

/* Groups in each other: a locker, its members, a member, its members... */
#define DP_PAGE_DEPTH_MAX 16

typedef struct dp_page_t {
    request_rec *r;
    int is_json;
    int is_in_table;              /* of HTML */
    int depth;                    /* groups that are open */
    int rows[DP_PAGE_DEPTH_MAX];  /* in each of them */
    char ends[DP_PAGE_DEPTH_MAX]; /* what closes each of them in JSON */
} dp_page_t;

/* Headers of the answer, and its beginning; and its end. */
void dp_page_begin(dp_page_t *page, request_rec *r, int is_json);
void dp_page_end(dp_page_t *page);

/* For people only: what the next rows are about. */
void dp_page_heading(dp_page_t *page, const char *title);

/* A group; within a list `name` isn't written in JSON. */
void dp_page_group_begin(dp_page_t *page, const char *name, const char *title);
void dp_page_group_end(dp_page_t *page);

/* A list of groups. */
void dp_page_list_begin(dp_page_t *page, const char *name);
void dp_page_list_end(dp_page_t *page);

/* A row. `remark` is for people, or NULL. */
void dp_page_number(dp_page_t *page, const char *label, apr_uint64_t value,
                    const char *remark);
void dp_page_text(dp_page_t *page, const char *label, const char *value,
                  const char *remark);

/* The same as a dogpile_row_fn; `page` is a dp_page_t. */
void dp_page_row(void *page, const char *label, const char *value);

/* Rows of several cells under their columns' names. */
typedef struct dp_page_cell_t {
    const char *column;
    const char *value;
    int is_quoted; /* in JSON; or is it a number, true, false? */
} dp_page_cell_t;

void dp_page_table_begin(dp_page_t *page, const char *name,
                         const dp_page_cell_t *columns, int ncolumns);
void dp_page_record(dp_page_t *page, const dp_page_cell_t *cells, int ncells);
void dp_page_table_end(dp_page_t *page);

#endif
