#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws an invented world as three shapefiles: lands, roads and towns.

    mapdata.py DIRECTORY

The same seed gives the same bytes, so pictures can be compared between runs.
Shapefiles because MapServer reads them fastest, written here by hand (ESRI
Shapefile Technical Description, 1998) because that needs no library.
Coordinates are Web Mercator metres (EPSG:3857).
"""
import math
import os
import random
import struct
import sys

SEED = 20240229
WORLD = 20037508.342789244
STEP = WORLD / 26  # a land every so many metres, each way
POINT, LINE, POLYGON = 1, 3, 5
SYLLABLES = ("ar ba cor dun el fen gal hol im jor kel lan mor nor os "
             "pel quin ros sel tor ul ven wick yar zen").split()


def bounds(points):
    xs, ys = zip(*points)
    return min(xs), min(ys), max(xs), max(ys)


def geometry(kind, points):
    """The content of one record."""
    if kind == POINT:
        return struct.pack("<i2d", kind, *points[0])
    return (struct.pack("<i4d3i", kind, *bounds(points), 1, len(points), 0)
            + b"".join(struct.pack("<2d", *point) for point in points))


def file_header(kind, size, box):
    return (struct.pack(">7i", 9994, 0, 0, 0, 0, 0, size // 2)
            + struct.pack("<2i8d", 1000, kind, *box, 0, 0, 0, 0))


def write_shapes(path, kind, shapes):
    """The .shp and, with the places of its records, the .shx."""
    box = bounds([point for shape in shapes for point in shape])
    records = [geometry(kind, shape) for shape in shapes]
    offset, parts, index = 100, [], b""
    for number, content in enumerate(records, 1):
        words = len(content) // 2
        index += struct.pack(">2i", offset // 2, words)
        parts.append(struct.pack(">2i", number, words) + content)
        offset += 8 + len(content)
    body = b"".join(parts)
    with open(path + ".shp", "wb") as out:
        out.write(file_header(kind, 100 + len(body), box) + body)
    with open(path + ".shx", "wb") as out:
        out.write(file_header(kind, 100 + len(index), box) + index)


def write_table(path, rows):
    """The .dbf: a name and a class for each shape."""
    fields = (("NAME", b"C", 24), ("CLASS", b"N", 4))
    width = 1 + sum(size for _, _, size in fields)
    head = struct.pack("<4BIHH20x", 3, 124, 1, 1, len(rows),
                       33 + 32 * len(fields), width)
    for name, kind, size in fields:
        head += struct.pack("<11sc4xBB14x", name.encode(), kind, size, 0)
    body = b"".join(b" " + name.encode().ljust(24) + b"%4d" % number
                    for name, number in rows)
    with open(path + ".dbf", "wb") as out:
        out.write(head + b"\r" + body + b"\x1a")


def place_name(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(2)).capitalize()


def land(rng, x, y):
    """A blob with 12 to 40 corners around a point."""
    corners = rng.randint(12, 40)
    radius = STEP * rng.uniform(0.35, 0.75)
    ring = []
    for i in range(corners):
        angle = -2 * math.pi * i / corners  # outer rings run clockwise
        far = radius * rng.uniform(0.75, 1.1)
        ring.append((x + far * math.cos(angle), y + far * math.sin(angle)))
    return ring + ring[:1]


def road(rng):
    """A walk that turns a little at every step."""
    x, y = (rng.uniform(-0.9, 0.9) * WORLD for _ in range(2))
    angle, points = rng.uniform(0, 2 * math.pi), [(x, y)]
    for _ in range(rng.randint(20, 60)):
        angle += rng.gauss(0, 0.35)
        x = max(-WORLD, min(WORLD, x + STEP / 8 * math.cos(angle)))
        y = max(-WORLD, min(WORLD, y + STEP / 8 * math.sin(angle)))
        points.append((x, y))
    return points


def lands(rng):
    middle = [(i + 0.5) * STEP for i in range(-26, 26)]
    return [land(rng, x + rng.gauss(0, STEP / 5), y + rng.gauss(0, STEP / 5))
            for y in middle for x in middle]


def towns(rng):
    return [[tuple(rng.uniform(-0.95, 0.95) * WORLD for _ in range(2))]
            for _ in range(3000)]


def write(directory):
    rng = random.Random(SEED)
    for name, kind, shapes, classes in (
            ("lands", POLYGON, lands(rng), 6),
            ("roads", LINE, [road(rng) for _ in range(900)], 3),
            ("towns", POINT, towns(rng), 3)):
        path = os.path.join(directory, name)
        write_shapes(path, kind, shapes)
        write_table(path, [(place_name(rng), rng.randrange(classes))
                           for _ in shapes])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: mapdata.py DIRECTORY")
    write(sys.argv[1])
