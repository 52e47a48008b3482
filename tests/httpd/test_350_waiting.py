# SPDX-License-Identifier: Apache-2.0
"""Which requests may wait, for how long, where they can't park, and what
becomes of their connections."""
import re
import resource
import subprocess

import pytest

from pydogpile import client, ports, upstream, wms
from pydogpile.scene import ALONE, location, settle
from pydogpile.wait import until
from test_330_parking import assert_alive, assert_tile

pytestmark = pytest.mark.event

LOG = """
LogFormat "%>s %{DOGPILE_STATUS}e" dogpile
CustomLog access.log dogpile "expr=%{QUERY_STRING} =~ /GetMap/ && \
-z env('DOGPILE_INTERNAL')"
"""


def tile(x=9, **params):
    return wms.tile(5, x, 9, **params)


def wait_for(server, parked, blocked=0):
    server.status.wait(lambda s: (s["parked"], s["blocked"])
                       == (parked, blocked) and s["fetching"] > 0)


def log_lines(server):
    path = server.dir / "access.log"
    return path.read_text().splitlines() if path.exists() else []


def assert_turned_away(answer, why):
    assert answer.status == 503, answer
    assert int(answer.header("Retry-After")) > 0
    assert f'detail="{why}"' in answer.header("Cache-Status")


def test_so_many_may_park(httpd, upstream, dial):
    """Beyond DogpileMaxWaiters a request holds a thread, and beyond
    DogpileMaxBlocked it gets 503 at once; those that wait get their tile, and
    their places are free again."""
    server = httpd("DogpileMaxWaiters 3\nDogpileMaxBlocked 0\n"
                   + location(ALONE), children=1)
    for x in (9, 10):
        upstream.hold()
        wires = dial.crowd(3, server.port, tile(x))
        wait_for(server, 3)
        for _ in range(3):
            assert_turned_away(client.get(server.url(tile(x))),
                               "too many requests wait")
        wait_for(server, 3)
        assert server.status["max_parked"] == 3
        upstream.release()
        for wire in wires:
            assert_tile(wire.answer(), x)
    settle(server, shed=6)
    assert upstream.count == 2


@pytest.mark.parametrize("line", ["DogpileAsync Off", "DogpileMaxWaiters 0"])
def test_parking_can_be_turned_off(httpd, upstream, dial, line):
    """With DogpileAsync Off, or no place to park, those who wait hold
    threads, under DogpileMaxBlocked."""
    server = httpd(f"{line}\nDogpileMaxBlocked 3\n" + location(ALONE),
                   children=1)
    upstream.hold()
    wires = dial.crowd(3, server.port, tile())
    wait_for(server, 0, blocked=3)
    assert_turned_away(client.get(server.url(tile())),
                       "too many requests wait")
    assert server.status["max_parked"] == 0
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
        assert_alive(wire, tile())
    assert upstream.count == 1


REDIRECTED = """
LoadModule rewrite_module ${MODULES}/mod_rewrite.so
DocumentRoot "${DIR}/htdocs"
<Directory "${DIR}/htdocs">
    Require all granted
    RewriteEngine On
    RewriteRule "^maps$" "/wms" [QSA]
</Directory>
"""


def test_redirected_requests_block(httpd, make_httpd, upstream, dial):
    """A request that an internal redirect has brought can't park, as httpd
    itself waits for its end: it holds a thread and gets its tile; the others
    park."""
    server = make_httpd(REDIRECTED + location(ALONE), children=1)
    (server.dir / "htdocs").mkdir()
    server.start()
    upstream.hold()
    moved = dial.crowd(2, server.port, tile(path="/maps"))
    wait_for(server, 0, blocked=2)
    wires = dial.crowd(4, server.port, tile(path="/wms"))
    wait_for(server, 4, blocked=2)
    upstream.release()
    for wire in moved + wires:
        assert_tile(wire.answer())
        assert_alive(wire, tile())


def test_streams_of_http2_block(httpd, upstream, dial, tmp_path):
    """A request over HTTP/2 holds a thread while it waits and is answered;
    requests over HTTP/1.1 park beside it."""
    server = httpd("LoadModule http2_module ${MODULES}/mod_http2.so\n"
                   "Protocols h2c http/1.1\n" + location(ALONE), children=1)
    upstream.hold()
    args = ["curl", "-sS", "--http2-prior-knowledge", "-w",
            "%{http_version} %{http_code}\n"]
    for i in range(3):
        args += ["-o", str(tmp_path / f"tile{i}"), server.url(tile())]
    with subprocess.Popen(args + ["--parallel", "--parallel-immediate"],
                          stdout=subprocess.PIPE) as curl:
        wait_for(server, 0, blocked=3)
        wires = dial.crowd(4, server.port, tile())
        wait_for(server, 4, blocked=3)
        upstream.release()
        said, _ = curl.communicate(timeout=client.TIMEOUT_SEC)
    assert said.split() == 3 * [b"2", b"200"]
    for wire in wires:
        assert_tile(wire.answer())
    assert upstream.count == 1


