# SPDX-License-Identifier: Apache-2.0
"""Two httpds on one store: herds that wait at both, and a chain of lockers
with a server first and a directory second."""
import itertools

from . import client, wms
from .scene import assert_tiles, settle, whole
from .wait import until

FEW = 4  # clients at each
# Leases end during a test, and servers that don't answer cost little.
HASTY = ("DogpileLockTimeout 3s", "DogpileLockSocketTimeout 0.3")
DISK = """\
<DogpileLocker {name} disk>
DogpileLockDirectory "${{SHARED}}/locks"
</DogpileLocker>
"""
_numbers = itertools.count()


def chain(server):
    return "\n".join(["<DogpileLocker tiles fallback>", *HASTY,
                      server.block("first") + DISK.format(name="second")
                      + "</DogpileLocker>\n"])


def cold():
    """A metatile that nobody has asked for yet."""
    row, column = divmod(next(_numbers), 100)
    return wms.Metatile(9, 4 * column, 4 * row)


def allow_failures(server):
    """Of lockers, in the log; that they are said is tested elsewhere."""
    server.allow_log("DP0502|DP07[0-9][0-9]")


class Waiting:
    """Herds at both on a cold metatile, whose one fetch is held. The first
    httpd of the pair fetches."""

    def __init__(self, pair, upstream, n=FEW):
        self.pair = pair
        self.upstream = upstream
        self.meta = cold()
        self.image = whole(upstream, self.meta)
        self.label = (f"{self.meta.grid.name}/{self.meta.z}/"
                      f"{self.meta.x // 4}/{self.meta.y // 4}")
        self.herds = []
        upstream.hold()
        for server in pair:
            waits = server.status["lock_waits"]
            with server.place():
                herd = client.Herd([server.url(path)
                                    for path in self.meta.tiles()], n)
            self.herds.append(herd.start())
            server.status.wait(lambda s: s["waiters"] == n and (
                s["fetching"] or s["lock_waits"] > waits))
        upstream.wait_held(1)
        assert upstream.held == 1

    def assert_tiles(self):
        """Everybody gets the right one."""
        self.upstream.release()
        for herd in self.herds:
            assert_tiles(herd.answers(), self.meta, self.image)

    def assert_once(self):
        """And it was one fetch."""
        self.assert_tiles()
        assert self.upstream.count == 1
        for server in self.pair:
            settle(server, failed=0, shed=0, lock_unavailable=0, lock_lost=0)


def first_is(server):
    """"up", or "down": the chain goes without its first member."""
    return server.status["locker tiles"]["members"][0]["state"]


def left_out(server):
    until(lambda: first_is(server) == "down", "first left out")


def _find_out(server):
    """A cold metatile, for which the chain's members are asked."""
    with server.place():
        assert client.get(server.url(cold().tiles()[0])).status == 200
    return first_is(server) == "up"


def assert_back(pair, upstream, first):
    """Both httpds use the chain's first member again, as soon as they have
    found out that it is back, and share out their fetches as before."""
    for server in pair:
        until(lambda: _find_out(server), "first up again")
    for order in (pair, pair[::-1]):
        waiting = Waiting(order, upstream)
        assert first.lease(waiting.label)
        waiting.assert_once()
