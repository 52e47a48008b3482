# SPDX-License-Identifier: Apache-2.0
"""The demo's MapServer in an httpd of its own, its requests counted."""
import os
import shutil
import sys

from .server import REPO, Httpd

sys.path.insert(0, str(REPO / "tests/tools"))
import mapdata  # noqa: E402

DEMO = REPO / "conf/examples/demo"
CONF = 'Include "${DIR}/map/mapserver.conf"\n'


class MapServer:
    """`delay` is what each render takes longer, in seconds."""

    def __init__(self, delay=0):
        self.httpd = Httpd(CONF, mpm="event", children=2, threads=64,
                           dogpile=False, define={"DELAY": delay,
                                                  "MAPDIR": "${DIR}/map"})
        folder = self.httpd.dir / "map"
        shutil.copytree(DEMO, folder)
        mapdata.write(folder)
        self.counter = folder / "requests"
        self.counter.touch()
        os.chmod(self.counter, 0o666)

    @property
    def port(self):
        return self.httpd.port

    def url(self, path):
        return self.httpd.url(path)

    @property
    def count(self):
        """How many times MapServer was run since forget()."""
        return self.counter.stat().st_size

    def forget(self):
        os.truncate(self.counter, 0)

    def start(self):
        self.httpd.start()
        return self

    def stop(self):
        self.httpd.stop()