# Of the server, of the virtual host; the MPM has the first one's where the
# host has no KeepAliveTimeout.
TIMEOUTS = {"server": ("Timeout 2", ""),
            "host": ("Timeout 60", "Timeout 2\nKeepAliveTimeout 30")}


@pytest.mark.parametrize("where", TIMEOUTS)
def test_wait_ends_before_the_timeout_of_httpd(httpd, upstream, dial, where):
    """Where httpd's Timeout is shorter than DogpileWaitTimeout, a parked
    client gets its 503 before, with a line in the access log."""
    outer, inner = TIMEOUTS[where]
    server = httpd(f"{outer}\n{LOG}<VirtualHost *:${{PORT}}>\nServerName first\n"
                   f"</VirtualHost>\n<VirtualHost *:${{PORT}}>\n"
                   f"ServerName localhost\nTimeout 60\n{inner}\n"
                   + location("DogpileWaitTimeout 60", ALONE)
                   + "</VirtualHost>\n", children=1)
    upstream.hold()
    wires = dial.crowd(3, server.port, tile())
    for wire in wires:
        assert_turned_away(wire.answer(), "no answer in time")
    until(lambda: log_lines(server) == 3 * ["503 error"], "three lines")
    upstream.release()
    settle(server)


@pytest.mark.parametrize("conf,count", [
    ("KeepAliveTimeout 2", 1), ("KeepAlive Off", 0),
    ("MaxKeepAliveRequests 2", 2)])
def test_connection_ends_as_configured(httpd, upstream, dial, conf, count):
    """KeepAliveTimeout, KeepAlive and MaxKeepAliveRequests hold for
    connections whose request was parked."""
    server = httpd(conf + "\n" + location(ALONE), children=1)
    upstream.hold()
    wires = dial.crowd(4, server.port, tile())
    wait_for(server, 4)
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
    for wire in count * wires:
        assert_tile(wire.ask(tile()).answer())
    assert all(wire.is_ended() for wire in wires)


def test_idle_connection_ends_without_another_request(httpd, upstream, dial):
    """A connection on which nothing follows after a parked request is closed
    when KeepAliveTimeout is over."""
    server = httpd("KeepAliveTimeout 1\n" + location(ALONE), children=1)
    upstream.hold()
    wires = dial.crowd(3, server.port, tile())
    wait_for(server, 3)
    upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
    assert all(wire.is_ended() for wire in wires)
    for wire in wires:
        wire.close()
    settle(server)
    until(lambda: ports.connections(server.port) == 0, "all closed")


def test_too_many_waiters_for_the_connections(make_httpd):
    """configtest warns of a DogpileMaxWaiters at which a child accepts no
    more connections, and says which factor would do."""
    enough = "AsyncRequestWorkerFactor 8\nDogpileMaxWaiters 128\n"
    few = "AsyncRequestWorkerFactor 8.9\nDogpileMaxWaiters 129\n"
    code, said = make_httpd(enough + location(), threads=16).configtest()
    assert (code, "DP0119" in said) == (0, False)
    code, said = make_httpd(few + location(), threads=16).configtest()
    assert code == 0
    assert "DP0119: DogpileMaxWaiters 129" in said
    assert "128 may wait" in said and "raise the factor to 9" in said


def test_default_follows_from_the_factor(httpd):
    """Without DogpileMaxWaiters as many may park in a child as it has threads,
    times the whole part of AsyncRequestWorkerFactor."""
    server = httpd("AsyncRequestWorkerFactor 3.5\n" + location(), children=1)
    assert server.status["max_parked"] == server.nthreads * 3


def test_too_few_descriptors_are_told(httpd):
    """The start warns where a child may not open two descriptors for each
    that may wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        server = httpd("AsyncRequestWorkerFactor 100\n" + location(),
                       children=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.expect_log("DP0807: a child may open 512 files, but 1600 requests")


@pytest.mark.parametrize("mpm,line,why", [
    ("worker", "", "the MPM can't wait"), ("prefork", "", "the MPM can't"),
    ("event", "DogpileAsync Off", "DogpileAsync is Off")])
def test_start_says_why_nothing_parks(httpd, mpm, line, why):
    """Where requests that wait hold threads, the log says so once, and
    why."""
    server = httpd(line + "\n" + location(), mpm=mpm, children=1, threads=4)
    server.allow_log("AH00288")
    said, = server.log.find("DP0805: requests that wait hold a thread, 2 at")
    assert re.search(why, said)
