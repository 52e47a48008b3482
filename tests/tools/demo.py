#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make demo: a slow MapServer, a herd without and with mod_dogpile, a map.

Everything runs on 127.0.0.1 from the files of conf/examples/demo, copied to
build/demo, until it is interrupted. Environment:

    PORT=8080   the map's port; MapServer's is the next one
    ONCE=1      stop after the herd
"""
import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(HERE), str(REPO / "tests/httpd")]

import herd  # noqa: E402
import mapdata  # noqa: E402
from pydogpile import client, ports, wms  # noqa: E402
from pydogpile.process import Process  # noqa: E402

CLIENTS = 64
DELAY = 0.5  # seconds that MapServer takes longer than it needs
START_SEC = 15
USER = "www-data"
METATILE = wms.Metatile(5, 13, 11)
APACHE = "/usr/sbin/apache2"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
NEEDED = {APACHE: "apache2-bin",
          "/usr/lib/cgi-bin/mapserv": "cgi-mapserver",
          FONT: "fonts-dejavu-core",
          "/usr/share/javascript/leaflet/leaflet.js": "libjs-leaflet",
          "/usr/bin/setpriv": "util-linux"}
# The CGI daemon's socket lies in the demo's folder; its name has a limit.
PATH_MAX = 80


class Trouble(Exception):
    """Why there is no demo, in words for the user."""


def check(module, port):
    missing = [package for path, package in NEEDED.items()
               if not os.path.exists(path)]
    if missing:
        raise Trouble("missing packages: apt-get install " + " ".join(missing))
    if not module.exists():
        raise Trouble(f"{module} is not built: run make")
    for number in (port, port + 1):
        if not ports.is_free(number):
            raise Trouble(f"port {number} is in use: choose two others, "
                          f"as in make demo PORT={port + 100}")


def reachable(path):
    """Whether httpd's children get there when they aren't root."""
    return os.geteuid() != 0 or all(
        parent.stat().st_mode & 0o001 for parent in path.parents)


def make_folder(build):
    """An empty build/demo; a link to one in /tmp where httpd can't use it."""
    run = build / "demo"
    if run.is_symlink():
        shutil.rmtree(run.resolve(), ignore_errors=True)
        run.unlink()
    shutil.rmtree(run, ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    if len(str(run)) > PATH_MAX or not reachable(run):
        run.symlink_to(tempfile.mkdtemp(prefix="dogpile-demo-"))
    run = run.resolve()
    shutil.copytree(REPO / "conf/examples/demo", run, dirs_exist_ok=True)
    for path in (run, run / "htdocs"):
        path.chmod(0o755)
    (run / "store").mkdir()
    (run / "requests").touch()
    if os.geteuid() == 0:
        for path in (run / "store", run / "requests"):
            shutil.chown(path, USER, USER)
    mapdata.write(run)
    return run


def write_conf(run, name, defines):
    """Puts the values a file wants at its top; returns its new path."""
    user = f"User {USER}\nGroup {USER}\n" if os.geteuid() == 0 else ""
    lines = [f'Define {key} "{value}"\n' for key, value in defines.items()]
    path = run / f"{name}.conf"
    path.write_text("".join(lines) + user + path.read_text())
    return path


class Demo:
    def __init__(self, build, module, port):
        self.port = port
        self.run = make_folder(build)
        self.servers = {}
        self.defines = {"RUN": self.run, "MAPDIR": self.run, "DELAY": DELAY,
                        "PORT": port, "SOURCE_PORT": port + 1,
                        "MODULE": module}

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self, name, port):
        conf = write_conf(self.run, name, self.defines)
        self.servers[name] = Process(
            [APACHE, "-f", str(conf), "-D", "FOREGROUND"],
            self.run / f"{name}.log")
        end = time.monotonic() + START_SEC
        while not ports.accepts(port):
            self.watch()
            if time.monotonic() > end:
                raise Trouble(self.complaint(name, "doesn't accept"))
            time.sleep(0.05)

    def complaint(self, name, what):
        log = (self.run / f"{name}.log").read_text(errors="replace")
        return "\n".join([f"httpd ({name}.conf) {what}",
                          *log.splitlines()[-10:]])

    def watch(self):
        for name, server in self.servers.items():
            if not server.running():
                raise Trouble(self.complaint(name, "has ended"))

    def count(self):
        return (self.run / "requests").stat().st_size

    def try_mapserver(self):
        """A tile of elsewhere; also warms what the first render loads."""
        path = wms.tile(2, 3, 3, layers="world")
        answer = client.get(f"http://127.0.0.1:{self.port + 1}{path}")
        if answer.header("Content-Type") != "image/png":
            raise Trouble("MapServer doesn't answer with a map: "
                          f"{answer.status} {answer.body[:300]!r}")

    def herd(self, path):
        before = self.count()
        result = herd.run(self.url(path), METATILE, CLIENTS, "world")
        result["requests"] = self.count() - before
        return result

    def stop(self):
        for server in self.servers.values():
            server.stop()


def report(without, behind):
    rows = (("WMS requests", "requests", ""), ("latency p50", "p50", " ms"),
            ("latency p95", "p95", " ms"), ("latency max", "max", " ms"),
            ("failed", "failed", ""))
    print(f"\n{'':14}{'without':>12}{'mod_dogpile':>14}")
    for title, key, unit in rows:
        print(f"{title:14}{f'{without[key]:.0f}{unit}':>12}"
              f"{f'{behind[key]:.0f}{unit}':>14}")
    print(flush=True)


def play(demo, once):
    demo.start("source", demo.port + 1)
    demo.start("front", demo.port)
    demo.try_mapserver()
    print(f"{CLIENTS} clients ask for the 16 tiles of one cold metatile; each "
          f"render takes {DELAY} s and more.", flush=True)
    without, behind = demo.herd("/direct"), demo.herd("/wms")
    demo.watch()
    report(without, behind)
    if without["failed"] or behind["failed"]:
        raise Trouble(f"some clients got no tile; the logs are in {demo.run}")
    if once:
        return
    print(f"map     {demo.url()}\nstatus  {demo.url('/dogpile-status')}\n"
          f"files   {demo.run}\nCtrl-C ends it.", flush=True)
    while True:
        time.sleep(0.5)
        demo.watch()


def interrupted(*_):
    raise KeyboardInterrupt


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=REPO / "build")
    parser.add_argument("--module", type=pathlib.Path)
    args = parser.parse_args()
    build = args.build.absolute()
    module = args.module or build / "modules/mod_dogpile.so"
    port = os.environ.get("PORT") or "8080"
    if not port.isdigit() or not 0 < int(port) < 65535:
        raise Trouble(f"PORT={port} is not a port from 1 to 65534")
    return build, module.absolute(), int(port)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    demo = None
    try:
        build, module, port = options()
        check(module, port)
        demo = Demo(build, module, port)
        play(demo, os.environ.get("ONCE") == "1")
    except Trouble as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    finally:
        if demo is not None:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
