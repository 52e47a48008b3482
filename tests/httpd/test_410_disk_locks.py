# SPDX-License-Identifier: Apache-2.0
"""Locks in files: where they are, and what happens without them."""
import os

import pytest

from pydogpile import client, wms
from pydogpile.scene import (ALONE, assert_said_once, assert_tiles, leases,
                             location, settle, whole)

META = wms.Metatile(8, 133, 86)
LABEL = "WebMercatorQuad/8/33/21"
KIND = 2

LOCKER = """
<DogpileLocker cluster disk>
    DogpileLockDirectory "{directory}"
</DogpileLocker>
"""


# Where the lock is: in the store, or where the configuration says.
PLACES = {
    "store": (location(), "store/.locks"),
    "explicit": (LOCKER.format(directory="${DIR}/locks")
                 + location("DogpileLocker cluster"), "locks"),
}


@pytest.mark.parametrize("place", PLACES)
def test_lock_is_held_while_fetching(httpd, upstream, place):
    """A flight has one exclusive lease, that names it for people, from before
    the fetch until the tiles are stored; then it is gone."""
    conf, folder = PLACES[place]
    server = httpd(conf)
    image = whole(upstream, META)
    upstream.hold()
    herd = client.Herd([server.url(path) for path in META.tiles()]).start()
    upstream.wait_held()
    lease, = leases(server.dir / folder)
    assert lease[KIND] == "x"
    assert LABEL in " ".join(lease)
    upstream.release()
    assert_tiles(herd.answers(), META, image)
    settle(server, stored=1, lock_waits=0, lock_lost=0)
    assert leases(server.dir / folder) == []


def test_named_locker_leaves_the_store_alone(httpd):
    """With a locker of its own a location locks nothing in its store."""
    conf, folder = PLACES["explicit"]
    server = httpd(conf, children=1)
    client.get(server.url(META.tiles()[0]))
    settle(server, stored=1)
    assert list((server.dir / folder).glob("??"))
    assert not list((server.dir / "store/.locks").glob("??"))


def test_off_grid_maps_need_no_lock(httpd, upstream):
    """What isn't stored is coalesced without asking other hosts."""
    server = httpd(location(), children=1)
    upstream.hold()
    herd = client.Herd([server.url(wms.getmap(
        wms.MERCATOR, (1, 2, 301, 302), 300, 300))]).start()
    upstream.wait_held()
    assert leases(server.dir / "store/.locks") == []
    upstream.release()
    assert herd.answers()[0].status == 200


def test_lock_directory_is_private(httpd):
    """It belongs to the user of httpd, and nobody else may look into it."""
    conf, folder = PLACES["explicit"]
    server = httpd(conf, children=1)
    client.get(server.url(META.tiles()[0]))
    info = (server.dir / folder).stat()
    assert info.st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert info.st_uid == server.dir.stat().st_uid


@pytest.fixture
def unlockable(httpd):
    """An httpd whose lock directory was taken away while it ran."""
    conf, folder = PLACES["explicit"]
    server = httpd(conf + location(ALONE, "DogpileLocker cluster",
                                   path="/other"), children=1)
    client.get(server.url(wms.tile(3, 1, 1)))
    settle(server, stored=1)
    server.expect_log("DP0502")
    server.allow_log("DP0700")
    locks = server.dir / folder
    locks.chmod(0)
    yield server, locks
    locks.chmod(0o700)


def test_unusable_locks_fail_open(unlockable, upstream):
    """Without its locks an httpd still coalesces by itself, says so once, and
    says so when they are back."""
    server, locks = unlockable
    image = whole(upstream, META)
    urls = [server.url(path) for path in META.tiles()]
    upstream.hold()
    herd = client.Herd(urls[:6]).start()
    seen = server.status.wait(lambda s: s["waiters"] == 6 and s["fetching"])
    assert (seen["flights"], seen["lock_unavailable"]) == (1, 1)
    upstream.release()
    assert_tiles(herd.answers(), META, image)
    assert upstream.count == 1
    client.get(server.url(wms.tile(8, 1, 1)))
    settle(server, stored=3, lock_unavailable=2)
    assert_said_once(server, "DP0502")
    locks.chmod(0o700)
    client.get(server.url(wms.tile(8, 9, 9)))
    settle(server, stored=4, lock_unavailable=2)
    if server.mpm != "prefork":  # where another child may take the next one
        assert_said_once(server, "DP0503")
