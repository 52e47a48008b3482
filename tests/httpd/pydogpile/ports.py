# SPDX-License-Identifier: Apache-2.0
"""Loopback ports that nobody listens on."""
import os
import random
import socket

# Below the range from which the kernel takes the ports of clients. Of those
# that run tests side by side each has a share of its own: a port that is free
# isn't listened on at once.
FIRST, LAST = 12000, 32000
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").lstrip("gw"))
SHARE = (LAST - FIRST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))

LISTEN, TIME_WAIT = "0A", "06"  # in /proc/net/tcp


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def connections(port):
    """How many connections the server at that port hasn't closed yet."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(int(row[1].partition(":")[2], 16) == port
               and row[3] not in (LISTEN, TIME_WAIT) for row in rows)


def free():
    while True:
        port = FIRST + WORKER * SHARE + random.SystemRandom().randrange(SHARE)
        if is_free(port):
            return port
