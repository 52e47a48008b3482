#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: mod_dogpile beside its peers, in one run on this machine.

    bench.py --build build --module build/modules/mod_dogpile.so

Environment:

    ONLY=hits,herd-meta   these scenarios only
    QUICK=1               one short round of each, to see that all of it works

A whole run writes docs/benchmarks.md and docs/benchmarks.svg; what is partial,
or was measured while others kept the machine busy, goes to build/bench/
instead, where the servers' folders and logs are too.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time
import types

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(HERE), str(REPO / "tests/httpd")]

import goals  # noqa: E402
import load  # noqa: E402
import noise  # noqa: E402
import pictures  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
from cut import CUT  # noqa: E402
from failures import FAILURES  # noqa: E402
from hits import HITS  # noqa: E402
from pydogpile import wms  # noqa: E402
from scenarios import HERDS  # noqa: E402

SCENARIOS = (*HERDS, *FAILURES, HITS, CUT)
FILES, SPARE_FILES = 65536, 200  # descriptors; those that aren't clients'
ZOOM, COLD_Y = 14, 8000  # cold metatiles lie in a row, far from the edges


def run_folder(build):
    """An empty build/bench, or a link to one that www-data can reach."""
    run = build / "bench"
    if run.is_symlink():
        shutil.rmtree(run.resolve(), ignore_errors=True)
        run.unlink()
    shutil.rmtree(run, ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    if not all(parent.stat().st_mode & 1 for parent in build.parents):
        run.symlink_to(tempfile.mkdtemp(prefix="dogpile-bench-"))
        run.resolve().chmod(0o755)
    run.mkdir(exist_ok=True)
    return run.resolve()


def raise_file_limit():
    """As high as it goes; returns how many descriptors a process may have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for files in (FILES, most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            return files
        except (OSError, ValueError):
            continue
    return most


class Bench:
    """What scenarios share: source, servers, sizes, cold places."""

    def __init__(self, args, quick):
        self.module = args.module
        self.programs = args.programs
        self.folder = run_folder(args.build)
        self.quick = quick
        self.delay = 200 if quick else 700
        self.long_delay = 1000 if quick else 3000
        self.refresh_delay = 500 if quick else 1000
        self.sick_delay = 300
        self.victims = 10 if quick else 50
        # A parked client takes two descriptors of its server's.
        self.crowd = min(10000, (raise_file_limit() - SPARE_FILES) // 2)
        self.parked = 500 if quick else min(5000, self.crowd)
        self.blocked = 30  # where waiting takes a thread
        self.wakes = 10 if quick else 200
        self.wrk_sec = 1 if quick else 2
        self.filled = False
        # mod_dogpile of this build can let a client wait without a thread.
        self.parks = b"DogpileAsync" in args.module.read_bytes()
        self.cores = os.cpu_count()
        self.began = time.monotonic()
        self.taken = 0
        self.running = {}
        drawn = self.folder / "pictures"
        drawn.mkdir()
        self.pictures = pictures.draw(drawn)
        self.source = load.Source(self.programs / "source", self.pictures,
                                  self.folder / "source.log")
        self.source_url = f"http://127.0.0.1:{self.source.port}"
        self.noise = noise.Noise(self.family)

    def minutes(self):
        return round((time.monotonic() - self.began) / 60)

    def _next(self):
        """The first column of a metatile that nobody has asked for."""
        self.taken += 1
        return 400 + 4 * self.taken

    def cold(self, kind):
        return wms.tile(ZOOM, self._next(), COLD_Y, path=f"/{kind}/wms",
                        layers=kind)

    def cold_metatile(self, kind):
        metatile = wms.Metatile(ZOOM, self._next(), COLD_Y)
        return metatile.tiles(path=f"/{kind}/wms", layers=kind)

    def herd(self, server, paths, clients=None, rest_ms=None, **options):
        """On new connections, or on those that were used and rested."""
        if rest_ms is not None:
            options |= {"w": server.held, "r": rest_ms}
        return load.Herd(self.programs / "herd", server.port, paths, clients,
                         **options)

    def server(self, title, pool):
        """The running server of that title, started if it isn't yet."""
        if not pool:
            return types.SimpleNamespace(title=title)
        shapes = {"wide": {"children": 2, "threads": 128},
                  "narrow": {"children": 1},
                  "crowd": {"children": 1, "factor": 200}}
        kind = next(one for one in (
            servers.Dogpile, servers.Mapcache, servers.CacheDisk,
            servers.Static, servers.Nginx, servers.Varnish,
            servers.StaticTile) if one.title == title)
        is_httpd = issubclass(kind, servers.Httpd)
        name = kind.__name__.lower() + (f"-{pool}" if is_httpd else "")
        if name not in self.running:
            self.running[name] = kind(
                self, name, **(shapes[pool] if is_httpd else {}))
            self.running[name].start()
        return self.running[name]

    def family(self):
        """The processes that are ours."""
        return [self.source.process.pid, *(
            pid for server in self.running.values() for pid in server.family())]

    def stop(self):
        for server in self.running.values():
            server.stop()
        self.source.stop()


def why_not(bench, scenario):
    if scenario.name != "starvation-10000":
        return None
    if not bench.parks:
        return "this build doesn't park clients that wait"
    if bench.crowd < 1000:
        return f"wants {FILES} file descriptors: raise ulimit -n"
    return "left out of a quick run" if bench.quick else None


def measure(bench, scenario):
    """{title: [measurement of each round]}, the servers taking turns."""
    chosen = [bench.server(title, scenario.pool)
              for title in scenario.servers]
    seen = {server.title: [] for server in chosen}
    for number in range(1 if bench.quick else scenario.rounds):
        if scenario.prepare:
            scenario.prepare(bench, chosen)
        for server in chosen:
            if number and server.title in scenario.once:
                continue
            seen[server.title].append(scenario.measure(bench, server))
            print(".", end="", file=sys.stderr, flush=True)
    if scenario.parts:
        (rounds,) = seen.values()
        seen = {part: [one[part] for one in rounds]
                for part in scenario.parts}
    print(file=sys.stderr)
    return seen


def run(bench, names):
    results = {}
    for scenario in SCENARIOS:
        if names and scenario.name not in names:
            continue
        reason = why_not(bench, scenario)
        print(f"{scenario.name}: {reason or scenario.title} ",
              end="\n" if reason else "", file=sys.stderr, flush=True)
        results[scenario.name] = {"skipped": reason} if reason else \
            measure(bench, scenario)
    (bench.folder / "results.json").write_text(json.dumps(results, indent=1))
    return results


def write(bench, results, names):
    """The tables, to the terminal and, of a whole run, into docs/."""
    tables = report.tables(SCENARIOS, results)
    verdicts = goals.check(results)
    print(report.terminal(tables, verdicts))
    others = bench.noise.share()
    whole = not bench.quick and not names and others <= noise.TOO_MUCH
    folder = REPO / "docs" if whole else bench.folder
    print(f"Other processes used {others:.0%} of the machine"
          + (": too much, not for docs/" if others > noise.TOO_MUCH else ""))
    report.write(folder, bench, tables, verdicts, results)
    print(f"written: {folder}/benchmarks.md, benchmarks.svg; all figures: "
          f"{bench.folder}/results.json")


def interrupted(*_):
    raise KeyboardInterrupt


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=REPO / "build")
    parser.add_argument("--module", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path)
    args = parser.parse_args()
    args.build = args.build.absolute()
    args.module = (args.module
                   or args.build / "modules/mod_dogpile.so").absolute()
    args.programs = (args.programs or args.build / "tests/bench").absolute()
    names = [name for name in os.environ.get("ONLY", "").split(",") if name]
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there "
                     f"are {', '.join(one.name for one in SCENARIOS)}")
    return args, names


def main():
    signal.signal(signal.SIGTERM, interrupted)
    args, names = options()
    bench = Bench(args, os.environ.get("QUICK") == "1")
    try:
        results = run(bench, names)
        write(bench, results, names)
    except KeyboardInterrupt:
        return 130
    finally:
        bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
