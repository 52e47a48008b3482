# SPDX-License-Identifier: Apache-2.0
"""What isn't a tile goes on to the source untouched, and nobody wonders why."""
import urllib.parse

import pytest

from pydogpile import client, upstream as scripted, wms

CONF = """
DogpileStore "disk:${DIR}/store"
ProxyPass "/plain" "http://127.0.0.1:${UPSTREAM}/wms"
<Location "/wms">
    DogpileEnable On
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<Location "/strict">
    DogpileEnable On
    DogpileOffGrid pass
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<Location "/quiet">
    DogpileEnable On
    DogpileHeader Off
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""
OPTIONS = {"children": 2}

BOX = (1.5, 2.5, 3.5, 4.5)  # no cell of any grid


def tile(**params):
    return wms.tile(5, 9, 9, **params)


def again(name, value):
    """The tile with one more pair at the end."""
    return tile() + "&" + urllib.parse.urlencode({name: value})


def box(width, height, **params):
    return wms.getmap(wms.MERCATOR, BOX, width, height, **params)


# How to ask, the reason's counter, the detail, and what should be written.
REASONS = {
    "POST": (tile(), "method", "method", None, {"method": "POST"}),
    "OPTIONS": (tile(), "method", "method", None, {"method": "OPTIONS"}),
    "credentials": (tile(), "authorization", "authorization", None,
                    {"headers": {"Authorization": "Basic YTpi"}}),
    "capabilities": ("/wms?SERVICE=WMS&REQUEST=GetCapabilities", "request",
                     "request GetCapabilities", None, {}),
    "legend": ("/wms?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetLegendGraphic"
               "&FORMAT=image/png&LAYER=a", "request",
               "request GetLegendGraphic", None, {}),
    "no query": ("/wms", "request", "no REQUEST", None, {}),
    "features": (tile(SERVICE="WFS"), "request", "service WFS", None, {}),
    "old version": (tile(VERSION="1.0.0"), "request", "version 1.0.0", None,
                    {}),
    "no version": (tile(VERSION=None), "request", "no VERSION", None, {}),
    "MAP": (tile(MAP="/etc/x.map"), "param", "param MAP", "DogpileParams MAP",
            {}),
    "SLD": (tile(sld="http://x/"), "param", "param SLD", "DogpileParams SLD",
            {}),
    "TIME": (tile(TIME="2024-01-01"), "param", "param TIME",
             "DogpileParams TIME", {}),
    "odd name": (again('a"b', "1"), "param", "param A?B", None, {}),
    "TRANSPARENT=1": (tile(TRANSPARENT="1"), "param", "transparent 1", None,
                      {}),
    "BGCOLOR=red": (tile(BGCOLOR="red"), "param", "bgcolor red", None, {}),
    "LAYERS twice": (again("layers", "b"), "duplicate", "twice LAYERS", None,
                     {}),
    "unknown CRS": (tile(crs="EPSG:21781"), "crs", "crs EPSG:21781",
                    "<DogpileGrid>", {}),
    "no SRS": (tile(SRS=None), "crs", "no SRS", None, {}),
    "HTML": (tile(format="text/html"), "format", "format text/html", None, {}),
    "SVG": (tile(format="image/svg+xml"), "format", "format image/svg+xml",
            None, {}),
    "large": (box(2049, 10), "size", "size 2049x10", None, {}),
    "no cell": (box(256, 256, path="/strict"), "off-grid",
                "no cell of WebMercatorQuad", None, {}),
}


def ask(site, path, method="GET", headers=None, body=None):
    return client.get(site.url(path), method, headers, body)


@pytest.mark.parametrize("name", REASONS)
def test_reason_is_said_everywhere(site, name):
    """A pass-through says its reason in Cache-Status each time, counts under
    it, and logs it once a source, with the line to write."""
    path, counter, detail, remedy, options = REASONS[name]
    # a path of its own makes a source of its own
    source = f"{urllib.parse.urlsplit(path).path}/{name.replace(' ', '-')}"
    path = source + "?" + urllib.parse.urlsplit(path).query
    before = site.status.read()
    answers = [ask(site, path, **options) for _ in range(2)]
    after = site.status.read()

    for answer in answers:
        assert answer.header("Cache-Status") == (
            f'mod_dogpile; fwd=bypass; detail="{detail}"')
    assert after["pass"][counter] - before["pass"][counter] == 2
    assert after["passed"] - before["passed"] == 2
    assert after["fetches"] == before["fetches"]
    said = site.log.find(f"DP0201: source localhost{source}: ")
    advice = f"; to coalesce, add {remedy}" if remedy else ""
    assert len(said) == 1
    assert "[dogpile:notice]" in said[0]
    assert said[0].endswith(f": passed through ({detail}){advice}; said once")


ODD_PATHS = [
    "/wms?SERVICE=WMS&REQUEST=GetCapabilities&%41=%2f%2F+%20&&&",
    "/wms?",
    "/wms?a=b?c=d&e",
    "/wms/a%20b;v=1/~c?x='\"<>",
    tile(MAP="/etc/x.map") + "&BBOX=%zz&%00",
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_passed_request_is_untouched(site, path):
    """A request that passes reaches the source as it would without the
    module: path and query byte by byte, every header, the body."""
    headers = {"Cookie": "a=b; c=d", "Accept-Encoding": "gzip",
               "Referer": "http://x/", "X-Custom": "Ä".encode("latin-1"),
               "Cache-Control": "no-cache", "Authorization": "Bearer x"}
    site.upstream.always = scripted.status(200)
    seen = []
    for door in ("/wms", "/plain"):
        asked = door + path.removeprefix("/wms")
        for method, body in (("GET", None), ("POST", b"<GetMap/>\0\xff")):
            ask(site, asked, method, dict(headers), body)
            seen.append(site.upstream.requests[-1])
    for ours, plain in zip(seen[:2], seen[2:]):
        assert ours.method == plain.method
        assert ours.target == plain.target
        assert ours.headers == plain.headers
        assert ours.body == plain.body
    assert seen[1].body == b"<GetMap/>\0\xff"
    assert seen[0].headers["cookie"] == "a=b; c=d"


def test_answer_of_a_passed_request_is_the_sources(site):
    """The answer comes back as it is, failures and cookies included."""
    site.upstream.script(
        scripted.status(418, Set_Cookie="a=b", Cache_Status="other; hit"))
    answer = ask(site, "/wms?REQUEST=GetCapabilities")
    assert (answer.status, answer.body) == (418, b"broken\n")
    assert answer.header("Set-Cookie") == "a=b"
    assert sorted(answer.headers.get_all("Cache-Status")) == [
        'mod_dogpile; fwd=bypass; detail="request GetCapabilities"',
        "other; hit"]


def test_header_can_be_switched_off(site):
    """DogpileHeader Off keeps Cache-Status from tiles, passes and errors."""
    site.allow_log("DP0601")
    site.upstream.script(scripted.status(500))
    paths = [tile(path="/quiet", layers="broken"), tile(path="/quiet"),
             tile(path="/quiet"), tile(path="/quiet", MAP="x"),
             tile(path="/quiet", WIDTH="0")]
    answers = [ask(site, path) for path in paths]
    assert [answer.status for answer in answers] == [502, 200, 200, 200, 400]
    assert not any(answer.header("Cache-Status") for answer in answers)


def test_reasons_of_strangers_fill_nothing(site):
    """However many different names clients make up, each is counted and the
    log stays bounded."""
    before = site.status["pass"]["param"]
    connection, _ = client.connect(site.url("/"))
    for i in range(600):
        answer = client.ask(connection, tile(**{f"P{i}": "1"}), "HEAD")
        assert answer.status == 200
    connection.close()
    assert site.status["pass"]["param"] - before == 600
    assert len(site.log.find("DP0201")) <= 512
