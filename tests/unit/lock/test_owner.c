/* SPDX-License-Identifier: Apache-2.0 */
#include "lock/owner.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* A child that says who it is and lives until its end of `stop` closes. */
typedef struct child_t {
    pid_t pid;
    int stop;
    apr_int64_t start;
} child_t;

static child_t start_child(const char *name)
{
    child_t child;
    dp_owner_t self;
    int told[2];
    int stop[2];
    char byte;

    ck_assert_int_eq(pipe(told), 0);
    ck_assert_int_eq(pipe(stop), 0);
    child.pid = fork();
    ck_assert_int_ge(child.pid, 0);
    if (child.pid == 0) {
        close(stop[1]);
        prctl(PR_SET_NAME, name);
        dp_owner_self(&self, "here", unit_pool);
        if (write(told[1], &self.start, sizeof(self.start)) > 0) {
            _exit((int)read(stop[0], &byte, 1));
        }
        _exit(1);
    }
    close(stop[0]);
    child.stop = stop[1];
    ck_assert_int_eq(read(told[0], &child.start, sizeof(child.start)),
                     (int)sizeof(child.start));
    close(told[0]);
    close(told[1]);
    return child;
}

static void stop_child(child_t *child)
{
    close(child->stop);
}

static void bury(child_t *child)
{
    ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid);
}

START_TEST(a_process_knows_itself)
{
    dp_owner_t self;

    dp_owner_self(&self, "here", unit_pool);
    ck_assert_str_eq(self.host, "here");
    ck_assert_uint_eq(strlen(self.boot), DP_BOOT_MAX);
    ck_assert_int_eq(self.pid, getpid());
    ck_assert_int_ne(self.pidns, 0);
    ck_assert_int_gt(self.start, 0);
    ck_assert(!dp_owner_is_dead(&self, &self));
}
END_TEST

START_TEST(life_and_death_of_a_child)
{
    /* A name that would end the second field of proc(5) too early. */
    child_t child = start_child("a) Z 1 (b");
    dp_owner_t self;
    dp_owner_t other;
    siginfo_t info;

    dp_owner_self(&self, "here", unit_pool);
    other = self;
    other.pid = child.pid;
    other.start = child.start;
    ck_assert(!dp_owner_is_dead(&self, &other));
    stop_child(&child);
    /* Dead, but not yet collected. */
    ck_assert_int_eq(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT),
                     0);
    ck_assert(dp_owner_is_dead(&self, &other));
    bury(&child);
    ck_assert(dp_owner_is_dead(&self, &other));
}
END_TEST

START_TEST(a_pid_used_again_is_another_process)
{
    child_t child = start_child("again");
    dp_owner_t self;
    dp_owner_t other;

    dp_owner_self(&self, "here", unit_pool);
    other = self;
    other.pid = child.pid;
    other.start = child.start - 1;
    ck_assert(dp_owner_is_dead(&self, &other));
    other.pid = self.pid;
    other.start = self.start - 1;
    ck_assert(dp_owner_is_dead(&self, &other));
    stop_child(&child);
    bury(&child);
}
END_TEST

START_TEST(nothing_is_said_of_strangers)
{
    child_t child = start_child("gone");
    dp_owner_t self;
    dp_owner_t dead;
    dp_owner_t other;

    stop_child(&child);
    bury(&child);
    dp_owner_self(&self, "here", unit_pool);
    dead = self;
    dead.pid = child.pid;
    dead.start = child.start;
    ck_assert(dp_owner_is_dead(&self, &dead));

    other = dead;
    other.host = "there";
    ck_assert(!dp_owner_is_dead(&self, &other));
    other = dead;
    other.boot = "fedcba98-89ab-cdef-0123-456789abcdef";
    ck_assert(!dp_owner_is_dead(&self, &other));
    other = dead;
    other.pidns++;
    ck_assert(!dp_owner_is_dead(&self, &other));
    other = dead;
    other.pid = 0;
    ck_assert(!dp_owner_is_dead(&self, &other));
    self.boot = dead.boot = "-";
    ck_assert(!dp_owner_is_dead(&self, &dead));
    dp_owner_self(&self, "here", unit_pool);
    dead.boot = self.boot;
    self.pidns = dead.pidns = 0;
    ck_assert(!dp_owner_is_dead(&self, &dead));
}
END_TEST

UNIT_MAIN("lock/owner", a_process_knows_itself, life_and_death_of_a_child,
          a_pid_used_again_is_another_process, nothing_is_said_of_strangers)
