/* SPDX-License-Identifier: Apache-2.0 */
#include "flight/outcome.h"

#include <apr_strings.h>
#include <string.h>

void dp_outcome_fail(dp_outcome_t *outcome, int status, int retry_after_sec,
                     const char *why)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->kind = DP_OUTCOME_FAILED;
    outcome->status = status;
    outcome->retry_after_sec = retry_after_sec;
    apr_cpystrn(outcome->why, why, sizeof(outcome->why));
    apr_cpystrn(outcome->fault, why, sizeof(outcome->fault));
}
