# SPDX-License-Identifier: Apache-2.0
"""Hits per second: server and client each have one core of their own."""
import load
import noise
from pydogpile import client, wms
from scenarios import HERD, Scenario, server_url

Z, X, Y = 12, 400, 1000  # whole metatiles from here on
COLUMNS, ROWS = 40, 25   # a thousand tiles
STATIC = "httpd, static files"


def cells():
    return [(X + x, Y + y) for y in range(ROWS) for x in range(COLUMNS)]


def paths(server):
    queries = [wms.tile(Z, x, y, path="", layers="hits") for x, y in cells()]
    if server.title == STATIC:
        return [f"/hits/{x}-{y}.png{query}"
                for (x, y), query in zip(cells(), queries)]
    return ["/hits/wms" + query for query in queries]


def fill(bench, servers):
    """All tiles into all caches; the files are mod_dogpile's tiles."""
    if bench.filled:
        return
    bench.filled = True
    bench.source.set()
    static = next(one for one in servers if one.title == STATIC)
    dogpile = next(one for one in servers if one.title == "mod_dogpile")
    for cell, path in zip(cells(), paths(dogpile)):
        answer = client.get(server_url(dogpile, path))
        assert answer.status == 200, answer
        file = static.folder / "hits" / f"{cell[0]}-{cell[1]}.png"
        file.write_bytes(answer.body)
    for server in servers:
        every = paths(server)
        for at in range(0, len(every), 20):
            answers, _ = bench.herd(server, every[at:at + 20]).answers()
            assert all(one.good for one in answers), server.name


def hits(bench, server):
    everything = paths(server)
    sizes = [len(client.get(server_url(server, path)).body)
             for path in everything[:16]]
    load.pin(server.family(), {load.SERVER_CORE})
    try:
        before = noise.spent(server.family())
        one = load.rate(bench.folder, server.port, everything[:1],
                        bench.wrk_sec)
        spent = noise.spent(server.family()) - before
        many = load.rate(bench.folder, server.port, everything, bench.wrk_sec)
    finally:
        load.pin(server.family(), {load.SERVER_CORE, load.CLIENT_CORE})
    return {"bytes": sum(sizes) / len(sizes), "one": one, "many": many,
            "cpu": spent / (one * bench.wrk_sec) * 1e6}


HITS = Scenario(
    "hits", "hits per second on one core",
    "32 connections kept alive, server and client pinned to a core each; one "
    "tile, and 1000 in turn. The files of httpd are mod_dogpile's tiles, sent "
    "by sendfile with the same headers, query and line of log, AllowOverride "
    "None. CPU: of the server's processes, a request.",
    hits, {"bytes": "bytes a tile", "one": "1 tile", "many": "1000 tiles",
           "cpu": "CPU, us, 1 tile"},
    (STATIC, *HERD), rounds=7, pool="narrow", prepare=fill,
    ratios=(("one", STATIC), ("many", STATIC)))
