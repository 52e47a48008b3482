# SPDX-License-Identifier: Apache-2.0
"""Many clients, one metatile, one httpd: one fetch."""
import pytest

from pydogpile import client, picture, wms

CONF = """
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""
# Blocked waiters may take half of the threads (processes): room for 100.
MPMS = ("event", "worker", "prefork")
CLIENTS = 64
META = wms.Metatile(8, 133, 86)


def whole(upstream, meta=META, **params):
    """The picture of the metatile, asked of the source itself."""
    image = picture.decode(client.get(upstream.url(meta.whole(**params))).body)
    upstream.forget()
    return image


def assert_tiles(answers, paths, meta, image):
    """answers[i] is the tile of paths[i % len(paths)]."""
    for i, answer in enumerate(answers):
        picture.assert_cut(answer, image,
                           meta.window(*meta.cells[i % len(paths)]))


@pytest.mark.parametrize("mpm", MPMS)
def test_herd_on_cold_metatile_fetches_once(httpd, upstream, mpm):
    """64 clients on the 16 tiles of a cold metatile cost one fetch, then
    none."""
    server = httpd(CONF, mpm=mpm, children=4, threads=50)
    image, paths = whole(upstream), META.tiles()
    urls = [server.url(path) for path in paths]
    upstream.hold()
    herd = client.Herd(urls, CLIENTS).start()
    seen = server.status.wait(lambda s: s["waiters"] == CLIENTS)
    assert seen["flights"] == 1
    upstream.wait_held(1)
    upstream.release()
    assert_tiles(herd.answers(), paths, META, image)
    assert upstream.count == 1
    seen = server.status.wait(lambda s: s["flights"] == 0)
    assert (seen["fetches"], seen["waiters"], seen["stored"]) == (1, 0, 1)

    assert_tiles(client.herd(urls, CLIENTS), paths, META, image)
    assert upstream.count == 1
    assert server.status["hits"] >= CLIENTS


@pytest.mark.parametrize("mpm", MPMS)
def test_one_cold_tile_is_fetched_once(httpd, upstream, mpm):
    """100 clients on one cold tile, without metatiles, cost one fetch and get
    the source's own bytes."""
    server = httpd(CONF + '<Location "/wms">\nDogpileMetatile 1x1 buffer=0\n'
                   "</Location>\n", mpm=mpm, children=4, threads=64)
    path = wms.tile(8, 133, 86)
    source = client.get(upstream.url(path)).body
    upstream.forget()
    upstream.hold()
    herd = client.Herd([server.url(path)], 100).start()
    server.status.wait(lambda s: s["waiters"] == 100)
    upstream.release()
    answers = herd.answers()
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {source}
    assert upstream.count == 1


@pytest.mark.parametrize("grid", [wms.MERCATOR, wms.CRS84])
def test_wms_versions_meet_in_one_flight(httpd, upstream, grid):
    """Requests of WMS 1.1.1 and 1.3.0 for one tile share one flight."""
    server = httpd(CONF)
    meta = wms.Metatile(6, 21, 22, grid)
    image = whole(upstream, meta)
    paths = [wms.tile(6, 21, 22, grid, version=version)
             for version in ("1.1.1", "1.3.0")]
    upstream.hold()
    herd = client.Herd([server.url(path) for path in paths], 10).start()
    seen = server.status.wait(lambda s: s["waiters"] == 10)
    assert seen["flights"] == 1
    upstream.release()
    for answer in herd.answers():
        picture.assert_cut(answer, image, meta.window(21, 22))
    assert upstream.count == 1


def test_metatiles_fly_apart(httpd, upstream):
    """Two metatiles are two flights, and neither waits for the other."""
    server = httpd(CONF)
    metas = [META, wms.Metatile(8, 137, 86)]
    images = [whole(upstream, meta) for meta in metas]
    urls = [server.url(wms.tile(meta.z, meta.x, meta.y)) for meta in metas]
    upstream.hold()
    herd = client.Herd(urls, 20).start()
    seen = server.status.wait(lambda s: s["waiters"] == 20)
    assert seen["flights"] == 2
    upstream.wait_held(2)
    upstream.release()
    for i, answer in enumerate(herd.answers()):
        meta = metas[i % 2]
        picture.assert_cut(answer, images[i % 2], meta.window(meta.x, meta.y))
    assert upstream.count == 2


def test_leaving_leader_cancels_nothing(httpd, upstream):
    """The client that started a flight may leave; the others get their
    tile."""
    server = httpd(CONF)
    image, url = whole(upstream), server.url(wms.tile(8, 133, 86))
    upstream.hold()
    leader = client.Herd([url]).start()
    upstream.wait_held(1)
    others = client.Herd([url], 9).start()
    server.status.wait(lambda s: s["waiters"] == 10)
    leader.leave(0)
    assert leader.answers()[0].status == 0
    upstream.release()
    for answer in others.answers():
        picture.assert_cut(answer, image, META.window(133, 86))
    assert upstream.count == 1


@pytest.mark.parametrize("layers", ["rgb", "rgba", "grey", "palette"])
def test_tiles_keep_their_pixels(httpd, upstream, layers):
    """Every kind of PNG is cut without changing a pixel."""
    server = httpd(CONF)
    image = whole(upstream, layers=layers)
    paths = META.tiles(layers=layers)
    answers = client.herd([server.url(path) for path in paths])
    assert_tiles(answers, paths, META, image)
    assert upstream.count == 1


def test_first_tile_says_how_it_came(httpd, upstream):
    """Cache-Status names the miss, then the hit."""
    server = httpd(CONF)
    url = server.url(wms.tile(8, 133, 86))
    first = client.get(url)
    server.status.wait(lambda s: s["flights"] == 0)
    second = client.get(url)
    assert "fwd=uri-miss" in first.header("Cache-Status")
    assert "; hit" in second.header("Cache-Status")
    assert first.header("ETag") == second.header("ETag")
    assert first.body == second.body
