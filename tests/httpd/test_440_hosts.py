# SPDX-License-Identifier: Apache-2.0
"""Two hosts with networks of their own and one store: herds, and cut wires.

Each host has a wire to the map server and one to the lock servers; the store
is a directory that both have mounted.
"""
import pytest

from pydogpile import netns
from pydogpile.lockservers import MODULES, LockServer
from pydogpile.pair import (DISK, HASTY, Waiting, allow_failures, assert_back,
                            chain, first_is, left_out)
from pydogpile.scene import location, settle
from pydogpile.upstream import Upstream
from pydogpile.wait import until

EACH = 50


@pytest.fixture
def network():
    made = netns.Network()
    yield made
    made.close()


@pytest.fixture
def upstream(network):
    """The scripted WMS, on the wire for maps."""
    source = Upstream("0.0.0.0", network.servers.inside)
    yield source
    source.stop()
    assert source.late == 0


@pytest.fixture
def server(network, request):
    """A lock server of the named kind, on the wire for locks."""
    made = LockServer(request.param, netns.server_at("locks"),
                      network.servers.inside)
    yield made
    made.remove()


@pytest.fixture
def hosts(network, shared_dir, httpd):
    """Starts the httpds of both hosts."""
    def start(conf, threads=16):
        conf = MODULES + "DogpileLockHost ${HOST}\n" + conf + location(
            "DogpileLocker tiles", store="${SHARED}/tiles",
            source=netns.server_at("maps"))
        return [httpd(conf, place=host.inside, children=2, threads=threads,
                      define={"SHARED": shared_dir, "HOST": f"host{number}"})
                for number, host in enumerate(network.hosts)]
    return start


@pytest.fixture
def pair(server, hosts):
    """Both hosts with that server first, then the directory that they share;
    the first host is the one that fetches."""
    made = hosts(chain(server))
    for host in made:
        allow_failures(host)
    return made


SERVERS = pytest.mark.parametrize("server", ["memcache", "redis"],
                                  indirect=True)


def assert_one_for_all(pair, upstream):
    waiting = Waiting(pair, upstream, EACH)
    waiting.assert_once()
    seen = [settle(host, blocked=0) for host in pair]
    assert [(s["fetches"], s["found"]) for s in seen] == [(1, 0), (0, 1)]


@pytest.mark.parametrize("server", ["memcache", "redis", "zookeeper"],
                         indirect=True)
def test_herds_of_two_hosts(server, hosts, upstream):
    """50 clients at each of two hosts cost one fetch, by a lock server."""
    assert_one_for_all(hosts(server.block("tiles"), threads=64), upstream)


def test_herds_of_two_hosts_with_a_directory(hosts, upstream):
    """The same by lock files in a directory that both have."""
    assert_one_for_all(hosts(DISK.format(name="tiles"), threads=64), upstream)


@pytest.mark.parametrize("cut", [0, 1], ids=["holder", "waiter"])
@SERVERS
def test_cut_in_mid_fetch(pair, network, upstream, server, cut):
    """A host that loses all its wires in mid-fetch, for longer than a lease,
    costs no error and no second fetch, as both share the directory; its
    lock at the server is taken again, and both go on as before."""
    waiting = Waiting(pair, upstream)
    lease = server.lease(waiting.label)
    network.hosts[cut].cut()
    left_out(pair[cut])
    if cut == 0:
        until(lambda: not server.lease(waiting.label), "its end")
    network.hosts[cut].mend()
    if cut == 0:
        assert lease != until(lambda: server.lease(waiting.label),
                              "the lock taken again")
    assert upstream.held == 1
    waiting.assert_once()
    assert_back(pair, upstream, server)


@pytest.mark.parametrize("server, cut", [("memcache", 0), ("redis", 1)],
                         indirect=["server"])
def test_server_that_one_host_reaches(pair, network, upstream, server, cut):
    """While one host is cut off from the lock server, both still fetch each
    metatile once, whichever of them is first."""
    network.hosts[cut].cut("locks")
    for order in 2 * (pair, pair[::-1]):
        Waiting(order, upstream).assert_once()
    assert first_is(pair[cut]) == "down"
    assert first_is(pair[1 - cut]) == "up"
    network.hosts[cut].mend("locks")
    assert_back(pair, upstream, server)


@pytest.mark.parametrize("server", ["memcache"], indirect=True)
def test_cut_without_a_chain(server, hosts, network, upstream):
    """Where the lock server is the only locker, a holder that is cut off from
    it is followed when its lease is over: one fetch more for one fault, all
    get their tiles, and one of the two metatiles is refused by the store."""
    pair = hosts(server.block("tiles", *HASTY))
    allow_failures(pair[0])
    waiting = Waiting(pair, upstream)
    network.hosts[0].cut("locks")
    upstream.wait_held(2)
    waiting.assert_tiles()
    assert upstream.count == 2
    seen = [settle(host, fetches=1, failed=0, shed=0) for host in pair]
    assert sum(s["stored"] for s in seen) == 1
    assert sum(s["store_refused"] for s in seen) == 1
