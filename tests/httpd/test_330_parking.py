# SPDX-License-Identifier: Apache-2.0
"""Clients that wait, as they see it: on event their connections are parked,
on the other MPMs they hold threads, and no client can tell."""
import gzip
import random
import time

import numpy
import pytest
from PIL import Image

from pydogpile import client, picture, ports, scene, upstream, wms
from pydogpile.server import chosen_mpm
from pydogpile.tls import NOTICES, make_certificate
from pydogpile.wait import until

TLS = ports.free()
CONF = """
LoadModule ssl_module ${MODULES}/mod_ssl.so
LoadModule headers_module ${MODULES}/mod_headers.so
LoadModule filter_module ${MODULES}/mod_filter.so
LoadModule deflate_module ${MODULES}/mod_deflate.so
LoadModule env_module ${MODULES}/mod_env.so
LoadModule setenvif_module ${MODULES}/mod_setenvif.so
SSLSessionCache none
Listen 127.0.0.1:${TLS}
LogFormat "%>s %D %{DOGPILE_WAIT_MS}e %{DOGPILE_STATUS}e" dogpile
CustomLog access.log dogpile "expr=%{QUERY_STRING} =~ /l-log/ && \
-z env('DOGPILE_INTERNAL')"
DogpileMaxBlocked 12
DogpileTileSizes 256 1280
DogpileMetatile 1x1 buffer=0
DogpileErrorExpire 0
""" + scene.location() + scene.location("DogpileWaitTimeout 700ms",
                                        path="/hasty") + """
<Location "/filtered">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    DogpileSource "/wms"
    Header always add X-Once yes
    SetOutputFilter DEFLATE
</Location>
<Location "/excused">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    DogpileSource "/wms"
    DogpileWaitTimeout 700ms
    ErrorDocument 503 "come back"
</Location>
<VirtualHost *:${TLS}>
    SSLEngine On
    SSLCertificateFile "${DIR}/cert.pem"
    SSLCertificateKeyFile "${DIR}/key.pem"
</VirtualHost>
"""
OPTIONS = {"children": 1, "threads": 16, "define": {"TLS": TLS}}
ALLOWED = [*NOTICES,
           "DP0601"]
PARKS = chosen_mpm() == "event"


def prepare(server):
    make_certificate(server)


def tile(name, x=9, **params):
    return wms.tile(5, x, 9, layers="l-" + name, **params)


def assert_tile(answer, x=9):
    box = wms.MERCATOR.bbox(5, x, 9)
    assert answer.status == 200, answer
    assert picture.same(picture.decode(answer.body),
                        picture.render("rgb", box, 256, 256))


def wait_parked(server, n):
    server.status.wait(lambda s: s["waiters"] == n and s["fetching"] > 0
                       and s["parked" if PARKS else "blocked"] == n)


def assert_alive(wire, path, x=9):
    """The connection serves another request."""
    assert_tile(wire.ask(path).answer(), x)


def test_connection_lives_on(site, dial):
    """Who had to wait asks again on the same connection, over and over."""
    wire = dial(site.port)
    for x in range(9, 12):
        site.upstream.hold()
        wire.ask(tile("on", x))
        wait_parked(site, 1)
        site.upstream.release()
        assert_tile(wire.answer(), x)
    assert_alive(wire, tile("on"))
    assert site.upstream.count == 3


def test_over_tls(site, dial):
    """The same over TLS, with a connection that goes on."""
    site.upstream.hold()
    wires = [dial(TLS, tls=True).ask(tile("tls")) for _ in range(4)]
    wait_parked(site, 4)
    site.upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
        assert_alive(wire, tile("tls"))
    assert site.upstream.count == 1


@pytest.mark.parametrize("tls", [False, True])
def test_pipelined_requests_are_answered_in_order(site, dial, tls):
    """Requests that follow on the same connection, with the one that waits or
    while it waits, are answered after it: a hit, and others that wait."""
    name = f"line-{tls}"
    client.get(site.url(tile(name, 8)))
    scene.settle(site)
    site.upstream.hold()
    wire = dial(TLS if tls else site.port, tls=tls)
    wire.ask(tile(name, 9), tile(name, 8), tile(name, 10))
    wait_parked(site, 1)
    wire.ask(tile(name, 11), tile(name, 9))
    site.upstream.release()
    for x in (9, 8, 10, 11, 9):
        assert_tile(wire.answer(), x)
    assert_alive(wire, tile(name, 8), 8)


def test_head(site, dial):
    """HEAD waits as GET does and gets the same headers without the tile."""
    site.upstream.hold()
    head = dial(site.port).ask(tile("head"), method="HEAD")
    get = dial(site.port).ask(tile("head"))
    wait_parked(site, 2)
    site.upstream.release()
    one, other = head.answer(), get.answer()
    assert (one.status, one.body) == (200, b"")
    assert one.header("Content-Length") == str(len(other.body))
    assert one.header("ETag") == other.header("ETag")
    assert_alive(head, tile("head"))


@pytest.mark.parametrize("keeps", [False, True])
def test_http_1_0(site, dial, keeps):
    """HTTP/1.0 clients are answered, and their connections end unless they
    asked to keep them."""
    name = f"ten-{keeps}"
    site.upstream.hold()
    more = {"Connection": "keep-alive"} if keeps else {}
    wire = dial(site.port).ask(tile(name), version="1.0", **more)
    wait_parked(site, 1)
    site.upstream.release()
    assert_tile(wire.answer())
    if keeps:
        assert_alive(wire, tile(name))
    else:
        assert wire.is_ended()


