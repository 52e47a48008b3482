#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-lock: what locks cost, alone and in the life of a cold tile.

Runs build/tests/bench/bench_lock, then asks a real httpd for cold tiles with
each locker in turn, from a source that needs no time; prints both tables and
writes them into docs/design/locker-contract.md. BUILD names the build
directory. Fails where bench_lock does.
"""
import contextlib
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", REPO / "build")).absolute()
os.environ.setdefault("DOGPILE_MODULE", str(BUILD / "modules/mod_dogpile.so"))
sys.path.insert(0, str(REPO / "tests/httpd"))

from pydogpile import client, picture, wms  # noqa: E402
from pydogpile.lockservers import MODULES, LockServer  # noqa: E402
from pydogpile.scene import ALONE, location  # noqa: E402
from pydogpile.server import USER, Httpd  # noqa: E402
from pydogpile.upstream import Answer, Upstream  # noqa: E402

PAGE = REPO / "docs/design/locker-contract.md"
BEGIN = "<!-- written by make bench-lock: begin -->\n"
END = "<!-- written by make bench-lock: end -->\n"
TILES = 100
KINDS = ("memcache", "redis", "zookeeper")
DISK = """\
<DogpileLocker {name} disk>
DogpileLockDirectory "{folder}/{name}"
</DogpileLocker>
"""
# Rows, by the path of their location.
ROWS = {
    "through": "without the module",
    "offgrid": "coalesced, without a lock and a store",
    "default": "default: locks in the disk store",
    "disk": "disk, a directory of its own",
    "memcache": "memcache",
    "redis": "redis",
    "zookeeper": "zookeeper",
    "chain": "memcache, then disk",
}
TEXT = """\
One thread takes and gives back a lock that nobody else wants (acquire and
release together), then 2 and 8 threads do, each with keys of its own:

{locks}
And what that is in the life of a tile. One client asks for {tiles} cold tiles
of each kind, in turn; the source answers at once; a metatile is one tile. All
servers are on this machine, reached by loopback:

{tiles_table}
{cores} cores, Linux {kernel}. Networks, and disks that are shared, add theirs.
"""


def configuration(servers, folder):
    memcache = servers[0]
    blocks = [server.block(server.kind) for server in servers]
    blocks += [DISK.format(name="disk", folder=folder),
               "<DogpileLocker chain fallback>\n" + memcache.block("first")
               + DISK.format(name="second", folder=folder)
               + "</DogpileLocker>\n"]
    places = [location(ALONE, *([f"DogpileLocker {path}"] if path in (
        "disk", "chain", *KINDS) else []), path=f"/{path}",
        store="${DIR}/" + path) for path in ROWS]
    plain = places[0].replace("DogpileEnable On", "DogpileEnable Off")
    return MODULES + "".join([*blocks, plain, *places[1:]])


def url_of(path, number):
    if path == "offgrid":
        return wms.getmap(wms.MERCATOR, (number, 1, number + 300, 301), 256,
                          256, path="/offgrid")
    return wms.tile(10, number, 300, path=f"/{path}")


def constant(answer):
    """An answer that costs the source nothing: drawn once."""
    drawn = Answer(200, {"Content-Type": "image/png"}, answer)
    return lambda request: drawn


def one_picture():
    return picture.encode(picture.render("rgb", wms.MERCATOR.bbox(10, 1, 300),
                                         256, 256), "image/png")


def ask_all(server):
    """{path: seconds of each cold tile}, in turns, on one connection."""
    times = {path: [] for path in ROWS}
    connection, _ = client.connect(server.url())
    for number in range(TILES + 10):
        for path in ROWS:
            answer = client.ask(connection, url_of(path, number))
            assert answer.status == 200, (path, answer)
            if number >= 10:  # the first ones open connections
                times[path].append(answer.latency)
            server.status.wait(lambda s: s["flights"] == 0)  # lock given back
    connection.close()
    return times


def cold_tiles():
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="dogpile-bench-")
        stack.callback(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        shutil.chown(folder, USER, USER)
        servers = []
        for kind in KINDS:
            servers.append(LockServer(kind))
            stack.callback(servers[-1].remove)
        upstream = Upstream()
        stack.callback(upstream.stop)
        upstream.always = constant(one_picture())
        server = stack.enter_context(Httpd(
            configuration(servers, folder), children=1, threads=16,
            define={"UPSTREAM": upstream.port}))
        return ask_all(server)


def table(times):
    def msec(values, share):
        return 1000 * statistics.quantiles(values, n=100)[share - 1]

    default = msec(times["default"], 50)
    lines = ["| locker | median, ms | p95, ms | more than the default, ms |",
             "|---|--:|--:|--:|"]
    for path, title in ROWS.items():
        median = msec(times[path], 50)
        lines.append(f"| {title} | {median:.2f} | {msec(times[path], 95):.2f} "
                     f"| {median - default:+.2f} |")
    return "\n".join(lines) + "\n"


def write(text):
    page = PAGE.read_text()
    if BEGIN not in page:
        page += f"\n## What it costs\n\n{BEGIN}{END}"
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def main():
    program = BUILD / "tests/bench/bench_lock"
    run = subprocess.run([program], env={**os.environ, "BUILD": str(BUILD)},
                         stdout=subprocess.PIPE, text=True)
    print(run.stdout)
    tiles = table(cold_tiles())
    print(tiles)
    if run.returncode != 0:
        return 1
    locks = "".join(line + "\n" for line in run.stdout.splitlines()
                    if line.startswith("|"))
    write(TEXT.format(locks=locks, tiles=TILES, tiles_table=tiles,
                      cores=os.cpu_count(), kernel=platform.release()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
