# SPDX-License-Identifier: Apache-2.0
"""Which requests are for one picture, told by the number of fetches."""
import urllib.parse

import pytest

from pydogpile import client, picture, scene, wms

CONF = """
DogpileStore "disk:${DIR}/store"
ProxyPass "/cgi" "http://127.0.0.1:${UPSTREAM}/cgi"
<Location "/wms">
    DogpileEnable On
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<Location "/geo">
    DogpileEnable On
    DogpileSourceName geo
    ProxyPass "http://127.0.0.1:${UPSTREAM}/geo"
</Location>
<Location "/osm">
    DogpileEnable On
    DogpileSource "/cgi?map=osm"
</Location>
<Location "/relief">
    DogpileEnable On
    DogpileSource "/cgi?map=relief"
</Location>
<Location "/door1">
    DogpileEnable On
    DogpileSourceName doors
    DogpileSource "/cgi?map=doors"
</Location>
<Location "/door2">
    DogpileEnable On
    DogpileSourceName doors
    DogpileSource "/cgi?map=doors"
</Location>
"""
OPTIONS = {"children": 2}

Z, X, Y = 6, 21, 22
ROUNDED = 20037508.34


def tile(*, like=None, **params):
    """One cell's path and query; `like` rewrites the list of parameters."""
    path = wms.tile(Z, X, Y, **params)
    if like is None:
        return path
    parts = urllib.parse.urlsplit(path)
    return parts.path + "?" + like(parts.query)


def plate(**params):
    """The same of the grid in degrees."""
    return tile(grid=wms.CRS84, **params)


def rounded(**params):
    """As clients compute it whose world ends at 20037508.34."""
    side = 2 * ROUNDED / 2 ** Z
    west, north = -ROUNDED + X * side, ROUNDED - Y * side
    return wms.getmap(wms.MERCATOR, (west, north - side, west + side, north),
                      256, 256, **params)


def backwards(query):
    return "&".join(reversed(query.split("&")))


def lower_names(query):
    return "&".join(name.lower() + "=" + value for name, value in
                    (pair.split("=") for pair in query.split("&")))


def mixed_names(query):
    return "&".join(name.capitalize() + "=" + value for name, value in
                    (pair.split("=") for pair in query.split("&")))


def escaped(query):
    return query.replace(",", "%2c").replace(":", "%3A").replace("/", "%2F")


def empty_pairs(query):
    return "&" + query.replace("&", "&&") + "&"


SAME = {
    "twice": (tile, tile),
    "order": (tile, lambda **p: tile(like=backwards, **p)),
    "names in lower case": (tile, lambda **p: tile(like=lower_names, **p)),
    "names in mixed case": (tile, lambda **p: tile(like=mixed_names, **p)),
    "escapes": (tile, lambda **p: tile(like=escaped, **p)),
    "empty pairs": (tile, lambda **p: tile(like=empty_pairs, **p)),
    "no SERVICE": (tile, lambda **p: tile(SERVICE=None, **p)),
    "getmap": (tile, lambda **p: tile(REQUEST="getmap", **p)),
    "no STYLES": (tile, lambda **p: tile(STYLES=None, **p)),
    "empty STYLES": (tile, lambda **p: tile(STYLES=",,", **p)),
    "TILED": (tile, lambda **p: tile(TILED="true", **p)),
    "TILESORIGIN": (tile, lambda **p: tile(tilesOrigin="-2,-2", **p)),
    "not transparent": (tile, lambda **p: tile(TRANSPARENT="FALSE", **p)),
    "case of TRANSPARENT": (lambda **p: tile(TRANSPARENT="TRUE", **p),
                            lambda **p: tile(TRANSPARENT="true", **p)),
    "case of BGCOLOR": (lambda **p: tile(BGCOLOR="0xFFAAFF", **p),
                        lambda **p: tile(BGCOLOR="0xffaaff", **p)),
    "case of FORMAT": (tile, lambda **p: tile(FORMAT="Image/PNG", **p)),
    "case of SRS": (tile, lambda **p: tile(crs="epsg:3857", **p)),
    "EPSG:900913": (tile, lambda **p: tile(crs="EPSG:900913", **p)),
    "EPSG:102100": (tile, lambda **p: tile(crs="EPSG:102100", **p)),
    "WMS 1.1.0": (tile, lambda **p: tile(version="1.1.0", **p)),
    "WMS 1.3.0": (tile, lambda **p: tile(version="1.3.0", **p)),
    "EXCEPTIONS": (lambda **p: tile(EXCEPTIONS="XML", **p),
                   lambda **p: tile(EXCEPTIONS="INIMAGE", **p)),
    "equal DPI": (lambda **p: tile(DPI="96", **p),
                  lambda **p: tile(dpi="96", **p)),
    "a rounded world": (tile, rounded),
    "degrees, 1.3.0": (plate, lambda **p: plate(version="1.3.0", **p)),
    "degrees, CRS:84": (plate, lambda **p: plate(version="1.3.0",
                                                 crs="CRS:84", **p)),
    "two doors": (lambda **p: tile(path="/door1", **p),
                  lambda **p: tile(path="/door2", **p)),
    "a door's paths": (lambda **p: tile(path="/door1", **p),
                       lambda **p: tile(path="/door1/a", **p)),
}

