# SPDX-License-Identifier: Apache-2.0
"""Children of httpd that are killed, with and without flights."""
import os
import signal

import pytest

from pydogpile import client, wms
from pydogpile.process import alive
from pydogpile.scene import assert_tiles, leases, location, settle, whole
from pydogpile.wait import until

META = wms.Metatile(8, 133, 86)
PID = 10  # in a lease
# A child that blocks has no more clients than threads.
CONF = "DogpileAsync Off\nDogpileMaxBlocked 100\n" + location()
# More clients than two children have threads: the flight's child never has
# all of them.
SIZE = {"children": 4, "threads": 8}
CLIENTS = 20
SUCCESSIVELY = "AH10392|AH10393"  # what httpd thinks of so many deaths


def leader(server):
    """The child that fetches, from the lease that it holds."""
    lease, = leases(server.dir / "store/.locks")
    return int(lease[PID])


def start_herd(server, upstream, n=CLIENTS):
    upstream.hold()
    herd = client.Herd([server.url(path) for path in META.tiles()], n).start()
    server.status.wait(lambda s: s["waiters"] == n)
    upstream.wait_held()
    return herd


def sort(answers, image):
    """All answers are right tiles or lost connections: how many of each."""
    lost = [answer for answer in answers if answer.status == 0]
    for i, answer in enumerate(answers):
        if answer.status != 0:
            cell = META.cells[i % len(META.cells)]
            assert_tiles([answer], wms.Metatile(8, *cell, columns=1, rows=1,
                                                buffer=0),
                         image.crop(META.window(*cell)))
    return len(answers) - len(lost), len(lost)


def test_flight_of_a_killed_child_goes_on(httpd, upstream):
    """When the child that fetches is killed, another one takes over at once;
    only the dead child's own clients lose their connections."""
    server = httpd(CONF, **SIZE)
    image = whole(upstream, META)
    herd = start_herd(server, upstream)
    server.kill_child(leader(server))
    upstream.wait_held(2)
    upstream.release()
    served, lost = sort(herd.answers(), image)
    assert served >= CLIENTS - SIZE["threads"] and lost <= SIZE["threads"]
    assert upstream.count == 2
    settle(server, fetches=2, takeovers=1, stored=1, failed=0, shed=0,
           blocked=0)
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    assert upstream.count == 2


def test_child_that_only_waits_may_die(httpd, upstream):
    """A killed child without flights costs its clients' connections and no
    fetch; its waiters are forgotten."""
    server = httpd(CONF, **SIZE)
    image = whole(upstream, META)
    herd = start_herd(server, upstream)
    other = next(pid for pid in server.children() if pid != leader(server))
    server.kill_child(other)
    upstream.release()
    served, lost = sort(herd.answers(), image)
    assert served >= CLIENTS - SIZE["threads"] and lost <= SIZE["threads"]
    assert upstream.count == 1
    settle(server, fetches=1, takeovers=0, stored=1, blocked=0)


def test_each_leader_dies_in_turn(httpd, upstream):
    """However often the child that fetches is killed, the next one goes on:
    one fetch a life, and no error for anybody else."""
    server = httpd(CONF, **SIZE)
    server.allow_log(SUCCESSIVELY)
    image = whole(upstream, META)
    enough = SIZE["threads"] + 1  # not all of them in one child
    herds = [start_herd(server, upstream, enough)]
    for deaths in range(1, 4):
        server.kill_child(leader(server))
        upstream.wait_held(deaths + 1)
        missing = enough - server.status["waiters"]
        if missing > 0:
            herds.append(client.Herd(herds[0].urls, missing).start())
        server.status.wait(lambda s: s["waiters"] >= enough)
    upstream.release()
    served = [sort(herd.answers(), image)[0] for herd in herds]
    assert sum(served) > 0
    assert upstream.count == 4
    settle(server, fetches=4, stored=1, failed=0, shed=0, blocked=0)


def kill_all(server):
    """All children, none of which sees another one die."""
    pids = server.children()
    server.log.forgive("exit signal Killed")
    server.allow_log(SUCCESSIVELY)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    until(lambda: not any(map(alive, pids)), "children gone")


@pytest.mark.parametrize("herds", [0, 1])
def test_all_children_at_once(httpd, upstream, herds):
    """When every child is killed the table is empty, nothing of the dead
    keeps the living from their tile."""
    server = httpd(CONF, **SIZE)
    image = whole(upstream, META)
    dead = [start_herd(server, upstream) for _ in range(herds)]
    kill_all(server)
    for herd in dead:
        assert {answer.status for answer in herd.answers()} == {0}
    settle(server, blocked=0)
    upstream.release()
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    settle(server, fetches=1 + herds, stored=1)


def test_killed_child_gives_its_place_at_the_source_back(httpd, upstream):
    """A child that dies while it fetches doesn't count against
    DogpileUpstreamLimit for ever."""
    server = httpd("DogpileMaxBlocked 100\n"
                   + location("DogpileUpstreamLimit 1"), **SIZE)
    image = whole(upstream, META)
    for number in (1, 2, 3):
        herd = start_herd(server, upstream, 4)
        assert server.status["fetching"] == 1
        kill_all(server)
        herd.answers()
        settle(server, fetching=0, fetches=number)
        upstream.release()
        until(lambda: upstream.held == 0, "the dead one's request over")
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    settle(server, fetches=4, stored=1)
