# SPDX-License-Identifier: Apache-2.0
"""Cut tiles are the source's own pixels, in the source's own kind of PNG."""
import io
import struct
import zlib

import numpy
import pytest

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import location, settle

META = wms.Metatile(8, 133, 86)


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def chunks(png):
    """(kind, data) of each chunk."""
    at = 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        yield kind, png[at + 8:at + 8 + size]
        at += size + 12


def png(rows, colour, bits, *extra):
    """A PNG of rows of samples: an array of height, width, channels."""
    height, width, channels = rows.shape
    if bits == 16:
        lines = rows.astype(">u2").tobytes()
    elif bits == 8:
        lines = rows.astype(numpy.uint8).tobytes()
    else:
        planes = (rows[:, :, 0, None] >> numpy.arange(bits)[::-1]) & 1
        lines = numpy.packbits(planes.astype(bool).reshape(height, -1),
                               axis=1).tobytes()
    stride = len(lines) // height
    data = b"".join(b"\0" + lines[at:at + stride]
                    for at in range(0, len(lines), stride))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *extra,
                     chunk(b"IDAT", zlib.compress(data, 1)),
                     chunk(b"IEND", b"")])


def samples(png_bytes):
    """Width, height, bits, colour type, and the unfiltered samples as bytes;
    PIL would make 8 of 16 bits."""
    parts = list(chunks(png_bytes))
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", parts[0][1])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    unit = max(1, channels * bits // 8)
    stride = (width * channels * bits + 7) // 8
    data = zlib.decompress(b"".join(d for k, d in parts if k == b"IDAT"))
    rows = numpy.zeros((height + 1, stride + unit), numpy.uint8)
    for y in range(height):
        line = data[y * (stride + 1):(y + 1) * (stride + 1)]
        unfilter(rows, y + 1, line[0], line[1:], unit)
    return (width, height, bits, colour), rows[1:, unit:]


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def unfilter(rows, y, kind, line, unit):
    """PNG, section 9.2."""
    above, row = rows[y - 1].tolist(), [0] * unit
    for i, value in enumerate(line):
        left, up, corner = row[i], above[i + unit], above[i]
        add = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
        row.append((value + add) & 255)
    rows[y] = row


def cells(request):
    """Row and column numbers of the pixels that were asked for."""
    width, height = request.pixels()
    rows, columns = picture._rows_and_columns(request.bbox(), width, height)
    return rows + 0 * columns, columns + 0 * rows


PLTE = chunk(b"PLTE", bytes(v for rgb in picture.PALETTE for v in rgb))
TRNS = chunk(b"tRNS", bytes(4 * i for i in range(50)))


def paint(kind, request):
    """A picture of that kind: rows of samples, colour type, bits, chunks."""
    y, x = cells(request)
    bands = [x % 251, y % 241, (7 * x + 3 * y) % 239, (x // 3 + y // 5) % 256]
    index = ((x >> 3) + 5 * (y >> 3)) % 64
    wide = [(977 * x + 13 * y) % 65521, (x * y) % 65519, (31 * x) % 65521,
            (17 * y) % 65521]
    return {
        "palette8": ([index], 3, 8, PLTE),
        "palette8-clear": ([index], 3, 8, PLTE, TRNS),
        "palette4": ([index % 16], 3, 4, PLTE[:0] + SHORT),
        "palette1": ([index % 2], 3, 1, PLTE[:0] + SHORT),
        "grey8": (bands[:1], 0, 8),
        "grey1": ([index % 2], 0, 1),
        "grey16": (wide[:1], 0, 16),
        "grey-alpha8": (bands[:2], 4, 8),
        "grey-alpha16": (wide[:2], 4, 16),
        "rgb8": (bands[:3], 2, 8),
        "rgb8-clear": (bands[:3], 2, 8, chunk(b"tRNS", b"\0\1\0\2\0\3")),
        "rgb16": (wide[:3], 2, 16),
        "rgba8": (bands, 6, 8),
        "rgba16": (wide, 6, 16),
    }[kind]


SHORT = chunk(b"PLTE", bytes(v for rgb in picture.PALETTE[:16] for v in rgb))
KINDS = ["palette8", "palette8-clear", "palette4", "palette1", "grey8",
         "grey1", "grey16", "grey-alpha8", "grey-alpha16", "rgb8",
         "rgb8-clear", "rgb16", "rgba8", "rgba16"]


def drawn(kind):
    def answer(request):
        bands, colour, bits, *extra = paint(kind, request)
        body = png(numpy.dstack(bands), colour, bits, *extra)
        return scripted.Answer(200, {"Content-Type": "image/png"}, body)
    return answer


def assert_like(tile, alone):
    """The same pixels, and whatever gives them their meaning."""
    (head, rows), (other_head, other_rows) = samples(tile), samples(alone)
    assert head == other_head
    assert numpy.array_equal(rows, other_rows)
    meaning = {b"PLTE", b"tRNS"}
    assert ([c for c in chunks(tile) if c[0] in meaning]
            == [c for c in chunks(alone) if c[0] in meaning])


@pytest.mark.parametrize("kind", KINDS)
def test_png_stays_what_it_is(httpd, upstream, kind):
    """Palettes, transparency, grey and 16 bits survive the cut: each tile has
    the samples that the source gives for it alone."""
    meta = wms.Metatile(8, 133, 86, columns=2, rows=2, size=64)
    server = httpd("DogpileTileSizes 64\n"
                   + location("DogpileMetatile 2x2 buffer=16"), children=1)
    upstream.always = drawn(kind)
    paths = meta.tiles()
    alone = [client.get(upstream.url(path)).body for path in paths]
    upstream.forget()
    for path, body in zip(paths, alone):
        answer = client.get(server.url(path))
        assert answer.header("Content-Type") == "image/png"
        assert_like(answer.body, body)
    assert upstream.count == 1
    assert upstream.requests[0].pixels() == (160, 160)


def test_interlaced_png_is_cut(httpd, upstream):
    """A metatile that comes interlaced gives the same tiles."""
    def interlaced(request):
        # PIL can't write it; see the corpus of the fuzz tests.
        image = picture.render("rgb", request.bbox(), *request.pixels())
        return scripted.Answer(200, {"Content-Type": "image/png"},
                               adam7(numpy.asarray(image)))
    server = httpd(location("DogpileMetatile 2x2 buffer=3"), children=1)
    upstream.always = interlaced
    meta = wms.Metatile(8, 133, 86, columns=2, rows=2, buffer=3)
    image = picture.render("rgb", meta.bbox, *meta.pixels)
    for cell, path in zip(meta.cells, meta.tiles()):
        picture.assert_cut(client.get(server.url(path)), image,
                           meta.window(*cell))
    assert upstream.count == 1


def adam7(pixels):
    """An 8 bit RGB PNG in the seven passes of PNG, section 8.2."""
    height, width, _ = pixels.shape
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
              (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b"".join(b"\0" + line.tobytes() for x, y, dx, dy in passes
                    for line in pixels[y::dy, x::dx])
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head),
                     chunk(b"IDAT", zlib.compress(data, 1)),
                     chunk(b"IEND", b"")])


