# SPDX-License-Identifier: Apache-2.0
"""More clients wait than there are threads; some of them leave, dawdle or
say nothing."""
import os
import threading

import pytest

from pydogpile import client, ports, upstream, wms
from pydogpile.scene import ALONE, location, settle
from pydogpile.wait import until
from test_330_parking import assert_alive, assert_tile, noise

pytestmark = pytest.mark.event

CROWD = 200
THREADS = 8
CONF = """
AsyncRequestWorkerFactor 60
LogFormat "%>s %{DOGPILE_STATUS}e" dogpile
CustomLog access.log dogpile "expr=%{QUERY_STRING} =~ /l-log/ && \
-z env('DOGPILE_INTERNAL')"
DocumentRoot "${DIR}/htdocs"
<Directory "${DIR}/htdocs">
    Require all granted
</Directory>
DogpileTileSizes 256 1280
""" + location(ALONE)
OPTIONS = {"children": 1, "threads": THREADS}
ALLOWED = ["AH00484"]  # all threads were busy for a moment


def prepare(server):
    (server.dir / "htdocs").mkdir()
    (server.dir / "htdocs/static").write_text("as ever")


def tile(name, x=9, **params):
    return wms.tile(5, x, 9, layers="l-" + name, **params)


def wait_parked(site, n):
    site.status.wait(lambda s: s["parked"] == s["waiters"] == n
                     and s["fetching"] > 0 and s["blocked"] == 0)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def test_crowd_leaves_all_threads_free(site, dial):
    """While 200 wait in a child of 8 threads, hits and files are answered; one
    fetch answers all of them; their connections and those of strangers that
    are idle when it lands go on."""
    warm = tile("warm")
    client.get(site.url(warm))
    settle(site)
    site.upstream.forget()
    site.upstream.hold()
    wires = dial.crowd(CROWD, site.port, tile("crowd"))
    wait_parked(site, CROWD)
    strangers = [dial(site.port) for _ in range(20)]
    for wire in strangers:
        assert wire.ask("/static").answer().status == 200
    for _ in range(20):
        assert client.get(site.url("/static")).body == b"as ever"
        assert_tile(client.get(site.url(warm)))
    wait_parked(site, CROWD)
    site.upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
        wire.ask(tile("crowd"))
    for wire in wires:
        assert_tile(wire.answer())
    for wire in strangers:
        assert wire.ask("/static").answer().status == 200
    assert site.upstream.count == 1


def test_nothing_is_left_of_a_thousand(site, dial):
    """The child has no more descriptors and threads after a thousand parked
    requests than after two hundred."""
    child, = site.children()

    def round_of(number):
        site.upstream.hold()
        wires = dial.crowd(CROWD, site.port, tile("thousand", number))
        wait_parked(site, CROWD)
        site.upstream.release()
        assert {wire.answer().status for wire in wires} == {200}
        for wire in wires:
            wire.close()
        settle(site)
        until(lambda: ports.connections(site.port) == 0, "clients gone")

    round_of(0)
    before = descriptors(child), threads(child)
    for number in range(1, 5):
        round_of(number)
    until(lambda: descriptors(child) <= before[0],
          lambda: f"{before[0]} descriptors, there are {descriptors(child)}")
    # The one that found out whether the lock files are remote ends when idle.
    assert threads(child) <= before[1]


def log_lines(site):
    path = site.dir / "access.log"
    return path.read_text().splitlines() if path.exists() else []


def test_reset_ends_the_wait(site, dial):
    """A parked client whose connection breaks is logged with 499 at once and
    waits no longer; the flight goes on and is stored."""
    site.upstream.hold()
    wires = dial.crowd(6, site.port, tile("log"))
    wait_parked(site, 6)
    for wire in wires[:4]:
        wire.reset()
    wait_parked(site, 2)
    until(lambda: log_lines(site) == 4 * ["499 -"],
          lambda: f"four of 499, there are {log_lines(site)}")
    for wire in wires[4:]:
        wire.reset()
    site.status.wait(lambda s: s["waiters"] == 0 and s["fetching"] == 1)
    site.upstream.release()
    settle(site)
    assert_tile(client.get(site.url(tile("log"))))
    assert site.upstream.count == 1


