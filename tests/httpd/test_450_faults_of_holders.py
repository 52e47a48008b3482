# SPDX-License-Identifier: Apache-2.0
"""Two httpds on one store, and what can happen to a holder and to a lock
server: killed, stopped for too long, flushed, restarted, flapping.

Children that die are in test_620, holders with lock files in test_420.
"""
import dataclasses
import os
import signal

import pytest

from pydogpile import client, pidns
from pydogpile.lockservers import MODULES, LockServer
from pydogpile.pair import (Waiting, allow_failures, assert_back, chain,
                            left_out)
from pydogpile.scene import assert_tiles, leases, location, settle
from pydogpile.upstream import render
from pydogpile.wait import until

SHORT = "DogpileLockTimeout 3s"  # a busy machine stands still for a second
SINCE, UNTIL = 4, 5  # in a lease of lock files


@pytest.fixture
def server(request):
    made = LockServer(request.param)
    yield made
    made.remove()


@pytest.fixture
def two(shared_dir, server, httpd):
    """Starts two httpds with that configuration and one store, on what looks
    like two hosts."""
    def start(conf, *lines):
        conf = MODULES + conf + location(*lines, store="${SHARED}/tiles")
        return [httpd(f"DogpileLockHost host{number}\n{conf}", children=2,
                      define={"SHARED": shared_dir})
                for number in range(2)]
    return start


def on(server):
    return server.block("tiles", SHORT), "DogpileLocker tiles"


@pytest.fixture
def chained(two, server):
    """Two with that server first, then a directory that they share."""
    pair = two(chain(server), "DogpileLocker tiles")
    for one in pair:
        allow_failures(one)
    return pair


SERVERS = pytest.mark.parametrize("server", ["memcache", "redis"],
                                  indirect=True)


# --- the holder ------------------------------------------------------------

def assert_followed(waiting):
    """The first httpd is killed: the other's clients get their tiles by one
    fetch more."""
    pair, upstream = waiting.pair, waiting.upstream
    pair[0].kill()
    upstream.wait_held(2)
    upstream.release()
    lost, kept = waiting.herds
    assert_tiles(kept.answers(), waiting.meta, waiting.image)
    assert {answer.status for answer in lost.answers()} == {0}
    settle(pair[1], fetches=1, stored=1, failed=0, shed=0, lock_takeovers=1,
           lock_unavailable=0)
    assert upstream.count == 2


@pytest.mark.parametrize("server", ["memcache", "redis", "zookeeper"],
                         indirect=True)
def test_killed_holder_of_another_host(two, upstream, server):
    """When a host dies in mid-fetch, the other one's clients get their tiles
    after its lease, from one more fetch."""
    assert_followed(Waiting(two(*on(server)), upstream))


@pytest.mark.parametrize("server", ["memcache"], indirect=True)
def test_killed_holder_of_a_chain(chained, upstream, server):
    """The same where the lock is held in two places: not even one lease
    longer, and not a third fetch."""
    assert_followed(Waiting(chained, upstream))


def test_process_of_a_container_is_not_judged_by_its_number(shared_dir, httpd,
                                                            upstream):
    """A holder in another pid namespace of the same machine is waited for
    while it lives, though its number is nobody's here, and followed after its
    lease when it is dead."""
    conf = f"{SHORT}\n" + location(store="${SHARED}/tiles")
    pair = [httpd(conf, children=2, define={"SHARED": shared_dir}, **place)
            for place in ({"place": pidns.container}, {})]
    waiting = Waiting(pair, upstream)

    def age():
        lease, = leases(f"{shared_dir}/tiles/.locks")
        return (int(lease[UNTIL]) - int(lease[SINCE])) / 1e6

    until(lambda: age() > 2.5, "a lease renewed twice")
    assert upstream.held == 1
    assert_followed(waiting)


def signal_all(server, number):
    for pid in (server.process.pid, *server.children()):
        os.kill(pid, number)


def other_picture(request):
    """As if the map had changed meanwhile."""
    query = {**request.query, "LAYERS": "grey"}
    return render(dataclasses.replace(request, query=query))


