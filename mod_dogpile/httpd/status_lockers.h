/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the status page about lockers.
 */
#ifndef DP_HTTPD_STATUS_LOCKERS_H
#define DP_HTTPD_STATUS_LOCKERS_H

#include "httpd/config.h"
#include "httpd/status_form.h"

/* Leases shown of one locker: more is nothing to look at. */
#define DP_STATUS_LEASES_MAX 100

/* One locker, its members, and, with `wants_leases`, who holds what, which
 * asks lock servers. */
void dp_status_put_locker(dp_page_t *page, const dp_locker_def_t *def,
                          int wants_leases);

#endif
