/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fallback: one lock taken from every member of a chain that answers.
 *
 * HOSTS hosts render one metatile under leases of two members. Time is in
 * ticks, a third of a lease each; in each tick a living host renews once and
 * tries the members that it left out. A member that crashes or is flushed
 * forgets everything; a host may be cut off from a member; a host may stop for
 * any time at any instruction.
 *
 * What is claimed (see docs/design/fallback.md):
 *
 *   QUIET   nobody begins to render while another one renders under a lease,
 *           unless a fault began or ended within the last QUIET ticks
 *   SURPLUS renders that begin beside another one are no more than the faults
 *   ALONE   after a single fault there are none
 *   LIVE    no cycle in which nobody renders (build with NP, run pan -l -f)
 *
 * Scope: HOSTS, FAULTS, and which there are: CRASH FLUSH CUT PAUSE. COMMON: one
 * member stays up and in everybody's reach. LASTING: no fault ends.
 *
 * How it can be broken, to see that the claims can fail: NO_TAKE_BACK (a
 * renewal takes nothing that is missing), UPPER_ONLY (one member is enough),
 * POLL (a waiter looks by taking; 3 hosts, 2 cuts), and for LIVE, OPPOSITE (one
 * host asks in the opposite order).
 */
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#define LEASE 3
#define MEMBERS 2
#define DEAD (HOSTS + 1) /* a token that nobody knows any more */

#define AT(h, m) (MEMBERS * (h) + (m))
#define ME (h + 1)
#define REACHES(h, m) (up[m] && !cut[AT(h, m)])
#define HOLDS(h) (rec[0] == h + 1 || rec[1] == h + 1)

#define IDLE 0
#define BUSY 1 /* taking or giving back */
#define REND 2

/* The members: whose record there is, and how long it lasts. */
bool up[MEMBERS] = true;
byte rec[MEMBERS];
byte lasts[MEMBERS];

/* Every host: what it can reach, what it thinks it can reach, and for how long
 * it may still have the lease that a member gave it. */
bool cut[HOSTS * MEMBERS];
bool well[HOSTS * MEMBERS] = true;
byte mine[HOSTS * MEMBERS];
byte phase[HOSTS];
bool paused[HOSTS];
bool due[HOSTS];   /* has a tick's duties to do */
bool tried[HOSTS]; /* has tried to take the lock in this tick */
bool slow[HOSTS];  /* was paused since it began to take the lock */

byte fresh; /* ticks until the stored metatile expires */

/* Nobody in the model knows these. */
byte quiet;   /* ticks until the last fault is forgotten */
byte faults;
byte surplus;
bool counted[HOSTS];

inline took(m)
{
    rec[m] = ME;
    lasts[m] = LEASE;
    mine[AT(h, m)] = LEASE
}

/* Give one member back; what can't be reached keeps its dead record. */
inline give_back(m)
{
    if
    :: rec[m] == ME && well[AT(h, m)] && REACHES(h, m) ->
        rec[m] = 0;
        lasts[m] = 0
    :: rec[m] == ME && !(well[AT(h, m)] && REACHES(h, m)) ->
        rec[m] = DEAD
    :: else
    fi;
    mine[AT(h, m)] = 0
}

/* Host h begins to render: beside whom? */
inline judge()
{
    o = 0;
    clash = false;
    do
    :: o < HOSTS && o != h && phase[o] == REND && HOLDS(o) ->
        clash = true;
        o++
    :: o < HOSTS && o != h && phase[o] == REND && !HOLDS(o) ->
        surplus = (counted[o] -> surplus : surplus + 1);
        counted[o] = true;
        o++
    :: o < HOSTS && (o == h || phase[o] != REND) ->
        o++
    :: o == HOSTS ->
        break
    od;
    surplus = surplus + clash;
    printf("host %d renders, surplus %d, faults %d, quiet %d\n", h, surplus,
           faults, quiet);
#ifdef QUIET
    assert(!clash || quiet > 0);
#endif
#ifdef SURPLUS
    assert(surplus <= faults);
#endif
#ifdef ALONE
    assert(faults > 1 || surplus == 0);
#endif
#ifndef SURPLUS
    surplus = (surplus > 0 -> 1 : 0);
#endif
    o = 0;
    clash = false
}

