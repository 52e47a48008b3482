# SPDX-License-Identifier: Apache-2.0
"""Restarts and stops of httpd while flights are under way."""
import signal

import pytest

from pydogpile import client, ports, wms
from pydogpile.process import alive
from pydogpile.scene import assert_tiles, leases, location, settle, whole
from pydogpile.wait import until

META = wms.Metatile(8, 133, 86)
CLIENTS = 8
# httpd kills a child whose threads wait for something, with any module.
IMPATIENCE = "AH00045|AH00046"


def start_herd(server, waiters=CLIENTS):
    herd = client.Herd([server.url(path) for path in META.tiles()],
                       CLIENTS).start()
    server.status.wait(lambda s: s["waiters"] == waiters and s["fetching"])
    return herd


def test_graceful_restart_loses_nobody(httpd, upstream):
    """Waiters of the old children are answered, and clients of the new ones
    join the flight of the old: one fetch in all."""
    server = httpd(location())
    image = whole(upstream, META)
    before = server.children()
    upstream.hold()
    old = start_herd(server)
    server.graceful()
    new = start_herd(server, 2 * CLIENTS)
    assert set(server.children()) - set(before)
    assert upstream.held == 1
    upstream.release()
    for herd in (old, new):
        assert_tiles(herd.answers(), META, image)
    assert upstream.count == 1
    settle(server, fetches=1, stored=1, shed=0, failed=0)
    until(lambda: not set(server.children()) & set(before), "old children gone")
    assert client.get(server.url(META.tiles()[0])).status == 200
    settle(server, fetches=1, blocked=0)


def test_many_graceful_restarts(httpd, upstream):
    """Restart after restart leaves no slot, flight or waiter behind."""
    server = httpd(location(), children=2)
    server.allow_log("AH00288")  # its own wish, while old children still end
    for number in range(1, 4):
        upstream.hold()
        herd = client.Herd([server.url(wms.tile(8, 4 * number, 86))], 3).start()
        server.status.wait(lambda s: s["waiters"] == 3 and s["fetching"] == 1)
        before = server.children()
        server.graceful()
        upstream.release()
        assert {answer.status for answer in herd.answers()} == {200}
        until(lambda: not set(server.children()) & set(before), "new ones")
        settle(server, fetches=number, stored=number, blocked=0, takeovers=0)


def family_of(server):
    return [server.process.pid, *server.children()]


def test_graceful_stop_answers_who_waits(httpd, upstream):
    """apachectl graceful-stop ends when the flight has landed, its waiters
    have their tiles, and the lock is free."""
    server = httpd(location())
    image = whole(upstream, META)
    upstream.hold()
    herd = start_herd(server)
    family = family_of(server)
    server.process.kill(signal.SIGWINCH)
    until(lambda: not ports.accepts(server.port), "no new clients")
    upstream.release()
    assert_tiles(herd.answers(), META, image)
    until(lambda: not any(map(alive, family)), "the end of httpd")
    assert upstream.count == 1
    assert leases(server.dir / "store/.locks") == []
    server.stop()
    server.start()
    assert client.get(server.url(META.tiles()[0])).status == 200
    assert upstream.count == 1


@pytest.mark.parametrize("fetch", ["answered", "hanging"])
def test_hard_stop_leaves_nothing(httpd, upstream, fetch):
    """apachectl stop ends in the middle of a flight, whether or not the source
    answers: no process, no crash, and no lock that keeps others waiting."""
    server = httpd(location())
    image = whole(upstream, META)
    upstream.hold()
    herd = start_herd(server)
    family = family_of(server)
    server.process.kill(signal.SIGTERM)
    if fetch == "answered":
        upstream.release()
    server.allow_log(IMPATIENCE)
    until(lambda: not any(map(alive, family)), "the end of httpd")
    server.stop()
    upstream.release()
    assert {answer.status for answer in herd.answers()} <= {0, 200, 502, 503}
    server.start()
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    assert upstream.count <= 2
    settle(server, lock_waits=0)


def test_restart_in_mid_flight(httpd, upstream):
    """apachectl restart drops its clients, and the new children serve."""
    server = httpd(location(), children=2)
    image = whole(upstream, META)
    upstream.hold()
    herd = start_herd(server)
    before = server.children()
    server.process.kill(signal.SIGHUP)
    upstream.release()
    server.allow_log(IMPATIENCE)
    until(lambda: not any(map(alive, before)), "old children gone")
    herd.answers()
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    settle(server, blocked=0)
