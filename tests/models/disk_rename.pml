/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker where flock doesn't work: a bucket is a chain of versions,
 * and whoever changes it renames the name that says which version counts.
 *
 * CONTENDERS try for one lock, with TOKENS acquisitions in all. Every change
 * (take, renew, give back) writes a new version and renames `is-SEEN` to
 * `is-NEW`; the file server does that in one step, and only while SEEN counts.
 * A look may be out of date by a version. A lease may end at any
 * instruction (ENDINGS times: its holder died, hangs, or is cut off). The
 * answer to a rename may get lost (LOSSES times), so that a change that was
 * made looks refused and is begun anew.
 *
 * What is claimed: two leases that run are never held at once, and a running
 * lease is ended by nobody but its holder.
 *
 * How it can be broken: BLIND (a look, then a rename over whatever counts),
 * NO_MERCY (a release doesn't look whose record is there). RENEW: holders renew
 * once, too.
 */
#ifndef CONTENDERS
#define CONTENDERS 3
#endif
#ifndef TOKENS
#define TOKENS 3
#endif
#ifndef ENDINGS
#define ENDINGS 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define VERSIONS (3 * TOKENS + LOSSES + 2)

byte counts;               /* the version that counts */
byte past;                 /* one that counted, for looks out of date */
byte record[VERSIONS + 1]; /* by version: the token there, 0 none */
byte versions, tokens;

bool over[TOKENS + 1]; /* the lease isn't renewed any more */
bool held[TOKENS + 1]; /* and until then its holder counts on it */
byte holders, endings, losses;

inline lose(t)
{
    holders = holders - held[t];
    held[t] = false
}

inline look()
{
    atomic { if
        :: seen = counts
        :: seen = past
        fi;
        found = record[seen] }
}

/* Make a version with this token follow the one that was seen. `done`: it
 * counts, as far as one is told. */
inline change(token)
{
    atomic { versions++;
        new = versions;
        record[new] = token };
    atomic { done = false;
        if
#ifdef BLIND
        :: true ->
#else
        :: counts == seen ->
#endif
            assert(record[counts] == me || !held[record[counts]]);
            past = counts;
            counts = new;
            done = true;
            if
            :: losses < LOSSES ->
                losses++;
                done = false
            :: skip
            fi
        :: else
        fi }
}

proctype Contender(byte c)
{
    byte me, seen, found, new, tries;
    bool done;

    do
    :: atomic { tokens < TOKENS && versions + 3 <= VERSIONS -> tokens++;
            me = tokens };
again:
        look();
        if
        :: found == me -> skip /* done the first time */
        :: found != me && found != 0 && !over[found] -> goto failed
        :: else ->
            change(me);
            if
            :: !done && tries == 0 && versions < VERSIONS ->
                tries++;
                goto again
            :: !done && (tries > 0 || versions >= VERSIONS) -> goto failed
            :: done
            fi
        fi;
        atomic { printf("%d takes the lock, token %d\n", c, me);
            if
            :: !over[me] ->
                held[me] = true;
                holders++;
                assert(holders <= 1)
            :: else
            fi };

        /* Work, renew perhaps, then give back, perhaps after the lease. */
#ifdef RENEW
        look();
        if
        :: found == me && !over[me] && versions < VERSIONS -> change(me)
        :: else
        fi;
#endif
        atomic { lose(me); over[me] = true };
        look();
        if
#ifdef NO_MERCY
        :: versions < VERSIONS -> change(0)
#else
        :: found == me && versions < VERSIONS -> change(0)
#endif
        :: else
        fi;
failed:
        atomic { me = 0; seen = 0; found = 0; new = 0; tries = 0;
            done = false }
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
    od
}
