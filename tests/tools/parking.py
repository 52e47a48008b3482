#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""n clients wait for one tile in one child of httpd, all parked.

    parking.py [-n 2000] [--threads 64] [--blocked]

Prints what that costs, what others notice, and how long the landing takes.
--blocked has them hold threads instead, for comparison: n must be less than
the threads then.
"""
import argparse
import os
import pathlib
import resource
import selectors
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../httpd"))

from herd import quantile  # noqa: E402
from pydogpile import client, wms  # noqa: E402
from pydogpile.scene import ALONE, location, settle  # noqa: E402
from pydogpile.server import Httpd  # noqa: E402
from pydogpile.upstream import Upstream  # noqa: E402
from pydogpile.wire import Dial  # noqa: E402

WARM, COLD = wms.tile(5, 9, 9), wms.tile(5, 10, 9)


def memory_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def hits(server, n=500):
    """How long a cached tile takes meanwhile, on connections of its own."""
    times = [client.get(server.url(WARM)).latency * 1000 for _ in range(n)]
    return f"p50 {quantile(times, 0.5):.2f}, max {max(times):.1f} ms"


def landing(wires):
    """When the answers arrive, in ms from now, and how many are tiles; each
    client asks for the next tile at once."""
    selector = selectors.DefaultSelector()
    for wire in wires:
        selector.register(wire.sock, selectors.EVENT_READ, wire)
    start = time.monotonic()
    times = []
    good = 0
    while len(times) < len(wires):
        for key, _ in selector.select(60):
            times.append((time.monotonic() - start) * 1000)
            selector.unregister(key.fileobj)
            good += key.data.answer().status == 200
            key.data.ask(WARM)
    return f"p50 {quantile(times, 0.5):.0f}, last {times[-1]:.0f} ms", good


def measure(server, upstream, dial, n):
    child, = server.children()
    client.get(server.url(WARM))
    settle(server)
    hits(server)
    before = memory_kb(child), descriptors(child)
    upstream.hold()
    wires = dial.crowd(n, server.port, COLD)
    server.status.wait(lambda s: s["waiters"] == n, 120)
    after = memory_kb(child), descriptors(child)
    strangers = [dial(server.port).ask(WARM) for _ in range(20)]
    assert all(wire.answer().status == 200 for wire in strangers)
    print(f"memory of a waiter  {(after[0] - before[0]) / n:.1f} kB")
    print(f"its descriptors     {(after[1] - before[1]) / n:.2f}")
    print(f"a hit meanwhile     {hits(server)}")
    upstream.release()
    times, answered = landing(wires)
    print(f"the landing         {times}")
    kept = sum(wire.answer().status == 200 for wire in wires)
    idle = sum(wire.ask(WARM).answer().status == 200 for wire in strangers)
    print(f"answered, kept      {answered}, {kept} of {n}")
    print(f"strangers kept      {idle} of {len(strangers)}")
    print(f"requests to source  {upstream.count - 1}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-n", type=int, default=2000)
    options.add_argument("--threads", type=int, default=64)
    options.add_argument("--blocked", action="store_true")
    args = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    conf = (f"AsyncRequestWorkerFactor {4 * args.n // args.threads + 2}\n"
            "DogpileWaitTimeout 60\n" + location(ALONE))
    if args.blocked:
        conf += f"DogpileAsync Off\nDogpileMaxBlocked {args.n}\n"
    upstream, dial = Upstream(), Dial()
    with Httpd(conf, mpm="event", children=1, threads=args.threads,
               define={"UPSTREAM": upstream.port}) as server:
        try:
            measure(server, upstream, dial, args.n)
        finally:
            dial.close()
            upstream.stop()


if __name__ == "__main__":
    main()
