# SPDX-License-Identifier: Apache-2.0
"""Parked clients are answered without a worker thread where nothing in their
answer could make others wait; elsewhere a worker does it."""
import io
import threading

import numpy
import pytest
from PIL import Image

from pydogpile import ports, scene, upstream as scripted, wms
from pydogpile.server import chosen_mpm
from pydogpile.tls import NOTICES, make_certificate

TLS = ports.free()
PLACES = {
    "plain": "",
    "headers": "Header set X-Site here\nExpiresActive On\n"
               'ExpiresDefault "access plus 1 day"',
    "by-type": "AddOutputFilterByType DEFLATE text/html text/xml",
    "slowed": "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 4096",
}
CONF = """
LoadModule ssl_module ${MODULES}/mod_ssl.so
LoadModule headers_module ${MODULES}/mod_headers.so
LoadModule expires_module ${MODULES}/mod_expires.so
LoadModule filter_module ${MODULES}/mod_filter.so
LoadModule deflate_module ${MODULES}/mod_deflate.so
LoadModule env_module ${MODULES}/mod_env.so
LoadModule ratelimit_module ${MODULES}/mod_ratelimit.so
SSLSessionCache none
Listen 127.0.0.1:${TLS}
DogpileMaxBlocked 12
DogpileTileSizes 256 1280
DogpileMetatile 1x1 buffer=0
""" + scene.location() + "".join(f"""
<Location "/{name}">
    DogpileEnable On
    DogpileStore "disk:${{DIR}}/store"
    DogpileSource "/wms"
    {lines}
</Location>
""" for name, lines in PLACES.items()) + """
<VirtualHost *:${TLS}>
    SSLEngine On
    SSLCertificateFile "${DIR}/cert.pem"
    SSLCertificateKeyFile "${DIR}/key.pem"
</VirtualHost>
"""
OPTIONS = {"children": 1, "threads": 16, "define": {"TLS": TLS}}
ALLOWED = [*NOTICES]
PARKS = chosen_mpm() == "event"
CLIENTS = 5


def prepare(server):
    make_certificate(server)


def noise(size, levels):
    """A picture that PNG can't make smaller."""
    pixels = numpy.random.default_rng(1).integers(
        0, levels, (size, size), dtype=numpy.uint8)
    image = Image.fromarray(pixels, "P")
    image.putpalette([level * 16 for level in range(16) for _ in "rgb"])
    png = io.BytesIO()
    image.save(png, "PNG", bits=4)
    return png.getvalue()


def tile(name, **params):
    return wms.tile(5, 9, 9, layers="l-" + name, **params)


def wait_parked(server, n):
    server.status.wait(lambda s: s["waiters"] == n and s["fetching"] > 0
                       and s["parked" if PARKS else "blocked"] == n)


def crowd(site, dial, path, tls=False, **options):
    """Clients of one tile whose source answers when all wait; how many of
    them were answered without a worker."""
    before = site.status.read()["prompt"]
    site.upstream.hold()
    wires = [dial(TLS if tls else site.port, tls=tls, **options).ask(path)
             for _ in range(CLIENTS)]
    wait_parked(site, CLIENTS)
    site.upstream.release()
    bodies = [wire.answer().body for wire in wires]
    assert len(set(bodies)) == 1 and site.upstream.count == 1
    for wire in wires:
        assert wire.ask(path).answer().body == bodies[0]
    return bodies[0], site.status.read()["prompt"] - before


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("place", ["plain", "headers", "by-type"])
def test_httpds_own_filters_are_no_hindrance(site, dial, place, tls):
    """A tile is sent at once to all who are parked for it, over TLS too, and
    through filters that only transform."""
    _, prompt = crowd(site, dial, tile(f"{place}-{tls}", path="/" + place), tls)
    assert prompt == (CLIENTS if PARKS else 0)


