/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the flight table: a table with three children.
 */
#ifndef DP_TESTS_FLIGHT_TABLE_THREE_H
#define DP_TESTS_FLIGHT_TABLE_THREE_H

#include "flight/table_help.h"

#define NSLOTS 3
#define NFLIGHTS 8

static unsigned char wake[NSLOTS];

/* A table with children 100, 101, 102 in slots 0, 1, 2. */
static inline dp_table_t *table_of_three(void)
{
    dp_table_t *table = table_make(NSLOTS, NFLIGHTS);
    int i;

    for (i = 0; i < NSLOTS; i++) {
        ck_assert_int_eq(dp_table_claim(table, 100 + i, 1), i);
    }
    memset(wake, 0, sizeof(wake));
    return table;
}

static inline int woken(void)
{
    int mask = wake[0] | wake[1] << 1 | wake[2] << 2;

    memset(wake, 0, sizeof(wake));
    return mask;
}

#endif
