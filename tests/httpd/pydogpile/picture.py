# SPDX-License-Identifier: Apache-2.0
"""Pictures whose colours follow from where in the world a pixel is.

So any tile, however it was cut, can be compared with any other rendering of
the same place. Pixels are counted from the world's origin in steps of the
requested resolution: whole numbers, so no rounding of a BBOX matters.
"""
import io

import numpy
from PIL import Image

PALETTE = [(37 * i % 256, 91 * i % 256, 151 * i % 256) for i in range(64)]


def _rows_and_columns(bbox, width, height):
    minx, _, maxx, maxy = bbox
    unit = (maxx - minx) / width
    left, top = round(minx / unit), round(-maxy / unit)
    return (numpy.arange(top, top + height)[:, None],
            numpy.arange(left, left + width)[None, :])


def render(layers, bbox, width, height):
    """The layers "rgb", "rgba", "grey", "palette", "blank"; else as "rgb"."""
    row, column = _rows_and_columns(bbox, width, height)
    if layers == "blank":
        return Image.new("RGB", (width, height), (12, 34, 56))
    if layers == "palette":
        index = ((column >> 3) + 5 * (row >> 3)) % len(PALETTE)
        picture = Image.fromarray(index.astype(numpy.uint8), "P")
        picture.putpalette([value for rgb in PALETTE for value in rgb])
        return picture
    if layers == "grey":
        grey = (column + 2 * row) % 253
        return Image.fromarray(grey.astype(numpy.uint8), "L")
    zero = 0 * row * column
    bands = [zero + column % 251, zero + row % 241,
             zero + ((column >> 4) * 7 + (row >> 4) * 13) % 256]
    if layers == "rgba":
        bands.append((column // 3 + row // 5) % 256)
    return Image.fromarray(numpy.dstack(bands).astype(numpy.uint8))


def encode(picture, media_type):
    out = io.BytesIO()
    if media_type == "image/jpeg":
        picture.convert("RGB").save(out, "JPEG", quality=85)
    else:
        picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def decode(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def same(one, other):
    """Whether two pictures look the same, pixel for pixel."""
    one, other = one.convert("RGBA"), other.convert("RGBA")
    return one.size == other.size and one.tobytes() == other.tobytes()


def assert_cut(answer, whole, window):
    """The answer is the tile that `window` cuts from the picture `whole`."""
    assert answer.status == 200, answer
    assert same(decode(answer.body), whole.crop(window)), (
        f"not the picture at {window}: {answer}")
