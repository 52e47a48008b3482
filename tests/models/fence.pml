/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's own guard: no older picture over a newer one, whatever becomes of
 * the lock.
 *
 * WRITERS take one lock LOCKS times, look in the store, fetch, compare and
 * rename. The lease may end under them at any time, and the lock server may
 * forget everything FLUSHES times. EVICT: the store may drop the metatile.
 * Which of two pictures is older is decided by when their fetches began.
 *
 * What is claimed: nobody replaces what is newer, and nobody is refused unless
 * something was written since it looked.
 *
 * How it can be broken: COUNTER (write what has the higher number, from the
 * lock server), NUMBER (compare a number that is one more each time, which
 * comes again after an eviction), NO_GUARD (nothing around comparing and
 * renaming).
 */
#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef LOCKS
#define LOCKS 4
#endif
#ifndef FLUSHES
#define FLUSHES 2
#endif

byte owner;   /* of the lock, or 0 */
byte counter; /* in the lock server */
byte locks;
byte flushes;

byte stored; /* the write id of what is there, 0: nothing */
byte last;   /* write id given: a random number never comes twice */
bool shut;   /* the short exclusion around comparing and renaming */

byte begun;  /* fetches */
byte newest; /* the fetch whose picture is there */

#ifdef COUNTER
#define ACCEPTED (id > stored)
#else
#define ACCEPTED (stored == seen)
#endif

proctype Writer(byte w)
{
    byte ticket, seen, id, order;
    bool is_accepted;

    do
    :: atomic { owner == 0 && locks < LOCKS ->
            owner = w;
            locks++;
            counter++;
            ticket = counter };
        atomic { seen = stored;
            last++;
#if defined(COUNTER)
            id = ticket;
#elif defined(NUMBER)
            id = seen + 1;
#else
            id = last;
#endif
            begun++;
            order = begun;
            printf("writer %d saw %d, begins fetch %d\n", w, seen, order) };
        /* The fetch takes its time. */
        atomic { !shut ->
#ifndef NO_GUARD
            shut = true;
#endif
            is_accepted = ACCEPTED;
            assert(is_accepted || stored != seen) };
        atomic { if
            :: is_accepted ->
                printf("writer %d puts fetch %d over %d\n", w, order, newest);
                assert(stored == 0 || order > newest);
                stored = id;
                newest = order
            :: else
            fi;
            shut = false };
        atomic { owner = (owner == w -> 0 : owner);
            ticket = 0;
            seen = 0;
            id = 0;
            order = 0;
            is_accepted = false }
    od
}

init
{
    byte i;

    atomic {
        for (i : 1 .. WRITERS) {
            run Writer(i)
        }
        i = 0
    }
    do
    :: atomic { owner != 0 ->
            printf("the lease of %d ends\n", owner);
            owner = 0 }
    :: atomic { flushes < FLUSHES ->
            printf("the lock server forgets\n");
            flushes++;
            owner = 0;
            counter = 0 }
#ifdef EVICT
    :: atomic { stored != 0 -> printf("evicted\n"); stored = 0; newest = 0 }
#endif
    od
}