def test_filter_that_sleeps_has_a_worker(site, dial):
    """Who must be sent its tile slowly doesn't keep the others from theirs."""
    _, prompt = crowd(site, dial, tile("slowed", path="/slowed"))
    assert prompt == 0


SLOW_416 = scene.location('ErrorDocument 416 "/slow"') + """
<Location "/slow">
    ProxyPass "http://127.0.0.1:${UPSTREAM}/slow"
</Location>
"""


def test_error_document_of_a_range_keeps_nobody(httpd, upstream, dial):
    """While the site's ErrorDocument for a range that can't be met is being
    made, the others get their tile, and who asked for a part his part."""
    server = httpd(SLOW_416, **OPTIONS)
    is_made = threading.Event()

    def answer(request):
        if request.path.startswith("/slow"):
            is_made.wait(scripted.HELD_SEC)
            return scripted.Answer(200, {}, b"not there")
        return scripted.render(request)

    upstream.always = answer
    upstream.hold()
    beyond = dial(server.port).ask(tile("beyond"), Range="bytes=99999999-")
    wait_parked(server, 1)
    part = dial(server.port).ask(tile("beyond"), Range="bytes=0-9")
    wait_parked(server, 2)
    others = dial.crowd(3, server.port, tile("beyond"))
    wait_parked(server, 5)
    upstream.release()
    bodies = {wire.answer().body for wire in others}
    assert {part.answer().body} == {body[:10] for body in bodies}
    is_made.set()
    assert beyond.answer().body == b"not there"
    assert server.status["prompt"] == (3 if PARKS else 0)


def test_httpd_that_flushes_early_has_a_worker(httpd, upstream, dial):
    """Where httpd's core waits for clients of small answers, nobody else waits
    for them."""
    server = httpd("FlushMaxThreshold 16384\n" + scene.location(), **OPTIONS)
    server.upstream = upstream
    _, prompt = crowd(server, dial, tile("early"))
    assert prompt == 0


def test_large_tile_has_a_worker(site, dial):
    """A tile that httpd's core may have to wait for is a worker's."""
    png = noise(1280, 16)
    site.upstream.always = scripted.Answer(
        200, {"Content-Type": "image/png"}, png)
    body, prompt = crowd(site, dial, tile("large", path="/plain",
                                          WIDTH="1280", HEIGHT="1280"))
    assert body == png and prompt == 0


def test_rest_of_an_answer_follows(site, dial):
    """A client that takes only the beginning of its tile gets the rest when
    it reads on, and the others needn't wait for it."""
    png = noise(256, 16)
    assert 30000 < len(png) < 40000
    site.upstream.always = scripted.Answer(
        200, {"Content-Type": "image/png"}, png)
    path = tile("rest", path="/plain")
    site.upstream.hold()
    slow = [dial(site.port, receive=2048).ask(path) for _ in range(2)]
    wait_parked(site, 2)
    quick = [dial(site.port).ask(path) for _ in range(2)]
    wait_parked(site, 4)
    site.upstream.release()
    for wire in quick + slow:
        assert wire.answer().body == png
        assert wire.ask(path).answer().body == png
    assert site.upstream.count == 1


def test_answer_without_a_body(site, dial):
    """If-None-Match of the right tile gives 304 at once; HEAD its headers."""
    etag = crowd_etag(site, dial)
    site.upstream.hold()
    wires = [dial(site.port).ask(tile("none-2", path="/plain"),
                                 If_None_Match=etag),
             dial(site.port).ask(tile("none-2", path="/plain"),
                                 method="HEAD")]
    wait_parked(site, 2)
    site.upstream.release()
    answers = [wire.answer() for wire in wires]
    assert [answer.status for answer in answers] == [304, 200]
    assert [answer.body for answer in answers] == [b"", b""]
    for wire in wires:
        assert wire.ask(tile("none-2", path="/plain")).answer().status == 200


def crowd_etag(site, dial):
    answer = dial(site.port).ask(tile("none", path="/plain")).answer()
    return answer.headers["ETag"]
