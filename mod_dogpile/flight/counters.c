/* SPDX-License-Identifier: Apache-2.0 */
#include "flight/counters.h"

static const struct {
    const char *name;
    const char *text;
} counters[DP_COUNTER_COUNT] = {
#define DP_COUNTER_ROW(name, text) {#name, text},
    DP_COUNTERS(DP_COUNTER_ROW)
#undef DP_COUNTER_ROW
};

const char *dp_counter_name(dp_counter_e counter)
{
    return counters[counter].name;
}

const char *dp_counter_text(dp_counter_e counter)
{
    return counters[counter].text;
}
