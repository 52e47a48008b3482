/* SPDX-License-Identifier: Apache-2.0 */
#include "flight/landing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define PLACE_BYTES 8192

static dp_landing_t landing;

static void make(void)
{
    ck_assert_int_eq(dp_landing_make(&landing, PLACE_BYTES), APR_SUCCESS);
}

static long blocks_used(void)
{
    struct stat info;

    ck_assert_int_eq(fstat(landing.fd, &info), 0);
    return (long)info.st_blocks;
}

START_TEST(a_record_is_read_as_it_was_written)
{
    static char record[PLACE_BYTES];
    static char back[PLACE_BYTES];
    char part[3];

    make();
    memset(record, 'x', sizeof(record));
    memcpy(record + 100, "abc", 3);
    ck_assert_int_eq(dp_landing_write(&landing, 2, record, sizeof(record)), 0);
    ck_assert_int_eq(dp_landing_write(&landing, 3, "neighbour", 9), 0);
    ck_assert_int_eq(dp_landing_read(&landing, 2, 0, back, sizeof(back)), 0);
    ck_assert_mem_eq(back, record, sizeof(record));
    ck_assert_int_eq(dp_landing_read(&landing, 2, 100, part, 3), 0);
    ck_assert_mem_eq(part, "abc", 3);
    close(landing.fd);
}
END_TEST

START_TEST(a_record_stays_in_its_place)
{
    static char record[PLACE_BYTES + 1];
    char back[16];

    make();
    ck_assert_int_ne(dp_landing_write(&landing, 0, record, sizeof(record)), 0);
    ck_assert_int_eq(blocks_used(), 0);
    ck_assert_int_eq(dp_landing_write(&landing, 1, record, PLACE_BYTES), 0);
    ck_assert_int_ne(
        dp_landing_read(&landing, 0, 2 * PLACE_BYTES - 8, back, 16), 0);
    ck_assert_int_ne(dp_landing_read(&landing, 0, 0, back, 2 * PLACE_BYTES + 1),
                     0);
    ck_assert_int_ne(dp_landing_read(&landing, 0, (apr_size_t)-8, back, 16), 0);
    ck_assert_int_ne(dp_landing_read(&landing, 0, 8, back, (apr_size_t)-4), 0);
    close(landing.fd);
}
END_TEST

START_TEST(a_cleared_place_costs_nothing_and_its_neighbours_stay)
{
    static char record[PLACE_BYTES];
    char back[4];
    long before;

    make();
    dp_landing_write(&landing, 0, "zero", 4);
    dp_landing_write(&landing, 2, "two.", 4);
    before = blocks_used();
    dp_landing_write(&landing, 1, record, sizeof(record));
    ck_assert_int_gt(blocks_used(), before);
    dp_landing_clear(&landing, 1);
    ck_assert_int_eq(blocks_used(), before);
    dp_landing_read(&landing, 0, 0, back, 4);
    ck_assert_mem_eq(back, "zero", 4);
    dp_landing_read(&landing, 2, 0, back, 4);
    ck_assert_mem_eq(back, "two.", 4);
    close(landing.fd);
}
END_TEST

START_TEST(nothing_lies_where_nobody_landed)
{
    char back[4];

    make();
    ck_assert_int_ne(dp_landing_read(&landing, 5, 0, back, 4), 0);
    ck_assert(fcntl(landing.fd, F_GETFD) & FD_CLOEXEC);
    close(landing.fd);
}
END_TEST

START_TEST(parts_are_found_beside_the_record)
{
    static const char big[PLACE_BYTES];
    apr_size_t used = 0;
    apr_size_t offset;
    apr_size_t size;
    char back[16];

    make();
    ck_assert_int_eq(dp_landing_write_part(&landing, 1, 5, &used, "five", 4),
                     0);
    ck_assert_int_eq(dp_landing_write_part(&landing, 1, 0, &used, "zero!", 5),
                     0);
    ck_assert_int_eq(dp_landing_write(&landing, 1, "the whole", 9), 0);
    ck_assert_int_eq(used, 9);
    ck_assert_int_eq(dp_landing_find_part(&landing, 1, 0, &offset, &size), 0);
    ck_assert_uint_eq(size, 5);
    ck_assert_int_eq(dp_landing_read(&landing, 1, offset, back, size), 0);
    ck_assert_mem_eq(back, "zero!", 5);
    ck_assert_int_eq(dp_landing_find_part(&landing, 1, 5, &offset, &size), 0);
    ck_assert_int_eq(dp_landing_read(&landing, 1, offset, back, size), 0);
    ck_assert_mem_eq(back, "five", 4);
    ck_assert_int_ne(
        dp_landing_write_part(&landing, 1, 1, &used, big, sizeof(big)), 0);
    ck_assert_int_ne(
        dp_landing_write_part(&landing, 1, DP_LANDING_PARTS, &used, "much", 4),
        0);
    ck_assert_int_ne(dp_landing_find_part(&landing, 1, -1, &offset, &size), 0);
    dp_landing_clear(&landing, 1);
    ck_assert_int_eq(blocks_used(), 0);
    close(landing.fd);
}
END_TEST

UNIT_MAIN("flight/landing", a_record_is_read_as_it_was_written,
          a_record_stays_in_its_place,
          a_cleared_place_costs_nothing_and_its_neighbours_stay,
          nothing_lies_where_nobody_landed, parts_are_found_beside_the_record)
