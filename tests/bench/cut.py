# SPDX-License-Identifier: Apache-2.0
"""Cutting a metatile, without any server: the module beside libpng."""
import re
import subprocess

from scenarios import Scenario

WAYS = {"mod_dogpile": "mod_dogpile", "libpng, level 6": "libpng default",
        "libpng, RGBA, level 1": "libpng RGBA level 1"}


def cut(bench, way):
    run = subprocess.run(
        [str(bench.programs.parent / "bench/bench_image"),
         str(bench.pictures / "meta-1056x1056.png")],
        capture_output=True, text=True, check=True)
    size, took = re.search(rf"{WAYS[way.title]} +(\d+) bytes +([\d.]+) ms",
                           run.stdout).groups()
    return {"bytes": int(size), "ms": float(took)}


CUT = Scenario("cut", "cutting a metatile of PNG into 16 tiles",
               "One core, best of five; bytes of all tiles.",
               cut, {"bytes": "bytes", "ms": "ms"}, tuple(WAYS), rounds=3,
               pool="")
