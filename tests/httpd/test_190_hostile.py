# SPDX-License-Identifier: Apache-2.0
"""Requests that mean harm or nonsense: bounded work, a clear answer."""
import pytest

from pydogpile import client, scene, upstream as scripted, wms

CONF = """
LimitRequestLine 70000
DogpileStore "disk:${DIR}/store"
<Location "/wms">
    DogpileEnable On
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<Location "/denying">
    DogpileEnable On
    DogpileUnlisted deny
    DogpileOffGrid deny
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""
OPTIONS = {"children": 2}


def tile(**params):
    return wms.tile(5, 9, 9, **params)


def with_(name, raw):
    """The tile with a value that is already escaped, or broken."""
    return tile(**{name: None}) + f"&{name}={raw}"


MALFORMED = {
    "BBOX of nan": with_("BBOX", "nan,nan,nan,nan"),
    "BBOX of inf": with_("BBOX", "-inf,-inf,inf,inf"),
    "BBOX too large": with_("BBOX", "-1e308,-1e308,1e308,1e308"),
    "BBOX beyond doubles": with_("BBOX", "-1e999,0,1e999,1"),
    "BBOX in hex": with_("BBOX", "0x0,0x0,0x10,0x10"),
    "BBOX of three": with_("BBOX", "1,2,3"),
    "BBOX of five": with_("BBOX", "1,2,3,4,5"),
    "BBOX empty": with_("BBOX", ""),
    "BBOX inverted": with_("BBOX", "4,3,2,1"),
    "BBOX of nothing": with_("BBOX", "1,1,1,1"),
    "BBOX of many digits": with_("BBOX", "1," + 5000 * "1" + ",3,4"),
    "no BBOX": tile(BBOX=None),
    "no WIDTH": tile(WIDTH=None),
    "WIDTH huge": tile(WIDTH="1000000000"),
    "WIDTH beyond 64 bits": tile(WIDTH="99999999999999999999999"),
    "WIDTH negative": tile(WIDTH="-256"),
    "WIDTH of nothing": tile(WIDTH="0"),
    "WIDTH fraction": tile(WIDTH="256.0"),
    "WIDTH with blank": tile(WIDTH=" 256"),
    "HEIGHT of hex": tile(HEIGHT="0x100"),
    "zero byte": with_("LAYERS", "a%00b"),
    "percent": with_("LAYERS", "100%"),
    "percent and one": with_("LAYERS", "100%2"),
    "percent and no hex": with_("LAYERS", "%zz"),
    "line end": with_("LAYERS", "a%0d%0aX-Evil:%201"),
    "escape character": with_("LAYERS", "a%1b[31m"),
    "delete character": with_("LAYERS", "a%7f"),
    "no LAYERS": tile(LAYERS=None),
    "empty LAYERS": tile(layers=""),
    "percent in STYLES": with_("STYLES", "%"),
}

PASSING = {
    "10 000 parameters": tile() + "".join(f"&p{i}" for i in range(10000)),
    "64 000 bytes": tile() + "&LAYERS=" + 60000 * "x",
    "10 000 ampersands": tile(MAP="1") + 10000 * "&",
    "long LAYERS": tile(layers=5000 * "x"),
    "long DPI": tile(DPI=2000 * "9"),
    "long name": tile() + "&" + 3000 * "n" + "=1",
    "long query": tile(DPI="1", FORMAT=None) + "&FORMAT=" + 9000 * "f",
    "large off-grid": tile(WIDTH="1000000", HEIGHT="1000000"),
    "name with a zero byte": tile() + "&LAY%00ERS=1",
    "name that is broken": tile() + "&%=1",
    "no name": tile() + "&=1",
    "semicolons": tile() + ";MAP=/etc/passwd;x=1&y",
}


def check_alive(site):
    answer = client.get(site.url(tile(layers="h-alive")))
    assert answer.status == 200
    scene.settle(site)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request_gets_400(site, name):
    """A GetMap that can't be read is answered 400 by the module, says why in
    Cache-Status and one info line, and asks nothing of the source."""
    before = site.status.read()
    lines = len(site.log.find("DP0202"))
    answer = client.get(site.url(MALFORMED[name]))
    after = site.status.read()
    assert answer.status == 400
    assert answer.header("Cache-Status").startswith('mod_dogpile; detail="')
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Evil") is None
    assert site.upstream.count == 0
    assert after["denied"] - before["denied"] == 1
    assert after["fetches"] == before["fetches"]
    said = site.log.find("DP0202")[lines:]
    assert len(said) == 1
    assert "[dogpile:info]" in said[0]
    assert all(" " <= c <= "~" for c in said[0])
    check_alive(site)


@pytest.mark.parametrize("name", PASSING)
def test_absurd_request_passes_or_is_denied(site, name):
    """A GetMap beyond the bounds, or with names nobody listed, is the
    source's business, or is denied where that is configured; the module
    fetches and stores nothing."""
    site.upstream.always = scripted.status(200)
    before = site.status.read()
    answer = client.get(site.url(PASSING[name]))
    after = site.status.read()
    assert answer.header("Cache-Status").startswith("mod_dogpile; fwd=bypass")
    assert len(answer.header("Cache-Status")) < 200
    assert answer.status == 200
    assert site.upstream.count == 1
    assert after["passed"] - before["passed"] == 1
    assert after["fetches"] == before["fetches"]
    site.upstream.reset()
    denied = client.get(site.url(PASSING[name].replace("/wms", "/denying", 1)))
    if name not in ("long LAYERS", "long DPI"):
        assert (denied.status, site.upstream.count) == (403, 0)
    check_alive(site)


@pytest.mark.parametrize("data", [
    b"GET /wms?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"\x01\x02"),
    b"GET /wms?REQUEST=GetMap HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /wms?REQUEST=GetMap HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /wms?REQUEST=GetMap\xff\xfe HTTP/1.1\r\nHost: x\r\n"
    b"Connection: close\r\n\r\n",
    b"GET http://x/wms?REQUEST=GetMap HTTP/1.0\r\n\r\n",
    b"GET wms?REQUEST=GetMap HTTP/1.0\r\n\r\n",
    b"GET /wms/%2e%2e/%2e%2e/etc?REQUEST=GetMap HTTP/1.0\r\n\r\n",
    b"HEAD /wms?REQUEST=GetMap#fragment HTTP/1.0\r\n\r\n",
    b"BREW /wms?REQUEST=GetMap HTTP/1.0\r\n\r\n",
])
def test_odd_bytes_do_no_harm(site, data):
    """Whatever stands in a request line, httpd answers and lives."""
    site.allow_log(r"\[core:error\] ")
    site.upstream.always = scripted.status(200)
    assert client.raw(site.port, data, shutdown=True).startswith(b"HTTP/1.")
    site.upstream.reset()
    check_alive(site)


def test_old_protocol_gets_tiles(site):
    """A client of HTTP/1.0 without Host, and one with an absolute URL, get
    the same tile."""
    path = tile(layers="h-old")
    for line in (f"GET {path} HTTP/1.0\r\n\r\n",
                 f"GET http://localhost{path} HTTP/1.1\r\nHost: x\r\n"
                 "Connection: close\r\n\r\n"):
        answer = client.raw(site.port, line.encode())
        assert b" 200 OK\r\n" in answer and b"IHDR" in answer
        scene.settle(site)
    assert site.upstream.count == 1


def test_long_paths_are_harmless(site):
    """A path as long as httpd allows, with odd characters, is a source like
    any other: stored under a name of bounded length."""
    path = "/wms/" + 200 * "%2e%2e;a'%22%3c/" + "x"
    answer = client.get(site.url(wms.tile(5, 9, 9, path=path)))
    assert answer.status == 200
    scene.settle(site)
    hit = client.get(site.url(wms.tile(5, 9, 9, path=path)))
    assert "; hit" in hit.header("Cache-Status")
    longest = max((p.name for p in (site.dir / "store").rglob("*")), key=len)
    assert len(longest) < 100
