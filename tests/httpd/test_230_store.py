# SPDX-License-Identifier: Apache-2.0
"""The disk store under a running httpd: what it holds, loses and survives."""
import shutil

import pytest

from pydogpile import client, picture, wms
from pydogpile.scene import (ALONE, assert_tiles, location, records, settle,
                             whole)

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)


@pytest.fixture
def warm(httpd, upstream):
    """An httpd that has one metatile in its store, and the only record."""
    server = httpd(location())
    assert client.get(server.url(TILE)).status == 200
    settle(server, stored=1)
    upstream.forget()
    record, = records(server.dir / "store")
    return server, record


def test_store_survives_a_restart(warm, upstream):
    """What was stored before httpd was stopped is a hit afterwards."""
    server, _ = warm
    image = whole(upstream, META)
    server.stop()
    server.start()
    assert_tiles(client.herd([server.url(path) for path in META.tiles()]),
                 META, image)
    assert upstream.count == 0
    assert server.status["hits"] == len(META.cells)


@pytest.mark.parametrize("lost", ["record", "layer", "everything"])
def test_deleted_files_are_misses(warm, upstream, lost):
    """Someone may delete a metatile, a layer or everything that he sees: it
    is fetched and stored again, without a word."""
    server, record = warm
    store = server.dir / "store"
    if lost == "record":
        record.unlink()
    elif lost == "layer":
        shutil.rmtree(record.parents[5])
    else:
        for path in store.glob("[!.]*"):
            shutil.rmtree(path)
    image = whole(upstream, META)
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    settle(server, fetches=2, stored=2, store_errors=0)
    assert upstream.count == 1
    assert len(records(store)) == 1


def truncate(record):
    record.write_bytes(record.read_bytes()[:5000])


def cut_last_byte(record):
    record.write_bytes(record.read_bytes()[:-1])


def cut_in_head(record):
    record.write_bytes(record.read_bytes()[:80])


def empty(record):
    record.write_bytes(b"")


def fill_with_garbage(record):
    record.write_bytes(b"<html>not found</html>" * 1000)


def flip_in_head(record):
    data = bytearray(record.read_bytes())
    data[100] ^= 1
    record.write_bytes(data)


def grow(record):
    record.write_bytes(record.read_bytes() + b"x")


@pytest.mark.parametrize("spoil", [
    truncate, cut_last_byte, cut_in_head, empty, fill_with_garbage,
    flip_in_head, grow], ids=lambda spoil: spoil.__name__)
def test_bad_record_is_set_aside(warm, upstream, spoil):
    """A record that isn't whole is a miss: kept for whoever wants to know why,
    reported once, fetched and stored again."""
    server, record = warm
    server.expect_log("DP0400")
    image = whole(upstream, META)
    spoil(record)
    urls = [server.url(path) for path in META.tiles()]
    assert_tiles(client.herd(urls), META, image)
    settle(server, fetches=2, stored=2)
    assert_tiles(client.herd(urls), META, image)
    assert upstream.count == 1
    assert len(server.log.find("DP0400")) == 1
    assert record.with_name(record.name + ".bad").exists()
    assert records(server.dir / "store") == [record]


def test_record_of_another_place_is_foreign(warm, upstream):
    """A whole record under the name of another one isn't believed."""
    server, record = warm
    other = wms.Metatile(8, 137, 86)
    url = server.url(wms.tile(8, 137, 86))
    image = whole(upstream, other)
    client.get(url)
    settle(server, stored=2)
    there, = [path for path in records(server.dir / "store") if path != record]
    server.expect_log("DP0400")
    shutil.copy(record, there)
    assert_tiles([client.get(server.url(path)) for path in other.tiles()],
                 other, image)
    assert upstream.count == 2
    settle(server, stored=3)


def test_equal_tiles_share_a_body(httpd):
    """Sixteen tiles of open sea take the room of one."""
    server = httpd(location())
    paths = META.tiles(layers="blank")
    answers = client.herd([server.url(path) for path in paths])
    settle(server, stored=1)
    record, = records(server.dir / "store")
    bodies = {answer.body for answer in answers}
    assert len(bodies) == 1
    assert record.read_bytes().count(bodies.pop()) == 1
    again = client.get(server.url(paths[7]))
    assert again.body == answers[0].body
    assert picture.decode(again.body).getcolors() == [(65536, (12, 34, 56))]


def test_paths_tell_source_layer_and_place(httpd):
    """A layer, a zoom or a box can be found by the names in the store."""
    server = httpd(location("DogpileSourceName osm"))
    client.get(server.url(wms.tile(8, 133, 86, layers="rgba")))
    settle(server, stored=1)
    path = str(records(server.dir / "store")[0].relative_to(
        server.dir / "store"))
    source, layers, grid, z, _, _, name = path.split("/")
    assert (source, grid, z) == ("osm", "WebMercatorQuad", "8")
    assert layers.startswith("rgba-")
    assert name.startswith("33_21_")


def test_two_doors_to_one_source_share_its_tiles(httpd, upstream):
    """Two locations with one store, one source and one name: what one has
    fetched, the other serves."""
    both = 'DogpileSourceName osm'
    server = httpd(location(both) + location(
        both, "DogpileSource /wms", path="/maps"))
    image = whole(upstream, META)
    for path in ("/wms", "/maps"):
        assert_tiles([client.get(server.url(tile))
                      for tile in META.tiles(path=path)], META, image)
        settle(server, stored=1)
    assert upstream.count == 1


def test_two_sources_in_one_store_stay_apart(httpd, upstream):
    """Two locations with one store and different sources never see each
    other's tiles."""
    server = httpd(location(ALONE) + location(ALONE, path="/other"))
    for path in ("/wms", "/other"):
        client.get(server.url(wms.tile(8, 133, 86, path=path)))
        settle(server)
    assert [r.path for r in upstream.requests] == ["/wms", "/other"]
    assert len(records(server.dir / "store")) == 2


def test_store_is_named_in_the_status(warm):
    """The status page says where tiles are and that writing works."""
    server, _ = warm
    row, = [value for name, value in server.status.read().items()
            if name.startswith("store ")]
    assert row["type"] == "disk"
    assert row["path"] == str(server.dir / "store")
    assert row["last write"] == "good"
