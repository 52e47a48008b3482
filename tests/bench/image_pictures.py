#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the metatiles that bench_image cuts: maps, relief, photograph.

    image_pictures.py DIRECTORY

Each is 1056 x 1056: sixteen tiles of 256 with a buffer of 16. Maps are of the
demo's invented world, drawn by MapServer; relief and photograph are fractal
noise. The same bytes in each run, on the same machine.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import numpy
from PIL import Image

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tests/tools"), str(REPO / "tests/httpd")]

import mapdata  # noqa: E402
from pydogpile import wms  # noqa: E402

MAPSERV = "/usr/lib/cgi-bin/mapserv"
SIDE = 1056
DENSE = wms.Metatile(5, 13, 11)  # land, roads and names everywhere
PLAIN = wms.Metatile(9, 209, 180)  # a few lines
FORMATS = """
  OUTPUTFORMAT
    NAME "palette"
    DRIVER "AGG/PNG"
    MIMETYPE "image/png; mode=8bit"
    IMAGEMODE RGB
    EXTENSION "png"
    FORMATOPTION "QUANTIZE_FORCE=ON"
    FORMATOPTION "QUANTIZE_COLORS=256"
  END
  OUTPUTFORMAT
    NAME "overlay"
    DRIVER "AGG/PNG"
    MIMETYPE "image/png; mode=overlay"
    IMAGEMODE RGBA
    EXTENSION "png"
    TRANSPARENT ON
  END
"""


def render(folder, metatile, layers, form):
    path = metatile.whole(layers=layers).replace("image/png", form)
    env = dict(os.environ, REQUEST_METHOD="GET",
               QUERY_STRING=path.partition("?")[2],
               MS_MAPFILE=str(folder / "world.map"),
               MAPSERVER_CONFIG_FILE=str(folder / "mapserver.cfg"))
    run = subprocess.run([MAPSERV], env=env, capture_output=True, check=True)
    head, _, body = run.stdout.partition(b"\r\n\r\n")
    if b"image/" not in head:
        raise RuntimeError(f"MapServer doesn't draw: {run.stdout[:600]!r}")
    return body


def noise(rng, roughness):
    """Fractal noise in 0 to 1: a spectrum that falls with the frequency."""
    fx, fy = numpy.fft.fftfreq(SIDE)[:, None], numpy.fft.rfftfreq(SIDE)
    power = numpy.hypot(fx, fy)
    power[0, 0] = 1
    waves = rng.normal(size=power.shape) + 1j * rng.normal(size=power.shape)
    field = numpy.fft.irfft2(waves * power ** -roughness, s=(SIDE, SIDE))
    return (field - field.min()) / (field.max() - field.min())


def bytes_of(field):
    return numpy.clip(field, 0, 255).astype(numpy.uint8)


def relief(rng):
    """A hillshade, grey, and the same tinted by height."""
    height = noise(rng, 2.4)
    east, south = numpy.gradient(height * 900)
    shade = (1 + east + south) / numpy.sqrt(2 * (1 + east ** 2 + south ** 2))
    tint = numpy.stack([120 + 120 * height, 170 + 40 * height,
                        90 + 140 * height], axis=-1)
    return bytes_of(shade * 180 + 20), bytes_of(
        tint * (0.55 + 0.45 * shade)[..., None])


def photograph(rng):
    """Three channels that go together, and grain."""
    light = noise(rng, 1.6)
    return bytes_of(numpy.stack(
        [60 + 160 * light + 40 * noise(rng, 1.8) + rng.normal(
            scale=2, size=light.shape) for _ in range(3)], axis=-1))


def draw(folder):
    world = folder / "world"
    shutil.copytree(REPO / "conf/examples/demo", world, dirs_exist_ok=True)
    mapdata.write(world)
    for name in ("map", "mapserver"):
        assert list(world.glob(f"*{name}*")), name
    text = (world / "world.map").read_text()
    text = text.replace("  PROJECTION", FORMATS + "\n  PROJECTION", 1)
    (world / "world.map").write_text(text)
    for name, metatile, layers, form in (
            ("map-rgb.png", DENSE, "world", "image/png"),
            ("map-palette.png", DENSE, "world", "image/png; mode=8bit"),
            ("map-rgba.png", DENSE, "world", "image/png; mode=overlay"),
            ("map.jpg", DENSE, "world", "image/jpeg"),
            ("overlay-rgba.png", DENSE, "roads,towns",
             "image/png; mode=overlay"),
            ("empty-rgba.png", PLAIN, "world", "image/png; mode=overlay")):
        (folder / name).write_bytes(render(world, metatile, layers, form))
    rng = numpy.random.default_rng(20240229)
    grey, tinted = relief(rng)
    Image.fromarray(grey).save(folder / "hillshade-grey.png")
    Image.fromarray(tinted).save(folder / "relief-rgb.png")
    Image.fromarray(photograph(rng)).save(folder / "photo-rgb.png")
    # The same map as encoders write it that filter, as QGIS Server's does.
    Image.open(folder / "map-rgba.png").save(folder / "map-rgba-filtered.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: image_pictures.py DIRECTORY")
    os.makedirs(sys.argv[1], exist_ok=True)
    draw(pathlib.Path(sys.argv[1]))
