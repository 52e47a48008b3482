# SPDX-License-Identifier: Apache-2.0
"""Several hosts and a source that is down: one of them tries it."""
import pytest

from pydogpile import client, upstream as scripted, wms
from pydogpile.lockservers import MODULES, LockServer
from pydogpile.scene import ALONE, settle
from pydogpile.upstream import Upstream
from pydogpile.wait import until

LOCATION = """
{modules}
DogpileLockTimeout {lease}
DogpileLockHost {host}
{block}
<Location "/wms">
    DogpileEnable On
    DogpileErrorExpire 0.5s
    DogpileStore "disk:${{SHARED}}/store"
    {use}
    {alone}
    ProxyPass "http://127.0.0.1:${{UPSTREAM}}/wms"
</Location>
"""
LOCKERS = [None, "memcache", "redis", "zookeeper"]


@pytest.fixture(params=LOCKERS, ids=str)
def locker(request):
    """A server with the locks, or None: they are in the shared directory."""
    made = LockServer(request.param) if request.param else None
    yield made
    if made:
        made.remove()


def pair_of(httpd, upstreams, shared_dir, lease="60s", locker=None):
    """Two hosts, and what they think of their sources; one request each."""
    pair = []
    for host, source in zip(("one", "two"), upstreams):
        server = httpd(LOCATION.format(
            lease=lease, host=host, alone=ALONE, modules=MODULES,
            block=locker.block("tiles") if locker else "",
            use="DogpileLocker tiles" if locker else ""),
            children=2, define={"SHARED": shared_dir,
                                "UPSTREAM": source.port})
        server.allow_log("DP0601")
        pair.append(server)
    return pair


def both_down(httpd, upstream, *args, **options):
    upstream.always = scripted.status(503)
    pair = pair_of(httpd, (upstream, upstream), *args, **options)
    for server in pair:
        assert ask(server).status == 502
    assert upstream.count == 2  # each finds out for itself
    return pair


def ask(server, n=[0]):
    """For a tile that nobody has asked for."""
    n[0] += 1
    return client.get(server.url(wms.tile(12, n[0], 7)))


def tried(server, flights):
    """So many flights more were begun: as many periods are over."""
    begun = server.status["flights_begun"] + flights
    until(lambda: ask(server) and server.status["flights_begun"] >= begun,
          "periods of it are over")


def test_one_host_tries(httpd, upstream, shared_dir, locker):
    """While one host tries a source that is down no other does; when it works
    again, all hosts know within their own period, though the lock of the one
    that tried would last for a minute."""
    one, two = both_down(httpd, upstream, shared_dir, locker=locker)
    tried(one, 1)
    assert upstream.count == 3
    tried(two, 3)
    assert upstream.count == 3
    tried(one, 1)
    assert upstream.count == 4
    upstream.always = None
    for server in (one, two):
        until(lambda: ask(server).status == 200, "it works again")
        settle(server)


def test_host_that_tried_dies(httpd, upstream, shared_dir):
    """Another one tries when its lease is over."""
    one, two = both_down(httpd, upstream, shared_dir, lease="1s")
    tried(one, 1)
    one.kill()
    upstream.always = None
    until(lambda: ask(two).status == 200, "two works again")
    settle(two)


def test_host_that_alone_fails_disturbs_nobody(httpd, upstream, shared_dir):
    """What one host can't reach the other one fetches all the while."""
    sick = Upstream()
    try:
        sick.always = scripted.status(503)
        one, two = pair_of(httpd, (sick, upstream), shared_dir)
        assert ask(one).status == 502
        for _ in range(2):
            tried(one, 1)
            assert ask(two).status == 200
        assert (sick.count, upstream.count) == (3, 2)
        assert settle(two)["failing"] == []
        settle(one)
    finally:
        sick.stop()
