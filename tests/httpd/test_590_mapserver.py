# SPDX-License-Identifier: Apache-2.0
"""End to end with the real MapServer."""
import pytest

from pydogpile import client, picture, wms

CONF = """
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    ProxyPass "http://127.0.0.1:${MAPSERVER}/wms"
</Location>
"""


@pytest.fixture
def front(mapserver, httpd):  # ends first: it keeps connections to MapServer
    return httpd(CONF, define={"MAPSERVER": mapserver.port}, children=4,
                 threads=50)


@pytest.mark.parametrize("grid,cell", [
    (wms.MERCATOR, (4, 5, 6)), (wms.MERCATOR, (3, 0, 0)),
    (wms.CRS84, (4, 9, 4)), (wms.MERCATOR, (9, 250, 251))])
def test_herd_runs_mapserver_once(front, mapserver, grid, cell):
    """64 clients on a cold metatile run MapServer once; each tile is the cut
    of one direct GetMap."""
    meta = wms.Metatile(*cell, grid)
    whole = picture.decode(client.get(mapserver.url(
        meta.whole(layers="world"))).body)
    mapserver.forget()
    urls = [front.url(path) for path in meta.tiles(layers="world")]
    for _ in range(2):
        for i, answer in enumerate(client.herd(urls, 64)):
            where = meta.window(*meta.cells[i % len(urls)])
            picture.assert_cut(answer, whole, where)
        assert mapserver.count == 1


def test_unknown_layer_is_an_error_and_not_stored(front, mapserver):
    """MapServer's service exception reaches clients as an error."""
    front.expect_log(r"DP06\d\d")
    answer = client.get(front.url(wms.tile(4, 5, 6, layers="nowhere")))
    assert answer.status == 502, answer
    assert "no-store" in answer.header("Cache-Control")
    assert front.status["stored"] == 0
