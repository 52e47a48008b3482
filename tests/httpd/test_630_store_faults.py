# SPDX-License-Identifier: Apache-2.0
"""A store that breaks while httpd runs: clients don't notice."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from pydogpile import client, wms
from pydogpile.scene import (ALONE, assert_said_once, assert_tiles, location,
                             records, settle, whole, write_ids)
from pydogpile.server import USER

META = wms.Metatile(8, 133, 86)
OTHER = wms.Metatile(8, 137, 86)
LOCKS = "DP0502|DP0700"  # the locks are in the store


def remove(store):
    shutil.rmtree(store)


def restore(store):
    store.mkdir()
    if os.geteuid() == 0:
        shutil.chown(store, USER, USER)


def folders(store):
    return [store, *(path for path in store.rglob("*") if path.is_dir())]


def forbid_writing(store):
    for path in folders(store):
        path.chmod(0o555)


def allow_writing(store):
    for path in folders(store):
        path.chmod(0o755)


def forbid_looking(store):
    store.chmod(0)


def allow_looking(store):
    store.chmod(0o755)


def replace(store):
    """By something that is no directory."""
    store.rename(store.with_name("away"))
    store.write_bytes(b"not a directory")


def put_back(store):
    store.unlink()
    store.with_name("away").rename(store)


FAULTS = {"removed": (remove, restore), "replaced": (replace, put_back),
          "read-only": (forbid_writing, allow_writing),
          "unreadable": (forbid_looking, allow_looking)}


def herd_once(server, upstream, meta):
    """A herd on a cold metatile: everyone gets the right tile of one fetch."""
    image = whole(upstream, meta)
    upstream.hold()
    herd = client.Herd([server.url(path) for path in meta.tiles()], 16).start()
    server.status.wait(lambda s: s["waiters"] == 16 and s["fetching"] == 1)
    upstream.release()
    assert_tiles(herd.answers(), meta, image)
    assert upstream.count == 1


def assert_over(server):
    """The child that complained says that it works again; under prefork,
    where each has one client, another one may be the first to write."""
    if server.mpm != "prefork":
        assert_said_once(server, "DP0403")


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_store_is_not_the_clients_trouble(httpd, upstream, fault):
    """Without its store an httpd coalesces and answers from memory, says so
    once, and stores again as soon as it can."""
    spoil, mend = FAULTS[fault]
    server = httpd(location(), children=1, threads=40)
    server.expect_log("DP0402")
    server.allow_log(LOCKS)
    store = server.dir / "store"
    client.get(server.url(wms.tile(3, 1, 1)))
    settle(server, stored=1)
    spoil(store)
    try:
        for number, meta in enumerate((META, OTHER, META), 1):
            herd_once(server, upstream, meta)
            settle(server, stored=1, store_errors=number, failed=0, shed=0)
    finally:
        mend(store)
    herd_once(server, upstream, META)
    settle(server, stored=2, store_errors=3)
    assert_said_once(server, "DP0402")
    assert_over(server)
    upstream.forget()
    assert client.get(server.url(META.tiles()[5])).status == 200
    assert upstream.count == 0


def test_each_child_complains_once(httpd):
    """A broken store is reported by each child that met it, and not by each
    metatile."""
    server = httpd(location(ALONE), children=4)
    server.expect_log("DP0402")
    server.allow_log(LOCKS)
    store = server.dir / "store"
    client.get(server.url(wms.tile(3, 1, 1)))
    settle(server, stored=1)
    forbid_writing(store)
    for row in range(4):
        client.herd([server.url(wms.tile(8, column, row))
                     for column in range(10)])
    settle(server, stored=1, store_errors=40)
    allow_writing(store)
    assert_said_once(server, "DP0402")


@pytest.fixture
def small_disk():
    """A file system of two megabytes. Not in pytest's own folder, which any
    other pytest that starts meanwhile closes to everyone but root."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755",
                    "tmpfs", path], check=True)
    path.chmod(0o755)
    shutil.chown(path, USER, USER)
    yield path
    subprocess.run(["umount", path], check=True)
    path.rmdir()


def test_full_disk(httpd, upstream, small_disk):
    """On a full disk hits go on and misses are answered from memory; no torn
    record is left; when there is room again, tiles are stored."""
    server = httpd(location(store=small_disk), children=1, threads=40)
    server.expect_log("DP0402")
    server.allow_log(LOCKS)
    herd_once(server, upstream, OTHER)
    settle(server, stored=1)
    ids = write_ids(small_disk)
    filler = small_disk / "filler"
    with open(filler, "wb") as out, pytest.raises(OSError):
        while True:
            os.write(out.fileno(), bytes(4096))
    for number in (1, 2):
        herd_once(server, upstream, META)
        settle(server, stored=1, store_errors=number, failed=0, shed=0)
    assert write_ids(small_disk) == ids
    assert not list((small_disk / ".tmp").iterdir())
    upstream.forget()
    assert client.get(server.url(OTHER.tiles()[3])).status == 200
    assert upstream.count == 0
    filler.unlink()
    herd_once(server, upstream, META)
    settle(server, stored=2)
    assert len(records(small_disk)) == 2
    assert_said_once(server, "DP0402")
    assert_over(server)