def difference(one, other):
    """Peak signal-to-noise ratio of two pictures, in dB."""
    a, b = (numpy.asarray(p.convert("RGB"), float) for p in (one, other))
    return 10 * numpy.log10(255 ** 2 / max(((a - b) ** 2).mean(), 1e-9))


@pytest.mark.parametrize("buffer", [0, 16, 13])
def test_jpeg_loses_nothing_that_shows(httpd, upstream, buffer):
    """JPEG tiles are the cut of the source's JPEG, edges included, whether or
    not the buffer is a multiple of its blocks."""
    meta = wms.Metatile(8, 133, 86, columns=2, rows=2, buffer=buffer)
    server = httpd(location(f"DogpileMetatile 2x2 buffer={buffer}"))

    def smooth(request):
        y, x = cells(request)
        bands = [128 + 100 * numpy.sin(x / 37), 128 + 100 * numpy.cos(y / 41),
                 128 + 90 * numpy.sin((x + y) / 53)]
        out = io.BytesIO()
        picture.Image.fromarray(numpy.dstack(bands).astype(numpy.uint8)).save(
            out, "JPEG", quality=85)
        return scripted.Answer(200, {"Content-Type": "image/jpeg"},
                               out.getvalue())
    upstream.always = smooth
    form = {"format": "image/jpeg"}
    image = picture.decode(client.get(upstream.url(meta.whole(**form))).body)
    upstream.forget()
    for cell, path in zip(meta.cells, meta.tiles(**form)):
        answer = client.get(server.url(path))
        assert answer.header("Content-Type") == "image/jpeg"
        tile, cut = picture.decode(answer.body), image.crop(meta.window(*cell))
        assert tile.format == "JPEG" and tile.size == (256, 256)
        assert difference(tile, cut) > 40
        for edge in ((0, 0, 256, 2), (0, 254, 256, 256),
                     (0, 0, 2, 256), (254, 0, 256, 256)):
            assert difference(tile.crop(edge), cut.crop(edge)) > 34
    assert upstream.count == 1
    settle(server, stored=1)


@pytest.mark.parametrize("asked,answered", [
    ("image/png; mode=8bit", "image/png; mode=8bit"),
    ("image/png; mode=8bit", "image/png"),
    ("image/png8", "image/png"), ("image/png", "image/png; mode=24bit")])
def test_names_of_png_are_understood(httpd, upstream, asked, answered):
    """MapServer's and GeoServer's names for kinds of PNG are cut, and the
    source is asked for what the client asked."""
    server = httpd(location("DogpileMetatile 2x2"), children=1)
    upstream.always = lambda request: scripted.Answer(
        200, {"Content-Type": answered}, picture.encode(picture.render(
            "palette", request.bbox(), *request.pixels()), "image/png"))
    meta = wms.Metatile(8, 133, 86, columns=2, rows=2)
    image = picture.render("palette", meta.bbox, *meta.pixels)
    for cell, path in zip(meta.cells, meta.tiles(format=asked)):
        picture.assert_cut(client.get(server.url(path)), image,
                           meta.window(*cell))
    assert upstream.count == 1
    assert upstream.requests[0].query["FORMAT"] == asked
