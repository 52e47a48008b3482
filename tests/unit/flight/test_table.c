/* SPDX-License-Identifier: Apache-2.0 */
#include "flight/table.h"

#include "flight/table_three.h"

static dp_outcome_t record_of(uint32_t length)
{
    dp_outcome_t outcome;

    memset(&outcome, 0, sizeof(outcome));
    outcome.kind = DP_OUTCOME_RECORD;
    outcome.length = length;
    return outcome;
}

START_TEST(the_first_leads_and_others_wait)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t first;
    dp_ticket_t second;
    dp_ticket_t other;

    ck_assert_int_eq(join(table, 0, 1, &first), DP_JOIN_LEADER);
    ck_assert_int_eq(join(table, 1, 1, &second), DP_JOIN_WAITER);
    ck_assert_int_eq(join(table, 1, 2, &other), DP_JOIN_LEADER);
    ck_assert_int_eq(first.index, second.index);
    ck_assert_int_eq(first.generation, second.generation);
    ck_assert_int_ne(first.index, other.index);
    ck_assert_int_eq(dp_table_waiters(table, &first), 2);
    ck_assert_int_eq(dp_table_leader(table, &first), 0);
    ck_assert_int_eq(dp_table_leader(table, &other), 1);
    ck_assert_int_eq(dp_table_look(table, &first, NULL), DP_FLIGHT_AIRBORNE);
    check_table(table);
}
END_TEST

/* For those who would only join to leave at once. */
START_TEST(a_look_by_key_sees_who_is_led)
{
    dp_table_t *table = table_of_three();
    dogpile_digest_t key = key_of(1);
    dogpile_digest_t other = key_of(2);
    dp_outcome_t made = record_of(5);
    dp_ticket_t a;
    dp_ticket_t b;

    ck_assert(!dp_table_is_led(table, &key));
    join(table, 0, 1, &a);
    ck_assert(dp_table_is_led(table, &key));
    ck_assert(!dp_table_is_led(table, &other));
    join(table, 1, 1, &b);
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert(!dp_table_is_led(table, &key)); /* an orphan: adopt it */
    ck_assert(dp_table_adopt(table, 1, &b));
    ck_assert(dp_table_is_led(table, &key));
    ck_assert_int_eq(dp_table_waiters(table, &b), 1);
    ck_assert(dp_table_land(table, &b, &made, wake));
    ck_assert(dp_table_is_led(table, &key)); /* it is being stored */
    dp_table_finish(table, &b);
    ck_assert(!dp_table_is_led(table, &key));
    check_table(table);
}
END_TEST

START_TEST(a_landed_record_stays_until_all_have_left)
{
    dp_table_t *table = table_of_three();
    dp_outcome_t made = record_of(5);
    dp_view_t seen;
    dp_ticket_t a;
    dp_ticket_t b;
    dp_ticket_t late;

    join(table, 0, 1, &a);
    join(table, 1, 1, &b);
    ck_assert(dp_table_land(table, &a, &made, wake));
    ck_assert_int_eq(woken(), 1 | 2);
    ck_assert(!dp_table_land(table, &a, &made, wake));
    ck_assert_int_eq(woken(), 0);
    ck_assert_int_eq(join(table, 2, 1, &late), DP_JOIN_WAITER);
    ck_assert_int_eq(dp_table_look(table, &late, &seen), DP_FLIGHT_LANDED);
    ck_assert_uint_eq(seen.outcome.length, 5);

    ck_assert(!dp_table_finish(table, &a));
    ck_assert_int_eq(join(table, 2, 1, &b), DP_JOIN_LEADER);
    ck_assert(!dp_table_leave(table, 0, &a));
    ck_assert(!dp_table_leave(table, 1, &a));
    check_table(table);
    ck_assert(dp_table_leave(table, 2, &a));
    ck_assert_int_eq(dp_table_look(table, &a, NULL), DP_FLIGHT_FREE);
    check_table(table);
    dp_table_cleared(table, &a);
    ck_assert_int_eq(flights_in(table), 1);
    check_table(table);
}
END_TEST

START_TEST(a_place_is_not_used_before_it_is_clear)
{
    dp_table_t *table = table_of_three();
    dp_outcome_t made = record_of(5);
    dp_ticket_t tickets[NFLIGHTS + 1];
    int i;

    for (i = 0; i < NFLIGHTS; i++) {
        join(table, 0, i, &tickets[i]);
    }
    dp_table_land(table, &tickets[3], &made, wake);
    dp_table_leave(table, 0, &tickets[3]);
    ck_assert(dp_table_finish(table, &tickets[3]));
    ck_assert_int_eq(join(table, 0, 50, &tickets[8]), DP_JOIN_FULL);
    /* Another's death changes nothing; that of who clears it does. */
    dp_table_bury(table, 1, 101, 1, wake);
    ck_assert_int_eq(join(table, 0, 50, &tickets[8]), DP_JOIN_FULL);
    dp_table_cleared(table, &tickets[3]);
    ck_assert_int_eq(join(table, 0, 50, &tickets[8]), DP_JOIN_LEADER);
    ck_assert_int_eq(tickets[8].index, tickets[3].index);
    ck_assert_int_ne(tickets[8].generation, tickets[3].generation);
    ck_assert_int_eq(dp_table_look(table, &tickets[3], NULL), DP_FLIGHT_FREE);
    check_table(table);
}
END_TEST

