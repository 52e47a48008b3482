# SPDX-License-Identifier: Apache-2.0
"""Directives about what a request may be, and what is asked of the source."""
import pytest

from pydogpile import client, picture, scene, upstream as scripted, wms

LOCATION = """
<Location "/{name}">
    DogpileEnable On
    {lines}
    ProxyPass "http://127.0.0.1:${{UPSTREAM}}/{name}"
</Location>
"""

LOCATIONS = {
    "wms": "",
    "denying": "DogpileUnlisted deny\nDogpileOffGrid deny",
    "passing": "DogpileOffGrid pass",
    "params": "DogpileParams DPI=96 map time=\nDogpileIgnoreParams _ ReqId",
    "small": "DogpileTileSizes 128\nDogpileMetatile 2x3 buffer=5 max=700",
    "plain": "DogpileMetatile 1x1 buffer=0",
    "national": "DogpileGrids swiss",
    "southern": "DogpileGrids south",
    "fixed": 'DogpileSource "/render/a%20b?map=/etc/a.map&VERSION=1.3.0'
             '&STYLES=dark"',
    "headers": "DogpileSourceHeader X-Key \"a secret\"\n"
               "DogpileSourceHeader X-Key again\n"
               "DogpileSourceHeader User-Agent tiles/1\n"
               "DogpileSourceHeader Accept image/png\n"
               "DogpileKeepHeader x-license Link",
    "shared": "DogpileCredentials share",
}

CONF = """
DogpileStore "disk:${DIR}/store"
ProxyPass "/render" "http://127.0.0.1:${UPSTREAM}/render"
<DogpileGrid swiss>
    DogpileGridCRS EPSG:2056 EPSG:21781
    DogpileGridExtent 2420000 1030000 2900000 1350000
    DogpileGridResolutions 4000 2000 1000 500 250 100 50
</DogpileGrid>
<DogpileGrid south>
    DogpileGridCRS EPSG:3006
    DogpileGridExtent 0 6000000 1024000 8048000
    DogpileGridResolutions 1000 500 250
    DogpileGridOrigin bottom-left
    DogpileGridAxis yx
</DogpileGrid>
""" + "".join(LOCATION.format(name=name, lines=lines)
              for name, lines in LOCATIONS.items())
OPTIONS = {"children": 3}  # of 48 threads, 24 may wait


def ask(site, path, **options):
    answer = client.get(site.url(path), **options)
    scene.settle(site)
    return answer


def tile(name, **params):
    return wms.tile(5, 9, 9, path="/" + name, **params)


BOX = (1000000.0, 2000000.0, 1100000.0, 2050000.0)


def box(name, width=300, height=150, **params):
    return wms.getmap(wms.MERCATOR, BOX, width, height, path="/" + name,
                      **params)


# --- what isn't a tile -----------------------------------------------------

@pytest.mark.parametrize("path,detail", [
    (tile("denying", MAP="/etc/x"), "param MAP"),
    (tile("denying", WIDTH="257"), "no cell of WebMercatorQuad"),
    (box("denying"), "no cell of WebMercatorQuad")])
def test_denied_requests_get_403(site, path, detail):
    """With `deny` neither the source nor the module's fetches see it, and
    Cache-Status says why."""
    before = site.status.read()
    answer = ask(site, path)
    after = site.status.read()
    assert answer.status == 403
    assert answer.header("Cache-Status") == f'mod_dogpile; detail="{detail}"'
    assert answer.header("Cache-Control") == "no-store"
    assert site.upstream.count == 0
    assert after["denied"] - before["denied"] == 1


def test_denying_location_serves_tiles(site):
    """Tiles and requests that are no map are as ever where others are
    denied."""
    assert ask(site, tile("denying")).status == 200
    site.upstream.always = scripted.status(200)
    assert ask(site, "/denying?REQUEST=GetCapabilities").status == 200


def test_off_grid_map_is_coalesced_and_not_kept(site):
    """20 clients that ask for one map off the grid cost one fetch, each gets
    the source's own bytes, and the next client costs another one."""
    path = box("wms", layers="r-off")
    site.upstream.hold()
    before = site.status.read()
    herd = client.Herd([site.url(path)], 20).start()
    seen = site.status.wait(lambda s: s["waiters"] == 20)
    assert seen["flights"] == 1
    site.upstream.release()
    answers = herd.answers()
    asked = site.upstream.requests[0]
    direct = client.get(site.upstream.url(asked.target)).body
    assert {(answer.status, answer.body) for answer in answers} == {
        (200, direct)}
    assert (asked.bbox(), asked.pixels()) == (BOX, (300, 150))
    after = site.status.wait(lambda s: s["flights"] == 0)
    assert after["stored"] == before["stored"]
    site.upstream.forget()
    assert ask(site, path).status == 200
    assert site.upstream.count == 1


