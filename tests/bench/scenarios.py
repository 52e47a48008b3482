# SPDX-License-Identifier: Apache-2.0
"""Herds: each scenario measures one server once and says what it saw.

A measurement is {"figure": number}. `upstream` is how often the source was
asked, `failed` how many clients got no picture. Times are in ms; an overhead
is the latency less the source's delay.

Herds whose latency counts come over connections that were used before, as
those of browsers are whose users move a map; two of them once more over new
ones, to show what that costs. New as well are clients whose newness is the
point (starvation), those who are only counted (fleeting) or weighed (memory),
and those of wake-up, which begins at the source's answer: 400 herds that rest
first would take two minutes.
"""
import dataclasses
import functools
import time
import typing

import load
from pydogpile import client
from pydogpile.status import Status
from pydogpile.wait import settled, until

HERD = ("mod_dogpile", "mod_mapcache", "mod_cache_disk", "nginx", "Varnish")
WAKES = ("mod_proxy without the module", "who began the flight",
         "a waiter in the same child", "a waiter in another child")
REST_MS = 300    # of connections in use; Varnish's timeout_linger is 50 ms
FRESH_SEC = 2.2  # after which what lives for a second is stale everywhere


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    about: str
    measure: typing.Callable  # (bench, server) -> {figure: number}
    columns: dict             # figure -> heading
    servers: tuple = HERD
    rounds: int = 5
    once: tuple = ()          # servers that take so long that one will do
    pool: str = "wide"        # which of a server's processes
    ratios: tuple = ()        # (figure, to whose): columns of ratios
    parts: tuple = ()         # measure gives {part: {figure: number}}
    prepare: typing.Callable = None  # (bench, servers), before each round


def overheads(clients, delay):
    """Quantiles of those who got their picture; the others are counted."""
    good = [one.latency - delay for one in clients if one.good]
    spread = {"p50": load.quantile(good, 0.5), "p95": load.quantile(good, 0.95),
              "max": max(good)} if good else {}
    return {**spread, "failed": len(clients) - len(good)}


def static(server):
    return server.title == "a static tile"


def around(bench, clients):
    """Of one fetch: from the first client's request to the source's, and from
    the source's answer to the clients'."""
    written = bench.source.written() / 1000
    asked = min(one.asked for one in clients) / 1000
    answered = [one.last / 1000 for one in clients if one.good]
    return {"before": written - bench.delay - asked,
            "after": load.quantile(answered, 0.95) - written}


def herd(bench, server, paths, clients, delay, rest_ms=REST_MS):
    if static(server):
        paths, delay = ["/static/tile.png"], 0
    bench.source.set(delay=delay)
    answers, _ = bench.herd(server, paths, clients, rest_ms).answers()
    seen = {**overheads(answers, delay), "clients": clients}
    if not static(server):
        seen["upstream"] = bench.source.count()
    if seen.get("upstream") == 1 and seen["failed"] < clients:
        seen |= around(bench, answers)
    return seen


def herd_one(bench, server, rest_ms=REST_MS):
    return herd(bench, server, [bench.cold("one")], 100, bench.delay, rest_ms)


def herd_meta(bench, server):
    return herd(bench, server, bench.cold_metatile("meta"), 64, bench.delay)


def latencies(probes):
    seen = [probe.latency for probe in probes if probe.good]
    return {"probes": len(probes), "unanswered": len(probes) - len(seen),
            "p50": load.quantile(seen, 0.5) if seen else None,
            "max": max(seen) if seen else None}


