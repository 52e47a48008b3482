# SPDX-License-Identifier: Apache-2.0
"""The pictures that the source hands out, rendered once by MapServer.

`LAYER-WIDTHxHEIGHT.png` for each layer: a metatile with its buffer, and the
tile of median size in it.
The map is the demo's invented world, so everybody has the same bytes to serve.
"""
import os
import shutil
import subprocess
import sys

from pydogpile import wms
from pydogpile.server import REPO

sys.path.insert(0, str(REPO / "tests/tools"))
import mapdata  # noqa: E402

DEMO = REPO / "conf/examples/demo"
MAPSERV = "/usr/lib/cgi-bin/mapserv"
DENSE = wms.Metatile(5, 13, 11)  # land, roads and names everywhere
PLAIN = wms.Metatile(6, 30, 22)
LAYERS = {"one": DENSE, "meta": DENSE, "short": DENSE, "hits": PLAIN}


def render(folder, path):
    """What MapServer answers; it runs as a CGI program of nobody's httpd."""
    env = dict(os.environ, REQUEST_METHOD="GET",
               QUERY_STRING=path.partition("?")[2],
               MS_MAPFILE=str(folder / "world.map"),
               MAPSERVER_CONFIG_FILE=str(folder / "mapserver.cfg"))
    run = subprocess.run([MAPSERV], env=env, capture_output=True, check=True)
    head, _, body = run.stdout.partition(b"\r\n\r\n")
    if b"image/png" not in head:
        raise RuntimeError(f"MapServer doesn't draw: {run.stdout[:600]!r}")
    return body


def middling(tiles):
    """The one of median size."""
    ranked = sorted(tiles, key=len)
    return ranked[len(ranked) // 2]


def draw(folder):
    """Fills the folder; returns it."""
    world = folder / "world"
    shutil.copytree(DEMO, world)
    mapdata.write(world)
    for metatile in (DENSE, PLAIN):
        whole = render(world, metatile.whole(layers="world"))
        tile = middling(render(world, path)
                        for path in metatile.tiles(layers="world"))
        width, height = metatile.pixels
        for layer in (name for name, of in LAYERS.items() if of is metatile):
            (folder / f"{layer}-{width}x{height}.png").write_bytes(whole)
            (folder / f"{layer}-256x256.png").write_bytes(tile)
    return folder