def test_off_grid_maps_may_pass(site):
    """DogpileOffGrid pass hands each to the source, and tiles stay ours."""
    for _ in range(2):
        assert "fwd=bypass" in ask(site, box("passing")).header("Cache-Status")
    assert site.upstream.count == 2
    assert "fwd=uri-miss" in ask(site, tile("passing")).header("Cache-Status")


# --- parameters ------------------------------------------------------------

def test_listed_parameters_are_sent_and_keyed(site):
    """Listed parameters reach the source in any case, with their defaults;
    ignored ones don't; the old list is gone."""
    asked = [tile("params"), tile("params", dpi="96"),
             tile("params", Map="/etc/ä b.map"), tile("params", TIME="2024"),
             tile("params", _="123"), tile("params", reqid="x"),
             tile("params", FORMAT_OPTIONS="dpi:180")]
    hows = [ask(site, path).header("Cache-Status") for path in asked]
    assert [how.split("; ")[1] for how in hows] == [
        "fwd=uri-miss", "hit", "fwd=uri-miss", "fwd=uri-miss", "hit", "hit",
        "fwd=bypass"]
    seen = [{name: request.query.get(name) for name in ("DPI", "MAP", "TIME")}
            for request in site.upstream.requests[:3]]
    assert seen == [{"DPI": "96", "MAP": None, "TIME": ""},
                    {"DPI": "96", "MAP": "/etc/ä b.map", "TIME": ""},
                    {"DPI": "96", "MAP": None, "TIME": "2024"}]


# --- grids and sizes -------------------------------------------------------

def test_tile_sizes_and_metatile_are_obeyed(site):
    """Another size of tiles and another shape of metatiles give the right
    pixels."""
    meta = wms.Metatile(5, 9, 10, size=128, columns=2, rows=3, buffer=5)
    paths = [wms.tile(5, x, y, size=128, path="/small") for x, y in meta.cells]
    whole = picture.render("rgb", meta.bbox, *meta.pixels)
    for cell, path in zip(meta.cells, paths):
        picture.assert_cut(ask(site, path), whole, meta.window(*cell))
    assert site.upstream.count == 1
    assert site.upstream.requests[0].pixels() == (2 * 128 + 10, 3 * 128 + 10)
    how = ask(site, wms.tile(5, 9, 9, path="/small")).header("Cache-Status")
    assert "fwd=uri-miss" in how  # 256 is no size of a tile here: off-grid
    assert site.upstream.requests[1].pixels() == (256, 256)


def test_retina_tiles_of_the_same_cell(site):
    """A cell in 512 pixels is a tile of its own, its metatile within max=."""
    answer = ask(site, wms.tile(5, 9, 9, size=512, path="/wms"))
    asked = site.upstream.requests[0]
    assert 512 < max(asked.pixels()) <= 2048
    unit = wms.MERCATOR.span / 2 ** 5 / 512
    cell = wms.MERCATOR.bbox(5, 9, 9)
    left = round((cell[0] - asked.bbox()[0]) / unit)
    top = round((asked.bbox()[3] - cell[3]) / unit)
    whole = picture.render("rgb", asked.bbox(), *asked.pixels())
    picture.assert_cut(answer, whole, (left, top, left + 512, top + 512))


# The extent's corners are no multiples of its cells: the last column and row
# stick out, as those of a national grid do.
SWISS_LEVELS = (4000, 2000, 1000, 500, 250, 100, 50)


def national(z, x, y, version="1.1.1", crs="EPSG:2056"):
    side = 256 * SWISS_LEVELS[z]
    grid = wms.Grid("swiss", crs, False, 2420000, 1350000, side, 1)
    return wms.getmap(grid, grid.bbox(0, x, y), 256, 256, version=version,
                      path="/national")


@pytest.mark.parametrize("z,x,y", [(0, 0, 0), (4, 3, 2), (5, 18, 12)])
def test_national_grid_gives_the_right_pixels(site, z, x, y):
    """A grid of one's own with odd resolutions is found, cut and shared by
    all names of its reference system."""
    answers = [ask(site, national(z, x, y)),
               ask(site, national(z, x, y, "1.3.0")),
               ask(site, national(z, x, y, crs="EPSG:21781"))]
    asked = site.upstream.requests
    assert len(asked) == 1
    assert asked[0].query["SRS"] == "EPSG:2056"
    minx, _, _, maxy = asked[0].bbox()
    unit = SWISS_LEVELS[z]
    left = round((2420000 + x * 256 * unit - minx) / unit)
    top = round((maxy - (1350000 - y * 256 * unit)) / unit)
    whole = picture.render("rgb", asked[0].bbox(), *asked[0].pixels())
    for answer in answers:
        picture.assert_cut(answer, whole, (left, top, left + 256, top + 256))


