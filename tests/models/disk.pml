/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker: look, judge and write in one short section under flock, on a
 * file that anybody may unlink at any time.
 *
 * CONTENDERS try for one lock, with TOKENS acquisitions in all. A lease may end
 * at any instruction (ENDINGS times: its holder died, hangs, or is cut off).
 * The bucket file may be unlinked (UNLINKS times), which forgets its records. A
 * process may die while it writes (TEARS times), which frees its flock and
 * leaves a torn file, and with it nobody knows who held what.
 *
 * What is claimed: two leases that run are never held at once, a lease is taken
 * over once, and a release frees nothing but its own. Whoever's record is in a
 * file that was unlinked or torn has lost its lease; but that is no excuse for
 * writing into a file that was unlinked before the section began.
 *
 * How it can be broken: NO_FLOCK (the steps of two may mix), NO_CHECK (the
 * locked file may not be the one at the path any more), NO_MERCY (a release
 * doesn't look whose record is there).
 */
#ifndef CONTENDERS
#define CONTENDERS 3
#endif
#ifndef TOKENS
#define TOKENS 4
#endif
#ifndef ENDINGS
#define ENDINGS 2
#endif
#ifndef UNLINKS
#define UNLINKS 1
#endif
#ifndef TEARS
#define TEARS 1
#endif
#define FILES (UNLINKS + 1)
#define TORN (TOKENS + 1)

byte path = 1;           /* the file at the path */
byte record[FILES + 1];  /* by file: the token there, 0 none */
byte locked[FILES + 1];  /* by file: who has the flock */
bool excused[FILES + 1]; /* unlinked within somebody's section */

byte tokens;
bool over[TOKENS + 2]; /* the lease isn't renewed any more */
bool held[TOKENS + 2]; /* and until then its holder counts on it */
bool taken[TOKENS + 2];
byte holders, endings, unlinks, tears;

inline lose(t)
{
    holders = holders - held[t];
    held[t] = false
}

/* Open and lock: goes on to `failed` where it can't have the section. */
inline enter()
{
    file = path;
#ifndef NO_FLOCK
    atomic { locked[file] == 0 -> locked[file] = c };
#endif
#ifndef NO_CHECK
    atomic { if
        :: file != path ->
            leave();
            goto failed
        :: else
        fi };
#endif
    found = record[file]
}

inline leave()
{
    locked[file] = (locked[file] == c -> 0 : locked[file])
}

proctype Contender(byte c)
{
    byte me, file, found;

    do
    :: atomic { tokens < TOKENS -> tokens++; me = tokens };
        enter();
        if
        :: found == TORN -> /* set aside: this time nobody has it */
            record[file] = 0;
            atomic { leave(); goto failed }
        :: found != TORN && found != 0 && !over[found] ->
            atomic { leave(); goto failed }
        :: else
        fi;
        atomic { assert(found == 0 || !taken[found]);
            taken[found] = found != 0;
            record[file] = me;
            printf("%d takes the lock, token %d\n", c, me);
            if
            :: !over[me] && !excused[file] ->
                held[me] = true;
                holders++;
                assert(holders <= 1)
            :: else
            fi };
        atomic { leave(); file = 0; found = 0 };

        /* Work, then give back, perhaps long after the lease. */
        atomic { lose(me); over[me] = true };
        enter();
        atomic { if
#ifdef NO_MERCY
            :: true ->
#else
            :: found == me ->
#endif
                assert(record[file] == me || !held[record[file]]);
                record[file] = 0
            :: else
            fi;
            leave() };
failed:
        atomic { me = 0; file = 0; found = 0 }
    od
}

init
{
    byte i;

    atomic {
        for (i : 1 .. CONTENDERS) {
            run Contender(i)
        }
        i = 0
    }
    do
    :: atomic { endings < ENDINGS ->
            select(i : 1 .. TOKENS);
            if
            :: i <= tokens && !over[i] ->
                printf("the lease of token %d ends\n", i);
                over[i] = true;
                lose(i);
                endings++
            :: else
            fi;
            i = 0 }
    :: atomic { unlinks < UNLINKS ->
            printf("the file is unlinked\n");
            lose(record[path]);
            excused[path] = locked[path] != 0;
            unlinks++;
            path++ }
    :: atomic { tears < TEARS && locked[path] == 0 ->
            printf("somebody dies while writing\n");
            lose(record[path]);
            record[path] = TORN;
            tears++ }
    od
}