START_TEST(a_place_whose_clearer_died_is_used_again)
{
    dp_table_t *table = table_of_three();
    dp_outcome_t made = record_of(5);
    dp_ticket_t ticket;

    join(table, 0, 1, &ticket);
    join(table, 1, 1, &ticket);
    dp_table_land(table, &ticket, &made, wake);
    dp_table_finish(table, &ticket);
    dp_table_leave(table, 0, &ticket);
    ck_assert(dp_table_leave(table, 1, &ticket));
    dp_table_bury(table, 0, 100, 1, wake); /* the leader, not the clearer */
    check_table(table);
    ck_assert_int_eq(dp_flights(table)[ticket.index].state, DP_STATE_CLEARING);
    dp_table_bury(table, 1, 101, 1, wake);
    ck_assert_int_eq(dp_flights(table)[ticket.index].state, DP_FLIGHT_FREE);
    check_table(table);
}
END_TEST

START_TEST(a_failed_flight_is_not_found)
{
    dp_table_t *table = table_of_three();
    dp_outcome_t failed;
    dp_view_t seen;
    dp_ticket_t old;
    dp_ticket_t fresh;

    join(table, 0, 1, &old);
    dp_outcome_fail(&failed, 502, 3, "no");
    dp_table_land(table, &old, &failed, wake);
    ck_assert_int_eq(join(table, 1, 1, &fresh), DP_JOIN_LEADER);
    ck_assert_int_eq(dp_table_look(table, &old, &seen), DP_FLIGHT_LANDED);
    ck_assert_int_eq(seen.outcome.status, 502);
    ck_assert_int_eq(seen.outcome.retry_after_sec, 3);
    ck_assert_str_eq(seen.outcome.why, "no");
    ck_assert(!dp_table_leave(table, 0, &old));
    ck_assert(!dp_table_finish(table, &old)); /* no record, nothing to clear */
    ck_assert_int_eq(flights_in(table), 1);
    check_table(table);
}
END_TEST

START_TEST(a_full_table_says_so)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t ticket;
    int i;

    for (i = 0; i < NFLIGHTS; i++) {
        ck_assert_int_eq(join(table, i % 3, i, &ticket), DP_JOIN_LEADER);
    }
    ck_assert_int_eq(join(table, 0, 100, &ticket), DP_JOIN_FULL);
    ck_assert_int_eq(join(table, 0, 5, &ticket), DP_JOIN_WAITER);
    ck_assert_int_eq(flights_in(table), NFLIGHTS);
    check_table(table);
}
END_TEST

START_TEST(a_dead_childs_flights_are_adopted_once)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t ticket;
    dp_ticket_t lonely;

    join(table, 0, 1, &ticket);
    join(table, 0, 2, &lonely);
    join(table, 1, 1, &ticket);
    join(table, 2, 1, &ticket);
    dp_table_bury(table, 0, 100, 99, wake); /* an earlier one of that pid */
    ck_assert_int_eq(woken(), 0);
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert_int_eq(woken(), 2 | 4);
    ck_assert_int_eq(dp_table_look(table, &lonely, NULL), DP_FLIGHT_FREE);
    ck_assert_int_eq(dp_table_look(table, &ticket, NULL), DP_FLIGHT_ORPHAN);
    ck_assert_int_eq(dp_table_waiters(table, &ticket), 2);
    ck_assert_int_eq(dp_table_leader(table, &ticket), -1);
    ck_assert(dp_table_adopt(table, 2, &ticket));
    ck_assert(!dp_table_adopt(table, 1, &ticket));
    ck_assert_int_eq(dp_table_leader(table, &ticket), 2);
    dp_table_bury(table, 0, 100, 1, wake); /* said again */
    ck_assert_int_eq(woken(), 0);
    check_table(table);
}
END_TEST

START_TEST(whoever_joins_an_orphan_adopts_it)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t ticket;

    join(table, 0, 1, &ticket);
    join(table, 1, 1, &ticket);
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert_int_eq(join(table, 2, 1, &ticket), DP_JOIN_ADOPTED);
    ck_assert_int_eq(join(table, 1, 1, &ticket), DP_JOIN_WAITER);
    ck_assert_int_eq(dp_table_waiters(table, &ticket), 3);
    check_table(table);
}
END_TEST

START_TEST(an_orphan_that_nobody_waits_for_is_over)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t ticket;

    join(table, 0, 1, &ticket);
    join(table, 1, 1, &ticket);
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert(!dp_table_leave(table, 1, &ticket));
    ck_assert_int_eq(flights_in(table), 0);
    ck_assert(!dp_table_leave(table, 1, &ticket));
    check_table(table);
}
END_TEST