@pytest.mark.parametrize("x,y", [(0, 0), (1, 3), (3, 7)])
def test_grid_from_the_bottom_gives_the_right_pixels(site, x, y):
    """A grid counted from the bottom left whose axes change places in WMS
    1.3.0 gives the same tile in both versions."""
    side = 256 * 1000
    bbox = (x * side, 6000000 + y * side,
            (x + 1) * side, 6000000 + (y + 1) * side)
    grid = wms.Grid("south", "EPSG:3006", True, 0, 8048000, side, 1)
    answers = [ask(site, wms.getmap(grid, bbox, 256, 256, version=version,
                                    path="/southern"))
               for version in ("1.1.1", "1.3.0")]
    assert "; hit" in answers[1].header("Cache-Status")
    own = picture.render("rgb", bbox, 256, 256)
    for answer in answers:
        picture.assert_cut(answer, own, (0, 0, 256, 256))
    assert site.upstream.count <= 1


# --- what is asked of the source -------------------------------------------

def test_fixed_parameters_win(site):
    """DogpileSource's path and parameters are sent as written, before ours
    and instead of ours; VERSION=1.3.0 there changes the axes too."""
    answer = ask(site, wms.tile(5, 9, 9, wms.CRS84, path="/fixed",
                                layers="r-fixed", styles="light"))
    assert answer.status == 200
    asked = site.upstream.requests[0]
    assert asked.target.startswith(
        "/render/a%20b?map=/etc/a.map&VERSION=1.3.0&STYLES=dark&SERVICE=WMS&"
        "REQUEST=GetMap&LAYERS=r-fixed&CRS=EPSG:4326&BBOX=")
    assert asked.target.count("VERSION=") == 1
    assert asked.target.count("STYLES=") == 1
    meta = wms.Metatile(5, 9, 9, wms.CRS84)
    assert asked.bbox() == pytest.approx(meta.bbox, abs=1e-12)
    assert asked.query["BBOX"].split(",")[0] == repr(meta.bbox[1])


def test_source_headers_are_added(site):
    """DogpileSourceHeader adds headers, and may replace the module's own."""
    assert ask(site, tile("headers")).status == 200
    asked = site.upstream.requests[0].headers
    assert asked["user-agent"] == "tiles/1"
    assert asked["accept"] == "image/png"
    assert asked["x-key"] == "a secret, again"


def test_kept_and_dropped_headers(site):
    """Access-Control-* and the headers of DogpileKeepHeader are kept with the
    tile; cookies, Vary and others are not."""
    site.upstream.always = scripted.rendered(
        Access_Control_Allow_Origin="https://map.example",
        access_control_expose_headers="X-License", X_License="ODbL",
        Link="<http://x/>; rel=license", Set_Cookie="session=1",
        Vary="Origin, Accept-Encoding", X_Powered_By="magic",
        ETag='"theirs"', Server="theirs")
    answers = [ask(site, tile("headers", layers="r-kept")) for _ in range(2)]
    assert "; hit" in answers[1].header("Cache-Status")
    for answer in answers:
        header = answer.header
        assert header("Access-Control-Allow-Origin") == "https://map.example"
        assert header("Access-Control-Expose-Headers") == "X-License"
        assert (header("X-License"), header("Link")) == (
            "ODbL", "<http://x/>; rel=license")
        assert not any(header(name) for name in (
            "Set-Cookie", "Vary", "X-Powered-By"))
        assert header("ETag") != '"theirs"'
        assert len(answer.headers.get_all("ETag")) == 1


def test_credentials_pass_or_share(site):
    """A request with Authorization passes, and shares tiles where it is
    said."""
    headers = {"Authorization": "Basic YTpi"}
    for _ in range(2):
        how = ask(site, tile("wms", layers="r-a"), headers=headers).header(
            "Cache-Status")
        assert "authorization" in how
    assert [request.headers.get("authorization")
            for request in site.upstream.requests] == 2 * ["Basic YTpi"]
    site.upstream.forget()
    hows = [ask(site, tile("shared", layers="r-a"), headers=h).header(
        "Cache-Status") for h in (headers, {}, headers)]
    assert [how.split("; ")[1] for how in hows] == [
        "fwd=uri-miss", "hit", "hit"]
    assert "authorization" not in site.upstream.requests[0].headers


def test_plain_metatile_is_the_sources_own_bytes(site):
    """A 1x1 metatile without buffer is asked for as it is and handed on
    undecoded."""
    path = tile("plain")
    answer = ask(site, path)
    assert site.upstream.requests[0].pixels() == (256, 256)
    assert answer.body == client.get(site.upstream.url(path)).body
