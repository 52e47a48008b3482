# SPDX-License-Identifier: Apache-2.0
"""Two httpds on one store, one of which dies, sleeps or shares too little."""
import os
import signal

import pytest

from pydogpile import client, picture, wms
from pydogpile.scene import (assert_said_once, assert_tiles, leases, location,
                             records, settle, whole, write_ids)
from pydogpile.wait import until

META = wms.Metatile(7, 40, 41)
TILE = wms.tile(7, 40, 41)
EACH = 4
SINCE, UNTIL = 4, 5  # in a lease


def pair_of(httpd, shared_dir, *confs):
    """Two httpds with one store, each with configuration of its own."""
    return [httpd(conf + location(store="${SHARED}"), children=2,
                  define={"SHARED": shared_dir}) for conf in confs]


def herds(pair):
    """Clients at both, the first httpd being the one that fetches."""
    made = []
    for server in pair:
        made.append(client.Herd([server.url(path) for path in META.tiles()],
                                EACH).start())
        server.status.wait(lambda s: s["waiters"] == EACH)
        server.status.wait(lambda s: s["fetching"] or s["lock_waits"])
    return made


# The killed holder: told by its process, or by its lease that nobody renews.
DEATHS = {
    "same-host": ("DogpileLockTimeout 60s\n",) * 2,
    "other-host": ("DogpileLockTimeout 1s\nDogpileLockHost far\n",
                   "DogpileLockTimeout 1s\n"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_killed_holder_is_followed(httpd, upstream, shared_dir, death):
    """The clients of the other httpd get their tiles, from one more fetch: at
    once where the death can be seen, else when the lease is over."""
    pair = pair_of(httpd, shared_dir, *DEATHS[death])
    image = whole(upstream, META)
    upstream.hold()
    lost, kept = herds(pair)
    assert upstream.held == 1
    pair[0].kill()
    upstream.wait_held(2, deadline=15)
    upstream.release()
    assert_tiles(kept.answers(), META, image)
    assert {answer.status for answer in lost.answers()} == {0}
    assert upstream.count == 2
    settle(pair[1], fetches=1, stored=1, failed=0, shed=0)


def age_of_lease(store):
    """How long the only lease lasts by now, from its first second on."""
    lease, = leases(store + "/.locks") or [[0] * 6]
    return (int(lease[UNTIL]) - int(lease[SINCE])) / 1e6


def test_living_holder_is_waited_for_beyond_its_lease(httpd, upstream,
                                                      shared_dir):
    """A render may take longer than DogpileLockTimeout: the lease is
    renewed, and nobody fetches a second time."""
    pair = pair_of(httpd, shared_dir, *("DogpileLockTimeout 1s\n",) * 2)
    image = whole(upstream, META)
    upstream.hold()
    both = herds(pair)
    until(lambda: age_of_lease(shared_dir) > 2.5, "a lease renewed twice")
    assert upstream.held == 1
    upstream.release()
    for herd in both:
        assert_tiles(herd.answers(), META, image)
    assert upstream.count == 1
    for server in pair:
        settle(server, lock_lost=0)


def stop_children(server, number):
    for pid in server.children():
        os.kill(pid, number)


def test_sleeper_cannot_put_its_tile_over_a_newer_one(httpd, upstream,
                                                      shared_dir):
    """A holder that slept beyond its lease answers its own clients, but its
    late metatile is refused; what the other one stored stays."""
    pair = pair_of(httpd, shared_dir, *("DogpileLockTimeout 1s\n",) * 2)
    image = whole(upstream, META)
    upstream.hold()
    slept, kept = herds(pair)
    stop_children(pair[0], signal.SIGSTOP)
    try:
        upstream.wait_held(2, deadline=15)
        upstream.release()
        assert_tiles(kept.answers(), META, image)
        settle(pair[1], fetches=1, stored=1)
        before = write_ids(shared_dir)
    finally:
        stop_children(pair[0], signal.SIGCONT)
    assert_tiles(slept.answers(), META, image)
    settle(pair[0], fetches=1, stored=0, store_refused=1)
    assert len(before) == 1 and write_ids(shared_dir) == before
    assert upstream.count == 2


def test_flight_of_another_store_is_not_waited_for(httpd, upstream,
                                                   shared_dir):
    """Two httpds that share locks but not the store gain nothing from each
    other's flights: each fetches for itself, and is warned once."""
    locker = ('<DogpileLocker shared disk>\nDogpileLockDirectory '
              '"${SHARED}/locks"\n</DogpileLocker>\n')
    pair = [httpd(locker + location("DogpileLocker shared"), children=1,
                  define={"SHARED": shared_dir}) for _ in range(2)]
    image = whole(upstream, META)
    pair[1].expect_log("DP0504")
    other = wms.Metatile(7, 44, 41)
    upstream.hold()
    urls = [[server.url(path) for path in META.tiles()] for server in pair]
    first = client.Herd(urls[0], EACH).start()
    upstream.wait_held(1)
    second = client.Herd(urls[1], EACH).start()
    upstream.wait_held(2)
    more = []
    for held, server in enumerate(pair, 3):
        more.append(client.Herd([server.url(other.tiles()[0])]).start())
        upstream.wait_held(held)
    upstream.release()
    for herd in (first, second):
        assert_tiles(herd.answers(), META, image)
    assert {herd.answers()[0].status for herd in more} == {200}
    settle(pair[0], fetches=2, stored=2)
    settle(pair[1], fetches=2, stored=2, lock_foreign=2)
    assert_said_once(pair[1], "DP0504")


def test_many_metatiles_are_shared_out(httpd, upstream, shared_dir):
    """Two httpds that want the same many metatiles at once fetch each one
    once between them."""
    pair = pair_of(httpd, shared_dir, "", "")
    paths = [wms.tile(8, 4 * i, 20) for i in range(10)]
    both = [client.Herd([server.url(path) for path in paths]).start()
            for server in pair]
    answers = [herd.answers() for herd in both]
    for one, other in zip(*answers):
        assert one.status == other.status == 200
        assert picture.same(picture.decode(one.body),
                            picture.decode(other.body))
    assert upstream.count == len(paths)
    assert len(records(shared_dir)) == len(paths)
    for server in pair:
        settle(server, failed=0, shed=0, lock_lost=0)
