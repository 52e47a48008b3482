/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that read directives.
 *
 * Each file has one subject and its own table of directives; httpd gets them
 * as one (commands.c). Setters return NULL or a message that names the
 * directive, what was wrong, and what is allowed.
 */
#ifndef DP_HTTPD_COMMANDS_H
#define DP_HTTPD_COMMANDS_H

#include "httpd/config.h"

/* "DogpileX: 'value' is wrong; allowed: what". */
const char *dp_refuse(const cmd_parms *cmd, const char *value,
                      const char *allowed);

/* The same of a type of locker or store: which there are, and what may have
 * to be loaded. */
const char *dp_no_such_type(const cmd_parms *cmd, const char *type,
                            const char *group, const char *version,
                            const char *module_prefix);

dp_where_t dp_where_of(const cmd_parms *cmd);

/* Read a value or return the refusal. */
const char *dp_read_time(const cmd_parms *cmd, const char *value,
                         apr_interval_time_t *usec);
const char *dp_read_int(const cmd_parms *cmd, const char *value, int min,
                        int max, int *number);

/* Open a section, whose opening line had `args`: the words up to '>' in
 * `words`, between min and max of them. Inside there must be nothing but
 * directives that begin with `prefix`, and sections of the name `nested` (or
 * NULL): httpd would let others hold for the whole server. */
const char *dp_section_words(cmd_parms *cmd, const char *args, int min, int max,
                             const char *allowed, const char *prefix,
                             const char *nested, apr_array_header_t **words);

/* dp_cmds_grid.c and dp_cmds_locker.c */
const char *dp_cmd_grid_section(cmd_parms *cmd, void *dir, const char *args);
const char *dp_cmd_grid_crs(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[]);
const char *dp_cmd_grid_extent(cmd_parms *cmd, void *dir, int argc,
                               char *const argv[]);
const char *dp_cmd_grid_resolutions(cmd_parms *cmd, void *dir, int argc,
                                    char *const argv[]);
const char *dp_cmd_grid_origin(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_grid_tile_size(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_grid_axis(cmd_parms *cmd, void *dir, const char *value);

const char *dp_cmd_locker_section(cmd_parms *cmd, void *dir, const char *args);
const char *dp_cmd_locker_file(cmd_parms *cmd, void *dir, const char *path,
                               const char *name);
const char *dp_cmd_lock_timeout(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_lock_retry(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_lock_directory(cmd_parms *cmd, void *dir, const char *path,
                                  const char *group);
const char *dp_cmd_lock_socket_timeout(cmd_parms *cmd, void *dir,
                                       const char *value);
const char *dp_cmd_lock_server(cmd_parms *cmd, void *dir, const char *server);
const char *dp_cmd_lock_secret_file(cmd_parms *cmd, void *dir,
                                    const char *path);
const char *dp_cmd_fail_open(cmd_parms *cmd, void *dir, int on);
const char *dp_cmd_lock_namespace(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_lock_host(cmd_parms *cmd, void *dir, const char *value);

/* commands_source.c: what may differ from location to location. */
const char *dp_cmd_enable(cmd_parms *cmd, void *dir, int on);
const char *dp_cmd_header(cmd_parms *cmd, void *dir, int on);
const char *dp_cmd_source(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_source_name(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_source_lock(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_source_header(cmd_parms *cmd, void *dir, const char *name,
                                 const char *value);
const char *dp_cmd_keep_header(cmd_parms *cmd, void *dir, int argc,
                               char *const argv[]);
const char *dp_cmd_locker(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_store(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_credentials(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_upstream_headers(cmd_parms *cmd, void *dir,
                                    const char *value);
const char *dp_cmd_stale(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_stale_on_error(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_expire(cmd_parms *cmd, void *dir, const char *value,
                          const char *jitter);
const char *dp_cmd_wait_timeout(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_fetch_timeout(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_upstream_limit(cmd_parms *cmd, void *dir, const char *value);

/* commands_failure.c */
const char *dp_cmd_error_expire(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_on_timeout(cmd_parms *cmd, void *dir, int argc,
                              char *const argv[]);

/* commands_request.c: what a request must look like. */
const char *dp_cmd_grids(cmd_parms *cmd, void *dir, int argc,
                         char *const argv[]);
const char *dp_cmd_tile_sizes(cmd_parms *cmd, void *dir, int argc,
                              char *const argv[]);
const char *dp_cmd_metatile(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[]);
const char *dp_cmd_params(cmd_parms *cmd, void *dir, int argc,
                          char *const argv[]);
const char *dp_cmd_ignore_params(cmd_parms *cmd, void *dir, int argc,
                                 char *const argv[]);
const char *dp_cmd_unlisted(cmd_parms *cmd, void *dir, const char *value);
const char *dp_cmd_off_grid(cmd_parms *cmd, void *dir, const char *value);

#endif