DIFFERENT = {
    "LAYERS": (tile, lambda layers: tile(layers=layers + ",b")),
    "case of LAYERS": (tile, lambda layers: tile(layers=layers.upper())),
    "STYLES": (tile, lambda **p: tile(styles="dark", **p)),
    "FORMAT": (tile, lambda **p: tile(format="image/jpeg", **p)),
    "parameter of FORMAT": (tile, lambda **p: tile(
        format="image/png; mode=8bit", **p)),
    "TRANSPARENT": (tile, lambda **p: tile(TRANSPARENT="TRUE", **p)),
    "BGCOLOR": (tile, lambda **p: tile(BGCOLOR="0xFFFFFF", **p)),
    "DPI or not": (tile, lambda **p: tile(DPI="96", **p)),
    "DPI": (lambda **p: tile(DPI="96", **p), lambda **p: tile(DPI="192", **p)),
    "size": (tile, lambda **p: tile(size=512, **p)),
    "level": (tile, lambda **p: wms.tile(Z + 1, X, Y, **p)),
    "column": (tile, lambda **p: wms.tile(Z, X + 4, Y, **p)),
    "row": (tile, lambda **p: wms.tile(Z, X, Y + 4, **p)),
    "grid": (tile, plate),
    "location": (tile, lambda **p: tile(path="/geo", **p)),
    "path in a named location": (lambda **p: tile(path="/geo/a", **p),
                                 lambda **p: tile(path="/geo/b", **p)),
    "hidden map": (lambda **p: tile(path="/osm", **p),
                   lambda **p: tile(path="/relief", **p)),
}


def layers_of(name):
    return "k-" + name.replace(" ", "-").replace(",", "").replace("'", "")


@pytest.mark.parametrize("name", SAME)
def test_one_picture_has_one_key(site, name):
    """Two spellings of a request for one picture cost one fetch, and get the
    same tile."""
    answers = []
    for spell in SAME[name]:
        answers.append(client.get(site.url(spell(layers=layers_of(name)))))
        scene.settle(site)
    assert [answer.status for answer in answers] == [200, 200], answers
    assert site.upstream.count == 1
    assert "; hit" in answers[1].header("Cache-Status")
    assert answers[0].body == answers[1].body
    assert answers[0].header("ETag") == answers[1].header("ETag")


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_picture_has_another_key(site, name):
    """Requests that may be for different pictures are fetched one by one."""
    answers = [client.get(site.url(spell(layers=layers_of("not " + name))))
               for spell in DIFFERENT[name]]
    assert [answer.status for answer in answers] == [200, 200], answers
    assert site.upstream.count == 2
    assert all("fwd=uri-miss" in answer.header("Cache-Status")
               for answer in answers)


def test_every_tile_of_a_metatile_is_a_hit(site):
    """The 16 tiles of a metatile, asked one after the other, cost one
    fetch."""
    meta = wms.Metatile(Z, X, Y)
    paths = meta.tiles(layers="k-all")
    whole = picture.render("rgb", meta.bbox, *meta.pixels)
    for cell, path in zip(meta.cells, paths):
        picture.assert_cut(client.get(site.url(path)), whole,
                           meta.window(*cell))
    assert site.upstream.count == 1


def test_head_and_get_are_one(site):
    """HEAD fetches the tile for the GET that follows, and says its length."""
    url = site.url(tile(layers="k-head"))
    head, get = client.get(url, "HEAD"), client.get(url)
    assert (head.status, head.body) == (200, b"")
    assert int(head.header("Content-Length")) == len(get.body)
    assert head.header("ETag") == get.header("ETag")
    assert site.upstream.count == 1


def test_cookies_and_hosts_do_not_matter(site):
    """Clients with other cookies, languages and Host headers share a tile."""
    url = site.url(tile(layers="k-cookies"))
    for i in range(3):
        answer = client.get(url, headers={
            "Cookie": f"user={i}", "Accept-Language": f"x-{i}",
            "Host": f"alias{i}.example", "User-Agent": f"agent {i}"})
        assert answer.status == 200
    assert site.upstream.count == 1
