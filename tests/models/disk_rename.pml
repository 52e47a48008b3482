/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk locker where flock doesn't work: a bucket is a chain of versions,
 * and whoever changes it renames the name that says which version counts.
 *
 * CONTENDERS try for one lock, with TOKENS acquisitions in all. Every change
 * (take, renew, give back) writes a new version and renames `is-SEEN` to
 * `is-NEW`; the file server does that in one step, and only while SEEN counts.
 * A look may be out of date: it shows any version that has ever counted, and
 * shows it damaged BLURS times although it is not. A lease may end at any
 * instruction (ENDINGS times: its holder died, hangs, or is cut off). The
 * answer to a rename may get lost (LOSSES times), so that a change that was
 * made looks refused and is begun anew.
 *
 * What is claimed: two leases that run are never held at once; a running lease
 * is ended by nobody but its holder; a version that counts, or ever will, isn't
 * removed; and whoever is told that he has nothing to give back hasn't.
 *
 * How it can be broken: BLIND (a look, then a rename over whatever counts),
 * NO_MERCY (a release doesn't look whose record is there), HASTY (what looks
 * damaged is begun anew at once, not when its lease must be over), CREDULOUS
 * (a look that doesn't show the lease is believed), SORE_LOSER (whose rename
 * looks late removes his version). RENEW: holders renew once, too.
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
#ifndef BLURS
#define BLURS 1
#endif
#define VERSIONS (3 * TOKENS + LOSSES + 2)

byte counts;               /* the version that counts */
bool counted[VERSIONS + 1]; /* it does, or did */
byte removed;              /* of the versions up to this one, all that were
                              no more needed */
byte record[VERSIONS + 1]; /* by version: the token there, 0 none */
byte versions, tokens;

bool over[TOKENS + 1]; /* the lease isn't renewed any more */
bool held[TOKENS + 1]; /* and until then its holder counts on it */
byte holders, endings, losses, blurs;

inline lose(t)
{
    holders = holders - held[t];
    held[t] = false
}

inline choose(version)
{
    select(version : 0 .. versions);
    version = (counted[version] -> version : counts)
}

/* `known`: the versions that may be there, and so be removed. */
inline look()
{
    atomic { choose(seen);
        known = versions;
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
            assert(record[counts] == me || record[counts] == token ||
                !held[record[counts]]);
            assert(new > removed);
            counts = new;
            counted[new] = true;
            done = true;
            if
            :: losses < LOSSES ->
                losses++;
                done = false
            :: skip
            fi
        :: else
        fi };
    atomic { if
        :: done ->
            removed = (known > removed -> known : removed);
            assert(counts > removed)
        :: else ->
#ifdef SORE_LOSER
            choose(third);
            assert(third == seen || third == new || counts != new);
            third = 0
#endif
            skip
        fi }
}

/* What was seen looks damaged: begin anew, for the next call. */
inline mend()
{
    if
#ifdef HASTY
    :: versions < VERSIONS -> change(0)
#else
    :: versions < VERSIONS && (found == 0 || over[found]) -> change(0)
#endif
    :: else
    fi
}

proctype Contender(byte c)
{
    byte me, seen, found, new, tries, known;
#ifdef SORE_LOSER
    byte third;
#endif
    bool done;

    do
    :: atomic { tokens < TOKENS && versions + 3 <= VERSIONS -> tokens++;
            me = tokens };
again:
        look();
        if
        :: blurs < BLURS ->
            blurs++;
            mend();
            goto failed
        :: skip
        fi;
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
#ifdef CREDULOUS
        :: found != me -> done = true
#else
        :: found != me && versions < VERSIONS -> change(found)
#endif
#endif
        :: else -> done = false
        fi;
        atomic { assert(!done || record[counts] != me) };
failed:
        atomic { me = 0; seen = 0; found = 0; new = 0; tries = 0; known = 0;
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