/* Renew one member. Only its own word or the end of the lease takes it away. */
inline renew(m)
{
    if
    :: phase[h] == REND && mine[AT(h, m)] > 0 && well[AT(h, m)] ->
        if
        :: !REACHES(h, m) ->
            well[AT(h, m)] = false
        :: REACHES(h, m) && rec[m] == ME ->
            lasts[m] = LEASE;
            mine[AT(h, m)] = LEASE
        :: REACHES(h, m) && rec[m] != ME ->
            mine[AT(h, m)] = 0
        fi
    :: else
    fi
}

/* Ask one member for its lease. */
inline ask(m)
{
    if
    :: !REACHES(h, m) ->
        well[AT(h, m)] = false
    :: REACHES(h, m) && rec[m] == 0 ->
        well[AT(h, m)] = true;
        took(m)
    :: REACHES(h, m) && rec[m] != 0 ->
        well[AT(h, m)] = true;
        is_refused = true;
        refuser = m + 1
    fi
}

#ifdef UPPER_ONLY
#define ENOUGH (mine[AT(h, 0)] > 0)
#else
#define ENOUGH false
#endif
#ifdef OPPOSITE
#define NTH(m) (h == 1 -> 1 - m : m)
#else
#define NTH(m) m
#endif
#ifdef NO_TAKE_BACK
#define TAKES_BACK false
#else
#define TAKES_BACK true
#endif
#ifdef POLL
#define STILL_HELD false
#else
#define STILL_HELD                                                             \
    (well[AT(h, refuser - 1)] && REACHES(h, refuser - 1) &&                    \
     rec[refuser - 1] != 0)
#endif
#define GOT (mine[AT(h, 0)] > 0 || mine[AT(h, 1)] > 0)
#define ANY_ANSWER (REACHES(h, 0) || REACHES(h, 1))

proctype Host(byte h)
{
    byte m, o, refuser;
    bool is_refused, is_last, keeps, clash;

    do
    /* Once a tick: try who was left out, renew, take back. */
    :: atomic { due[h] && !paused[h] && phase[h] != BUSY -> m = 0 };
        do
        :: atomic { m < MEMBERS && !paused[h] ->
            well[AT(h, m)] = well[AT(h, m)] || REACHES(h, m);
            renew(m);
            m++ }
        :: atomic { m == MEMBERS && !paused[h] ->
            keeps = phase[h] == REND && GOT && TAKES_BACK;
            m = 0;
            break }
        od;
        do
        :: atomic { m < MEMBERS && !paused[h] ->
            if
            :: keeps && mine[AT(h, m)] == 0 && well[AT(h, m)] -> ask(m)
            :: else
            fi;
            is_refused = false;
            refuser = (phase[h] == REND -> 0 : refuser);
            m++ }
        :: atomic { m == MEMBERS && !paused[h] ->
            keeps = false;
            m = 0;
            due[h] = false;
            break }
        od;
        if
        :: phase[h] == REND ->
progress_render:
            skip
        :: else
        fi

    /* Wait: look, without taking, where it was refused. */
    :: atomic { phase[h] == IDLE && refuser != 0 && !due[h] && !tried[h] &&
                !paused[h] ->
        if
        :: STILL_HELD -> tried[h] = true
        :: else -> refuser = 0
        fi }

    /* Take the lock, once a tick. */
    :: atomic { phase[h] == IDLE && refuser == 0 && !due[h] && !tried[h] &&
                !paused[h] && fresh == 0 ->
        phase[h] = BUSY;
        tried[h] = true;
        slow[h] = false;
        m = 0 };
        do
        :: atomic { m < MEMBERS && !is_refused && !paused[h] ->
            if
            :: (well[AT(h, NTH(m))] || is_last) && !ENOUGH -> ask(NTH(m))
            :: else
            fi;
            m++ }
        :: atomic { m == MEMBERS && !is_refused && !GOT && !is_last &&
                    !paused[h] ->
            is_last = true; /* those left out, once */
            m = 0 }
        :: atomic { (is_refused || (m == MEMBERS && (GOT || is_last))) &&
                    !paused[h] ->
            is_last = false;
            m = 0;
            break }
        od;
        atomic { !paused[h] ->
            if
#ifdef LIVE
            :: !is_refused && !slow[h] && fresh == 0 && (GOT || !ANY_ANSWER) ->
#else
            :: !is_refused && !slow[h] && fresh == 0 && GOT ->
#endif
                phase[h] = REND;
                counted[h] = false;
                judge()
            :: else ->
                m = MEMBERS
            fi };
        if
        :: phase[h] == REND ->
progress_take:
            skip
        :: else ->
            goto release
        fi

    /* The render ends, whenever it likes. */
    :: atomic { phase[h] == REND && !due[h] && !paused[h] ->
        printf("host %d is done\n", h);
        phase[h] = BUSY;
        counted[h] = false;
        fresh = 2;
        m = MEMBERS };
release:
        do
        :: atomic { m > 0 && !paused[h] ->
            m--;
            give_back(m) }
        :: atomic { m == 0 && !paused[h] ->
            is_refused = false;
            slow[h] = false;
            phase[h] = IDLE;
            break }
        od
    od
}

