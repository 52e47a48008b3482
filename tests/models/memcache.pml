/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memcache locker: one key on one memcached.
 *
 * A lock is an item that `add` made, with an expiry and its owner's token. To
 * renew: gets, is the token mine? then cas. To release: gets, is the token
 * mine? then remove it with that cas number, on the same connection. CLIENTS
 * try, with TOKENS acquisitions in all. The item may expire at any instruction
 * (EXPIRIES), the server may restart (RESTARTS), which breaks connections and
 * begins the cas numbers anew, and the answer to an add may be lost (LOSSES).
 *
 * What is claimed: two never hold the lock at once, and nobody renews or
 * removes what is another's.
 *
 * How it can be broken: PLAIN_DELETE (remove whatever is there by then),
 * OLD_CAS (remove by the number known from `add`), RECONNECT (the two steps of
 * a release may be on two connections).
 */
#ifndef CLIENTS
#define CLIENTS 3
#endif
#ifndef TOKENS
#define TOKENS 3
#endif
#ifndef EXPIRIES
#define EXPIRIES 2
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef RENEWALS
#define RENEWALS 2
#endif

byte item;   /* the token in it, 0: no item */
byte cas;    /* its cas number */
byte last;   /* cas number the server gave */
byte life;   /* of the server: a connection lasts for one */
byte tokens, holders, expiries, restarts, losses, renewals;
bool held[TOKENS + 1];

inline lose(t)
{
    holders = holders - held[t];
    held[t] = false
}

inline forget()
{
    lose(item);
    item = 0;
    cas = 0
}

#ifdef RECONNECT
#define SAME_CONNECTION true
#else
#define SAME_CONNECTION (connection == life)
#endif
#if defined(PLAIN_DELETE)
#define MAY_REMOVE true
#elif defined(OLD_CAS)
#define MAY_REMOVE (cas == added)
#else
#define MAY_REMOVE (SAME_CONNECTION && cas == number)
#endif

proctype Client(byte c)
{
    byte me, added, number, connection;
    bool is_mine;

    do
    :: atomic { tokens < TOKENS ->
            tokens++;
            me = tokens;
            connection = life };
        atomic { if
            :: connection == life && item == 0 ->
                last++;
                item = me;
                cas = last;
                added = last;
                printf("%d adds token %d, cas %d\n", c, me, cas);
                if
                :: held[me] = true;
                    holders++;
                    assert(holders <= 1)
                :: losses < LOSSES -> /* added, and I don't know */
                    losses++;
                    goto release
                fi
            :: else -> goto failed
            fi };
        do
        :: atomic { renewals < RENEWALS ->
                renewals++;
                connection = life;
                is_mine = item == me;
                number = cas };
            atomic { if
                :: is_mine && connection == life && item != 0 &&
                   cas == number ->
                    assert(item == me);
                    last++;
                    cas = last;
                    added = last
                :: else -> lose(me)
                fi }
        :: break
        od;
release:
        atomic { connection = life;
            is_mine = item == me;
            number = cas };
        atomic { if
#ifdef OLD_CAS
            :: item != 0 && MAY_REMOVE ->
#else
            :: is_mine && item != 0 && MAY_REMOVE ->
#endif
                printf("%d removes token %d, its own is %d\n", c, item, me);
                assert(item == me);
                forget()
            :: else
            fi;
            lose(me) };
failed:
        atomic { me = 0;
            added = 0;
            number = 0;
            connection = 0;
            is_mine = false }
    od
}

init
{
    byte i;

    atomic {
        life = 1;
        for (i : 1 .. CLIENTS) {
            run Client(i)
        }
        i = 0
    }
    do
    :: atomic { item != 0 && expiries < EXPIRIES ->
            printf("the item of token %d expires\n", item);
            expiries++;
            forget() }
    :: atomic { restarts < RESTARTS ->
            printf("the server restarts\n");
            restarts++;
            forget();
            last = 0;
            life++ }
    od
}
