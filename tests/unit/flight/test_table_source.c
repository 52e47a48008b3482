/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places that a source has, and the line before them; those who block.
 */
#include "flight/table_three.h"

START_TEST(places_at_a_source_go_to_the_first_in_line)
{
    dp_table_t *table = table_of_three();
    dogpile_digest_t key = key_of(77);
    dp_ticket_t t[4];
    dp_ticket_t elsewhere;
    int i;

    for (i = 0; i < 4; i++) {
        join(table, i % 3, 16 * i, &t[i]);
    }
    dp_table_join(table, 0, &key, 8, &elsewhere);
    ck_assert(dp_table_begin_fetch(table, &t[0], 1));
    ck_assert(!dp_table_begin_fetch(table, &t[2], 1));
    ck_assert(!dp_table_begin_fetch(table, &t[1], 1));
    ck_assert(!dp_table_begin_fetch(table, &t[2], 1)); /* asks again */
    ck_assert(dp_table_begin_fetch(table, &elsewhere, 1));
    dp_table_end_fetch(table, &elsewhere, wake);
    ck_assert_int_eq(woken(), 0);
    dp_table_end_fetch(table, &t[0], wake);
    ck_assert_int_eq(woken(), 4); /* the child of t[2] */
    ck_assert(!dp_table_begin_fetch(table, &t[3], 1));
    ck_assert(!dp_table_begin_fetch(table, &t[1], 1));
    ck_assert(dp_table_begin_fetch(table, &t[2], 1));
    dp_table_end_fetch(table, &t[0], wake); /* it had none any more */
    ck_assert_int_eq(woken(), 0);
    dp_table_end_fetch(table, &t[2], wake);
    ck_assert_int_eq(woken(), 2);
    check_table(table);
}
END_TEST

START_TEST(the_dead_and_those_who_resign_give_their_places_on)
{
    dp_table_t *table = table_of_three();
    dp_table_counts_t counts;
    dp_ticket_t t[4];
    int i;

    for (i = 0; i < 4; i++) {
        join(table, i % 3, 16 * i, &t[i]);
        ck_assert_int_eq(dp_table_begin_fetch(table, &t[i], 1), i == 0);
    }
    dp_table_resign(table, &t[1], wake); /* from the line */
    ck_assert_int_eq(woken(), 2);
    dp_table_bury(table, 0, 100, 1, wake); /* t[0], and t[3] in the line */
    woken();
    ck_assert(dp_table_begin_fetch(table, &t[2], 1));
    dp_table_counts(table, &counts);
    ck_assert_int_eq(counts.fetching, 1);
    check_table(table);
}
END_TEST

START_TEST(what_a_dead_child_forgot_to_give_on_is_made_up_for)
{
    dp_table_t *table = table_of_three();
    dp_ticket_t a;
    dp_ticket_t b;

    join(table, 0, 1, &a);
    join(table, 1, 16, &b);
    dp_table_begin_fetch(table, &a, 1);
    dp_table_begin_fetch(table, &b, 1);
    dp_flights(table)[a.index].is_fetching = 0; /* and died */
    dp_table_bury(table, 0, 100, 1, wake);
    ck_assert(dp_table_begin_fetch(table, &b, 1));
}
END_TEST

START_TEST(blocked_waiters_are_counted_over_all_children)
{
    dp_table_t *table = table_of_three();

    ck_assert(dp_table_block(table, 0, 3));
    ck_assert(dp_table_block(table, 1, 3));
    ck_assert(dp_table_block(table, 1, 3));
    ck_assert(!dp_table_block(table, 2, 3));
    dp_table_unblock(table, 0);
    ck_assert(dp_table_block(table, 2, 3));
    ck_assert(!dp_table_block(table, 2, 3));
    dp_table_bury(table, 1, 101, 1, wake);
    ck_assert(dp_table_block(table, 2, 3));
    ck_assert(dp_table_block(table, 2, 3));
    ck_assert(!dp_table_block(table, 2, 3));
    ck_assert(!dp_table_block(table, 0, 0));
}
END_TEST

UNIT_MAIN("flight/table_source", places_at_a_source_go_to_the_first_in_line,
          the_dead_and_those_who_resign_give_their_places_on,
          what_a_dead_child_forgot_to_give_on_is_made_up_for,
          blocked_waiters_are_counted_over_all_children)
