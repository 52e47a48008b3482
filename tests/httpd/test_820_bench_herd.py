# SPDX-License-Identifier: Apache-2.0
"""The herd of the benchmarks: that it measures what it says, or fails."""
import subprocess

import pytest

from pydogpile import client, wms
from pydogpile.server import MODULE
from pydogpile.upstream import (cut_body, dropped, render, rendered,
                                service_exception)
from pydogpile.wait import DEADLINE_SEC

HERD = MODULE.parents[1] / "tests/bench/herd"
EARLIER = wms.tile(5, 9, 10, layers="earlier")
TILE = wms.tile(5, 9, 10, layers="grey")
CLIENTS = 8
REST_MS = 10
LONG_MS = 2000 * DEADLINE_SEC  # no test waits for its end


def run(upstream, rest=REST_MS):
    return subprocess.run(
        [HERD, "-p", str(upstream.port), "-n", str(CLIENTS), "-w", EARLIER,
         "-r", str(rest)],
        input=TILE + "\n", capture_output=True, text=True,
        timeout=DEADLINE_SEC)


def sick_picture(request):
    answer = render(request)
    answer.status = 500
    return answer


def layers(requests):
    return [request.query["LAYERS"] for request in requests]


def test_herd_asks_over_used_connections(upstream):
    """Each client asks over the connection of its earlier tile, all of them
    after the last of those, and what is told is the herd's tile."""
    size = len(client.get(upstream.url(TILE)).body)
    assert size != len(client.get(upstream.url(EARLIER)).body)
    upstream.forget()
    done = run(upstream)
    assert (done.returncode, done.stderr) == (0, "")
    earlier, herd = (upstream.requests[:CLIENTS], upstream.requests[CLIENTS:])
    assert layers(earlier) == ["earlier"] * CLIENTS
    assert layers(herd) == ["grey"] * CLIENTS
    ports = [request.client[1] for request in earlier]
    assert len(set(ports)) == CLIENTS
    assert {request.client[1] for request in herd} == set(ports)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:5] for line in lines] == [
        ["c", str(port), "200", "1", str(size)] for port in ports]
    for line in lines:
        asked, first, last = map(int, line[5:])
        assert asked <= first <= last


@pytest.mark.parametrize("answer", [
    sick_picture, service_exception(), cut_body(), dropped()])
def test_herd_without_its_earlier_tile_fails(upstream, answer):
    """A client whose earlier answer isn't a whole tile ends the herd with an
    error, and nobody asks for the herd's."""
    upstream.script(rendered(), answer)
    done = run(upstream)
    assert (done.returncode, done.stdout) == (1, "")
    assert "didn't get the tile before the herd's" in done.stderr
    assert layers(upstream.requests) == ["earlier"] * 2


def test_herd_whose_connection_ends_fails(upstream):
    """A connection that the server closes after the earlier tile ends the
    herd with an error, and nobody asks for the herd's."""
    upstream.script(rendered(), rendered(Connection="close"))
    done = run(upstream, LONG_MS)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended a connection before the herd's request" in done.stderr
    assert layers(upstream.requests) == ["earlier"] * CLIENTS
