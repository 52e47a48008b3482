# SPDX-License-Identifier: Apache-2.0
"""Which picture a metatile is, and how its tiles fit together."""
import io

import numpy
import pytest
from PIL import Image

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import ALONE, assert_tiles, location, settle, whole


def ask_all(server, meta, **params):
    return client.herd([server.url(path) for path in meta.tiles(**params)])


def as_asked(request):
    """What a fetch asked for, compared within a thousandth of a pixel."""
    return request.pixels(), request.bbox()


def assert_asked(request, meta):
    pixels, bbox = as_asked(request)
    unit = meta.grid.span / 2 ** meta.z / meta.size
    assert pixels == meta.pixels
    assert numpy.abs(numpy.subtract(bbox, meta.bbox)).max() < unit / 1000


SHAPES = {
    "default": ("", {}),
    "2x3": ("DogpileMetatile 2x3 buffer=0",
            {"columns": 2, "rows": 3, "buffer": 0}),
    "buffer": ("DogpileMetatile 3x1 buffer=64",
               {"columns": 3, "rows": 1, "buffer": 64}),
    "odd": ("DogpileMetatile 5x5 buffer=7",
            {"columns": 5, "rows": 5, "buffer": 7}),
    # max= bounds the pixels, buffer included: (1024 - 32) / 256 = 3.
    "max": ("DogpileMetatile 8x8 buffer=16 max=1024",
            {"columns": 3, "rows": 3}),
    "alone-with-buffer": ("DogpileMetatile 1x1 buffer=10",
                          {"columns": 1, "rows": 1, "buffer": 10}),
}


@pytest.mark.parametrize("grid", [wms.MERCATOR, wms.CRS84],
                         ids=lambda grid: grid.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_metatile_has_the_configured_shape(httpd, upstream, shape, grid):
    """One request for columns x rows tiles and their buffer, from the grid's
    origin on, answers all of its tiles."""
    conf, options = SHAPES[shape]
    server = httpd(location(conf))
    meta = wms.Metatile(6, 40, 25, grid, **options)
    image = whole(upstream, meta)
    assert_tiles(ask_all(server, meta), meta, image)
    assert upstream.count == 1
    assert_asked(upstream.requests[0], meta)


# z, x, y of cells at the corners and edges, and of the whole world.
EDGES = [
    (wms.MERCATOR, 0, 0, 0), (wms.MERCATOR, 1, 1, 1), (wms.MERCATOR, 3, 0, 0),
    (wms.MERCATOR, 3, 7, 7), (wms.MERCATOR, 3, 7, 0), (wms.MERCATOR, 4, 5, 15),
    (wms.CRS84, 0, 1, 0), (wms.CRS84, 1, 3, 1), (wms.CRS84, 3, 15, 7),
    (wms.CRS84, 3, 0, 3),
]


@pytest.mark.parametrize("conf,options", [
    ("", {}), ("DogpileMetatile 3x3 buffer=20",
               {"columns": 3, "rows": 3, "buffer": 20})], ids=["4x4", "3x3"])
def test_metatile_is_clipped_at_the_edge_of_the_world(httpd, upstream, conf,
                                                      options):
    """No pixel beyond the grid's extent is asked for, and the tiles at the
    edge are right."""
    server = httpd(location(conf))
    for grid, z, x, y in EDGES:
        meta = wms.Metatile(z, x, y, grid, **options)
        image = whole(upstream, meta)
        assert_tiles(ask_all(server, meta), meta, image)
        assert upstream.count == 1, (grid.name, z, x, y)
        assert_asked(upstream.requests[0], meta)


@pytest.mark.parametrize("version", ["1.1.1", "1.3.0"])
def test_retina_tiles_have_metatiles_of_their_own(httpd, upstream, version):
    """A cell in 512 x 512 pixels is cut from a metatile of that resolution,
    shrunk to max=."""
    server = httpd(location())
    meta = wms.Metatile(8, 133, 86, size=512, columns=3, rows=3)
    image = whole(upstream, meta)
    assert_tiles(ask_all(server, meta, version=version), meta, image)
    assert upstream.count == 1
    assert upstream.requests[0].pixels() == (1568, 1568)
    assert client.get(server.url(wms.tile(8, 133, 86))).status == 200
    assert upstream.count == 2


@pytest.mark.parametrize("layers", ["rgb", "rgba", "palette"])
def test_neighbours_fit_together(httpd, upstream, layers):
    """Four metatiles put side by side are the map rendered in one piece."""
    server = httpd(location("DogpileMetatile 2x2 buffer=5"))
    canvas = Image.new("RGBA", (1024, 1024))
    for row in range(4):
        for column in range(4):
            tile = picture.decode(client.get(server.url(wms.tile(
                8, 132 + column, 84 + row, layers=layers))).body)
            canvas.paste(tile.convert("RGBA"), (256 * column, 256 * row))
    assert upstream.count == 4
    image = whole(upstream, wms.Metatile(8, 132, 84, buffer=0), layers=layers)
    assert picture.same(canvas, image)


def as_format(name, media_type):
    """An answer of the source in a format of its own."""
    def answer(request):
        image = picture.render("rgb", request.bbox(), *request.pixels())
        out = io.BytesIO()
        image.save(out, name)
        return scripted.Answer(200, {"Content-Type": media_type},
                               out.getvalue())
    return answer


ALL_FORMATS = [("PNG", "image/png"), ("JPEG", "image/jpeg"),
               ("GIF", "image/gif"), ("WEBP", "image/webp"),
               ("TIFF", "image/tiff")]
UNCUT = ALL_FORMATS[2:]


def assert_same_bytes(server, upstream, path):
    """From the source and from the store the source's own bytes come."""
    source = client.get(upstream.url(path))
    upstream.forget()
    first = client.get(server.url(path))
    settle(server, stored=1)
    for answer in (first, client.get(server.url(path))):
        assert answer.status == 200, answer
        assert answer.body == source.body
        assert answer.header("Content-Type") == source.header("Content-Type")
    assert upstream.count == 1


@pytest.mark.parametrize("name,media_type", ALL_FORMATS)
def test_single_tile_keeps_its_bytes(httpd, upstream, name, media_type):
    """With DogpileMetatile 1x1 buffer=0 nothing is decoded, so any format
    will do."""
    server = httpd(location(ALONE), children=1)
    upstream.always = as_format(name, media_type)
    assert_same_bytes(server, upstream,
                      wms.tile(8, 133, 86, format=media_type))


@pytest.mark.parametrize("name,media_type", UNCUT)
def test_what_cannot_be_cut_comes_tile_by_tile(httpd, upstream, name,
                                               media_type):
    """Formats that the module can't cut are coalesced and stored as single
    tiles, though metatiles are configured."""
    server = httpd(location(), children=1)
    upstream.always = as_format(name, media_type)
    path = wms.tile(8, 133, 86, format=media_type)
    assert_same_bytes(server, upstream, path)
    assert upstream.requests[0].pixels() == (256, 256)
    upstream.hold()
    herd = client.Herd([server.url(wms.tile(8, 134, 86, format=media_type))],
                       5).start()
    server.status.wait(lambda s: s["waiters"] == 5)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == 2
