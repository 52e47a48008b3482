# SPDX-License-Identifier: Apache-2.0
"""Sick sources: who gets a tile all the same, and how often they are asked."""
import functools
import time

from pydogpile import client
from pydogpile.wait import settled, until
from scenarios import (COUNTED, QUANTILES, REST_MS, Scenario, overheads,
                       server_url, warm_short)

CLIENTS = 50
PATIENCE_SEC = 2  # of clients who might have an expired tile at once

# What the source does: its name here, in words, and its script.
FAULTS = {
    "500": ("answers 500", {"status": 500}),
    "exception": ("answers 200 with a service exception",
                  {"fault": "exception"}),
    "redirect": ("redirects to a page that isn't there",
                 {"fault": "redirect"}),
    "cut": ("ends in the middle of the picture", {"fault": "cut"}),
    "hanging": ("doesn't answer", {"hold": 1}),
}


def well_again(bench):
    """The source works, and nobody asks it any more: not for a moment."""
    bench.source.set()
    while bench.source.waiting() or settled(bench.source.count, 0.2):
        bench.source.set()


def expired(bench, server, script):
    """Two herds: when the second one comes, the failure is known."""
    bench.source.set(delay=bench.sick_delay, **script)
    answers = []
    for _ in range(2):
        herd, _ = bench.herd(server, [bench.short], CLIENTS, rest_ms=REST_MS,
                             s=PATIENCE_SEC).answers()
        answers += herd
        settled(bench.source.count, 0.5)
        if "hold" not in script:
            until(lambda: not bench.source.waiting(), "the source has failed")
    seen = {**overheads(answers, 0), "upstream": bench.source.count()}
    well_again(bench)
    return seen


def broken(bench, server):
    """A herd, one more who is told when to come again, and one who does."""
    path = bench.cold("one")
    bench.source.set(delay=bench.delay, status=500)
    answers, _ = bench.herd(server, [path], bench.victims, rest_ms=REST_MS,
                            s=180).answers()
    statuses = {one.status for one in answers}
    upstream = bench.source.count()
    told = client.get(server_url(server, path))
    bench.source.set()
    retry = told.header("Retry-After")
    time.sleep(int(retry or 0))
    then = client.get(server_url(server, path))
    return {"upstream": upstream, "clients": bench.victims,
            "answered": max(one.latency for one in answers) - bench.delay,
            "statuses": " ".join(map(str, sorted(statuses))),
            "retry": retry or "-",
            "control": told.header("Cache-Control") or "-",
            "then": str(then.status)}


def fleeting(bench, server):
    """A herd leaves connections behind; those end under the next one's
    requests."""
    bench.source.set(delay=50, fault="fleeting")
    answers = []
    for _ in range(2):
        paths = [bench.cold("one") for _ in range(CLIENTS)]
        answers += bench.herd(server, paths).answers()[0]
    seen = {"upstream": bench.source.count(), "tiles": len(answers),
            "failed": sum(not one.good for one in answers)}
    well_again(bench)
    return seen


FAILURES = (
    *(Scenario(f"expired-{name}", f"an expired tile, the source {words}",
               f"50 clients, and 50 more when it has failed. The source takes "
               f"its time for that; latency, ms. Failed: who had no picture "
               f"in {PATIENCE_SEC} s.",
               functools.partial(expired, script=script),
               {**COUNTED, **QUANTILES}, rounds=2, prepare=warm_short)
      for name, (words, script) in FAULTS.items()),
    Scenario("broken", "50 clients, a cold tile, a broken source",
             "The source answers 500 after its delay. All answered: that long "
             "after the delay, ms. Then the source works again, and a client "
             "comes back when Retry-After has told it to, or at once. nginx "
             "has one round.",
             broken, {"upstream": "source requests", "answered":
                      "all answered", "statuses": "answers",
                      "retry": "Retry-After, s", "control": "Cache-Control",
                      "then": "afterwards"}, rounds=2, once=("nginx",)),
    Scenario("fleeting", "100 cold tiles, connections that end",
             "The source keeps each connection open after its first answer, "
             "and closes it when the next request has come.",
             fleeting, {"tiles": "tiles", **COUNTED}, rounds=1),
)
