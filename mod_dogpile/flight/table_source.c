/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight table: the places that a source has in this httpd, and the line
 * before them.
 *
 * Called from the fetcher threads that want a place or give one back, and when
 * a child is buried. A place is handed over while the mutex is held, from the
 * flight that gives it back to the first in the line: nobody overtakes, and a
 * child with a hundred flights in the line asks for none of them in vain. The
 * invariant: where there is a line, all places are taken, but for what a child
 * that died didn't hand over; its burial does.
 */
#include "flight/table_priv.h"

int dp_fetching_locked(dp_table_t *table, const uint64_t *source)
{
    const dp_flight_t *all = dp_flights(table);
    int fetching = 0;
    uint32_t i;

    for (i = 0; i < table->nflights; i++) {
        if (all[i].state != DP_FLIGHT_FREE && all[i].is_fetching
            && (source == NULL || all[i].source == *source)) {
            fetching++;
        }
    }
    return fetching;
}

static dp_flight_t *first_in_line_locked(dp_table_t *table, uint64_t source)
{
    dp_flight_t *all = dp_flights(table);
    dp_flight_t *first = NULL;
    uint32_t i;

    for (i = 0; i < table->nflights; i++) {
        if (all[i].state == DP_FLIGHT_AIRBORNE && all[i].line_number != 0
            && all[i].source == source
            && (first == NULL || all[i].line_number < first->line_number)) {
            first = all + i;
        }
    }
    return first;
}

void dp_grant_locked(dp_table_t *table, uint64_t source, unsigned char *wake)
{
    dp_flight_t *first = first_in_line_locked(table, source);

    while (first != NULL && dp_fetching_locked(table, &source) < first->limit) {
        first->is_fetching = 1;
        first->line_number = 0;
        wake[first->leader] = 1;
        first = first_in_line_locked(table, source);
    }
}

/* Whoever comes where there is a line gets into it. */
static void ask_locked(dp_table_t *table, dp_flight_t *flight, int limit)
{
    flight->limit = limit;
    if (dp_fetching_locked(table, &flight->source) < limit
        && first_in_line_locked(table, flight->source) == NULL) {
        flight->is_fetching = 1;
    }
    else {
        flight->line_number = ++table->last_number;
    }
}

int dp_table_begin_fetch(dp_table_t *table, const dp_ticket_t *ticket,
                         int limit)
{
    dp_flight_t *flight;
    int may = 0;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->state == DP_FLIGHT_AIRBORNE) {
        if (!flight->is_fetching && flight->line_number == 0) {
            ask_locked(table, flight, limit);
        }
        may = flight->is_fetching;
    }
    dp_table_unlock(table);
    return may;
}

void dp_table_end_fetch(dp_table_t *table, const dp_ticket_t *ticket,
                        unsigned char *wake)
{
    dp_flight_t *flight;

    dp_table_lock(table);
    flight = dp_flight_of_locked(table, ticket);
    if (flight != NULL && flight->is_fetching) {
        flight->is_fetching = 0;
        dp_grant_locked(table, flight->source, wake);
    }
    dp_table_unlock(table);
}

void dp_table_rivals(dp_table_t *table, unsigned char *slots)
{
    const dp_flight_t *all = dp_flights(table);
    uint32_t i;

    dp_table_lock(table);
    for (i = 0; i < table->nflights; i++) {
        if (all[i].state != DP_FLIGHT_FREE && all[i].leader >= 0
            && (all[i].is_fetching || all[i].line_number != 0)) {
            slots[all[i].leader] = 1;
        }
    }
    dp_table_unlock(table);
}