def test_closed_connection_is_noticed_when_answered(site, dial):
    """A parked client that closes its connection does nobody harm: that it is
    gone shows when it is answered."""
    site.upstream.hold()
    wires = dial.crowd(6, site.port, tile("closed"))
    wait_parked(site, 6)
    for wire in wires[:3]:
        wire.close()
    site.upstream.release()
    for wire in wires[3:]:
        assert_tile(wire.answer())
        assert_alive(wire, tile("closed"))
    settle(site)
    assert site.upstream.count == 1


class Gate:
    """An answer of the source for which only who asks for `name` waits."""

    def __init__(self, name, other):
        self.name = name
        self.other = other
        self.opened = threading.Event()

    def __call__(self, request):
        if self.name in request.query["LAYERS"]:
            self.opened.wait(upstream.HELD_SEC)
            return upstream.render(request)
        return self.other(request)


def read_nothing(site, dial, name):
    """Clients that ask for much and read nothing."""
    path = tile(name, WIDTH="1280", HEIGHT="1280")
    wires = [dial(site.port, receive=4096).ask(path) for _ in range(3)]
    return wires, lambda: [wire.wait_readable() for wire in wires[:1]]


def send_no_body(site, dial, name):
    """Clients that announce a body and don't send it."""
    wires = dial.crowd(3, site.port, tile(name), Content_Length="9")
    return wires, lambda: None


@pytest.mark.parametrize("dawdle", [read_nothing, send_no_body])
def test_slow_client_keeps_only_its_thread(site, dial, dawdle):
    """Clients that were parked and dawdle over their answer don't keep the
    others in the same child from theirs."""
    big = upstream.Answer(200, {"Content-Type": "image/png"}, noise())
    gate = Gate("l-quick", lambda request: big if "1280" in
                request.query["WIDTH"] else upstream.render(request))
    site.upstream.always = gate
    site.upstream.hold()
    slow, begun = dawdle(site, dial, "slow-" + dawdle.__name__)
    wait_parked(site, 3)
    wires = dial.crowd(10, site.port, tile("quick-" + dawdle.__name__))
    wait_parked(site, 13)
    site.upstream.release()
    begun()
    site.status.wait(lambda s: s["waiters"] < 13)
    gate.opened.set()
    for wire in wires:
        assert_tile(wire.answer())
    for wire in slow:
        wire.reset()
    settle(site)


def private_and_slow():
    """An answer that must not be shared, the same as soon as an event is set,
    and the event."""
    private = upstream.rendered(Cache_Control="private")
    slow = threading.Event()

    def hang(request):
        slow.wait(upstream.HELD_SEC)
        return private(request)

    return private, hang, slow


def test_passing_on_keeps_nobody(site, dial):
    """Parked requests that turn out to be private and are passed on to a slow
    source don't keep the others from their tile."""
    private, hang, slow = private_and_slow()
    gate = Gate("l-shared", hang)
    site.upstream.script(private)
    site.upstream.always = gate
    site.upstream.hold()
    mine = dial.crowd(4, site.port, tile("private"))
    wait_parked(site, 4)
    site.upstream.wait_held()
    wires = dial.crowd(10, site.port, tile("shared"))
    wait_parked(site, 14)
    site.upstream.wait_held(2)
    site.upstream.release()
    until(lambda: site.upstream.count > 2, "one is passed on")
    gate.opened.set()
    for wire in wires:
        assert_tile(wire.answer())
    slow.set()
    for wire in mine:
        assert_tile(wire.answer())
    settle(site)
    assert site.upstream.count == 2 + 4


def test_who_is_passed_on_keeps_none_who_are(site, dial):
    """Parked requests that are passed on to a source that answers none of them
    all reach it, one after the other, without an event from outside."""
    private, hang, slow = private_and_slow()
    site.upstream.script(private)
    site.upstream.always = hang
    site.upstream.hold()
    wires = dial.crowd(5, site.port, tile("each"))
    wait_parked(site, 5)
    site.upstream.wait_held()
    site.upstream.release()
    until(lambda: site.upstream.count == 1 + 5, "all are passed on")
    slow.set()
    for wire in wires:
        assert_tile(wire.answer())
    settle(site)
