/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content handler of tile requests.
 */
#ifndef DP_HTTPD_HANDLER_H
#define DP_HTTPD_HANDLER_H

#include "httpd/httpd_priv.h"

int dp_handler(request_rec *r);

#endif