def noise():
    """A picture that can't be compressed, of some megabytes."""
    pixels = random.Random(1).randbytes(1280 * 1280 * 3)
    pixels = numpy.frombuffer(pixels, numpy.uint8).reshape(1280, 1280, 3)
    return picture.encode(Image.fromarray(pixels), "image/png")


@pytest.mark.parametrize("tls", [False, True])
def test_large_answers(site, dial, tls):
    """Megabytes arrive whole, and the connection goes on."""
    big = noise()
    site.upstream.always = upstream.Answer(
        200, {"Content-Type": "image/png"}, big)
    site.upstream.hold()
    path = tile(f"big-{tls}", WIDTH="1280", HEIGHT="1280")
    wires = [dial(TLS if tls else site.port, tls=tls).ask(path)
             for _ in range(4)]
    wait_parked(site, 4)
    site.upstream.release()
    for wire in wires:
        assert wire.answer().body == big
        assert wire.ask(path).answer().body == big
    assert site.upstream.count == 1


def test_one_who_has_said_all_is_answered(site, dial):
    """A client that closes its half of the connection, as netcat does, still
    gets its tile."""
    site.upstream.hold()
    wire = dial(site.port).ask(tile("half"))
    wait_parked(site, 1)
    wire.half_close()
    dial(site.port).ask(tile("half"))
    wait_parked(site, 2)
    site.upstream.release()
    assert_tile(wire.answer())
    assert wire.is_ended()


def log_lines(site):
    path = site.dir / "access.log"
    return path.read_text().splitlines() if path.exists() else []


def test_log_has_the_wait(site, dial):
    """The access log's %D contains the wait, and DOGPILE_WAIT_MS is how long
    it was."""
    site.upstream.hold()
    wires = dial.crowd(3, site.port, tile("log"))
    wait_parked(site, 3)
    begin = time.monotonic()
    wait_parked(site, 3)
    held_ms = (time.monotonic() - begin) * 1000
    site.upstream.release()
    for wire in wires:
        assert_tile(wire.answer())
    until(lambda: len(log_lines(site)) == 3, "three lines")
    for line in log_lines(site):
        status, usec, wait_ms, how = line.split()
        assert (status, how) == ("200", "miss")
        assert int(usec) // 1000 >= int(wait_ms) >= int(held_ms)


@pytest.mark.parametrize("path", ["/hasty", "/excused"])
def test_wait_may_end_without_a_tile(site, dial, path):
    """When DogpileWaitTimeout is over the answer is 503, with the site's own
    text if it has one."""
    site.upstream.hold()
    wire = dial(site.port).ask(tile("late", path=path))
    answer = wire.answer()
    assert answer.status == 503
    assert int(answer.header("Retry-After")) > 0
    assert 'detail="no answer in time"' in answer.header("Cache-Status")
    assert (answer.body == b"come back") == (path == "/excused")
    site.upstream.release()
    scene.settle(site)
    assert_tile(client.get(site.url(tile("late", path=path))))
    assert site.upstream.count == 1


def test_failure_is_everybodys(site, dial):
    """A failed fetch answers all who wait with 502, and their connections
    go on."""
    site.upstream.script(upstream.status(500))
    site.upstream.hold()
    wires = dial.crowd(6, site.port, tile("bad"))
    wait_parked(site, 6)
    site.upstream.release()
    for wire in wires:
        answer = wire.answer()
        assert answer.status == 502
        assert int(answer.header("Retry-After")) > 0
    assert site.upstream.count == 1
    for wire in wires:
        assert_alive(wire, tile("bad"))


def test_private_answer_is_for_nobody(site, dial):
    """When the answer turns out to be private, everyone who waited asks the
    source for himself, once."""
    site.upstream.always = upstream.rendered(Cache_Control="private")
    site.upstream.hold()
    wires = dial.crowd(6, site.port, tile("mine"))
    wait_parked(site, 6)
    site.upstream.release()
    for wire in wires:
        answer = wire.answer()
        assert_tile(answer)
        assert answer.header("Cache-Control") == "private"
        assert 'detail="unshareable"' in answer.header("Cache-Status")
    assert site.upstream.count == 1 + 6


def test_filters_apply_once(site, dial):
    """mod_headers and mod_deflate do their work on an answer that was waited
    for, once."""
    site.upstream.hold()
    wires = dial.crowd(3, site.port, tile("once", path="/filtered"),
                  Accept_Encoding="gzip")
    wait_parked(site, 3)
    site.upstream.release()
    for wire in wires:
        answer = wire.answer()
        assert answer.headers.get_all("X-Once") == ["yes"]
        assert answer.headers.get_all("Content-Encoding") == ["gzip"]
        answer.body = gzip.decompress(answer.body)
        assert_tile(answer)


def test_condition_is_met_after_the_wait(site, dial):
    """If-None-Match of the right tile gives 304 to who waited, and the
    connection goes on."""
    etag = client.get(site.url(tile("not"))).header("ETag")
    site.upstream.hold()
    # The same picture under another key.
    wire = dial(site.port).ask(tile("not-2"), If_None_Match=etag)
    wait_parked(site, 1)
    site.upstream.release()
    assert wire.answer().status == 304
    assert_alive(wire, tile("not"))
