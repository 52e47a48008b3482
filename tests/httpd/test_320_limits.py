# SPDX-License-Identifier: Apache-2.0
"""How many may fetch, how many may wait, and for how long."""
import threading

from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import ALONE, location, records, settle
from pydogpile.wait import until

TILE = wms.tile(8, 133, 86)


def cold(path="/wms", n=6):
    """Tiles of n metatiles."""
    return [wms.tile(8, 4 * i, 86, path=path) for i in range(n)]


class Turnstile:
    """An answer of the source that lets requests out one by one, and keeps
    the largest number that were inside at the same time."""

    def __init__(self):
        self.permits = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    def _count(self, step):
        with self.lock:
            self.inside += step
            self.entered += step > 0
            self.most = max(self.most, self.inside)

    def __call__(self, request):
        self._count(1)
        self.permits.acquire(timeout=scripted.HELD_SEC)
        self._count(-1)
        return scripted.render(request)


def test_source_is_asked_by_so_many_at_once(httpd, upstream):
    """DogpileUpstreamLimit 2: of six cold metatiles two are rendered at a
    time, in all children together, and all are answered."""
    server = httpd(location("DogpileUpstreamLimit 2"))
    upstream.always = gate = Turnstile()
    herd = client.Herd([server.url(path) for path in cold()], 12).start()
    server.status.wait(lambda s: s["waiters"] == 12 and s["fetching"] == 2)
    for done in range(7):
        until(lambda: gate.entered >= min(6, done + 2), "the next fetch")
        gate.permits.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert gate.most == 2
    assert upstream.count == 6
    settle(server, fetches=6, stored=6)


def test_each_source_has_a_limit_of_its_own(httpd, upstream):
    """A source that is busy keeps nobody from another one."""
    server = httpd(location("DogpileUpstreamLimit 2")
                   + location("DogpileUpstreamLimit 3", path="/other"))
    upstream.hold()
    herd = client.Herd([server.url(path) for path in
                        cold() + cold("/other")]).start()
    server.status.wait(lambda s: s["waiters"] == 12 and s["fetching"] == 5)
    upstream.wait_held(5)
    assert sorted(r.path for r in upstream.requests) == (
        3 * ["/other"] + 2 * ["/wms"])
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    settle(server, fetches=12, stored=12)


def assert_turned_away(answer):
    assert answer.status == 503, answer
    assert int(answer.header("Retry-After")) > 0
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Cache-Status").startswith("mod_dogpile; ")


def test_one_waiter_too_many_is_turned_away(httpd, upstream):
    """Beyond DogpileMaxBlocked a client gets 503 at once, while hits flow, and
    the flight it wanted is stored."""
    server = httpd("DogpileAsync Off\nDogpileMaxBlocked 3\n" + location(ALONE))
    warm = server.url(wms.tile(5, 1, 1))
    client.get(warm)
    settle(server, stored=1)
    upstream.hold()
    herd = client.Herd([server.url(TILE)], 3).start()
    server.status.wait(lambda s: s["blocked"] == 3)
    other = server.url(wms.tile(8, 1, 1))
    for url in (server.url(TILE), other):
        assert_turned_away(client.get(url))
    assert client.get(warm).status == 200
    upstream.wait_held(2)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    settle(server, shed=2, stored=3, hits=1)
    assert client.get(other).status == 200
    assert upstream.count == 3


def test_nobody_may_wait(httpd, upstream):
    """With DogpileMaxBlocked 0 every miss is 503, and the next request finds
    the tile."""
    server = httpd("DogpileAsync Off\nDogpileMaxBlocked 0\n" + location(ALONE))
    upstream.hold()
    assert_turned_away(client.get(server.url(TILE)))
    assert_turned_away(client.get(server.url(TILE)))
    upstream.wait_held()
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    assert client.get(server.url(TILE)).status == 200
    assert upstream.count == 1


def test_wait_ends_before_the_flight(httpd, upstream):
    """After DogpileWaitTimeout waiters get 503, and their tile is a hit when
    it has come; a tired waiter starts no second fetch."""
    server = httpd(location("DogpileWaitTimeout 1s"))
    upstream.hold()
    for answer in client.herd([server.url(TILE)], 5):
        assert_turned_away(answer)
    assert (upstream.held, upstream.count) == (1, 1)
    assert not records(server.dir / "store")
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    assert client.get(server.url(TILE)).status == 200
    settle(server, fetches=1, shed=5, hits=1)
    assert upstream.count == 1


def test_late_comer_joins_a_flight_that_others_left(httpd, upstream):
    """Whoever comes after the first ones' time is up waits for the same
    fetch."""
    server = httpd(location("DogpileWaitTimeout 1s"))
    upstream.hold()
    assert_turned_away(client.get(server.url(TILE)))
    herd = client.Herd([server.url(TILE)], 4).start()
    server.status.wait(lambda s: s["waiters"] == 4)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == 1
