/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for why a request isn't served as a tile. They are part of the
 * user's interface: counters of the status page and details of Cache-Status
 * carry them, so they are never changed, only added to.
 *
 * Called from any thread. Every reason has a word; so has a number that is
 * none, since counters are read from shared memory.
 */
#include "request/request.h"

const char *dp_reason_name(dp_reason_e reason)
{
    static const char *const names[DP_REASON_COUNT] = {
        [DP_REASON_NONE] = "none",
        [DP_REASON_METHOD] = "method",
        [DP_REASON_AUTHORIZATION] = "authorization",
        [DP_REASON_REQUEST] = "request",
        [DP_REASON_PARAM] = "param",
        [DP_REASON_DUPLICATE] = "duplicate",
        [DP_REASON_CRS] = "crs",
        [DP_REASON_FORMAT] = "format",
        [DP_REASON_SIZE] = "size",
        [DP_REASON_OFF_GRID] = "off-grid",
        [DP_REASON_MALFORMED] = "malformed",
        [DP_REASON_UNSHAREABLE] = "unshareable",
    };

    return (unsigned)reason < DP_REASON_COUNT ? names[reason] : "none";
}
