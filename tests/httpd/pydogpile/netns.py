# SPDX-License-Identifier: Apache-2.0
"""Hosts on one machine: network namespaces, joined by wires that can be cut.

    network = Network()
    server = httpd(conf, place=network.hosts[0].inside)
    with server.place():
        herd = client.Herd(...)     # connects as from that host
    network.hosts[0].cut("locks")

What is opened or started within inside() is in that network for good: a
socket, a server, a process. A namespace here has no name, it is an open file:
when the test ends, or dies, and what it started dies with it, the kernel
takes everything away. Nothing reaches the machine's own network. Needs root.
"""
import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"
LIBC = ctypes.CDLL(None, use_errno=True)

# Two wires to each host, so that one that has lost its lock servers can still
# draw maps. The addresses are those of RFC 5737: nobody has them.
WIRES = {"maps": "192.0.2", "locks": "198.51.100"}


def server_at(wire):
    """Where hosts find the servers on that wire."""
    return WIRES[wire] + ".1"


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*commands):
    """Commands of ip(8), in the network of this thread."""
    run = subprocess.run(["/sbin/ip", "-batch", "-"], text=True,
                         input="".join(line + "\n" for line in commands),
                         capture_output=True)
    assert run.returncode == 0, run.stderr


class Namespace:
    """A network with nothing but a loopback interface."""

    def __init__(self):
        with self._kept():
            _check(LIBC.unshare(CLONE_NEWNET))
            self._fd = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
            _ip("link set lo up")

    @staticmethod
    @contextlib.contextmanager
    def _kept():
        home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield
        finally:
            _check(LIBC.setns(home, CLONE_NEWNET))
            os.close(home)

    @contextlib.contextmanager
    def inside(self):
        """The calling thread, and what it opens or starts, is in there."""
        with self._kept():
            _check(LIBC.setns(self._fd, CLONE_NEWNET))
            yield

    @property
    def path(self):
        """As ip(8) names it."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self):
        os.close(self._fd)


class Host(Namespace):
    """A namespace that is wired to the servers."""

    def __init__(self, number, servers):
        super().__init__()
        self.number = number
        self._servers = servers
        with servers.inside():
            for wire in WIRES:
                end = self._end(wire)
                _ip(f"link add {end} type veth peer name {wire} "
                    f"netns {self.path}",
                    f"link set {end} master {wire} up")
        with self.inside():
            for wire, net in WIRES.items():
                _ip(f"addr add {net}.{10 + number}/24 dev {wire}",
                    f"link set {wire} up")

    def _end(self, wire):
        return f"{wire}{self.number}"

    def _set(self, wires, state):
        with self._servers.inside():
            _ip(*(f"link set {self._end(wire)} {state}"
                  for wire in wires or WIRES))

    def cut(self, *wires):
        """Nothing passes any more, and nobody is told. Default: all wires."""
        self._set(wires, "down")

    def mend(self, *wires):
        self._set(wires, "up")


class Network:
    """A namespace for servers, and hosts with a wire of each kind to it."""

    def __init__(self, hosts=2):
        self.servers = Namespace()
        with self.servers.inside():
            for wire in WIRES:
                _ip(f"link add {wire} type bridge forward_delay 0",
                    f"addr add {server_at(wire)}/24 dev {wire}",
                    f"link set {wire} up")
        self.hosts = [Host(number, self.servers) for number in range(hosts)]

    def close(self):
        for namespace in (*self.hosts, self.servers):
            namespace.close()
