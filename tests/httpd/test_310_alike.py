# SPDX-License-Identifier: Apache-2.0
"""Which requests fly together and which fly apart."""
import pytest

from pydogpile import client, picture, wms
from pydogpile.scene import ALONE, location, records, settle, whole

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)


def off_grid(shift=0.37, **params):
    """A map that is no cell of any grid."""
    left, bottom, right, top = wms.MERCATOR.bbox(8, 133, 86)
    by = shift * (right - left)
    return wms.getmap(wms.MERCATOR, (left + by, bottom, right + by, top),
                      300, 300, **params)


def test_off_grid_map_is_fetched_once_for_its_waiters(httpd, upstream):
    """Those who ask for the same map outside of any grid wait for one fetch
    and get the source's own bytes; nothing is stored."""
    server = httpd(location())
    source = client.get(upstream.url(off_grid())).body
    upstream.forget()
    upstream.hold()
    herd = client.Herd([server.url(off_grid())], 12).start()
    seen = server.status.wait(lambda s: s["waiters"] == 12)
    assert seen["flights"] == 1
    upstream.release()
    for answer in herd.answers():
        assert (answer.status, answer.body) == (200, source)
    assert upstream.count == 1
    settle(server, fetches=1, stored=0)
    assert not records(server.dir / "store")
    assert client.get(server.url(off_grid())).body == source
    assert upstream.count == 2


@pytest.mark.parametrize("policy,status,fetches", [
    ("pass", 200, 6), ("deny", 403, 0)])
def test_off_grid_maps_may_be_let_through_or_refused(httpd, upstream, policy,
                                                     status, fetches):
    """DogpileOffGrid pass leaves them to the source, deny answers 403."""
    server = httpd(location(f"DogpileOffGrid {policy}"), children=2)
    answers = client.herd([server.url(off_grid())], 6)
    assert {answer.status for answer in answers} == {status}
    assert upstream.count == fetches
    assert server.status["fetches"] == 0


def apart():
    """Requests of which no two have the same answer."""
    x, y = 133, 86
    return [
        wms.tile(8, x, y), wms.tile(9, x, y), wms.tile(8, x + 4, y),
        wms.tile(8, x, y + 4), wms.tile(8, x, y, layers="rgba"),
        wms.tile(8, x, y, styles="night"),
        wms.tile(8, x, y, format="image/jpeg"),
        wms.tile(8, x, y, layers="rgba", TRANSPARENT="TRUE"),
        wms.tile(8, x, y, BGCOLOR="0x112233"), wms.tile(8, x, y, DPI="180"),
        wms.tile(8, x, y, size=512), wms.tile(8, x, y, wms.CRS84),
        off_grid(), off_grid(0.41), off_grid(layers="rgba"),
    ]


def test_different_pictures_fly_apart(httpd, upstream):
    """Place, zoom, layers, styles, format, transparency, background, listed
    parameters, size and grid each make a flight of their own, all at once."""
    paths = apart()
    server = httpd(location(f"DogpileUpstreamLimit {len(paths)}"), threads=32)
    upstream.hold()
    herd = client.Herd([server.url(path) for path in paths],
                       2 * len(paths)).start()
    server.status.wait(lambda s: s["waiters"] == 2 * len(paths))
    upstream.wait_held(len(paths))
    assert server.status["flights"] == len(paths)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == len(paths)
    settle(server, fetches=len(paths))


def alike():
    """Different ways of asking for one tile."""
    x, y = 133, 86
    path, _, query = TILE.partition("?")
    words = query.split("&")
    return [
        TILE, wms.tile(8, x, y, version="1.3.0"),
        wms.tile(8, x, y, TILED="true"),
        wms.tile(8, x, y, TILESORIGIN="-20037508,-20037508"),
        wms.tile(8, x, y, transparent="false"),
        wms.tile(8, x, y, crs="EPSG:900913"),
        path + "?" + "&".join(reversed(words)),
        path + "?" + "&".join(word.partition("=")[0].lower() + "="
                              + word.partition("=")[2] for word in words),
    ]


def test_same_picture_flies_once(httpd, upstream):
    """Version, order, case, defaults and ignored parameters don't matter."""
    server = httpd(location())
    image = whole(upstream, META)
    paths = alike()
    upstream.hold()
    herd = client.Herd([server.url(path) for path in paths], 20).start()
    seen = server.status.wait(lambda s: s["waiters"] == 20)
    assert seen["flights"] == 1
    upstream.release()
    for answer in herd.answers():
        picture.assert_cut(answer, image, META.window(133, 86))
    assert upstream.count == 1


def test_only_client_leaves_and_its_tile_is_kept(httpd, upstream):
    """Nobody waits any more, yet the fetch goes on and is stored."""
    server = httpd(location())
    upstream.hold()
    herd = client.Herd([server.url(TILE)]).start()
    upstream.wait_held()
    herd.leave(0)
    assert herd.answers()[0].status == 0
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    assert client.get(server.url(TILE)).status == 200
    settle(server, fetches=1, stored=1, hits=1)
    assert upstream.count == 1


def test_children_share_a_flight(httpd, upstream):
    """Waiters spread over many children cost one fetch."""
    server = httpd(location(ALONE), children=8, threads=8)
    upstream.hold()
    herd = client.Herd([server.url(TILE)], 30).start()
    seen = server.status.wait(lambda s: s["waiters"] == 30)
    assert (seen["flights"], seen["collapsed"]) == (1, 29)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    settle(server, fetches=1, misses=30, collapsed=29)