START_TEST(a_landed_flight_survives_its_leader)
{
    dp_table_t *table = table_of_three();
    dp_outcome_t made = record_of(9);
    dp_view_t seen;
    dp_ticket_t ticket;
    dp_ticket_t next;

    join(table, 0, 1, &ticket);
    join(table, 1, 1, &ticket);
    dp_table_land(table, &ticket, &made, wake);
    woken();
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert_msg(woken() & 2, "it may have died before it woke them");
    ck_assert_int_eq(dp_table_look(table, &ticket, &seen), DP_FLIGHT_LANDED);
    ck_assert_uint_eq(seen.outcome.length, 9);
    check_table(table);
    /* It may not have got as far as the store: the next one looks there. */
    ck_assert_int_eq(join(table, 2, 1, &next), DP_JOIN_LEADER);
    ck_assert(dp_table_leave(table, 1, &ticket));
    dp_table_cleared(table, &ticket);
    ck_assert_int_eq(flights_in(table), 1);
    check_table(table);
}
END_TEST

START_TEST(resigning_leaves_the_flight_to_those_who_wait)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t wanted;
    dp_ticket_t unwanted;

    join(table, 0, 1, &wanted);
    join(table, 2, 1, &wanted);
    dp_table_leave(table, 0, &wanted);
    dp_table_resign(table, &wanted, wake);
    ck_assert_int_eq(woken(), 4);
    ck_assert_int_eq(dp_table_look(table, &wanted, NULL), DP_FLIGHT_ORPHAN);
    join(table, 0, 2, &unwanted);
    dp_table_leave(table, 0, &unwanted);
    dp_table_resign(table, &unwanted, wake);
    ck_assert_int_eq(woken(), 0);
    ck_assert_int_eq(dp_table_look(table, &unwanted, NULL), DP_FLIGHT_FREE);
    check_table(table);
}
END_TEST

START_TEST(slots_are_claimed_found_and_freed)
{
    dp_table_t *table = table_of_three();
    apr_int64_t started;
    apr_int64_t pid;

    ck_assert_int_eq(dp_table_claim(table, 103, 1), -1);
    ck_assert_int_eq(dp_table_find_slot(table, 101), 1);
    ck_assert_int_eq(dp_table_find_slot(table, 55), -1);
    dp_table_bury(table, 1, 101, 1, wake);
    dp_table_slot(table, 1, &pid, &started);
    ck_assert_int_eq(pid, 0);
    ck_assert_int_eq(dp_table_claim(table, 103, 4), 1);
    dp_table_slot(table, 1, &pid, &started);
    ck_assert_int_eq(pid, 103);
    ck_assert_int_eq(started, 4);
    ck_assert(dp_table_is(table, NSLOTS, NFLIGHTS));
    ck_assert(!dp_table_is(table, NSLOTS, NFLIGHTS + 1));
}
END_TEST

START_TEST(parts_come_before_the_whole_and_only_from_the_first_leader)
{
    dp_outcome_t outcome = {.kind = DP_OUTCOME_RECORD, .fetch_ms = 7};
    dp_ticket_t ticket;
    dp_view_t seen;

    dp_table_t *table = table_make(NSLOTS, 4);

    dp_table_claim(table, 100, 1);
    dp_table_claim(table, 101, 1);
    ck_assert_int_eq(join(table, 0, 1, &ticket), DP_JOIN_LEADER);
    ck_assert_int_eq(join(table, 1, 1, &ticket), DP_JOIN_WAITER);
    ck_assert(dp_table_takes_parts(table, &ticket));
    memset(wake, 0, sizeof(wake));
    dp_table_add_part(table, &ticket, 5, &outcome, wake);
    ck_assert(wake[0] && wake[1] && !wake[2]);
    ck_assert_int_eq(dp_table_look(table, &ticket, &seen), DP_FLIGHT_AIRBORNE);
    ck_assert_uint_eq(seen.parts, 1u << 5);
    ck_assert_uint_eq(seen.outcome.fetch_ms, 7);
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert(dp_table_adopt(table, 1, &ticket));
    ck_assert(!dp_table_takes_parts(table, &ticket));
    dp_table_look(table, &ticket, &seen);
    ck_assert_uint_eq(seen.parts, 1u << 5);
}
END_TEST

UNIT_MAIN("flight/table", the_first_leads_and_others_wait,
          a_look_by_key_sees_who_is_led,
          a_landed_record_stays_until_all_have_left,
          a_place_is_not_used_before_it_is_clear,
          a_place_whose_clearer_died_is_used_again,
          a_failed_flight_is_not_found, a_full_table_says_so,
          a_dead_childs_flights_are_adopted_once,
          whoever_joins_an_orphan_adopts_it,
          an_orphan_that_nobody_waits_for_is_over,
          a_landed_flight_survives_its_leader,
          resigning_leaves_the_flight_to_those_who_wait,
          slots_are_claimed_found_and_freed,
          parts_come_before_the_whole_and_only_from_the_first_leader)
