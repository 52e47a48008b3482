# SPDX-License-Identifier: Apache-2.0
"""A memcached, redis or ZooKeeper of the test's own, on loopback."""
import pathlib
import shutil
import tempfile

from . import ports, zookeeper
from .process import Process
from .wait import until


class Server:
    """Kinds are the types of lockers; `options` are the program's own."""

    def __init__(self, kind, *options):
        self.kind = kind
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-server-"))
        self.port = ports.free()
        self.start()

    def _args(self):
        if self.kind == "memcache":
            return ["/usr/bin/memcached", "-u", "nobody", "-l", "127.0.0.1",
                    "-p", str(self.port)]
        if self.kind == "redis":
            return ["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port",
                    str(self.port), "--dir", str(self.dir), "--save", "",
                    "--daemonize", "no"]
        return zookeeper.command(self.dir, self.port)

    def start(self):
        self.process = Process([*self._args(), *self.options],
                               self.dir / "output.log")
        serves = (zookeeper.serves if self.kind == "zookeeper"
                  else ports.accepts)
        until(lambda: serves(self.port), f"{self.kind} up")

    def kill(self):
        self.process.kill()
        self.process.popen.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir)