@SERVERS
def test_late_metatile_is_refused(two, upstream, server):
    """A host that stood still for longer than its lease is followed. When it
    goes on, its own clients get what it fetched, and the store keeps what
    the other one has stored since."""
    pair = two(*on(server))
    upstream.script(render, render, other_picture)
    waiting = Waiting(pair, upstream)
    signal_all(pair[0], signal.SIGSTOP)
    try:
        upstream.wait_held(2)
        upstream.release()
        newer = waiting.herds[1].answers()
        settle(pair[1], fetches=1, stored=1)
    finally:
        signal_all(pair[0], signal.SIGCONT)
    assert_tiles(waiting.herds[0].answers(), waiting.meta, waiting.image)
    settle(pair[0], fetches=1, stored=0, store_refused=1, lock_lost=1)
    for one in pair:
        tile = client.get(one.url(waiting.meta.tiles()[0]))
        assert "; hit" in tile.header("Cache-Status")
        assert tile.body == newer[0].body
    assert upstream.count == 2


@SERVERS
def test_late_release_harms_nobody(two, upstream, server):
    """A host that goes on after its lease, and is done before the one that
    followed it, leaves that one its lock."""
    pair = two(*on(server))
    waiting = Waiting(pair, upstream)
    signal_all(pair[0], signal.SIGSTOP)
    try:
        upstream.wait_held(2)
        upstream.release_first()
    finally:
        signal_all(pair[0], signal.SIGCONT)
    settle(pair[0], fetches=1, stored=1, lock_lost=1)
    assert "host1" in str(server.lease(waiting.label))
    waiting.assert_tiles()
    settle(pair[1], fetches=1, stored=0, store_refused=1, lock_lost=0)
    assert not server.leases()
    assert upstream.count == 2


# --- the lock server -------------------------------------------------------

OUTAGES = {"killed": (LockServer.kill, LockServer.start),
           "hanging": (LockServer.hang, LockServer.go_on)}


@pytest.mark.parametrize("outage, server", [
    ("killed", "memcache"), ("hanging", "memcache"), ("hanging", "redis")],
    indirect=["server"])
def test_outage_of_the_first(chained, upstream, server, outage):
    """The chain's first server fails in mid-fetch: no error, no second fetch,
    nor for cold metatiles while it is away; it comes back into use when it
    answers again."""
    fail, mend = OUTAGES[outage]
    waiting = Waiting(chained, upstream)
    fail(server)
    for one in chained:
        left_out(one)
    waiting.assert_once()
    for order in (chained, chained[::-1]):
        Waiting(order, upstream).assert_once()
    mend(server)
    assert_back(chained, upstream, server)


def restart(server):
    server.kill()
    server.start()


@pytest.mark.parametrize("forget, server", [
    (LockServer.flush, "memcache"), (restart, "memcache"), (restart, "redis")],
    indirect=["server"])
def test_first_forgets(chained, upstream, server, forget):
    """The chain's first server loses its memory in mid-fetch: the waiter sees
    the lock in the second, the holder takes it again, one fetch."""
    waiting = Waiting(chained, upstream)
    forget(server)
    until(lambda: server.lease(waiting.label), "the lock taken again")
    assert upstream.held == 1
    waiting.assert_once()
    assert_back(chained, upstream, server)


@pytest.mark.parametrize("server", ["memcache"], indirect=True)
def test_flush_without_a_chain(two, upstream, server):
    """Where the server is the only locker its flush costs one fetch more, and
    one of the two metatiles is refused."""
    pair = two(server.block("tiles"), "DogpileLocker tiles")
    waiting = Waiting(pair, upstream)
    server.flush()
    upstream.wait_held(2)
    waiting.assert_tiles()
    assert upstream.count == 2
    seen = [settle(one, fetches=1, failed=0, shed=0) for one in pair]
    assert sum(s["store_refused"] for s in seen) == 1


@pytest.mark.parametrize("server", ["memcache"], indirect=True)
def test_flapping(chained, upstream, server):
    """However often the chain's first server hangs and goes on, each cold
    metatile is fetched once."""
    for _ in range(3):
        server.hang()
        Waiting(chained, upstream).assert_once()
        server.go_on()
        Waiting(chained[::-1], upstream).assert_once()
    assert_back(chained, upstream, server)