def probed(bench, server, clients, delay):
    """A herd waits; somebody else wants a cached tile each 50 ms."""
    bench.source.set()
    hot = bench.cold("one")
    assert client.get(server_url(server, hot)).status == 200
    bench.source.set(delay=delay)
    answers, probes = bench.herd(
        server, [bench.cold("one")], clients, i=50, u=delay - 200, q=hot,
        s=4 * delay // 1000 + 20).answers()
    return {"upstream": bench.source.count(), **latencies(probes),
            "failed": sum(not one.good for one in answers)}


def starvation(bench, server):
    return probed(bench, server, 200, bench.long_delay)


def starvation_10000(bench, server):
    """The crowd waits, all of it; then somebody wants a cached tile, each 50
    ms; then the source answers."""
    bench.source.set()
    hot = bench.cold("one")
    assert client.get(server_url(server, hot)).status == 200
    bench.source.set(hold=1)
    crowd = bench.herd(server, [bench.cold("one")], bench.crowd, o=1)
    Status(server.port).wait(lambda now: now["waiters"] == bench.crowd)
    _, probes = bench.herd(server, [hot], 1, i=50, u=5000, q=hot).answers()
    waiting = Status(server.port)["waiters"]
    bench.source.release()
    answers, _ = crowd.answers()
    last = max(one.last for one in answers)
    return {"waiters": waiting, "upstream": bench.source.count(),
            "failed": sum(not one.good for one in answers),
            **latencies(probes),
            "answered": (last - bench.source.written()) / 1000}


def server_url(server, path):
    return f"http://127.0.0.1:{server.port}{path}"


def warm_short(bench, servers):
    """Everybody has a tile, and it expires."""
    bench.source.set()
    bench.short = bench.cold("short")
    for server in servers:
        assert client.get(server_url(server, bench.short)).status == 200
    time.sleep(FRESH_SEC)


def expired(bench, server, rest_ms=REST_MS):
    delay = bench.refresh_delay
    bench.source.set(delay=delay)
    answers, _ = bench.herd(server, [bench.short], 50, rest_ms).answers()
    settled(bench.source.count, 0.5)
    seen = overheads(answers, 0)
    seen["waited"] = sum(one.latency >= delay / 2 for one in answers)
    until(lambda: not bench.source.waiting(), "the refresh is over")
    return {**seen, "upstream": bench.source.count()}


def leaver(bench, server):
    """Client 0 asks, 20 others 50 ms later, and 50 ms later it is gone."""
    bench.source.set(delay=bench.delay)
    answers, _ = bench.herd(server, [bench.cold("one")], 21, REST_MS, d=50,
                            l=100).answers()
    late = [dataclasses.replace(one, asked=answers[0].asked)
            for one in answers[1:]]
    return {**overheads(late, bench.delay),
            "upstream": bench.source.count()}


def pss(pids):
    """kB that belong to these processes, shared memory by its share."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            total += sum(int(line.split()[1]) for line in rollup
                         if line.startswith("Pss:"))
    return total


def tcp_pages():
    with open("/proc/net/sockstat") as table:
        return next(int(line.split("mem ")[1]) for line in table
                    if line.startswith("TCP:"))


def memory(bench, server):
    """What a waiting client costs; the source answers when it was weighed."""
    waiters = bench.parked if bench.parks else bench.blocked
    bench.source.set()
    assert client.get(server_url(server, bench.cold("one"))).status == 200
    before, tcp = pss(server.family()), tcp_pages()
    bench.source.set(hold=1)
    crowd = bench.herd(server, [bench.cold("one")], waiters)
    Status(server.port).wait(lambda now: now["waiters"] >= waiters)
    after, tcp_after = pss(server.family()), tcp_pages()
    bench.source.set(hold=0)
    answers, _ = crowd.answers()
    crowded = waiters >= 500  # else pages that others use hide it
    return {"waiters": waiters, "kB": (after - before) / waiters,
            "tcp": (tcp_after - tcp) * 4 / waiters if crowded else None,
            "failed": sum(not one.good for one in answers)}


def children_of(server):
    """{port of a client: the child that served it last}."""
    log = (server.folder / "access.log").read_text().split("\n")
    rows = [line.split()[-2:] for line in log if line]
    return {int(port): int(child) for child, port in rows}


def wake_up(bench, server):
    """From the source's first byte to a client's first: pairs of clients."""
    seen = {part: [] for part in WAKES}
    pairs = []
    for _ in range(bench.wakes):
        bench.source.set(delay=60)
        answers, _ = bench.herd(server, [bench.cold("one")], 2, d=20).answers()
        written = bench.source.written()
        pairs.append([(one.port, (one.first - written) / 1000)
                      for one in answers])
        bench.source.set(delay=60)
        path = bench.cold("one").replace("/one/", "/direct/", 1)
        (one,), _ = bench.herd(server, [path], 1).answers()
        seen[WAKES[0]].append((one.first - bench.source.written()) / 1000)
    ports = {port for pair in pairs for port, _ in pair}
    until(lambda: ports <= children_of(server).keys(), "the log is written")
    child = children_of(server)
    for (leader, first), (waiter, second) in pairs:
        seen[WAKES[1]].append(first)
        together = child.get(leader) == child.get(waiter)
        seen[WAKES[2] if together else WAKES[3]].append(second)
    return {part: {"n": len(times), **{
        f"p{share}": load.quantile(times, share / 100)
        for share in (50, 99) if times}} for part, times in seen.items()}


QUANTILES = {"p50": "p50", "p95": "p95", "max": "max"}
NET = (("p95", "mod_dogpile"),)
COUNTED = {"upstream": "source requests", "failed": "failed"}

HERDS = (
    Scenario("herd-one", "100 clients, one cold tile",
             "1x1 metatile; overhead, ms. Before: until the source was asked; "
             "after: from its answer to that of 95 of the clients.",
             herd_one, {**COUNTED, **QUANTILES, "before": "before",
                        "after": "after"}, (*HERD, "a static tile"),
             ratios=NET),
    Scenario("herd-one-new", "the same over new connections",
             "Opened beforehand, but not used. nginx and Varnish accept them "
             "before the clock runs; httpd, which has the kernel wait for the "
             "first request, while it runs. Overhead, ms.",
             functools.partial(herd_one, rest_ms=None),
             {**COUNTED, **QUANTILES, "before": "before", "after": "after"},
             (*HERD, "a static tile"), rounds=2, ratios=NET),
    Scenario("herd-meta", "64 clients, the 16 tiles of a cold metatile",
             "A picture of 1056 x 1056 in PNG; overhead, ms. nginx, Varnish "
             "and mod_cache_disk fetch tile by tile and cut nothing.",
             herd_meta, {**COUNTED, **QUANTILES}, (*HERD, "a static tile"),
             ratios=NET),
    Scenario("starvation", "a cached tile while 200 clients wait",
             "200 clients wait for a slow tile; httpd has one child of 64 "
             "threads and AsyncRequestWorkerFactor 8; a new client each 50 ms "
             "wants a cached tile; its latency, ms.",
             starvation, {**COUNTED, "probes": "probes", "p50": "p50",
                          "max": "max"}, rounds=2, pool="narrow"),
    Scenario("starvation-10000", "the same with 10 000 who wait",
             "One child of 64 threads, AsyncRequestWorkerFactor 200. First all "
             "of them wait, then come the probes, then the source answers; "
             "all answered: that long after it, ms. Fewer waiters where a "
             "process may not have 20 200 file descriptors, two for each.",
             starvation_10000, {"waiters": "waiters", **COUNTED,
                                "probes": "probes",
                                "unanswered": "unanswered", "p50": "p50",
                                "max": "max", "answered": "all answered"},
             ("mod_dogpile",), rounds=1, pool="crowd"),
    Scenario("expired", "50 clients, an expired tile",
             "The source takes a second to refresh it; latency, ms. Waited: "
             "clients who weren't answered in half of that.",
             expired, {**COUNTED, "waited": "waited", **QUANTILES}, rounds=7,
             prepare=warm_short),
    Scenario("expired-new", "the same over new connections",
             "Which httpd accepts while the clock runs, and nginx and Varnish "
             "before; latency, ms.",
             functools.partial(expired, rest_ms=None),
             {**COUNTED, "waited": "waited", **QUANTILES}, rounds=2,
             prepare=warm_short),
    Scenario("expired-soon", "the same, asked for without a rest",
             "Over connections that were used a moment before; latency, ms.",
             functools.partial(expired, rest_ms=0),
             {**COUNTED, "waited": "waited", **QUANTILES}, rounds=2,
             prepare=warm_short),
    Scenario("leaver", "the first client leaves",
             "It asks, 20 others ask 50 ms later, and after another 50 ms it "
             "hangs up; when the others have their tile, after the delay, ms.",
             leaver, {**COUNTED, **QUANTILES}, rounds=3),
    Scenario("memory", "memory per waiting client",
             "PSS of all httpd processes; kernel memory of TCP, both ends.",
             memory, {"waiters": "waiters", "failed": "failed",
                      "kB": "httpd, kB", "tcp": "TCP, kB"},
             ("mod_dogpile",), rounds=1, pool="crowd"),
    Scenario("wake-up", "from the source's first byte to a client's first",
             "One begins a flight for a 1x1 metatile, one waits; ms.",
             wake_up, {"n": "clients", "p50": "p50", "p99": "p99"},
             ("mod_dogpile",), rounds=1, parts=WAKES),
)
