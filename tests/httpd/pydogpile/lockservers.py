# SPDX-License-Identifier: Apache-2.0
"""A memcached, redis or ZooKeeper of the test's own, and what can happen to
it. What it holds can be asked of the first two."""
import contextlib
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from . import ports, zookeeper
from .process import Process
from .server import MODULE
from .wait import until


def _load(*names):
    return "".join(f"LoadModule dogpile_{name}_module "
                   f"{MODULE.parent / f'mod_dogpile_{name}.so'}\n"
                   for name in names)


# For httpd: back ends that aren't built in.
REDIS_MODULES = _load("lock_redis", "store_redis")
MODULES = REDIS_MODULES + _load("lock_zookeeper")
ASK_SEC = 10


class LockServer:
    """Listens on `address`, in the network of place(). Kinds: those of
    <DogpileLocker>."""

    def __init__(self, kind, address="127.0.0.1",
                 place=contextlib.nullcontext):
        self.kind = kind
        self.address = address
        self.place = place
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-server-"))
        with place():
            self.port = ports.free()
        self.start()

    def _args(self):
        addresses = sorted({"127.0.0.1", self.address})
        port = str(self.port)
        if self.kind == "memcache":
            return ["/usr/bin/memcached", "-u", "nobody", "-U", "0", "-vv",
                    "-l", ",".join(addresses), "-p", port]
        if self.kind == "zookeeper":
            return zookeeper.command(
                self.dir, self.port,
                addresses[0] if len(addresses) == 1 else "0.0.0.0")
        return ["/usr/bin/redis-server", "--bind", *addresses, "--port", port,
                "--dir", str(self.dir), "--protected-mode", "no", "--save", "",
                "--daemonize", "no"]

    def start(self):
        serves = {"zookeeper": zookeeper.serves}.get(self.kind, ports.accepts)
        with self.place():
            self.process = Process(self._args(), self.dir / "output.log")
            until(lambda: serves(self.port), f"{self.kind} up")

    def block(self, name, *lines):
        """Configuration of a locker on it."""
        return "\n".join([f"<DogpileLocker {name} {self.kind}>",
                          f"DogpileLockServer {self.address}:{self.port}",
                          *lines, "</DogpileLocker>\n"])

    def memcached(self, command):
        """What it says to that: all up to its END or OK."""
        with self.place(), socket.create_connection(
                ("127.0.0.1", self.port), ASK_SEC) as sock:
            sock.sendall(command.encode() + b"\r\n")
            said = b""
            while not said.endswith((b"END\r\n", b"OK\r\n")):
                more = sock.recv(65536)
                assert more, f"{command}: {said!r}"
                said += more
        return said.decode().splitlines()[:-1]

    def redis(self, *command):
        """What redis-cli(1) prints."""
        with self.place():
            said = subprocess.run(
                ["/usr/bin/redis-cli", "-p", str(self.port), "--raw",
                 *command], check=True, capture_output=True, text=True,
                timeout=ASK_SEC).stdout
        return [line for line in said.splitlines() if line]

    def leases(self):
        """The locks that are held in it: {name: record}."""
        if self.kind == "redis":
            return {name: self.redis("GET", name)
                    for name in self.redis("KEYS", "dogpile:{*}:lock")}
        # Its own listing leaves out what was just asked for; its log none.
        names = set(re.findall(r"dogpile-lock-[0-9a-f]+",
                               (self.dir / "output.log").read_text()))
        said = self.memcached("get " + " ".join(names or ["none"]))
        heads = [i for i, line in enumerate(said)
                 if line.startswith("VALUE ")]
        return {said[i].split()[1]: said[i + 1:j] for i, j in
                zip(heads, heads[1:] + [len(said)])}

    def lease(self, label):
        """The record of the lock for that, or None."""
        found = [record for record in self.leases().values()
                 if str(record).find(label + "'") > 0]
        assert len(found) <= 1
        return found[0] if found else None

    def connections(self):
        """How many clients it has, but for the one that asks."""
        if self.kind == "memcache":
            return next(int(line.split()[2])
                        for line in self.memcached("stats")
                        if " curr_connections " in line) - 1
        if self.kind == "zookeeper":
            with self.place():
                said = zookeeper.report(self.port)
            return int(re.search(r"Connections: (\d+)", said)[1]) - 1
        return len(self.redis("CLIENT", "LIST")) - 1

    def flush(self):
        """It forgets everything."""
        if self.kind == "memcache":
            self.memcached("flush_all")
        else:
            self.redis("FLUSHALL")

    def kill(self):
        self.process.kill()
        self.process.popen.wait()

    def hang(self):
        """It answers nobody; its kernel goes on to accept."""
        self.process.kill(signal.SIGSTOP)

    def go_on(self):
        self.process.kill(signal.SIGCONT)

    def remove(self):
        self.go_on()
        self.process.stop()
        shutil.rmtree(self.dir)
