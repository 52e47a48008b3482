# SPDX-License-Identifier: Apache-2.0
"""Restarts, stops and deaths of children in which requests are parked."""
import signal

import pytest

from pydogpile import client, ports, wms
from pydogpile.process import alive
from pydogpile.scene import ALONE, location, settle
from pydogpile.wait import until
from test_330_parking import assert_tile

pytestmark = pytest.mark.event

CROWD = 40
CONF = "AsyncRequestWorkerFactor 40\n" + location(ALONE)
SIZE = {"children": 2, "threads": 8}
TILE = wms.tile(5, 9, 9)
SUCCESSIVELY = "AH10392|AH10393"


def park(server, upstream, dial, n=CROWD):
    upstream.hold()
    wires = dial.crowd(n, server.port, TILE)
    server.status.wait(lambda s: s["parked"] == n and s["blocked"] == 0)
    upstream.wait_held()
    return wires


def gone(pids):
    return not any(map(alive, pids))


def test_graceful_restart(httpd, upstream, dial):
    """Requests that are parked when httpd restarts gracefully are answered by
    their old children, which then end; those of the new ones join the same
    flight."""
    server = httpd(CONF, **SIZE)
    before = server.children()
    old = park(server, upstream, dial)
    server.graceful()
    until(lambda: set(server.children()) - set(before), "new children")
    new = dial.crowd(CROWD, server.port, TILE)
    server.status.wait(lambda s: s["parked"] == 2 * CROWD)
    upstream.release()
    for wire in old + new:
        assert_tile(wire.answer())
    until(lambda: gone(before), "the end of the old children")
    assert upstream.count == 1
    settle(server)


def test_idle_connections_do_not_keep_a_child(httpd, upstream, dial):
    """Connections that wait for their next request after a parked one are
    closed by a graceful restart, so the old children end."""
    server = httpd(CONF, **SIZE)
    before = server.children()
    wires = park(server, upstream, dial)
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
    server.graceful()
    assert all(wire.is_ended() for wire in wires)
    for wire in wires:
        wire.close()
    until(lambda: gone(before), "the end of the old children")
    assert client.get(server.url(TILE)).status == 200


def test_graceful_stop(httpd, upstream, dial):
    """A graceful stop ends when all who are parked have their tile."""
    server = httpd(CONF, **SIZE)
    wires = park(server, upstream, dial)
    family = [server.process.pid, *server.children()]
    server.process.kill(signal.SIGWINCH)
    until(lambda: not ports.accepts(server.port), "no new clients")
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
        wire.close()
    until(lambda: gone(family), "the end of httpd")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_hard_stop(httpd, upstream, dial, number):
    """apachectl stop and restart close the connections of who is parked, and
    leave nothing behind: no process, no waiter, no flight."""
    server = httpd(CONF, **SIZE)
    wires = park(server, upstream, dial)
    others = dial.crowd(4, server.port, wms.tile(5, 10, 9))
    server.status.wait(lambda s: s["parked"] == CROWD + 4)
    upstream.wait_held(2)
    children = server.children()
    server.process.kill(number)
    upstream.release()
    until(lambda: gone(children), "the end of the children")
    assert {wire.answer().status for wire in wires + others} <= {0, 200}
    if number == signal.SIGTERM:
        until(lambda: not alive(server.process.pid), "the end of httpd")
        server.stop(hard=True)
        server.start()
    else:
        until(lambda: ports.accepts(server.port), "httpd again")
    assert client.get(server.url(TILE)).status == 200
    settle(server, blocked=0, parked=0)


def test_hard_stop_closes_idle_connections(httpd, upstream, dial):
    """A hard stop while answered connections wait for their next request ends
    cleanly."""
    server = httpd(CONF, **SIZE)
    wires = park(server, upstream, dial)
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
    children = server.children()
    server.process.kill(signal.SIGTERM)
    until(lambda: gone(children), "the end of the children")
    assert all(wire.is_ended() for wire in wires)


def test_children_die_in_turn(httpd, upstream, dial):
    """When children with parked requests are killed, the clients of the others
    get their tile, for one fetch more a death at most."""
    server = httpd(CONF, children=3, threads=8)
    server.allow_log(SUCCESSIVELY)
    wires = park(server, upstream, dial)
    for _ in range(2):
        pid = server.children()[0]
        server.kill_child(pid)
        until(lambda: not alive(pid), "one less")
        more = dial.crowd(8, server.port, TILE)
        server.status.wait(lambda s: s["waiters"] >= 8 and s["fetching"] == 1)
        wires += more
    upstream.release()
    answers = [wire.answer() for wire in wires]
    for answer in answers:
        if answer.status:
            assert_tile(answer)
    assert any(answer.status for answer in answers)
    assert 1 <= upstream.count <= 3
    settle(server, stored=1, failed=0, shed=0, blocked=0)
    assert client.get(server.url(TILE)).status == 200
