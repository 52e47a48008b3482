# SPDX-License-Identifier: Apache-2.0
"""A memcached or a redis of the test's own, and what can happen to it."""
import contextlib
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from . import ports
from .process import Process
from .server import MODULE
from .wait import until

REDIS_MODULES = "".join(
    f"LoadModule dogpile_{part}_redis_module "
    f"{MODULE.parent / f'mod_dogpile_{part}_redis.so'}\n"
    for part in ("lock", "store"))
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
        if self.kind == "memcache":
            return ["/usr/bin/memcached", "-u", "nobody", "-U", "0", "-vv",
                    "-l", f"127.0.0.1,{self.address}", "-p", str(self.port)]
        return ["/usr/bin/redis-server", "--bind", "127.0.0.1", self.address,
                "--port", str(self.port), "--dir", str(self.dir),
                "--protected-mode", "no", "--save", "",
                "--daemonize", "no"]

    def start(self):
        with self.place():
            self.process = Process(self._args(), self.dir / "output.log")
            until(lambda: ports.accepts(self.port), f"{self.kind} up")

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
        # Its own listing leaves out what was just asked for. It logs all names.
        names = set(re.findall(r"dogpile-lock-[0-9a-f]+",
                               (self.dir / "output.log").read_text()))
        said = self.memcached("get " + " ".join(names or ["none"]))
        heads = [i for i, line in enumerate(said)
                 if line.startswith("VALUE ")]
        return {said[i].split()[1]: said[i + 1:j] for i, j in
                zip(heads, heads[1:] + [len(said)])}

    def connections(self):
        """How many clients it has, but for the one that asks."""
        if self.kind == "memcache":
            return next(int(line.split()[2])
                        for line in self.memcached("stats")
                        if " curr_connections " in line) - 1
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
