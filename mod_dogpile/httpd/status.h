/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SetHandler dogpile-status: what the module is doing, for people (HTML) and
 * for programs (?format=json). ?leases=no asks no lock server.
 */
#ifndef DP_HTTPD_STATUS_H
#define DP_HTTPD_STATUS_H

#include "httpd/httpd_priv.h"

#define DP_STATUS_HANDLER "dogpile-status"

int dp_status_is(const request_rec *r);
int dp_status_handler(request_rec *r);

#endif