/* A tick waits for everyone who isn't paused to have done what is due. For
 * LIVE, whoever could try to take the lock has to. */
#ifdef LIVE
#define TRIED(h) (tried[h] || phase[h] != IDLE || fresh > 0)
#else
#define TRIED(h) true
#endif
#define READY(h) (paused[h] || (!due[h] && phase[h] != BUSY && TRIED(h)))
#if HOSTS > 2
#define ALL_READY (READY(0) && READY(1) && READY(2))
#define UNCUT(m) (!cut[AT(0, m)] && !cut[AT(1, m)] && !cut[AT(2, m)])
#else
#define ALL_READY (READY(0) && READY(1))
#define UNCUT(m) (!cut[AT(0, m)] && !cut[AT(1, m)])
#endif
#ifdef COMMON
#define MAY_GO(m) (up[1 - (m)] && UNCUT(1 - (m)))
#else
#define MAY_GO(m) true
#endif
#ifdef QUIET
#define FORGOTTEN QUIET
#else
#define FORGOTTEN LEASE
#endif

inline fault()
{
    faults++;
    quiet = FORGOTTEN
}

inline forget(m)
{
    rec[m] = 0;
    lasts[m] = 0
}

inline tick()
{
    for (i : 0 .. MEMBERS - 1) {
        rec[i] = (lasts[i] > 1 -> rec[i] : 0);
        lasts[i] = (lasts[i] > 0 -> lasts[i] - 1 : 0)
    }
    for (i : 0 .. HOSTS * MEMBERS - 1) {
        mine[i] = (mine[i] > 0 -> mine[i] - 1 : 0)
    }
    for (i : 0 .. HOSTS - 1) {
        due[i] = true;
        tried[i] = false
    }
    fresh = (fresh > 0 -> fresh - 1 : 0);
    quiet = (quiet > 0 -> quiet - 1 : 0);
    i = 0;
    printf("tick\n")
}

init
{
    byte i;

    atomic {
        for (i : 0 .. HOSTS - 1) {
            run Host(i)
        }
        i = 0
    }
    do
    :: atomic { ALL_READY -> tick() }
    :: atomic { faults < FAULTS ->
        select(i : 0 .. HOSTS * MEMBERS - 1);
        if
#ifdef CRASH
        :: i < MEMBERS && up[i] && MAY_GO(i) ->
            printf("member %d crashes\n", i + 1);
            up[i] = false;
            forget(i);
            fault()
#endif
#ifdef FLUSH
        :: i < MEMBERS && up[i] ->
            printf("member %d is flushed\n", i + 1);
            forget(i);
            fault()
#endif
#ifdef CUT
        :: !cut[i] && MAY_GO(i % MEMBERS) ->
            printf("host %d is cut off from member %d\n", i / MEMBERS,
                   i % MEMBERS + 1);
            cut[i] = true;
            fault()
#endif
#ifdef PAUSE
        :: i < HOSTS && !paused[i] ->
            printf("host %d pauses\n", i);
            paused[i] = true;
            slow[i] = true;
            fault()
#endif
#ifdef LIVE
        :: faults++ /* a fault that is none, so that no cycle stays here */
#else
        :: else
#endif
        fi;
        i = 0 }
#ifndef LASTING
    :: atomic { select(i : 0 .. HOSTS * MEMBERS - 1);
        if
        :: i < MEMBERS && !up[i] ->
            printf("member %d is up\n", i + 1);
            up[i] = true;
            quiet = FORGOTTEN
        :: cut[i] ->
            printf("host %d reaches member %d\n", i / MEMBERS,
                   i % MEMBERS + 1);
            cut[i] = false;
            quiet = FORGOTTEN
        :: else
        fi;
        i = 0 }
#endif
#ifdef PAUSE
    :: atomic { paused[0] -> paused[0] = false; quiet = FORGOTTEN }
    :: atomic { paused[1] -> paused[1] = false; quiet = FORGOTTEN }
#if HOSTS > 2
    :: atomic { paused[2] -> paused[2] = false; quiet = FORGOTTEN }
#endif
#endif
    od
}
